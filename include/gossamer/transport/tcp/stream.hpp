// SPDX-License-Identifier: MIT
/// A TCP connection as an Asio stream, secured or plain, as was chosen at run time. Needs OpenSSL.
#pragma once

#include <gossamer/transport/tcp/secure_error.hpp>
#include <gossamer/transport/tcp/stream_operations.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>
#include <gossamer/transport/tcp/tls_session.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/buffer.hpp>
#include <asio/compose.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace gossamer::transport {

/// One connection. First `async_handshake`, then reading and writing; all operations take any
/// completion token (a call-back, `asio::use_awaitable`, ...) and never throw: errors come as
/// `std::error_code`, those of SecureError with a sentence in `failure()`.
///
/// Errors   `asio::error::eof`: the peer said that it ends. SecureError::cut: it ended without
///          saying so (a plain stream cannot tell: eof). SecureError::damaged: somebody changed
///          bytes on the way. `asio::error::operation_aborted`: `cancel()` or `close()`.
/// TLS      OpenSSL reads and writes the socket itself, never waiting; Asio waits for it.
/// Threads  one at a time, as by a strand. At most one read and one write may be outstanding.
/// Lifetime the stream and the memory that buffers point to must live until the handler is called;
///          the buffer sequences themselves are copied. Not movable.
class Stream {
 public:
  using Socket = asio::ip::tcp::socket;
  using executor_type = Socket::executor_type;

  /// A connected socket, and what secures it: `TlsContext::make(security)`; null for nothing.
  explicit Stream(Socket socket, std::shared_ptr<const TlsContext> tls = nullptr)
      : socket_(std::move(socket)), context_(std::move(tls)), peer_(name_of(socket_)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() = default;

  [[nodiscard]] executor_type get_executor() { return socket_.get_executor(); }
  [[nodiscard]] Socket& socket() noexcept { return socket_; }
  [[nodiscard]] Socket& lowest_layer() noexcept { return socket_; }

  /// The two sides prove to each other that they belong together; when both sides' handlers say so
  /// it is certain that the other was content too. At once when there is nothing to secure.
  /// `role`: who connected is the client. Handler: `void(std::error_code)`.
  template <class Token>
  auto async_handshake(TlsRole role, Token&& token) {
    if (context_) {
      session_ = std::make_unique<TlsSession>(context_, role, socket_.native_handle(), peer_);
    }
    return attempt<void(std::error_code)>(
        [session = session_.get()] {
          return stream_operations::Tried(session ? session->handshake() : TlsNext::nothing, 0);
        },
        token);
  }

  /// Reads what there is, at least a byte unless the buffer is empty.
  /// Handler: `void(std::error_code, std::size_t bytes)`.
  template <class Token>
  auto async_read_some(asio::mutable_buffer buffer, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
        [this](auto handler, asio::mutable_buffer into) {
          to_come_ = 0;
          if (session_) return secured_.async_read_some(into, std::move(handler));
          watermark_.set(socket_, 0);
          socket_.async_read_some(into, std::move(handler));
        },
        token, buffer);
  }

