// SPDX-License-Identifier: MIT
/// How fast messages get to a peer, found out on the way.
#pragma once

#include <gossamer/transport/transport.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace gossamer::transport {

/// Times one offer of a `Delivery` at a time, from when it is handed out to when its acceptance is
/// heard: its bytes by that time, as a sliding mean.
///
/// Threads  one at a time.
class SpeedGauge {
 public:
  /// In bytes per second; 0: not measured.
  [[nodiscard]] double bytes_per_second() const noexcept { return speed_; }

  /// An offer leaves, in the link's session `epoch`.
  void offered(std::uint64_t epoch, std::uint64_t sequence, std::size_t bytes, Time now) {
    if (sequence_ != 0 && epoch_ == epoch) return;
    epoch_ = epoch;
    sequence_ = sequence;
    bytes_ = bytes;
    since_ = now;
  }
  /// The peer has accepted all offers of the session up to that one.
  void accepted(std::uint64_t epoch, std::uint64_t sequence, Time now) {
    if (sequence_ == 0 || (epoch_ == epoch && sequence < sequence_)) return;
    sequence_ = 0;
    const std::chrono::duration<double> took = now - since_;
    if (epoch_ != epoch || !(took.count() > 0)) return;
    speed_ += (speed_ > 0 ? 0.25 : 1) * (static_cast<double>(bytes_) / took.count() - speed_);
  }

 private:
  double speed_ = 0;
  std::uint64_t sequence_ = 0;  // the offer that is being timed; 0: none,
  std::uint64_t epoch_ = 0;     // of that session,
  std::size_t bytes_ = 0;       // so long,
  Time since_{0};               // since then
};

}  // namespace gossamer::transport
