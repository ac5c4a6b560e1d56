// SPDX-License-Identifier: MIT
/// What an endpoint does from time to time.
#pragma once

#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/tcp/state.hpp>

#include <asio/awaitable.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <cstddef>
#include <map>
#include <system_error>

namespace gossamer::transport {

/// Looks at the kernel's queues, tells the member the time, and cuts connections whose peers read
/// nothing. Threads: the endpoint's.
class TcpTicker {
 public:
  explicit TcpTicker(TcpState& state) : s_(state), timer_(state.io) {}

  /// For ever, every `MembershipTimers::tick()`.
  asio::awaitable<void> tick() {
    std::error_code error;
    while (true) {
      timer_.expires_after(s_.options.timers().tick());
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, error));
      s_.monitor.locked([this](Membership& member) {
        look_at_queues(member);
        member.tick(s_.monitor.now());
      });
      cut_the_stalled();
      s_.pump(true);
    }
  }

 private:
  /// Bytes that lie in the kernel's queues move, too: those that come are a sign of life, though a
  /// reader is woken for many at once only; those that go show that the peer takes them.
  void look_at_queues(Membership& member) {
    constexpr std::size_t more_than_pings = 4096;
    for (const auto& [id, c] : s_.connections) {
      const auto queues = c->look_at_queues();
      if (queues.in > c->queues.in) {
        c->brings ? member.brought(id, s_.monitor.now()) : member.heard(id, s_.monitor.now());
      }
      if (queues.taken > c->queues.taken) {  // while a queue is filled up again, too
        c->wrote = s_.monitor.now();
        if (c->queues.out > more_than_pings) s_.monitor.move();
      }
      if (queues.in > c->queues.in + more_than_pings) s_.monitor.move();
      c->queues = queues;
    }
  }

  /// Who takes nothing of what is written, be it a last word, for so long that no network explains
  /// it, holds back what waits for it. Patient: a chunk may be long on its way over a bad cable.
  void cut_the_stalled() {
    const Time latest = s_.monitor.now() - 3 * Time(s_.options.timers().dead_after);
    for (const auto& [id, c] : std::map(s_.connections)) {
      if (!c->writing || c->wrote > latest) continue;
      s_.monitor.locked([line = id](Membership& member) { member.stalled(line); });
      s_.end(c, "it reads nothing");
    }
  }

  TcpState& s_;
  asio::steady_timer timer_;
};

}  // namespace gossamer::transport
