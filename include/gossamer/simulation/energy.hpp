// SPDX-License-Identifier: MIT
/// What a simulated cluster's devices spend.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/peers.hpp>

#include <cstddef>
#include <functional>
#include <utility>

namespace gossamer {

/// What one device spends, in joules.
struct DeviceEnergy {
  double per_step = 0;  ///< of computing
  double per_byte = 0;  ///< of a message that it sends

  [[nodiscard]] double of(const Counters& counters) const {
    return static_cast<double>(counters.steps) * per_step +
           static_cast<double>(counters.bytes_sent) * per_byte;
  }
};

/// The joules of a whole group: steps times joules per step, and bytes that the rule sent times
/// joules per byte, of each device its own. What frames add to messages, what is sent again and
/// what a device spends at rest are not in it; nor is what an incarnation has spent that is over,
/// since a node's counters begin anew with it.
class EnergyModel {
 public:
  EnergyModel() = default;
  explicit EnergyModel(std::function<DeviceEnergy(PeerId)> of) : of_(std::move(of)) {}

  /// Whether any device's energy is known.
  explicit operator bool() const { return of_ != nullptr; }
  /// Of a group with `size()` and `counters(i)`.
  template <class Group>
  [[nodiscard]] double joules(const Group& group) const {
    double sum = 0;
    for (std::size_t i = 0; of_ && i < group.size(); ++i) {
      sum += of_(static_cast<PeerId>(i)).of(group.counters(i));
    }
    return sum;
  }

 private:
  std::function<DeviceEnergy(PeerId)> of_;
};

}  // namespace gossamer
