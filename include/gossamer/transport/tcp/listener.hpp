// SPDX-License-Identifier: MIT
/// Where a node listens, where it says that it does, and how it dials others.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/address_policy.hpp>
#include <gossamer/transport/tcp/descriptors.hpp>
#include <gossamer/transport/tcp/host_port.hpp>
#include <gossamer/transport/tcp/options.hpp>

#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/host_name.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ip/v6_only.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// What became of a call.
struct TcpDialed {
  std::optional<asio::ip::tcp::socket> socket;  ///< if somebody answered
  bool refused = false;                         ///< the machine says that nobody listens
  bool is_local = false;                        ///< this machine is to blame, not the other one
  std::string why;
};

/// IPv4, IPv6 and names; a name is tried at all its addresses, in their order.
class TcpListener {
 public:
  using tcp = asio::ip::tcp;

  /// Listens. Throws ConfigError, with address and reason, if it cannot.
  TcpListener(asio::io_context& io, const TcpOptions& options)
      : io_(io), options_(options), acceptor_(io) {
    const HostPort wanted = HostPort::parse(options.listen());
    const tcp::endpoint at = local_endpoint(wanted);
    check_address(options.security(), at.address(), "listen on");
    std::error_code error;
    acceptor_.open(at.protocol(), error);
    if (!error) close_on_exec(acceptor_);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && at.address().is_v6()) {
      acceptor_.set_option(asio::ip::v6_only(!at.address().is_unspecified()), error);
    }
    if (!error) acceptor_.bind(at, error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    if (error) {
      throw ConfigError("TcpOptions: cannot listen on " + wanted.text() + ": " + explain(error));
    }
    const tcp::endpoint here = acceptor_.local_endpoint();
    port_ = here.port();
    is_everywhere_ = options.advertise().empty() && here.address().is_unspecified();
    advertised_ = advertised(here.address());
  }

  [[nodiscard]] tcp::acceptor& acceptor() { return acceptor_; }
  /// host:port for others. Of a node that listens on all of its machine's addresses, and was told
  /// none to advertise, it is the machine's name, which need not be known elsewhere: see `seen_at`.
  [[nodiscard]] const std::string& advertised() const { return advertised_; }
  /// Such a node learns from its first connection at which of its addresses it can be reached, if
  /// that is one that other machines could dial. Empty if it knew before.
  [[nodiscard]] std::string seen_at(const tcp::socket& first) {
    if (!std::exchange(is_everywhere_, false)) return {};
    std::error_code error;
    const asio::ip::address here = plain_address(first.local_endpoint(error).address());
    const bool is_for_others =
        !error && !here.is_loopback() && !(here.is_v6() && here.to_v6().is_link_local());
    return is_for_others ? HostPort{here.to_string(), port_}.text() : std::string();
  }

  /// Dials host:port. Never throws for the network.
  asio::awaitable<TcpDialed> dial(const std::string& address) {
    TcpDialed result;
    std::vector<tcp::endpoint> all;
    try {
      const HostPort target = HostPort::parse(address);
      std::error_code error;
      const auto literal = asio::ip::make_address(target.host, error);
      if (!error) {
        all.emplace_back(literal, target.port);
      } else {
        tcp::resolver resolver(io_);
        const auto found =
            co_await resolver.async_resolve(target.host, std::to_string(target.port),
                                            asio::redirect_error(asio::use_awaitable, error));
        for (const auto& entry : found) all.push_back(entry.endpoint());
        error = resolve_error(error);
        if (error) {
          result.is_local = is_local_error(error);
          result.why = explain(error);
        }
      }
    } catch (const ConfigError& error) {
      result.why = error.what();
    }
    for (const tcp::endpoint& at : all) {
      if (!may_use(options_.security(), at.address())) {
        result.why = "a node without security may not connect to other machines";
        continue;
      }
      std::error_code error;
      result.socket = co_await connect(at, error);
      if (result.socket) co_return result;
      result.is_local = is_local_error(error);
      result.refused = error == asio::error::connection_refused;
      result.why = error == asio::error::operation_aborted ? "no answer" : explain(error);
    }
    co_return result;
  }

 private:
  /// The timer may fire while the connection succeeds, so both are shared with it.
  struct Attempt {
    explicit Attempt(asio::io_context& io) : socket(io), timer(io) {}
    tcp::socket socket;
    asio::steady_timer timer;
  };

  asio::awaitable<std::optional<tcp::socket>> connect(tcp::endpoint at, std::error_code& error) {
    const auto attempt = std::make_shared<Attempt>(io_);
    attempt->socket.open(at.protocol(), error);
    if (error) co_return std::nullopt;
    close_on_exec(attempt->socket);
    attempt->timer.expires_after(options_.connect_timeout());
    attempt->timer.async_wait([attempt](const std::error_code& stopped) {
      std::error_code ignored;
      if (!stopped) attempt->socket.close(ignored);
    });
    co_await attempt->socket.async_connect(at, asio::redirect_error(asio::use_awaitable, error));
    attempt->timer.cancel();
    if (error) co_return std::nullopt;
    // On one machine, a call to a free port may get that very port, and reach itself.
    std::error_code ignored;
    if (attempt->socket.local_endpoint(ignored) == attempt->socket.remote_endpoint(error)) {
      error = asio::error::connection_refused;
    }
    if (error) co_return std::nullopt;
    co_return std::move(attempt->socket);
  }

  tcp::endpoint local_endpoint(const HostPort& wanted) {
    std::error_code error;
    const auto literal = asio::ip::make_address(wanted.host, error);
    if (!error) return {literal, wanted.port};
    tcp::resolver resolver(io_);
    const auto found = resolver.resolve(wanted.host, std::to_string(wanted.port), error);
    if (error || found.empty()) {
      throw ConfigError("TcpOptions: cannot listen on " + wanted.text() + ": " + error.message());
    }
    return found.begin()->endpoint();
  }

  [[nodiscard]] std::string advertised(const asio::ip::address& at) const {
    if (!options_.advertise().empty()) {
      HostPort given = HostPort::parse(options_.advertise());
      if (given.port == 0) given.port = port_;
      return given.text();
    }
    std::error_code error;
    return HostPort{is_everywhere_ ? asio::ip::host_name(error) : at.to_string(), port_}.text();
  }

  asio::io_context& io_;
  const TcpOptions& options_;
  tcp::acceptor acceptor_;
  std::uint16_t port_ = 0;
  bool is_everywhere_ = false;
  std::string advertised_;
};

}  // namespace gossamer::transport
