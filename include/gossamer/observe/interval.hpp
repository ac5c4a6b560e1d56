// SPDX-License-Identifier: MIT
/// What a group has done since it was last looked at.
#pragma once

#include <gossamer/observe/group_state.hpp>
#include <gossamer/peers.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace gossamer::observe {

/// From one look at a group to the next, for a callback that keeps lines of a run.
/// Threads: one at a time.
class Interval {
 public:
  /// Over the steps and the wall time of an interval.
  struct Means {
    double loss = 0;
    double samples_per_second = 0;
  };

  /// The first interval begins; later calls do nothing.
  void begin(const GroupState& state) {
    if (!std::exchange(begun_, true)) mark(state);
  }
  /// Wall time since the last look.
  [[nodiscard]] std::chrono::duration<double> length(const GroupState& state) const {
    return state.wall - wall_;
  }
  /// Ends the interval, and begins the next; nothing, and it goes on, if there was no step in it.
  std::optional<Means> end(const GroupState& state) {
    const Counters& now = state.totals;
    if (now.steps <= before_.steps) return std::nullopt;
    const Means means{
        (now.loss_sum - before_.loss_sum) / static_cast<double>(now.steps - before_.steps),
        static_cast<double>(now.samples - before_.samples) / std::max(length(state).count(), 1e-9)};
    mark(state);
    return means;
  }

 private:
  void mark(const GroupState& state) {
    before_ = state.totals;
    wall_ = state.wall;
  }

  bool begun_ = false;
  Counters before_;
  std::chrono::duration<double> wall_{0};
};

}  // namespace gossamer::observe
