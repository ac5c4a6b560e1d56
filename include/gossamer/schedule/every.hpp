// SPDX-License-Identifier: MIT
/// After every tau-th step.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/schedule/schedule.hpp>

#include <cstdint>

namespace gossamer::schedule {

/// After every tau-th local step of the node. Throws ConfigError unless tau >= 1.
class Every {
 public:
  explicit Every(std::uint64_t tau) : tau_(tau) {
    if (tau == 0) throw ConfigError("Every: tau must be at least 1, got 0");
  }
  bool operator()(PeerContext& context) const { return context.step() % tau_ == 0; }
  [[nodiscard]] std::uint64_t tau() const noexcept { return tau_; }

 private:
  std::uint64_t tau_;
};

}  // namespace gossamer::schedule
