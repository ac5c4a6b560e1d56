// SPDX-License-Identifier: MIT
/// Ends a wait when nothing moves any more, however long it takes while something does.
#pragma once

#include <gossamer/transport/transport.hpp>

#include <cstdint>

namespace gossamer::transport {

/// A slow network is no reason to give up, one that stands still is:
///
///     StallTimer stall(limit, transport.progress(), transport.now());
///     while (!done() && !stall.is_over(transport.progress(), transport.now()))
///       transport.wait(stall.deadline());
///
/// Whoever waits until the deadline and finds then that something has moved waits once more, so a
/// stall is noticed after one to two limits. Threads: one at a time.
class StallTimer {
 public:
  StallTimer(Time limit, std::uint64_t progress, Time now)
      : limit_(limit), progress_(progress), since_(now) {}

  /// `progress`: a number that changes whenever something moves, as `Transport::progress()`.
  [[nodiscard]] bool is_over(std::uint64_t progress, Time now) {
    if (now < deadline()) return false;
    if (progress == progress_) return true;
    progress_ = progress;
    since_ = now;
    return false;
  }
  [[nodiscard]] Time deadline() const { return since_ + limit_; }

 private:
  Time limit_;
  std::uint64_t progress_;
  Time since_;
};

}  // namespace gossamer::transport
