// SPDX-License-Identifier: MIT
/// When a group has trained enough.
#pragma once

#include <gossamer/peers.hpp>

#include <torch/arg.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace gossamer {

/// A group trains until the first of the limits that are set is reached; without any, until it is
/// told to stop. A limit counts from the making of the group, over all its runs and, where it was
/// restored, over those before: to run until 100 steps twice is to run once. "So much more" is
/// `Group::run_for`.
///
/// Limits are over the whole group and end for all nodes at about the same time, since a node that
/// trains on alone drifts away; under a synchronous rule each node takes its exact share.
struct StopCondition {
  /// Samples over all nodes.
  TORCH_ARG(std::optional<std::uint64_t>, samples) = std::nullopt;
  /// Steps per node, on average.
  TORCH_ARG(std::optional<std::uint64_t>, steps) = std::nullopt;
  /// Time on the transport's clock in which the group has run.
  TORCH_ARG(std::optional<std::chrono::nanoseconds>, duration) = std::nullopt;

 public:
  /// Whether so many nodes with that work between them have done enough.
  [[nodiscard]] bool is_done(std::uint64_t all_steps, std::uint64_t all_samples,
                             std::uint64_t nodes) const {
    return (samples_ && all_samples >= *samples_) || (steps_ && all_steps >= *steps_ * nodes);
  }
  /// Whether the time of a group that has run so long is over.
  [[nodiscard]] bool is_over(std::chrono::nanoseconds running) const {
    return duration_ && running >= *duration_;
  }
  /// The same limits, counted from where such a group is now; steps from the mean, rounded up.
  [[nodiscard]] StopCondition from(const Counters& totals, std::uint64_t nodes,
                                   std::chrono::nanoseconds running) const {
    StopCondition later = *this;
    const std::uint64_t n = std::max<std::uint64_t>(nodes, 1);
    if (samples_) later.samples(*samples_ + totals.samples);
    if (steps_) later.steps(*steps_ + (totals.steps + n - 1) / n);
    if (duration_) later.duration(*duration_ + running);
    return later;
  }
};

}  // namespace gossamer