  /// Fills all of a buffer sequence; on an error, `bytes` says how much of it.
  /// Handler: `void(std::error_code, std::size_t bytes)`.
  template <class MutableBuffers, class Token>
  auto async_read(const MutableBuffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
        [this](auto handler, const MutableBuffers& into) {
          const auto until = [this, size = asio::buffer_size(into)](const std::error_code& error,
                                                                    std::size_t done) {
            to_come_ = size - done;
            if (!session_) watermark_.set(socket_, to_come_);
            return stream_operations::Whole()(error, done);
          };
          if (session_) return asio::async_read(secured_, into, until, std::move(handler));
          asio::async_read(socket_, into, until, std::move(handler));
        },
        token, buffers);
  }

  /// Writes all of a buffer sequence, small buffers together.
  /// Handler: `void(std::error_code, std::size_t bytes)`.
  template <class ConstBuffers, class Token>
  auto async_write(const ConstBuffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, std::size_t)>(
        [this](auto handler, const ConstBuffers& from) {
          const auto until = [this, before = written_](const std::error_code& error,
                                                       std::size_t done) {
            written_ = before + done;
            return stream_operations::Whole()(error, done);
          };
          if (session_) return asio::async_write(secured_, from, until, std::move(handler));
          asio::async_write(socket_, from, until, std::move(handler));
        },
        token, buffers);
  }

  /// Says goodbye, after which nothing can be written; what the peer still sends can be read.
  /// Not while a write is outstanding. Handler: `void(std::error_code)`.
  template <class Token>
  auto async_shutdown(Token&& token) {
    return attempt<void(std::error_code)>(
        [this] {
          const TlsNext next = session_ ? session_->goodbye() : TlsNext::nothing;
          std::error_code gone;
          if (next == TlsNext::nothing) socket_.shutdown(Socket::shutdown_send, gone);
          return stream_operations::Tried(next, 0);
        },
        token);
  }

  /// Ends what is outstanding with `operation_aborted`. A secured stream that was cancelled in the
  /// middle of a write or handshake is of no more use: close it.
  void cancel() noexcept {
    std::error_code ignored;
    socket_.cancel(ignored);
  }
  /// Closes the connection at once and cancels.
  void close() noexcept {
    std::error_code ignored;
    socket_.close(ignored);
  }

  /// Bytes of buffers that the system has taken, also within a write that is outstanding.
  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }

  /// Whether its bytes are protected by TLS, or will be after the handshake.
  [[nodiscard]] bool is_secured() const noexcept { return context_ != nullptr; }
  /// For logs: "TLS 1.3, certificate 'CN=node 3'", "TLS 1.3, shared key", or "nothing".
  [[nodiscard]] std::string secured_by() const {
    return session_ ? session_->secured_by() : "nothing";
  }
  /// The subject of the peer's certificate, as in 'CN=node 3'; empty if it has none.
  [[nodiscard]] std::string peer_subject() const {
    return session_ ? session_->peer_subject() : std::string();
  }
  /// Whether the peer may be the node of that number: what secures the stream names no other.
  [[nodiscard]] bool may_be_node(std::uint64_t number) const {
    return !session_ || session_->may_be_node(number);
  }
  /// "address:port" of the peer, as it was when the stream was made.
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }

  /// After a SecureError: one sentence with the peer's address, what was expected, what came, and
  /// what to do. Empty before.
  [[nodiscard]] std::string failure() const {
    return session_ ? session_->failure() : std::string();
  }

 private:
  static std::string name_of(const Socket& socket) {
    std::error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return "a peer that is gone";
    const std::string address = endpoint.address().to_string();
    return (endpoint.address().is_v6() ? "[" + address + "]" : address) + ":" +
           std::to_string(endpoint.port());
  }

  template <class Signature, class Try, class Token>
  auto attempt(Try one, Token& token) {
    constexpr bool with_size = !std::is_same_v<Signature, void(std::error_code)>;
    return asio::async_compose<Token, Signature>(
        stream_operations::Tries<with_size, Try>{&socket_, session_.get(), std::move(one)}, token,
        socket_);
  }

  /// What Asio sees of a secured stream: record by record.
  struct Secured {
    using executor_type = Stream::executor_type;
    [[nodiscard]] executor_type get_executor() { return stream->get_executor(); }

    template <class MutableBuffers, class Token>
    auto async_read_some(const MutableBuffers& buffers, Token&& token) {
      return stream->attempt<void(std::error_code, std::size_t)>(
          [s = stream, buffers] {
            const auto tried = stream_operations::read_record(*s->session_, buffers);
            if (tried.first == TlsNext::readable) {
              // Of a record that came in part, OpenSSL has taken what there is.
              s->watermark_.set(s->socket_,
                                s->to_come_ - std::min(s->to_come_, TlsSession::record_bytes));
            }
            return tried;
          },
          token);
    }
    template <class ConstBuffers, class Token>
    auto async_write_some(const ConstBuffers& buffers, Token&& token) {
      return stream->attempt<void(std::error_code, std::size_t)>(
          [s = stream, buffers] { return stream_operations::write_record(*s->session_, buffers); },
          token);
    }

    Stream* stream;
  };

  Socket socket_;
  Secured secured_{this};
  stream_operations::Watermark watermark_;
  std::size_t to_come_ = 0;    // bytes that the read needs at least
  std::uint64_t written_ = 0;  // bytes of buffers
  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<TlsSession> session_;
  std::string peer_;
};

}  // namespace gossamer::transport
