// SPDX-License-Identifier: MIT
/// What Asio and OpenSSL do without us, and how it is measured.
#pragma once

#include <gossamer/transport/tcp/stream.hpp>

#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/ssl.hpp>
#include <asio/write.hpp>
#include <openssl/ssl.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>
#include <system_error>
#include <utility>
#include <vector>

namespace bench {

using asio::ip::tcp;
using gossamer::transport::TlsRole;
using Bytes = std::vector<unsigned char>;

inline void require(const std::error_code& error, const char* what) {
  if (!error) return;
  std::fprintf(stderr, "stream: %s: %s\n", what, error.message().c_str());
  std::exit(1);
}

inline Bytes secret() {
  Bytes bytes(32);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(7 * i);
  return bytes;
}

/// Asio's socket.
struct RawPlain {
  explicit RawPlain(tcp::socket s) : socket(std::move(s)) {}
  template <class Handler>
  void open(TlsRole, Handler handler) {
    handler(std::error_code());
  }
  template <class Buffers, class Handler>
  void read(const Buffers& buffers, Handler handler) {
    asio::async_read(socket, buffers, std::move(handler));
  }
  template <class Buffers, class Handler>
  void write(const Buffers& buffers, Handler handler) {
    asio::async_write(socket, buffers, std::move(handler));
  }
  tcp::socket socket;
};

/// Asio's TLS, by the same key and cipher.
struct RawTls {
  explicit RawTls(tcp::socket s) : context(context_of()), stream(std::move(s), context) {}
  static asio::ssl::context context_of() {
    asio::ssl::context made(asio::ssl::context::tlsv13);
    SSL_CTX* ssl = made.native_handle();
    SSL_CTX_set_ciphersuites(ssl, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_num_tickets(ssl, 0);
    SSL_CTX_set_psk_use_session_callback(ssl, [](SSL* s, const EVP_MD*, const unsigned char** id,
                                                 std::size_t* size, SSL_SESSION** session) {
      *id = reinterpret_cast<const unsigned char*>("raw");
      *size = 3;
      *session = session_of(s);
      return 1;
    });
    SSL_CTX_set_psk_find_session_callback(
        ssl, [](SSL* s, const unsigned char*, std::size_t, SSL_SESSION** session) {
          *session = session_of(s);
          return 1;
        });
    return made;
  }
  static SSL_SESSION* session_of(SSL* ssl) {
    SSL_SESSION* session = SSL_SESSION_new();
    const std::array<unsigned char, 2> cipher = {0x13, 0x01};
    const Bytes key = secret();
    SSL_SESSION_set1_master_key(session, key.data(), key.size());
    SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, cipher.data()));
    SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION);
    return session;
  }
  template <class Handler>
  void open(TlsRole role, Handler handler) {
    stream.async_handshake(
        role == TlsRole::client ? asio::ssl::stream_base::client : asio::ssl::stream_base::server,
        std::move(handler));
  }
  template <class Buffers, class Handler>
  void read(const Buffers& buffers, Handler handler) {
    asio::async_read(stream, buffers, std::move(handler));
  }
  template <class Buffers, class Handler>
  void write(const Buffers& buffers, Handler handler) {
    asio::async_write(stream, buffers, std::move(handler));
  }
  asio::ssl::context context;
  asio::ssl::stream<tcp::socket> stream;
};

/// The two sides of a connection on a core each, as on two machines, or both on one. Left alone,
/// the scheduler takes now this and now that, and a wake-up on another core can cost fifteen times
/// one on the same.
enum class Cores { apart, together };

/// While it lives, this thread and those that it starts stay on a side's core.
class Pinned {
 public:
  Pinned(bool is_sender, Cores cores) {
    sched_getaffinity(0, sizeof before_, &before_);
    static const std::vector<int> usable = those_in(before_);  // before any thread was pinned
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(is_sender || cores == Cores::together ? usable.front() : usable.back(), &one);
    sched_setaffinity(0, sizeof one, &one);
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  static std::vector<int> those_in(const cpu_set_t& set) {
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
    return cores;
  }
  cpu_set_t before_;
};

inline double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Figures {
  double bytes_per_second = 0;
  double cpu_nanoseconds_per_byte = 0;
};

template <class F>
double median(const std::vector<Figures>& rounds, F get) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Figures& one : rounds) values.push_back(get(one));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace bench
