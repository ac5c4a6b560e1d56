// SPDX-License-Identifier: MIT
/// What a stream's operations are made of; see stream.hpp.
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/tls_session.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <system_error>
#include <tuple>
#include <utility>

namespace gossamer::transport::stream_operations {

/// What lies below.
using Socket = asio::ip::tcp::socket;

/// When a transfer of whole buffers is over. `asio::transfer_all` would hand the kernel 64 KB at a
/// time, and a message of a megabyte then takes half again as long.
struct Whole {
  std::size_t operator()(const std::error_code& error, std::size_t) const noexcept {
    return error ? 0 : std::numeric_limits<std::size_t>::max();
  }
};

/// How many bytes must have come before the kernel wakes a reader: waking one for each packet of a
/// large message costs more than copying it. The kernel wakes it earlier when its memory is full.
class Watermark {
 public:
  /// At least `wanted` bytes are still to come: with a higher mark, the last ones would be waited
  /// for in vain.
  void set(Socket& socket, std::size_t wanted) {
    const int mark = static_cast<int>(wanted < smallest ? 1 : std::min(wanted, largest));
    if (mark == mark_) return;
    std::error_code ignored;  // it was a hint
    socket.set_option(Socket::receive_low_watermark(mark), ignored);
    mark_ = mark;
  }

 private:
  static constexpr std::size_t smallest = 65'536;
  static constexpr std::size_t largest = 131'072;
  int mark_ = 1;
};

/// What a try came to, and how many bytes it moved.
using Tried = std::pair<TlsNext, std::size_t>;

/// For `asio::async_compose`: tries again whenever the socket is as OpenSSL wants it, until that is
/// done or has failed. The handler is never called before the function that started this returns.
template <bool with_size, class Try>
struct Tries {
  Socket* socket;
  TlsSession* session;  ///< null: plain
  Try attempt;          ///< Tried()
  bool waited = false;
  bool posted = false;
  std::error_code result = {};
  std::size_t size = 0;

  template <class Self>
  void operator()(Self& self, std::error_code error = {}) {
    if (posted) return complete(self);
    // Closed after it was found ready, say: the descriptor may be another's by now.
    if (session != nullptr && !socket->is_open()) error = asio::error::operation_aborted;
    TlsNext next = TlsNext::nothing;
    if (!error) std::tie(next, size) = attempt();
    if (next == TlsNext::readable || next == TlsNext::writable) {
      waited = true;
      return socket->async_wait(next == TlsNext::readable ? Socket::wait_read : Socket::wait_write,
                                std::move(self));
    }
    result = next == TlsNext::goodbye  ? make_error_code(asio::error::eof)
             : next == TlsNext::failed ? session->error()
                                       : error;
    if (waited) return complete(self);
    posted = true;
    asio::post(socket->get_executor(), std::move(self));
  }

  template <class Self>
  void complete(Self& self) {
    if constexpr (with_size) {
      self.complete(result, size);
    } else {
      self.complete(result);
    }
  }
};

/// Reads a record, or what there is of it, into the first buffer that has room.
template <class MutableBuffers>
Tried read_record(TlsSession& session, const MutableBuffers& buffers) {
  const auto end = asio::buffer_sequence_end(buffers);
  for (auto at = asio::buffer_sequence_begin(buffers); at != end; ++at) {
    const asio::mutable_buffer into = *at;
    if (into.size() == 0) continue;
    return session.read({static_cast<unsigned char*>(into.data()), into.size()});
  }
  return {TlsNext::nothing, 0};
}

/// Writes a record, which small buffers share.
template <class ConstBuffers>
Tried write_record(TlsSession& session, const ConstBuffers& buffers) {
  if (asio::buffer_size(buffers) == 0) return {TlsNext::nothing, 0};
  const asio::const_buffer first = *asio::buffer_sequence_begin(buffers);
  if (first.size() >= TlsSession::record_bytes) {
    return session.write({static_cast<const unsigned char*>(first.data()), first.size()});
  }
  std::array<unsigned char, TlsSession::record_bytes> together;
  return session.write({together.data(), asio::buffer_copy(asio::buffer(together), buffers)});
}

}  // namespace gossamer::transport::stream_operations
