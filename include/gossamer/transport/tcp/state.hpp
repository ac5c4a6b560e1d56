// SPDX-License-Identifier: MIT
/// What the parts of an endpoint share: its connections, and what is done after each event.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/tcp/connection.hpp>
#include <gossamer/transport/tcp/descriptors.hpp>
#include <gossamer/transport/tcp/listener.hpp>
#include <gossamer/transport/tcp/monitor.hpp>
#include <gossamer/transport/tcp/options.hpp>
#include <gossamer/transport/tcp/unauthenticated_peers.hpp>
#include <gossamer/transport/wire/checksum.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <spdlog/logger.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>
#include <utility>

namespace gossamer::transport {

/// See the parts: `TcpConnector`, `TcpReader`, `TcpWriter`, `TcpTicker`. Threads: the endpoint's
/// own, but for `monitor`.
struct TcpState {
  using Line = std::shared_ptr<TcpConnection>;

  /// Listens from now on. Throws ConfigError if it cannot.
  explicit TcpState(const TcpOptions& given)
      : options((given.check(), raise_descriptor_limit(), given)),
        run(wire::fingerprint(given.run())),
        listener(io, options),
        monitor(member_options(), [this] { asio::post(io, [this] { pump(false); }); }),
        attempts({.burst = static_cast<double>(given.handshakes())}) {}
  TcpState(const TcpState&) = delete;
  TcpState& operator=(const TcpState&) = delete;

  asio::io_context io{1};
  const TcpOptions options;
  const std::uint64_t run;  ///< its fingerprint
  TcpListener listener;
  TcpMonitor monitor;
  std::function<void(DialAttempt)> dial;  ///< set by who can; called for each address to dial
  std::map<LineId, Line> connections;
  codec::CodedPool codes;
  UnauthenticatedPeers attempts;  ///< within `monitor.locked()`
  std::size_t unjudged = 0;       ///< connections from others that were not let in, or not yet

  /// Runs beside the others. What it throws and does not catch ends the endpoint.
  void spawn(asio::awaitable<void> coroutine) {
    asio::co_spawn(io, std::move(coroutine), [this](const std::exception_ptr& error) {
      if (error) fail(error);
    });
  }
  /// Without one of its parts, its heartbeats, say, the endpoint only seems to be alive: it stops,
  /// its connections end with it, and the node's next call throws.
  void fail(const std::exception_ptr& error) {
    std::string why = "an error that is no std::exception";
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      why = known.what();
    } catch (...) {
    }
    const std::string text = "the thread of the network has ended: " + why;
    monitor.fail(text);
    try {
      log(true, "node " + std::to_string(options.number()) + ": " + text);
    } catch (...) {  // it may be the log that fails
    }
    for (const auto& [id, connection] : connections) connection->stream.close();
    io.stop();
  }

  /// After whatever happened: lets lines speak, dials, wakes the node, logs.
  void pump(bool may_dial) {
    TcpMonitor::Tasks tasks = monitor.tasks(may_dial, !connections.empty());
    for (const LineId id : tasks.speakers) {
      const auto at = connections.find(id);
      if (at != connections.end()) at->second->wakeup.cancel();
    }
    for (DialAttempt& attempt : tasks.dials) dial(std::move(attempt));
    for (const MembershipNote& note : tasks.notes) log(note.warning, note.text);
  }

  void log(bool warning, const std::string& text) const {
    if (!options.logger()) return;
    options.logger()->log(warning ? spdlog::level::warn : spdlog::level::info, text);
  }
  void log_once(const std::string& what, const std::string& text) {
    constexpr std::size_t most = 1000;
    if (named_.size() >= most || !named_.insert(what).second) return;
    log(true, "node " + std::to_string(options.number()) + ": " + text);
  }

  /// Ends the connection if that takes too long; `patience.cancel()` takes it back.
  void expect_end(const Line& c, Time within, const char* why) {
    c->patience.expires_after(within);
    c->patience.async_wait([this, c, why](const std::error_code& error) {
      if (!error) end(c, why);
    });
  }
  void end(const Line& c, const std::string& why) {
    if (std::exchange(c->ended, true)) return;
    c->stream.close();
    c->wakeup.cancel();
    c->patience.cancel();
    connections.erase(c->id);
    const Time now = monitor.now();
    monitor.locked([&](Membership& member) {
      if (!c->dial && !std::exchange(c->judged, true)) {
        --unjudged;
        attempts.failed(c->from, c->failure, now);
      }
      if (c->secured) {
        member.disconnected(c->id, why, now);
      } else if (c->dial) {
        member.dial_failed(*c->dial, false, why, now);
      }
    });
    name_failure(*c);
    pump(true);
  }

 private:
  MembershipOptions member_options() const {
    MembershipOptions member;
    member.number = options.number();
    member.incarnation = static_cast<std::uint64_t>(
        std::chrono::system_clock::now().time_since_epoch() / std::chrono::nanoseconds(1));
    member.world_size = options.world_size();
    member.run = options.run();
    member.agreement = options.agreement();
    member.address = listener.advertised();
    member.contacts = options.contacts();
    member.timers = options.timers();
    member.limits = options.limits();
    member.seed = member.incarnation;
    return member;
  }

  /// Once per address and kind of failure: unauthenticated peers may come again and again.
  void name_failure(const TcpConnection& c) {
    if (c.greeted || c.malformed) return;  // the member has named it
    const std::string failure = c.stream.failure();
    if (failure.empty() && c.dial) return;
    log_once(c.from.to_string() + " fails " + std::to_string(c.failure ? int(*c.failure) : 0),
             failure.empty() ? c.stream.peer() + " has begun a connection and not said who it is"
                             : failure);
  }

  std::set<std::string> named_;  // what was logged once
};

}  // namespace gossamer::transport
