// SPDX-License-Identifier: MIT
/// A stream beside what Asio and OpenSSL do without us, in one process over loopback: plain beside
/// asio::ip::tcp::socket, secured beside asio::ssl::stream, with one cipher and the same messages.
///
///     stream [rounds] [file for the figures]
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/ssl.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>
#include <openssl/ssl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using asio::ip::tcp;
using gossamer::transport::Security;
using gossamer::transport::Stream;
using gossamer::transport::TlsContext;
using gossamer::transport::TlsRole;

using Bytes = std::vector<unsigned char>;
constexpr std::size_t header_bytes = 64;

void require(const std::error_code& error, const char* what) {
  if (!error) return;
  std::fprintf(stderr, "stream: %s: %s\n", what, error.message().c_str());
  std::exit(1);
}

Bytes secret() {
  Bytes bytes(32);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(7 * i);
  return bytes;
}

/// Ours, plain or secured.
template <bool secured>
struct Ours {
  explicit Ours(tcp::socket socket)
      : stream(std::move(socket),
               secured ? TlsContext::make(Security::shared_key_bytes(secret())) : nullptr) {}
  template <class Handler>
  void open(TlsRole role, Handler handler) {
    stream.async_handshake(role, std::move(handler));
  }
  template <class Buffers, class Handler>
  void read(const Buffers& buffers, Handler handler) {
    stream.async_read(buffers, std::move(handler));
  }
  template <class Buffers, class Handler>
  void write(const Buffers& buffers, Handler handler) {
    stream.async_write(buffers, std::move(handler));
  }
  Stream stream;
};

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

double cpu_seconds() {
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

/// One thread sends `count` messages, each a header and a payload, another receives them.
template <class Connection>
Figures measure(std::size_t payload, std::size_t count) {
  asio::io_context here;
  tcp::acceptor acceptor(here, {asio::ip::address_v4::loopback(), 0});
  const tcp::endpoint place = acceptor.local_endpoint();
  const Bytes header(header_bytes, 'h');
  const Bytes message(payload, 'm');
  Bytes header_there(header_bytes);
  Bytes message_there(payload);
  std::chrono::steady_clock::time_point begin;
  double cpu = 0;

  std::thread sender([&] {
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect(place);
    socket.set_option(tcp::no_delay(true));
    Connection connection(std::move(socket));
    std::size_t left = count;
    std::function<void(std::error_code, std::size_t)> next = [&](std::error_code error,
                                                                 std::size_t) {
      require(error, "write");
      if (left-- == 0) return;
      connection.write(std::array{asio::buffer(header), asio::buffer(message)}, std::ref(next));
    };
    connection.open(TlsRole::client, [&](std::error_code error) {
      require(error, "handshake");
      begin = std::chrono::steady_clock::now();
      cpu = cpu_seconds();
      next({}, 0);
    });
    io.run();
  });
  tcp::socket socket = acceptor.accept();
  socket.set_option(tcp::no_delay(true));
  Connection connection(std::move(socket));
  std::size_t left = count;
  std::function<void(std::error_code, std::size_t)> next = [&](std::error_code error, std::size_t) {
    require(error, "read");
    if (left-- == 0) return;
    connection.read(std::array{asio::buffer(header_there), asio::buffer(message_there)},
                    std::ref(next));
  };
  connection.open(TlsRole::server, [&](std::error_code error) {
    require(error, "handshake");
    next({}, 0);
  });
  here.run();
  const auto end = std::chrono::steady_clock::now();
  sender.join();
  const auto all = static_cast<double>((payload + header_bytes) * count);
  return {all / std::chrono::duration<double>(end - begin).count(),
          1e9 * (cpu_seconds() - cpu) / all};
}

template <class F>
double median(const std::vector<Figures>& rounds, F get) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Figures& one : rounds) values.push_back(get(one));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  nlohmann::ordered_json figures;
  std::printf("%-18s %12s %12s %8s %14s %14s\n", "", "MB/s", "raw MB/s", "ratio", "CPU ns/byte",
              "raw ns/byte");
  for (const std::size_t payload : {std::size_t{1'100'000}, std::size_t{100'000'000}}) {
    const std::size_t count = std::max<std::size_t>(3, 300'000'000 / payload);
    const auto compare = [&](const std::string& name, auto ours, auto raw) {
      std::vector<Figures> us;
      std::vector<Figures> them;
      for (int i = 0; i < rounds; ++i) {  // in turn, so that a disturbance meets both
        us.push_back(ours(payload, count));
        them.push_back(raw(payload, count));
      }
      const auto speed = [](const Figures& one) { return one.bytes_per_second; };
      const auto cost = [](const Figures& one) { return one.cpu_nanoseconds_per_byte; };
      const double a = median(us, speed);
      const double b = median(them, speed);
      const std::string text = name + ", " + (payload < 100'000'000 ? "1.1 MB" : "100 MB");
      std::printf("%-18s %12.0f %12.0f %8.2f %14.3f %14.3f\n", text.c_str(), a / 1e6, b / 1e6,
                  a / b, median(us, cost), median(them, cost));
      std::fflush(stdout);
      figures[text] = {{"bytes_per_second", a},
                       {"raw_bytes_per_second", b},
                       {"cpu_nanoseconds_per_byte", median(us, cost)},
                       {"raw_cpu_nanoseconds_per_byte", median(them, cost)}};
    };
    compare("plain", measure<Ours<false>>, measure<RawPlain>);
    compare("TLS", measure<Ours<true>>, measure<RawTls>);
  }
  if (argc > 2) std::ofstream(argv[2]) << figures.dump(1) << '\n';
}
