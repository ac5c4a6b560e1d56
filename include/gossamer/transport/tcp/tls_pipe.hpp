// SPDX-License-Identifier: MIT
/// Two pieces of memory that OpenSSL takes for a network. Needs OpenSSL 3 (libcrypto).
#pragma once

#include <openssl/bio.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Whether a connection's first bytes may be those of TLS: a handshake or an alert. So a plain peer
/// can tell, too, that the other one is secured.
inline bool begins_as_tls(std::span<const unsigned char> bytes) noexcept {
  return bytes.empty() ||
         ((bytes[0] == 22 || bytes[0] == 21) && (bytes.size() == 1 || bytes[1] == 3));
}

/// What the peer sent and OpenSSL has not read, and what OpenSSL wrote for the peer. OpenSSL's own
/// pair of BIOs holds one record in each direction; here many cross the kernel at once.
///
/// Threads  one at a time. Not movable: OpenSSL points to it.
class TlsPipe {
 public:
  /// How many bytes are read from the network at once: before the peer is known, and after.
  static constexpr std::size_t small_input = 4'096;
  static constexpr std::size_t large_input = 131'072;

  TlsPipe() : method_(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "gossamer"), BIO_meth_free) {
    if (!method_) return;
    BIO_meth_set_write_ex(method_.get(), write);
    BIO_meth_set_read_ex(method_.get(), read);
    BIO_meth_set_ctrl(method_.get(), control);
  }
  TlsPipe(const TlsPipe&) = delete;
  TlsPipe& operator=(const TlsPipe&) = delete;
  ~TlsPipe() = default;

  /// A BIO that reads and writes here and must not outlive this; null without memory.
  BIO* new_bio() {
    BIO* bio = method_ ? BIO_new(method_.get()) : nullptr;
    if (bio != nullptr) {
      BIO_set_data(bio, this);
      BIO_set_init(bio, 1);
    }
    return bio;
  }

  /// Room for bytes from the peer; only when OpenSSL has read all that came before.
  std::span<unsigned char> input(bool large) {
    const std::size_t size = large ? large_input : small_input;
    if (input_.size() < size) input_.resize(size);
    begin_ = end_ = 0;
    return input_;
  }
  void received(std::size_t size) {
    end_ = size;
    const std::size_t taken = std::min(size, sizeof first_ - first_size_);
    std::memcpy(first_ + first_size_, input_.data(), taken);
    first_size_ += taken;
  }

  /// Whether the peer began so.
  [[nodiscard]] bool began_as_tls() const noexcept { return begins_as_tls({first_, first_size_}); }

  [[nodiscard]] std::size_t output_size() const noexcept { return gathered_.size(); }
  /// What OpenSSL wrote since the last call; valid until the next.
  std::span<const unsigned char> output() {
    std::swap(gathered_, leaving_);
    gathered_.clear();
    return leaving_;
  }

 private:
  static TlsPipe& of(BIO* bio) { return *static_cast<TlsPipe*>(BIO_get_data(bio)); }

  static int write(BIO* bio, const char* data, std::size_t size, std::size_t* written) {
    auto& to = of(bio).gathered_;
    const auto* bytes = reinterpret_cast<const unsigned char*>(data);
    to.insert(to.end(), bytes, bytes + size);
    *written = size;
    return 1;
  }

  static int read(BIO* bio, char* data, std::size_t size, std::size_t* taken) {
    TlsPipe& self = of(bio);
    BIO_clear_retry_flags(bio);
    *taken = std::min(size, self.end_ - self.begin_);
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(data, self.input_.data() + self.begin_, *taken);
    self.begin_ += *taken;
    return 1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  std::unique_ptr<BIO_METHOD, void (*)(BIO_METHOD*)> method_;
  std::vector<unsigned char> input_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<unsigned char> gathered_;
  std::vector<unsigned char> leaving_;
  unsigned char first_[2] = {};
  std::size_t first_size_ = 0;
};

}  // namespace gossamer::transport
