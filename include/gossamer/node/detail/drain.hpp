// SPDX-License-Identifier: MIT
/// How long a node that ends goes on to take in what comes.
#pragma once

#include <gossamer/node/engine.hpp>
#include <gossamer/transport/stall_timer.hpp>
#include <gossamer/transport/transport.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace gossamer::detail {

/// Of a node that ends: when it has waited for long enough. Threads: as the engine.
inline transport::StallTimer drain_timer(const Engine& engine) {
  const transport::Transport& transport = engine.transport();
  return {engine.options().drain_timeout(), transport.progress(), transport.now()};
}

/// Waits until `done()` (true), which takes in what has come, or until nothing has moved for
/// `drain_timeout`. News that are no event (a peer has what it was sent) are asked for from time to
/// time.
template <class Done>
bool drain(const Engine& engine, Done done) {
  transport::Transport& transport = engine.transport();
  transport::StallTimer stall = drain_timer(engine);
  while (!done()) {
    if (stall.is_over(transport.progress(), transport.now())) return false;
    transport.wait(std::min(stall.deadline(), transport.now() + std::chrono::milliseconds(50)));
  }
  return true;
}

/// Calls `receive()` until nothing that the rule says again comes back from full queues, at most
/// `drain_timeout` long. Call it before a node rests, when it receives no more, and before it
/// finishes, when others do not wait for it any longer.
template <class Receive>
void drain_returned(const Engine& engine, Receive receive) {
  const transport::Transport& transport = engine.transport();
  transport::StallTimer stall = drain_timer(engine);
  std::uint64_t before = 0;
  do {
    before = engine.counters().messages_returned;
    receive();
  } while (engine.counters().messages_returned != before &&
           !stall.is_over(transport.progress(), transport.now()));
}

}  // namespace gossamer::detail
