// SPDX-License-Identifier: MIT
/// The steps of a stream's operations, for `asio::async_compose`; see stream.hpp.
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/tls_session.hpp>

#include <asio/buffer.hpp>
#include <asio/error.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>

/// Each is called once to start and again after each step. A handler is never called before the
/// function that started the operation returns.
namespace gossamer::transport::stream_operations {

/// What lies below.
using Socket = asio::ip::tcp::socket;

/// The session's bytes as Asio wants them.
inline asio::const_buffer buffer_of(std::span<const unsigned char> bytes) {
  return asio::buffer(bytes.data(), bytes.size());
}
/// The same, to be filled.
inline asio::mutable_buffer buffer_of(std::span<unsigned char> bytes) {
  return asio::buffer(bytes.data(), bytes.size());
}
/// Asio's bytes as the session wants them.
template <class Buffer>
auto bytes_of(const Buffer& buffer) {
  using Byte = std::conditional_t<std::is_same_v<Buffer, asio::mutable_buffer>, unsigned char,
                                  const unsigned char>;
  return std::span<Byte>(static_cast<Byte*>(buffer.data()), buffer.size());
}

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

/// What an error of the network means to a session, which remembers it.
inline std::error_code judge(TlsSession& session, const std::error_code& error) {
  if (error == asio::error::operation_aborted) return error;
  session.cut(error, error == asio::error::eof);  // unless it failed before, and an alert got lost
  return session.error();
}

/// A place in a buffer sequence.
template <class Buffers, class Buffer>
class Cursor {
 public:
  explicit Cursor(const Buffers& buffers) : buffers_(buffers) { skip_empty(); }

  [[nodiscard]] bool at_end() const { return at_ == count(); }
  /// How many bytes lie behind.
  [[nodiscard]] std::size_t passed() const noexcept { return passed_; }
  /// What is left of the current buffer.
  [[nodiscard]] Buffer here() const { return current() + offset_; }

  void advance(std::size_t size) {
    passed_ += size;
    offset_ += size;
    if (offset_ == current().size()) {
      ++at_;
      offset_ = 0;
      skip_empty();
    }
  }

 private:
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(
        std::distance(asio::buffer_sequence_begin(buffers_), asio::buffer_sequence_end(buffers_)));
  }
  [[nodiscard]] Buffer current() const {
    return *std::next(asio::buffer_sequence_begin(buffers_), static_cast<std::ptrdiff_t>(at_));
  }
  void skip_empty() {
    while (!at_end() && current().size() == 0) ++at_;
  }

  Buffers buffers_;
  std::size_t at_ = 0;
  std::size_t offset_ = 0;
  std::size_t passed_ = 0;
};

/// Speaks and listens in turn until the session is open or has failed; an alert is still sent.
struct Handshake {
  Socket* socket;
  TlsSession* session;  ///< null: nothing to do
  enum class Step : std::uint8_t { start, sending, receiving } step = Step::start;

  template <class Self>
  void operator()(Self& self, std::error_code error = {}, std::size_t size = 0) {
    if (session == nullptr) {
      if (step == Step::sending) return self.complete({});
      step = Step::sending;
      return asio::post(socket->get_executor(), std::move(self));
    }
    if (error) return self.complete(judge(*session, error));
    if (step == Step::receiving) session->received(size);
    const TlsNext next = session->handshake();
    if (session->output_size() > 0) {
      step = Step::sending;
      return asio::async_write(*socket, buffer_of(session->output()), Whole(), std::move(self));
    }
    if (next == TlsNext::input) {
      step = Step::receiving;
      return socket->async_read_some(buffer_of(session->input()), std::move(self));
    }
    self.complete(session->error());
  }
};

/// Fills buffers from a plain socket.
template <class Buffers>
struct ReadPlain {
  ReadPlain(Socket* from, Watermark* mark, const Buffers& buffers)
      : socket(from), watermark(mark), cursor(buffers), wanted(asio::buffer_size(buffers)) {}

  Socket* socket;
  Watermark* watermark;
  Cursor<Buffers, asio::mutable_buffer> cursor;
  std::size_t wanted;
  bool started = false;

  template <class Self>
  void operator()(Self& self, std::error_code error = {}, std::size_t size = 0) {
    if (size > 0) cursor.advance(size);
    if (error || (cursor.at_end() && started)) return self.complete(error, cursor.passed());
    started = true;
    if (cursor.at_end()) return asio::post(socket->get_executor(), std::move(self));
    watermark->set(*socket, wanted - cursor.passed());
    socket->async_read_some(cursor.here(), std::move(self));
  }
};

