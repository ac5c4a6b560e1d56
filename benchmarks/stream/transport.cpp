// SPDX-License-Identifier: MIT
/// Messages over TCP, whole (offered, granted, checked, in the receiver's hands), beside the same
/// bytes over Asio's sockets, over plain blocking ones and iperf3's, in one process over loopback,
/// each side on a core of its own. And how long it takes until the sender knows that a small
/// message is there.
///
///     transport [rounds] [file for the figures]
#include "raw.hpp"
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/tcp.hpp>

#include <ATen/ATen.h>
#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>

namespace {

using namespace bench;
using namespace gossamer;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using transport::Security;
using transport::Tcp;
using transport::TcpOptions;

constexpr std::size_t header_bytes = 64;

/// How many messages are on their way at a time: with small ones, that no side waits for the other.
constexpr std::size_t under_way(std::size_t payload) { return payload < 10'000'000 ? 4 : 2; }

Security security(bool secured) {
  return secured ? Security::shared_key_bytes(secret()) : Security::none();
}

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Two endpoints that have met, and have one model.
struct Pair {
  Pair(bool secured, std::size_t payload, Cores cores) : shape({torch_vector(payload)}) {
    {
      const Pinned here(/*is_sender=*/false, cores);
      receiver = std::make_unique<Tcp>(options(0, secured, payload));
    }
    const Pinned here(/*is_sender=*/true, cores);
    sender = std::make_unique<Tcp>(options(1, secured, payload).contacts({receiver->address()}));
    std::thread other([this] { meet(*receiver); });
    meet(*sender);
    other.join();
  }
  static at::Tensor torch_vector(std::size_t bytes) {
    return at::ones({static_cast<std::int64_t>(bytes / 4)}, at::kFloat);
  }
  static TcpOptions options(PeerId number, bool secured, std::size_t payload) {
    transport::DeliveryLimits limits;
    limits.bytes = std::max<std::size_t>(limits.bytes, 5 * payload);
    return TcpOptions(number).world_size(2).security(security(secured)).limits(limits);
  }
  void meet(Tcp& tcp) {
    tcp.set_model_layout("bench\n", shape);
    if (!tcp.gather(1, 30s)) {
      std::fprintf(stderr, "transport: %s\n", tcp.last_connect_error().c_str());
      std::exit(1);
    }
  }
  model::Flat shape;
  std::unique_ptr<Tcp> receiver;
  std::unique_ptr<Tcp> sender;
};

void send(Tcp& from, const model::Snapshot& snapshot) {
  transport::Message message;
  message.from = from.self();
  message.to = 0;
  message.weight = 1e-6;
  message.payload = snapshot;
  from.send(std::move(message));
}
void drop_events(Tcp& tcp) {
  while (auto event = tcp.poll()) {
    if (const auto* back = std::get_if<transport::Returned>(&*event)) {
      std::fprintf(stderr, "transport: a message came back: %d\n", static_cast<int>(back->reason));
      std::exit(1);
    }
  }
}

/// Ours: `count` messages; the last one is the receiver's when the time ends.
template <bool secured>
Figures ours(std::size_t payload, std::size_t count) {
  const Pinned here(/*is_sender=*/true, Cores::apart);
  Pair pair(secured, payload, Cores::apart);
  model::SnapshotPool pool(pair.shape);
  model::Snapshot snapshot = pool.take();
  snapshot.writable().copy_from(pair.shape);
  const auto exchange = [&](std::size_t messages) {
    std::thread receiver([&] {
      const Pinned there(/*is_sender=*/false, Cores::apart);
      for (std::size_t left = messages; left > 0;) {
        pair.receiver->wait(pair.receiver->now() + 10s);
        while (auto event = pair.receiver->poll()) {
          if (std::holds_alternative<transport::Delivered>(*event)) --left;
        }
      }
    });
    for (std::size_t i = 0; i < messages; ++i) {
      pair.sender->endpoint().wait_until(
          pair.sender->now() + 60s,
          [&](transport::Membership& member) { return member.under_way() < under_way(payload); });
      drop_events(*pair.sender);
      send(*pair.sender, snapshot);
    }
    receiver.join();
  };
  exchange(under_way(payload) + 1);  // the receiver's pool has what it needs, as in a run
  const double cpu = cpu_seconds();
  const Clock::time_point begin = Clock::now();
  exchange(count);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const auto all = static_cast<double>(payload * count);
  return {all / seconds, 1e9 * (cpu_seconds() - cpu) / all};
}

/// Two connected sockets of Asio's, in a thread each: `talk(connection)` and `listen(connection)`
/// get one; they begin when both are secured.
template <class Connection, class Talk, class Listen>
void connect(Cores cores, Talk talk, Listen listen) {
  const Pinned receiver(/*is_sender=*/false, cores);
  asio::io_context here;
  tcp::acceptor acceptor(here, {asio::ip::address_v4::loopback(), 0});
  const tcp::endpoint place = acceptor.local_endpoint();
  std::thread thread([&] {
    const Pinned sender(/*is_sender=*/true, cores);
    asio::io_context io;
    tcp::socket socket(io);
    socket.connect(place);
    socket.set_option(tcp::no_delay(true));
    Connection connection(std::move(socket));
    connection.open(TlsRole::client, [&](std::error_code error) {
      require(error, "handshake");
      talk(connection);
    });
    io.run();
  });
  tcp::socket socket = acceptor.accept();
  socket.set_option(tcp::no_delay(true));
  Connection connection(std::move(socket));
  connection.open(TlsRole::server, [&](std::error_code error) {
    require(error, "handshake");
    listen(connection);
  });
  here.run();
  thread.join();
}

/// Asio's: `count` times a header and the payload.
template <class Connection>
Figures raw(std::size_t payload, std::size_t count) {
  const Bytes header(header_bytes, 'h');
  const Bytes message(payload, 'm');
  Bytes header_there(header_bytes);
  Bytes message_there(payload);
  Clock::time_point begin;
  Clock::time_point end;
  double cpu = 0;
  double cpu_at_end = 0;
  std::size_t to_write = count;
  std::size_t to_read = count;
  std::function<void()> write;
  std::function<void()> read;
  connect<Connection>(
      Cores::apart,
      [&](Connection& connection) {
        begin = Clock::now();
        cpu = cpu_seconds();
        write = [&] {
          if (to_write-- == 0) return;
          connection.write(std::array{asio::buffer(header), asio::buffer(message)},
                           [&](std::error_code error, std::size_t) {
                             require(error, "write");
                             write();
                           });
        };
        write();
      },
      [&](Connection& connection) {
        read = [&] {
          if (to_read-- == 0) {
            end = Clock::now();
            cpu_at_end = cpu_seconds();
            return;
          }
          connection.read(std::array{asio::buffer(header_there), asio::buffer(message_there)},
                          [&](std::error_code error, std::size_t) {
                            require(error, "read");
                            read();
                          });
        };
        read();
      });
  const auto all = static_cast<double>(payload * count);
  return {all / std::chrono::duration<double>(end - begin).count(), 1e9 * (cpu_at_end - cpu) / all};
}

/// Blocking sockets, from memory of a message's size to such memory, and nothing is checked: what a
/// copy over loopback costs at least.
Figures blocking(std::size_t payload, std::size_t count) {
  asio::io_context io;
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  const Pinned receiver(/*is_sender=*/false, Cores::apart);
  Bytes message_there(payload);
  std::thread sender([&] {
    const Pinned here(/*is_sender=*/true, Cores::apart);
    const Bytes message(payload, 'm');
    tcp::socket socket(io);
    socket.connect(acceptor.local_endpoint());
    for (std::size_t i = 0; i < count; ++i) {
      std::size_t at = 0;
      while (at < payload) at += socket.write_some(asio::buffer(message) + at);
    }
  });
  tcp::socket socket = acceptor.accept();
  std::size_t at = socket.read_some(asio::buffer(message_there));  // it has begun
  std::size_t all = 0;
  const double cpu = cpu_seconds();
  const Clock::time_point begin = Clock::now();
  while (at + all < payload * count) {
    all += socket.read_some(asio::buffer(message_there) + (at + all) % payload);
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double spent = cpu_seconds() - cpu;
  sender.join();
  const auto bytes = static_cast<double>(all);
  return {bytes / seconds, 1e9 * spent / bytes};
}

/// iperf3's, in two processes of its own; nothing if it is not installed.
std::optional<Figures> iperf(std::size_t bytes) {
  const std::string command =
      "port=$((20000 + $$ % 20000)); iperf3 -s -1 -A 1 -p $port >/dev/null 2>&1 & sleep 0.3; "
      "iperf3 -c 127.0.0.1 -A 0 -p $port -n " +
      std::to_string(bytes) + " -l 1M -J 2>/dev/null; wait";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string text;
  char part[4096];
  while (const std::size_t got = std::fread(part, 1, sizeof part, pipe)) text.append(part, got);
  pclose(pipe);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.contains("end") || !json["end"].contains("sum_received")) {
    return std::nullopt;
  }
  return Figures{json["end"]["sum_received"]["bits_per_second"].get<double>() / 8, 0};
}

/// Seconds from sending 1 KB until the sender knows that it is there, one after the other.
template <bool secured>
double our_round_trip(std::size_t payload, std::size_t count, Cores cores) {
  const Pinned here(/*is_sender=*/true, cores);
  Pair pair(secured, payload, cores);
  model::SnapshotPool pool(pair.shape);
  model::Snapshot snapshot = pool.take();
  snapshot.writable().copy_from(pair.shape);
  std::vector<double> times;
  for (std::size_t i = 0; i < count; ++i) {
    const Clock::time_point begin = Clock::now();
    send(*pair.sender, snapshot);
    pair.sender->endpoint().wait_until(
        pair.sender->now() + 10s, [&](transport::Membership& member) {
          for (const transport::MembershipView& peer : member.view()) {
            if (peer.ledger.sent.messages() == i + 1 && peer.ledger.offered.messages() == 0)
              return true;
          }
          return false;
        });
    times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    while (pair.sender->endpoint().with([](auto& member) { return member.under_way(); }) > 0) {
      pair.receiver->wait(pair.receiver->now() + 100us);
      while (pair.receiver->poll()) {
      }
      drop_events(*pair.sender);
    }
  }
  return median_of(std::move(times));
}

/// The same with Asio's: header and payload there, a header back.
template <class Connection>
double raw_round_trip(std::size_t payload, std::size_t count, Cores cores) {
  const Bytes header(header_bytes, 'h');
  const Bytes message(payload, 'm');
  Bytes header_here(header_bytes);
  Bytes header_there(header_bytes);
  Bytes message_there(payload);
  std::vector<double> times;
  Clock::time_point begin;
  std::size_t left = count;
  std::function<void()> write;
  std::function<void()> read;
  connect<Connection>(
      cores,
      [&](Connection& connection) {
        write = [&] {
          if (left-- == 0) return;
          begin = Clock::now();
          connection.write(
              std::array{asio::buffer(header), asio::buffer(message)},
              [&](std::error_code error, std::size_t) {
                require(error, "write");
                connection.read(asio::buffer(header_here), [&](std::error_code gone, std::size_t) {
                  require(gone, "read");
                  times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
                  write();
                });
              });
        };
        write();
      },
      [&](Connection& connection) {
        read = [&] {
          connection.read(std::array{asio::buffer(header_there), asio::buffer(message_there)},
                          [&](std::error_code error, std::size_t) {
                            if (error) return;  // the other end has all that it wanted
                            connection.write(asio::buffer(header_there),
                                             [&](std::error_code gone, std::size_t) {
                                               require(gone, "write");
                                               read();
                                             });
                          });
        };
        read();
      });
  return median_of(std::move(times));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  nlohmann::ordered_json figures;
  std::printf("%-16s %10s %10s %10s %10s %12s %12s\n", "", "MB/s", "Asio", "blocking", "iperf3",
              "CPU ns/byte", "Asio's");
  const auto speed = [](const Figures& one) { return one.bytes_per_second; };
  const auto cost = [](const Figures& one) { return one.cpu_nanoseconds_per_byte; };
  const auto compare = [&](const std::string& name, std::size_t payload, auto us, auto them,
                           bool is_plain) {
    const std::size_t count = std::max<std::size_t>(3, 600'000'000 / payload);
    std::vector<Figures> a;
    std::vector<Figures> b;
    std::vector<Figures> c;
    std::vector<Figures> d;
    for (int i = 0; i < rounds; ++i) {  // in turn, so that a disturbance meets all
      a.push_back(us(payload, count));
      b.push_back(them(payload, count));
      if (!is_plain) continue;
      d.push_back(blocking(payload, count));
      if (const auto one = iperf(payload * count)) c.push_back(*one);
    }
    const double ours_speed = median(a, speed);
    const double raw_speed = median(b, speed);
    const double iperf_speed = c.empty() ? 0 : median(c, speed);
    const double blocking_speed = d.empty() ? 0 : median(d, speed);
    std::printf("%-16s %10.0f %10.0f %10.0f %10.0f %12.3f %12.3f\n", name.c_str(), ours_speed / 1e6,
                raw_speed / 1e6, blocking_speed / 1e6, iperf_speed / 1e6, median(a, cost),
                median(b, cost));
    std::fflush(stdout);
    figures["messages"][name] = {{"bytes_per_second", ours_speed},
                                 {"raw_bytes_per_second", raw_speed},
                                 {"blocking_bytes_per_second", blocking_speed},
                                 {"iperf3_bytes_per_second", iperf_speed},
                                 {"cpu_nanoseconds_per_byte", median(a, cost)},
                                 {"raw_cpu_nanoseconds_per_byte", median(b, cost)}};
  };
  const std::pair<const char*, std::size_t> sizes[] = {
      {"1.1 MB", 1'100'000}, {"100 MB", 100'000'000}, {"1 GB", 1'000'000'000}};
  for (const auto& [name, payload] : sizes) {
    compare(std::string("plain, ") + name, payload, ours<false>, raw<RawPlain>, true);
    compare(std::string("TLS, ") + name, payload, ours<true>, raw<RawTls>, false);
  }
  for (const Cores cores : {Cores::apart, Cores::together}) {
    std::vector<double> a;
    std::vector<double> b;
    for (int i = 0; i < rounds; ++i) {
      a.push_back(our_round_trip<false>(1024, 2000, cores));
      b.push_back(raw_round_trip<RawPlain>(1024, 2000, cores));
    }
    const double ours_time = median_of(a);
    const double raw_time = median_of(b);
    const char* name = cores == Cores::apart ? "two cores" : "one core";
    std::printf(
        "1 KB until the sender knows that it is there, %s: %.1f us, Asio %.1f us, ratio %.2f\n",
        name, 1e6 * ours_time, 1e6 * raw_time, ours_time / raw_time);
    figures["round_trip"][name] = {
        {"seconds", ours_time}, {"raw_seconds", raw_time}, {"ratio", ours_time / raw_time}};
  }
  if (argc > 2) std::ofstream(argv[2]) << figures.dump(1) << '\n';
}
