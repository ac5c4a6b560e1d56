// SPDX-License-Identifier: MIT
/// A stream beside what Asio and OpenSSL do without us, in one process over loopback: plain beside
/// asio::ip::tcp::socket, secured beside asio::ssl::stream, with one cipher and the same messages.
///
///     stream [rounds] [file for the figures]
#include "raw.hpp"
#include <gossamer/transport/tcp/security.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/tcp/tls_context.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <nlohmann/json.hpp>

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
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace bench;
using gossamer::transport::Security;
using gossamer::transport::Stream;
using gossamer::transport::TlsContext;
constexpr std::size_t header_bytes = 64;

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
