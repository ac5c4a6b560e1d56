// SPDX-License-Identifier: MIT
/// What will happen in a simulated world, in the order in which it happens.
#pragma once

#include <gossamer/transport/transport.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gossamer::transport {

/// Something that happens at a time. What `what` and `which` mean, the world knows.
struct SimulatedEvent {
  Time time{0};
  std::uint64_t sequence = 0;  ///< breaks ties: what was planned first happens first
  std::uint32_t what = 0;
  std::uint32_t which = 0;
  std::uint32_t packet = 0;
};

/// A binary heap by (time, sequence). O(log size) per operation; no allocation once it has had its
/// greatest size.
class SimulatedEventQueue {
 public:
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }
  /// When the next event happens; there must be one.
  [[nodiscard]] Time next() const { return heap_.front().time; }

  void push(Time time, std::uint32_t what, std::uint32_t which, std::uint32_t packet = 0) {
    heap_.push_back({time, ++planned_, what, which, packet});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  SimulatedEvent pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const SimulatedEvent event = heap_.back();
    heap_.pop_back();
    return event;
  }

 private:
  static bool later(const SimulatedEvent& a, const SimulatedEvent& b) {
    return a.time != b.time ? a.time > b.time : a.sequence > b.sequence;
  }

  std::vector<SimulatedEvent> heap_;
  std::uint64_t planned_ = 0;
};

}  // namespace gossamer::transport
