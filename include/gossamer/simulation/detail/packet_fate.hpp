// SPDX-License-Identifier: MIT
/// The way of a frame: when it arrives, and whether it does.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/simulation/options.hpp>

#include <algorithm>
#include <cstddef>

namespace gossamer::transport {

/// Something that carries one frame at a time: busy until the last byte of the last one has passed.
class SimulatedChannel {
 public:
  /// When the last byte of a frame has passed, if the first comes at `first` and the last at
  /// `last`. A rate of 0 has no limit.
  Time pass(Time first, Time last, std::size_t bytes, double bytes_per_second) {
    if (bytes_per_second > 0) {
      const Time takes = seconds(static_cast<double>(bytes) / bytes_per_second);
      last = free_ = std::max(last, std::max(first, free_) + takes);
    }
    return last;
  }
  Time pass(Time first, Time last, std::size_t bytes, RateLaw& law) {
    const Time end = law.finish(std::max(first, free_), static_cast<double>(bytes));
    return free_ = std::max(last, end);
  }
  /// The same for a few bytes that go between the pieces of what is under way, and wait for two of
  /// these at most.
  Time pass_between(Time now, std::size_t bytes, double bytes_per_second) {
    if (!(bytes_per_second > 0)) return now;
    const Time takes = seconds(static_cast<double>(bytes) / bytes_per_second);
    const Time pieces = seconds(2 * piece_bytes / bytes_per_second);
    const Time first = std::clamp(free_, now, now + pieces);
    free_ = std::max(free_, now) + takes;
    return first + takes;
  }
  Time pass_between(Time now, std::size_t bytes, RateLaw& law) {
    const Time first = free_ <= now ? now : std::min(free_, law.finish(now, 2 * piece_bytes));
    free_ = law.finish(std::max(free_, now), static_cast<double>(bytes));
    return law.finish(first, static_cast<double>(bytes));
  }
  [[nodiscard]] Time free() const { return free_; }

  static constexpr double piece_bytes = 262'144;  ///< as `wire::piece_bytes`

 private:
  Time free_{0};
};

/// What chance does to one frame.
struct PacketFate {
  bool lost = false;
  bool twice = false;
  Time late{0};
  Time late_again{0};  ///< of the second copy
};

/// Draws nothing for what cannot happen, so that a world without noise is cheap.
inline PacketFate draw_luck(Generator& random, const SimulatedNoise& noise, double link_loss) {
  const auto happens = [&random](double share) { return share > 0 && random.uniform() < share; };
  const auto late = [&] {
    return Time(
        static_cast<Time::rep>(random.uniform() * static_cast<double>(noise.late_by.count())));
  };
  PacketFate luck;
  luck.lost = happens(noise.loss) || happens(link_loss);
  luck.twice = happens(noise.duplicate);
  if (happens(noise.reorder)) luck.late = late();
  if (luck.twice) luck.late_again = late();
  return luck;
}

}  // namespace gossamer::transport
