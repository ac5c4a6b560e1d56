// SPDX-License-Identifier: MIT
/// One connection of an endpoint: its stream, and what it needs to be woken and ended.
#pragma once

#include <gossamer/transport/membership/connection.hpp>
#include <gossamer/transport/tcp/descriptors.hpp>
#include <gossamer/transport/tcp/output.hpp>
#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/transport.hpp>

#include <asio/ip/address.hpp>
#include <asio/steady_timer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace gossamer::transport {

/// Held by its two coroutines and by its endpoint. Only the endpoint's thread looks at it.
struct TcpConnection {
  TcpConnection(LineId number, Stream::Socket socket, std::shared_ptr<const TlsContext> tls,
                std::optional<DialAttempt> dialed, std::uint64_t run)
      : id(number),
        dial(std::move(dialed)),
        stream(std::move(socket), std::move(tls)),
        output(stream, run),
        wakeup(stream.get_executor()),
        patience(stream.get_executor()) {
    std::error_code gone;
    from = stream.socket().remote_endpoint(gone).address();
    wakeup.expires_at(asio::steady_timer::time_point::max());
  }

  /// Bytes in the kernel's hands: that have come and were not read, that the peer does not have;
  /// and how many of all that were written the peer does have.
  struct Queues {
    std::size_t in = 0;
    std::size_t out = 0;
    std::int64_t taken = 0;
  };
  [[nodiscard]] Queues look_at_queues() {
    std::error_code gone;
    const std::size_t out = unsent_bytes(stream.socket());
    return {stream.socket().available(gone), out,
            static_cast<std::int64_t>(stream.written()) - static_cast<std::int64_t>(out)};
  }

  LineId id;
  std::optional<DialAttempt> dial;  // if this side made it
  Stream stream;
  TcpOutput output;
  asio::steady_timer wakeup;    // cancelled when there may be something to write
  asio::steady_timer patience;  // ends what takes too long
  bool secured = false;         // the stream's handshake is done
  bool greeted = false;         // the peer has sent a frame that makes sense
  bool stranger = true;         // and was not let in: what it sends may not take memory
  bool malformed = false;       // or one that makes none
  bool judged = false;          // whether that was an attempt that failed is known
  bool brings = false;          // the bytes that come are what a message brings
  bool writing = false;         // something is being written,
  Time wrote{0};                // and this is when the peer last took some of it
  Queues queues;                // as they were looked at last
  bool ended = false;
  std::optional<SecureError> failure;
  asio::ip::address from;
  std::optional<PeerId> peer;
};

}  // namespace gossamer::transport
