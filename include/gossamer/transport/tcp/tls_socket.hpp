// SPDX-License-Identifier: MIT
/// A connected socket as OpenSSL sees it. Needs OpenSSL 3 (libcrypto).
#pragma once

#include <openssl/bio.h>
#include <poll.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <sys/socket.h>
#include <sys/types.h>
#include <system_error>

namespace gossamer::transport {

/// What SSL_set_fd does, but no call waits, whatever the socket's mode, and none raises SIGPIPE.
///
/// Threads  one at a time. Not movable: OpenSSL points to it. The socket is another's, and must not
///          be closed before the last call.
class TlsSocket {
 public:
  explicit TlsSocket(int descriptor)
      : descriptor_(descriptor),
        method_(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "gossamer"), BIO_meth_free) {
    if (!method_) throw std::bad_alloc();
    BIO_meth_set_write_ex(method_.get(), write);
    BIO_meth_set_read_ex(method_.get(), read);
    BIO_meth_set_ctrl(method_.get(), [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
  }
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;
  ~TlsSocket() = default;

  /// A BIO that must not outlive this. Throws std::bad_alloc.
  BIO* new_bio() {
    BIO* bio = BIO_new(method_.get());
    if (bio == nullptr) throw std::bad_alloc();
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    return bio;
  }

  /// Whether the peer's first bytes may be those of TLS: a handshake or an alert.
  [[nodiscard]] bool began_as_tls() const noexcept {
    return first_size_ == 0 ||
           ((first_[0] == 22 || first_[0] == 21) && (first_size_ == 1 || first_[1] == 3));
  }
  /// What the kernel last said that was not "later"; none after an orderly end.
  [[nodiscard]] std::error_code error() const { return {error_, std::generic_category()}; }
  /// Whether a little can be written at once.
  [[nodiscard]] bool has_room() const {
    pollfd one{descriptor_, POLLOUT, 0};
    return ::poll(&one, 1, 0) == 1;
  }

 private:
  static TlsSocket& of(BIO* bio) { return *static_cast<TlsSocket*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
    TlsSocket& self = of(bio);
    return self.note(bio, ::send(self.descriptor_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT),
                     BIO_FLAGS_WRITE, *written);
  }
  static int read(BIO* bio, char* data, std::size_t size, std::size_t* taken) {
    TlsSocket& self = of(bio);
    const int good =
        self.note(bio, ::recv(self.descriptor_, data, size, MSG_DONTWAIT), BIO_FLAGS_READ, *taken);
    for (std::size_t i = 0; i < *taken && self.first_size_ < sizeof self.first_; ++i) {
      self.first_[self.first_size_++] = static_cast<unsigned char>(data[i]);
    }
    return good;
  }
  /// `result`: of a system call.
  int note(BIO* bio, ssize_t result, int direction, std::size_t& size) {
    BIO_clear_retry_flags(bio);
    size = result > 0 ? static_cast<std::size_t>(result) : 0;
    if (result > 0) return 1;
    error_ = result == 0 ? 0 : errno;
    if (error_ == EAGAIN || error_ == EINTR) BIO_set_flags(bio, direction | BIO_FLAGS_SHOULD_RETRY);
    return 0;
  }

  int descriptor_;
  int error_ = 0;
  unsigned char first_[2] = {};
  std::size_t first_size_ = 0;
  std::unique_ptr<BIO_METHOD, void (*)(BIO_METHOD*)> method_;
};

}  // namespace gossamer::transport