/// Decrypts what came, and asks the network for more when that was not enough.
template <class Buffers>
struct Read {
  Read(Socket* from, Watermark* mark, TlsSession* by, const Buffers& buffers, bool all)
      : socket(from),
        watermark(mark),
        session(by),
        cursor(buffers),
        wanted(all ? asio::buffer_size(buffers) : 0),
        whole(all) {}

  Socket* socket;
  Watermark* watermark;
  TlsSession* session;
  Cursor<Buffers, asio::mutable_buffer> cursor;
  std::size_t wanted;
  bool whole;
  bool started = false;
  bool posted = false;
  std::error_code result = {};

  template <class Self>
  void operator()(Self& self, std::error_code error = {}, std::size_t size = 0) {
    if (posted) return self.complete(result, cursor.passed());
    if (error) return self.complete(judge(*session, error), cursor.passed());
    if (started) session->received(size);
    while (!cursor.at_end()) {
      const auto [next, bytes] = session->read(bytes_of(cursor.here()));
      if (next == TlsNext::input) {
        if (!whole && cursor.passed() > 0) break;
        started = true;
        // Of a record that came in part, OpenSSL has taken what there is.
        const std::size_t certain = cursor.passed() + TlsSession::record_bytes;
        watermark->set(*socket, wanted > certain ? wanted - certain : 0);
        return socket->async_read_some(buffer_of(session->input()), std::move(self));
      }
      if (next != TlsNext::nothing) {
        result = next == TlsNext::goodbye ? make_error_code(asio::error::eof) : session->error();
        break;
      }
      cursor.advance(bytes);
      if (!whole) break;
    }
    if (started) return self.complete(result, cursor.passed());
    posted = true;
    asio::post(socket->get_executor(), std::move(self));
  }
};

/// Encrypts a batch of records, sends it, and so on.
template <class Buffers>
struct Write {
  Write(Socket* to, TlsSession* by, const Buffers& buffers)
      : socket(to), session(by), cursor(buffers) {}

  /// About as many bytes go to the kernel at once: few calls, and a batch fits the cache.
  static constexpr std::size_t batch = 32'768;

  Socket* socket;
  TlsSession* session;
  Cursor<Buffers, asio::const_buffer> cursor;
  bool posted = false;

  template <class Self>
  void operator()(Self& self, std::error_code error = {}, std::size_t = 0) {
    if (error) return self.complete(judge(*session, error), cursor.passed());
    if (posted) return self.complete(session->error(), cursor.passed());
    while (!cursor.at_end() && session->output_size() < batch && encrypt()) {
    }
    if (session->output_size() > 0) {
      return asio::async_write(*socket, buffer_of(session->output()), Whole(), std::move(self));
    }
    posted = true;
    asio::post(socket->get_executor(), std::move(self));
  }

  /// A buffer's next records; small buffers share one.
  bool encrypt() {
    auto bytes = bytes_of(cursor.here());
    if (bytes.size() >= TlsSession::record_bytes) {
      bytes = bytes.first(
          std::min(batch, bytes.size() / TlsSession::record_bytes * TlsSession::record_bytes));
      if (session->write(bytes) != TlsNext::nothing) return false;
      cursor.advance(bytes.size());
      return true;
    }
    std::array<unsigned char, TlsSession::record_bytes> together;
    std::size_t size = 0;
    while (!cursor.at_end() && size < together.size()) {
      bytes = bytes_of(cursor.here());
      bytes = bytes.first(std::min(bytes.size(), together.size() - size));
      std::memcpy(together.data() + size, bytes.data(), bytes.size());
      size += bytes.size();
      cursor.advance(bytes.size());
    }
    return session->write({together.data(), size}) == TlsNext::nothing;
  }
};

/// Sends the goodbye, then ends this direction of the connection.
struct Shutdown {
  Socket* socket;
  TlsSession* session;  ///< null: plain
  bool sent = false;

  template <class Self>
  void operator()(Self& self, std::error_code error = {}, std::size_t = 0) {
    if (sent) {
      if (!error) socket->shutdown(Socket::shutdown_send, error);
      return self.complete(error);
    }
    sent = true;
    if (session != nullptr) session->goodbye();
    if (session == nullptr || session->output_size() == 0) {
      return asio::post(socket->get_executor(), std::move(self));
    }
    asio::async_write(*socket, buffer_of(session->output()), std::move(self));
  }
};

}  // namespace gossamer::transport::stream_operations
