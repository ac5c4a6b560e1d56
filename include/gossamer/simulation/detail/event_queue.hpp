// SPDX-License-Identifier: MIT
/// What will happen in a simulated world, in the order in which it happens.
#pragma once

#include <gossamer/transport/transport.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace gossamer::transport {

/// Something that happens at a time. What `what` and `which` mean, the world knows.
struct SimulatedEvent {
  Time time{0};
  std::uint32_t what = 0;
  std::uint32_t which = 0;
  std::uint32_t packet = 0;
};

/// By time; of two at the same time, what was planned first happens first.
///
/// Time never goes back: nothing may be planned before what was popped last. So a radix heap will
/// do: bucket b > 0 holds the events whose time differs from that one's in bit b - 1 and no higher
/// one, bucket 0 those of the same time. When bucket 0 is empty, the lowest other one is spread
/// over those below it, which are empty; that keeps events of one time in their order.
///
/// Cost    O(log of the longest wait) per event, in moves from one block of memory to the end of
///         another, where a binary heap jumps about; no allocation once the buckets have had their
///         greatest sizes.
/// Source  Ahuja, Mehlhorn, Orlin, Tarjan, "Faster algorithms for the shortest path problem",
///         Journal of the ACM, 1990.
class SimulatedEventQueue {
 public:
  /// `time` is not before that of the last event that was popped.
  void push(Time time, std::uint32_t what, std::uint32_t which, std::uint32_t packet = 0) {
    put({time, what, which, packet});
  }

  /// The next event, if it happens until `limit`.
  std::optional<SimulatedEvent> pop(Time limit) {
    if (next_ == buckets_[0].size()) {
      buckets_[0].clear();
      next_ = 0;
      if (filled_ == 0 || !spread_lowest(limit)) return std::nullopt;
    }
    const SimulatedEvent& event = buckets_[0][next_];
    if (event.time > limit) return std::nullopt;
    ++next_;
    return event;
  }

 private:
  void put(const SimulatedEvent& event) {
    const auto differs = static_cast<std::uint64_t>(event.time.count() ^ last_.count());
    const auto bucket = static_cast<std::size_t>(std::bit_width(differs));
    buckets_[bucket].push_back(event);
    if (bucket > 0) filled_ |= std::uint64_t{1} << (bucket - 1);
  }

  /// False if nothing in it happens until `limit`.
  bool spread_lowest(Time limit) {
    const auto lowest = static_cast<std::size_t>(std::countr_zero(filled_)) + 1;
    std::vector<SimulatedEvent>& bucket = buckets_[lowest];
    const auto earlier = [](const auto& a, const auto& b) { return a.time < b.time; };
    const Time first = std::min_element(bucket.begin(), bucket.end(), earlier)->time;
    if (first > limit) return false;
    last_ = first;
    filled_ &= filled_ - 1;
    for (const SimulatedEvent& event : bucket) put(event);
    bucket.clear();
    return true;
  }

  std::array<std::vector<SimulatedEvent>, 65> buckets_;
  std::uint64_t filled_ = 0;  // bit b - 1: there is something in bucket b
  std::size_t next_ = 0;      // in bucket 0, whose first ones have been popped
  Time last_{0};
};

}  // namespace gossamer::transport
