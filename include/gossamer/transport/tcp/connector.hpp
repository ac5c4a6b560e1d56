// SPDX-License-Identifier: MIT
/// How connections begin: accepted or dialed, then secured, then read and written.
#pragma once

#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/tcp/descriptors.hpp>
#include <gossamer/transport/tcp/reader.hpp>
#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/state.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/tls_keys.hpp>
#include <gossamer/transport/tcp/writer.hpp>

#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <c10/util/StringUtil.h>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace gossamer::transport {

/// Accepts and dials, and keeps each connection from its start to its end. How many may be in the
/// middle of their start, of one address and of all, is limited. Threads: the endpoint's, but for
/// `reload_keys()`.
class TcpConnector {
 public:
  /// Throws ConfigError if there is something wrong with the keys.
  explicit TcpConnector(TcpState& state) : s_(state), keys_(state.options.security()) {
    s_.dial = [this](DialAttempt attempt) { s_.spawn(dial(std::move(attempt))); };
  }
  TcpConnector(const TcpConnector&) = delete;
  TcpConnector& operator=(const TcpConnector&) = delete;

  /// Reads keys, certificates and revocation list again, for the connections to come. Throws
  /// ConfigError if they cannot work; nothing changes then.
  void reload_keys() { keys_.reload(); }

  /// For ever.
  asio::awaitable<void> accept() {
    std::error_code error;
    while (true) {
      auto socket = co_await s_.listener.acceptor().async_accept(
          asio::redirect_error(asio::use_awaitable, error));
      if (error) {  // no file descriptors, say: later, perhaps
        if (is_local_error(error)) {
          s_.log_once("accept " + std::to_string(error.value()),
                      "a connection cannot be taken: " + explain(error));
        }
        asio::steady_timer pause(s_.io, std::chrono::milliseconds(50));
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
        continue;
      }
      close_on_exec(socket);
      const auto from = socket.remote_endpoint(error);
      if (!error && may_begin(from.address())) start(std::move(socket), std::nullopt);
    }
  }

 private:
  bool may_begin(const asio::ip::address& from) {
    const bool is_full = s_.unjudged >= s_.options.handshakes_of_all();
    if (!is_full &&
        s_.monitor.locked([&](Membership&) { return s_.attempts.begin(from, s_.monitor.now()); })) {
      return true;
    }
    if (is_full) {
      s_.log_once("too many",
                  c10::str(s_.unjudged, " connections have begun without being let in; as ",
                           "long as there are so many, others are turned away"));
      return false;
    }
    s_.log_once(from.to_string() + " connects",
                from.to_string() +
                    " has begun too many connections without being let in; from now "
                    "on it may begin one a second");
    return false;
  }

  asio::awaitable<void> dial(DialAttempt attempt) {
    TcpDialed dialed = co_await s_.listener.dial(attempt.address);
    if (dialed.socket) {
      start(std::move(*dialed.socket), std::move(attempt));
      co_return;
    }
    s_.monitor.locked([&](Membership& member) {
      member.dial_failed(attempt, dialed.refused, dialed.why, s_.monitor.now(), dialed.is_local);
    });
    if (dialed.is_local) s_.log_once("dial " + dialed.why, "nobody can be dialed: " + dialed.why);
    s_.pump(true);
  }

  void start(Stream::Socket socket, std::optional<DialAttempt> dialed) {
    std::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
    keep_queue_short(socket);
    std::string failure;
    auto tls = keys_.at(s_.monitor.now(), failure);
    if (!failure.empty()) s_.log(true, failure + "; the keys stay as they were");
    auto connection = std::make_shared<TcpConnection>(++last_line_, std::move(socket),
                                                      std::move(tls), std::move(dialed), s_.run);
    if (!connection->dial) ++s_.unjudged;
    s_.connections.emplace(connection->id, connection);
    s_.spawn(serve(std::move(connection)));
  }

  /// A connection, from its start to its end.
  asio::awaitable<void> serve(TcpState::Line c) {
    std::string why;
    try {
      s_.expect_end(c, s_.options.timers().handshake, "its handshake took too long");
      std::error_code error;
      co_await c->stream.async_handshake(c->dial ? TlsRole::client : TlsRole::server,
                                         asio::redirect_error(asio::use_awaitable, error));
      if (error) {
        if (error.category() == secure_category()) {
          c->failure = static_cast<SecureError>(error.value());
        }
        co_return s_.end(c, c->stream.failure().empty() ? error.message() : c->stream.failure());
      }
      c->patience.cancel();
      c->secured = true;
      const std::string here = s_.listener.seen_at(c->stream.socket());
      s_.monitor.locked([&](Membership& member) {
        if (!here.empty()) member.advertise(here);
        member.connected(c->id, c->dial ? &*c->dial : nullptr, s_.monitor.now());
      });
      s_.spawn(write(c));
      s_.pump(false);
      TcpReader reader(s_, c);
      co_await reader.read();
    } catch (const std::system_error& error) {
      why = error.code() == asio::error::eof ? "it hung up" : error.code().message();
    } catch (const std::exception& error) {
      why = error.what();
    }
    s_.end(c, why);
  }
  asio::awaitable<void> write(TcpState::Line c) {
    TcpWriter writer(s_, std::move(c));
    co_await writer.write();
  }

  TcpState& s_;
  TlsKeys keys_;
  LineId last_line_ = 0;
};

}  // namespace gossamer::transport
