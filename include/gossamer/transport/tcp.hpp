// SPDX-License-Identifier: MIT
/// Nodes in processes of their own, on one machine or many, over TCP. Needs OpenSSL and xxHash,
/// hence not part of gossamer.hpp.
#pragma once

#include <gossamer/transport/membership/peer_transport.hpp>
#include <gossamer/transport/tcp/endpoint.hpp>
#include <gossamer/transport/tcp/options.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace gossamer::transport {

/// One node's end; see `Transport` for what each operation promises. There is no coordinator: a
/// node dials any member, learns of all others, and has one connection to each.
///
/// A message crosses the network as `Delivery` says: it is the receiver's a round trip after its
/// bytes have arrived, and its payload goes from the sender's snapshot to the socket, and from the
/// socket into a snapshot of a pool, without a copy between them.
///
/// `settled()` is found out by a round of questions once all have finished (`TerminationDetector`).
/// It looks at the peers that this node has met.
///
/// Threads  the node's thread for all but `wake()`; the endpoint has one thread of its own.
/// Errors   ConfigError from the constructor (options, an address to listen on),
/// `set_model_layout()` and
///          `gather()`; std::invalid_argument from `send()`. What the network does is an event, and
///          a line in the log.
class Tcp : public PeerTransport<TcpEndpoint> {
 public:
  explicit Tcp(const TcpOptions& options)
      : PeerTransport("Tcp", std::make_unique<TcpEndpoint>(options)), linger_(options.linger()) {}
  Tcp(Tcp&&) noexcept = default;
  Tcp& operator=(Tcp&&) = delete;
  /// Leaves, and waits until that is known, at most `TcpOptions::linger`.
  ~Tcp() override { leave(linger_); }

  /// Where others dial this node: host:port.
  [[nodiscard]] std::string address() const { return endpoint().address(); }
  /// Reads keys, certificates and revocation list again, which else happens within a minute after
  /// they have changed, when a connection begins. Connections that there are stay as they are.
  /// Throws ConfigError if they cannot work; nothing changes then.
  void reload_keys() { endpoint().reload_keys(); }
  /// Ends without a farewell, as by a crash; for tests. Nothing else may be called then.
  void crash() { drop(); }

 private:
  std::chrono::nanoseconds linger_;
};

}  // namespace gossamer::transport
