// SPDX-License-Identifier: MIT
/// The writing half of a connection.
#pragma once

#include <gossamer/transport/delivery/frame.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/tcp/state.hpp>

#include <asio/awaitable.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <system_error>
#include <utility>

namespace gossamer::transport {

/// Writes what the member has to say on a line, for as long as the connection lives, and hangs up
/// after its last word. Threads: the endpoint's.
class TcpWriter {
 public:
  TcpWriter(TcpState& state, TcpState::Line line) : s_(state), c_(std::move(line)) {}

  /// Ends the connection if it breaks; throws nothing.
  asio::awaitable<void> write() {
    try {
      while (!c_->ended) {
        const bool last = gather();
        if (!c_->output.empty()) {
          c_->wrote = s_.monitor.now();
          c_->writing = true;
          co_await c_->output.write();
          if (c_->output.load() != Load::content) s_.monitor.move();  // and there is more
          c_->writing = false;
        } else if (last) {
          co_return co_await hang_up();
        } else {
          co_await rest();
        }
      }
    } catch (const std::exception& error) {
      s_.end(c_, error.what());
    }
  }

 private:
  /// How often a message is looked at that waits for its numbers.
  static constexpr auto fence_pause = std::chrono::microseconds(200);

  /// Until there may be something to write.
  asio::awaitable<void> rest() {
    std::error_code woken;
    if (waits_for_fence_) c_->wakeup.expires_after(fence_pause);
    co_await c_->wakeup.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    if (waits_for_fence_) c_->wakeup.expires_at(asio::steady_timer::time_point::max());
  }

  /// Whether there is nothing to write, now or ever.
  bool gather() {
    std::uint64_t frames = 0;
    const bool last = s_.monitor.locked([&](Membership& member) {
      for (; c_->output.fits(); ++frames) {
        auto body = member.next(c_->id, s_.monitor.now(), c_->output.load());
        if (!body) break;
        c_->output.add(std::move(*body));
      }
      waits_for_fence_ = c_->output.empty() && member.waits_for_fence(c_->id);
      return c_->output.empty() && member.must_close(c_->id);
    });
    s_.monitor.count(c_->peer, {.bytes_sent = c_->output.gathered(), .frames_sent = frames});
    return last;
  }

  /// All is said: the peer may read it in peace, and hang up.
  asio::awaitable<void> hang_up() {
    s_.monitor.locked(
        [&](Membership& member) { member.disconnected(c_->id, "closed", s_.monitor.now()); });
    s_.expect_end(c_, std::chrono::seconds(1), "closed");
    std::error_code ignored;
    co_await c_->stream.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    s_.pump(true);
  }

  TcpState& s_;
  TcpState::Line c_;
  bool waits_for_fence_ = false;
};

}  // namespace gossamer::transport
