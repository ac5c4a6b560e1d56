// SPDX-License-Identifier: MIT
/// A node that goes in the midst of things, at every point at which it can.
#pragma once

#include <tests/rule/bench_context.hpp>

#include <cstddef>
#include <cstdint>
#include <ostream>

namespace tests {

/// Who goes, how, and when.
struct Departure {
  PeerId victim;
  Reason reason;
  std::size_t still_arrive;  // of its messages under way, unless it has just finished
  std::size_t event = 0;     // of those that the bench counts: before this one
};

inline std::ostream& operator<<(std::ostream& out, const Departure& one) {
  return out << "node " << one.victim << " goes before event " << one.event << ", reason "
             << static_cast<int>(one.reason) << ", " << one.still_arrive
             << " of its messages arrive";
}

/// Tries it before the first event, the second, and so on, until `attempt(departure)` says with
/// false that all was over before. How often it was tried.
template <class Attempt>
std::size_t before_each_event(Departure departure, Attempt attempt) {
  while (attempt(departure)) ++departure.event;
  return departure.event;
}

/// The node ends without handing anything over.
inline void go(Bench& bench, const Departure& departure) {
  if (departure.reason == Reason::finished) {
    bench.finish(departure.victim);
  } else {
    bench.close(departure.victim, departure.reason, departure.still_arrive);
  }
}

/// One that can hands over what it has.
inline void hand_over_and_go(Bench& bench, const Departure& departure) {
  if (departure.reason == Reason::finished) {
    bench.leave(departure.victim);
  } else {
    go(bench, departure);
  }
}

using Going = void (*)(Bench&, const Departure&);

/// The nodes take a step each, in turn, and handle what comes of it, some rounds long; on the way
/// one goes. False if all was over before that.
inline bool take_turns(Bench& bench, const Departure& departure, int rounds, Going going) {
  bool gone = false;
  const auto perhaps_go = [&] {
    if (gone || bench.events() < departure.event) return;
    gone = true;
    going(bench, departure);
  };
  for (int round = 0; round < rounds; ++round) {
    for (PeerId id = 0; id < bench.size(); ++id) {
      perhaps_go();
      if (!bench[id].gone && !bench[id].finished) bench.advance(id);
    }
    while (!bench.pending().empty()) {
      perhaps_go();
      bench.handle(0);
    }
  }
  bench.settle();
  return gone;
}

enum class AtEnd { stay, finish };

/// Each node takes so many steps and handles what comes of them, in a random order, until nothing
/// happens any more; on the way one goes. False if all was over before that. Nodes that have taken
/// all their steps may say so, which releases those who wait for them.
inline bool take_steps(Bench& bench, const Departure& departure, std::uint64_t steps,
                       Generator& order, AtEnd at_end = AtEnd::stay) {
  bool gone = false;
  for (int idle = 0; idle < 200; ++idle) {  // so long that all have had their turn
    if (!gone && bench.events() >= departure.event) {
      gone = true;
      go(bench, departure);
    }
    const auto live = bench.live();
    if (live.empty()) break;
    const PeerId id = live[order.below(static_cast<std::uint32_t>(live.size()))];
    if (order.below(2) == 0 && bench[id].steps < steps) {
      if (bench.advance(id)) idle = 0;
    } else if (!bench.pending().empty()) {
      bench.handle(bench.choose(order));
      idle = 0;
    }
    if (at_end == AtEnd::stay) continue;
    for (const PeerId one : bench.live()) {
      if (bench[one].steps == steps) bench.finish(one);
    }
  }
  return gone;
}

}  // namespace tests
