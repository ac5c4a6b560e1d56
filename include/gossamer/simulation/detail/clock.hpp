// SPDX-License-Identifier: MIT
/// The virtual clock of a simulated world.
#pragma once

#include <gossamer/simulation/detail/event_queue.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace gossamer::transport {

/// The time, which only events move, and what will happen.
class SimulatedClock {
 public:
  /// What an event is, for a side of a link; from `others` on, for whoever runs the nodes.
  enum Kind : std::uint32_t { arrival, reception, timer, others };

  [[nodiscard]] Time now() const { return now_; }
  /// How many events have happened.
  [[nodiscard]] std::uint64_t events() const { return events_; }

  void plan(Time when, std::uint32_t what, std::uint32_t which, std::uint32_t packet = 0) {
    queue_.push(std::max(when, now_), what, which, packet);
  }
  /// Goes on to the next event, if it happens until `limit`.
  std::optional<SimulatedEvent> next(Time limit) {
    std::optional<SimulatedEvent> event = queue_.pop(limit);
    if (event) {
      now_ = event->time;
      ++events_;
    }
    return event;
  }
  /// Goes on to `then`, before which nothing happens.
  void pass(Time then) { now_ = std::max(now_, then); }
  /// Sets the time, and forgets what was planned; before anything has happened.
  void restart(Time now) {
    queue_ = {};
    now_ = now;
  }

 private:
  Time now_{0};
  SimulatedEventQueue queue_;
  std::uint64_t events_ = 0;
};

}  // namespace gossamer::transport
