// SPDX-License-Identifier: MIT
/// Nodes on TCP over loopback: the contract, and what a network of strangers does to them.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/transport/tcp.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <tests/support.hpp>
#include <tests/transport/contract.hpp>
#include <tests/transport/tcp/small_authority.hpp>
#include <tests/transport/tcp_group.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::tcp;
using gossamer::ConfigError;
using tests::Approx;

TEST_CASE("The tcp transport keeps the contract", "[transport][tcp][threads]") {
  for (const auto& claim : tests::contract::claims<Group>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

/// Polls until there is an event of that type; others are thrown away.
template <class What>
What next(Tcp& tcp) {
  const Time deadline = tcp.now() + give_up;
  while (true) {
    while (auto event = tcp.poll()) {
      if (auto* what = std::get_if<What>(&*event)) return std::move(*what);
    }
    if (!tcp.wait(deadline)) REQUIRE(tcp.now() < deadline);
  }
}

/// Two nodes that are ready to send each other `shape`.
struct Pair {
  explicit Pair(Flat shape, TcpOptions first = options_of(0), TcpOptions second = options_of(1))
      : zero(first), one(second.contacts({zero.address()})), pool(shape) {
    REQUIRE(zero.gather(1, give_up));
    REQUIRE(one.gather(1, give_up));
    zero.set_model_layout("model\n", shape);
    one.set_model_layout("model\n", shape);
  }
  /// A message with payload passes from one to the other, and back.
  void exchange() {
    zero.send({.to = 1, .round = ++round, .weight = 0.25, .payload = ones()});
    CHECK(next<Delivered>(one).message.round == round);
    one.send({.to = 0, .round = ++round, .weight = 0.25, .payload = ones()});
    CHECK(next<Delivered>(zero).message.round == round);
  }
  Snapshot ones() {
    Snapshot snapshot = pool.take();
    for (const at::Tensor& segment : snapshot.writable().segments()) segment.fill_(1);
    return snapshot;
  }
  Tcp zero;
  Tcp one;
  SnapshotPool pool;
  std::uint64_t round = 0;
};

Flat small_shape() { return Flat({torch::zeros({4})}); }

/// A logger that keeps what it is told.
struct Log {
  std::string text() const { return stream->str(); }
  std::shared_ptr<std::ostringstream> stream = std::make_shared<std::ostringstream>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(*stream));
};

/// Somebody who does not know the protocol.
class Stranger {
 public:
  explicit Stranger(const std::string& address) : socket_(io_) {
    const HostPort at = HostPort::parse(address);
    socket_.connect({asio::ip::make_address(at.host), at.port});
  }
  void say(const std::vector<std::byte>& bytes) {
    std::error_code gone;
    asio::write(socket_, asio::buffer(bytes), gone);
  }
  /// All that comes until the other side hangs up.
  std::vector<std::byte> listen() {
    std::vector<std::byte> all;
    std::error_code end;
    asio::read(socket_, asio::dynamic_buffer(all), end);
    return all;
  }

 private:
  asio::io_context io_;
  asio::ip::tcp::socket socket_;
};

/// What the last frame of a conversation says, if that is a refusal.
std::string refusal_in(const std::vector<std::byte>& bytes) {
  std::span<const std::byte> rest(bytes);
  std::string text;
  while (rest.size() >= wire::FrameHeader::size) {
    const auto header = wire::parse_header(rest.first<wire::FrameHeader::size>(),
                                           wire::fingerprint("gossamer"), 16);
    REQUIRE(std::holds_alternative<wire::FrameHeader>(header));
    const auto frame = wire::parse_frame(rest, std::get<wire::FrameHeader>(header));
    REQUIRE(std::holds_alternative<wire::Body>(frame));
    const auto& body = std::get<wire::Body>(frame);
    if (const auto* refusal = std::get_if<wire::Refusal>(&body)) text = refusal->text;
    rest = rest.subspan(std::get<wire::FrameHeader>(header).bytes());
  }
  CHECK(rest.empty());
  return text;
}

TEST_CASE("Long payloads pass in pieces, both ways at once, whole and once",
          "[transport][tcp][threads]") {
  const Flat shape({torch::zeros({300'000}), torch::zeros({90'001}, torch::kDouble)});
  Pair pair(shape);
  const auto numbers = [&](std::uint64_t i) {
    Snapshot snapshot = pair.pool.take();
    for (const at::Tensor& segment : snapshot.writable().segments()) {
      segment.copy_(torch::arange(segment.numel(), segment.options()) + static_cast<double>(i));
    }
    return snapshot;
  };
  const auto is_whole = [](const gossamer::transport::Message& message) {
    for (const at::Tensor& segment : message.payload->segments()) {
      const at::Tensor expected =
          torch::arange(segment.numel(), segment.options()) + static_cast<double>(message.round);
      if (!segment.equal(expected)) return false;
    }
    return true;
  };
  constexpr std::uint64_t messages = 5;
  for (const bool breaks : {false, true}) {
    for (std::uint64_t i = 1; i <= messages; ++i) {
      pair.zero.send({.to = 1, .round = i, .weight = 0.01, .payload = numbers(i)});
      pair.one.send({.to = 0, .round = i, .weight = 0.01, .payload = numbers(i)});
    }
    if (breaks) pair.zero.endpoint().break_connections();
    for (std::uint64_t i = 1; i <= messages; ++i) {
      for (Tcp* node : {&pair.zero, &pair.one}) {
        const auto message = next<Delivered>(*node).message;
        CHECK(message.round == i);
        CHECK(is_whole(message));
      }
    }
    if (breaks) continue;
    const auto bytes = static_cast<double>(messages * shape.bytes());
    for (const Tcp* node : {&pair.zero, &pair.one}) {
      const auto view = node->view();
      REQUIRE(view.size() == 1);
      CHECK(static_cast<double>(view[0].traffic.bytes_sent) >= bytes);
      CHECK(static_cast<double>(view[0].traffic.bytes_sent) <= 1.02 * bytes);
    }
  }
}

TEST_CASE("A large payload of several dtypes arrives bit for bit", "[transport][tcp][threads]") {
  torch::manual_seed(1);
  const std::int64_t n = 1'300'007;  // several chunks, and a rest
  const Flat shape({torch::zeros({n}), torch::zeros({3}, torch::kDouble),
                    torch::zeros({n}, torch::kLong), torch::zeros({5}, torch::kBFloat16)});
  Pair pair(shape);
  for (int round = 0; round < 3; ++round) {
    Snapshot sent = pair.pool.take();
    for (const at::Tensor& segment : sent.writable().segments()) segment.random_(0, 100);
    pair.zero.send({.to = 1, .kind = 5, .round = 9, .weight = 0.125, .payload = sent});
    const auto delivered = next<Delivered>(pair.one);
    CHECK(delivered.message.kind == 5);
    CHECK(delivered.message.weight == 0.125);
    REQUIRE(delivered.message.payload);
    for (std::size_t i = 0; i < shape.segments().size(); ++i) {
      CHECK(torch::equal(delivered.message.payload->segments()[i], sent->segments()[i]));
    }
  }
}

TEST_CASE("A message without a payload, and one of an empty model, arrive",
          "[transport][tcp][threads]") {
  Pair pair{Flat()};
  pair.zero.send({.to = 1, .round = 3, .weight = 0.5, .payload = {}});
  CHECK_FALSE(next<Delivered>(pair.one).message.payload);
  pair.exchange();
}

TEST_CASE("Connections that break under load lose and double nothing",
          "[transport][tcp][threads]") {
  constexpr std::size_t m = 4;
  Group group(m, 8);
  std::vector<double> weights(m, 1.0 / m);
  std::vector<std::uint64_t> received(m, 0);
  std::atomic<std::size_t> done{0};
  std::atomic<int> breaks{0};
  const auto work = [&](PeerId self) {
    Tcp& tcp = group.tcp(self);
    gossamer::Generator random(tests::seed, self);
    const auto poll = [&] {
      while (const auto event = tcp.poll()) {
        if (const auto* delivered = std::get_if<Delivered>(&*event)) {
          weights[self] += delivered->message.weight;
          ++received[self];
        } else if (const auto* returned = std::get_if<Returned>(&*event)) {
          weights[self] += returned->message.weight;
        }
      }
    };
    for (int i = 0; i < 2000; ++i) {
      while (breaks < i / 500) {  // so that connections break between messages, however slow it is
        poll();
        std::this_thread::yield();
      }
      const double moved = weights[self] / 2;
      const PeerId to = tcp.peers()[random.below(static_cast<std::uint32_t>(tcp.peers().size()))];
      weights[self] -= moved;
      tcp.send({.to = to, .weight = moved, .payload = group.snapshot(self, 1)});
      poll();
    }
    ++done;
    tcp.finish();
    const Time deadline = tcp.now() + give_up;
    bool settled = false;
    while (!settled && tcp.now() < deadline) {
      poll();
      settled = tcp.settled();
      if (!settled) tcp.wait(deadline);
    }
    return settled;
  };
  std::vector<char> settled(m, 0);
  std::vector<std::thread> threads;
  for (PeerId i = 0; i < m; ++i) {
    threads.emplace_back([&, i] { settled[i] = work(i) ? 1 : 0; });
  }
  for (; done < m && breaks < 200; ++breaks) {
    Tcp& one = group.tcp(static_cast<PeerId>(breaks.load()) % m);
    one.endpoint().break_connections();
    REQUIRE(wait_for(one, [&](Membership& member) {  // else nothing would ever pass
      return done == m || (member.is_connected((one.self() + 1) % m) &&
                           member.is_connected((one.self() + 2) % m));
    }));
  }
  for (auto& thread : threads) thread.join();
  CHECK(settled == std::vector<char>(m, 1));
  double total = 0;
  std::uint64_t reconnects = 0;
  for (PeerId i = 0; i < m; ++i) {
    total += weights[i];
    CHECK(received[i] > 0);
    reconnects += group.tcp(i).counts().reconnects;
    CHECK(group.tcp(i).counts().malformed == 0);
  }
  CHECK(total == Approx(1.0).margin(tests::weight_tolerance));
  CHECK(reconnects >= 3);
}

TEST_CASE("A peer that stands still is lost after dead_after, and comes back",
          "[transport][tcp][threads]") {
  const auto impatient = [](PeerId id) {
    return options_of(id).timers({.heartbeat = 100ms,
                                  .dead_after = 1s,
                                  .resend_after = 100ms,
                                  .redial_after = 10ms,
                                  .handshake = 1s});
  };
  Pair pair(small_shape(), impatient(0), impatient(1));
  pair.one.endpoint().with([&](Membership&) {  // its thread waits for the mutex, as if stopped
    pair.zero.send({.to = 1, .weight = 0.25, .payload = pair.pool.take()});
    CHECK(next<PeerLeft>(pair.zero).reason == Reason::lost);
    CHECK(pair.zero.peers().empty());
    const auto returned = next<Returned>(pair.zero);
    CHECK(returned.message.weight == 0.25);
    CHECK(returned.reason == Reason::lost);
  });
  CHECK(next<PeerJoined>(pair.zero).peer == 1);
}

TEST_CASE("Another run is refused with the same sentence on both sides",
          "[transport][tcp][threads]") {
  Log log;
  Tcp zero(options_of(0).run("red").logger(log.logger));
  Tcp one(options_of(1).run("blue").contacts({zero.address()}));
  const auto text = tests::message_of<ConfigError>([&] { (void)one.gather(1, give_up); });
  CHECK_THAT(text, tests::contains("run \"red\"") && tests::contains("same run name"));
  zero.crash();  // so that its thread has written all
  CHECK_THAT(log.text(), tests::contains("run \"red\"") && tests::contains("same run name"));
}

TEST_CASE("Another model is refused with a sentence on both sides", "[transport][tcp][threads]") {
  Tcp zero(options_of(0));
  Tcp one(options_of(1).contacts({zero.address()}));
  zero.set_model_layout("model\n", Flat({torch::zeros({4})}));
  REQUIRE(zero.gather(1, give_up));
  REQUIRE(one.gather(1, give_up));
  REQUIRE(wait_for(one, [](Membership& member) { return member.all_answered(); }));
  one.endpoint().with([](Membership& member) { member.ping_all(); });
  REQUIRE(wait_for(one, [](Membership& member) { return member.all_answered(); }));
  CHECK_THAT(tests::message_of<ConfigError>(
                 [&] { one.set_model_layout("model\n", Flat({torch::zeros({5})})); }),
             tests::contains("vector of 5 Float") && tests::contains("vector of 4 Float") &&
                 tests::contains("node 0") && tests::contains("node 1"));
}

TEST_CASE("Whoever speaks another language hears why, and disturbs nobody",
          "[transport][tcp][threads][parse]") {
  Pair pair(small_shape());
  const std::string address = pair.zero.address();
  std::vector<std::byte> hello;
  wire::append_frame(hello, wire::fingerprint("gossamer"),
                     wire::Hello{.node = 9, .address = "", .agreement = ""});

  std::vector<std::byte> version = hello;
  version[4] = std::byte{9};
  Stranger other(address);
  other.say(version);
  CHECK_THAT(refusal_in(other.listen()), tests::contains("version 9"));

  std::vector<std::byte> noise(1000);
  gossamer::Generator random(tests::seed, 1);
  for (std::byte& byte : noise) byte = std::byte(random.below(256));
  Stranger noisy(address);
  noisy.say(noise);
  CHECK_THAT(refusal_in(noisy.listen()), tests::contains("does not speak Gossamer"));

  std::vector<std::byte> huge = hello;
  for (std::size_t i = 16; i < 20; ++i) huge[i] = std::byte{0xff};
  Stranger greedy(address);
  greedy.say(huge);
  CHECK_THAT(refusal_in(greedy.listen()), tests::contains("4294967295 bytes of fields"));

  std::vector<std::byte> early;  // a member's word from a stranger
  wire::append_frame(early, wire::fingerprint("gossamer"), wire::Ping{});
  Stranger pushy(address);
  pushy.say(early);
  CHECK_THAT(refusal_in(pushy.listen()), tests::contains("unknown kind"));

  CHECK(pair.zero.counts().malformed == 4);
  std::vector<std::unique_ptr<Stranger>> idle;  // half a handshake, held open
  for (int i = 0; i < 100; ++i) {
    idle.push_back(std::make_unique<Stranger>(address));
    idle.back()->say({hello.begin(), hello.begin() + 30});
  }
  for (int i = 0; i < 10; ++i) pair.exchange();
  CHECK(pair.zero.counts().suspicions == 0);
}

TEST_CASE("A message with numbers that are not finite goes home, and the run goes on",
          "[transport][tcp][threads]") {
  Log log;
  Pair pair(small_shape(), options_of(0).logger(log.logger));
  for (int i = 0; i < 2; ++i) {
    Snapshot bad = pair.pool.take();
    bad.writable().segments().front()[2] = std::numeric_limits<float>::quiet_NaN();
    pair.one.send({.to = 0, .weight = 0.25, .payload = std::move(bad)});
    CHECK(next<Returned>(pair.one).message.weight == 0.25);
    CHECK(next<PeerJoined>(pair.one).peer == 0);
    CHECK(next<PeerJoined>(pair.zero).peer == 1);
  }
  pair.exchange();
  CHECK(pair.zero.counts().bad_offers == 2);
  pair.zero.crash();
  const std::string text = log.text();
  CHECK_THAT(text, tests::contains("a message of node 1 has numbers that are not finite"));
  CHECK(text.find("not finite") == text.rfind("not finite"));  // named once
}

/// A bare system may lack /etc/hosts.
bool knows_localhost() {
  asio::io_context context;
  asio::error_code error;
  asio::ip::tcp::resolver(context).resolve("localhost", "0", error);
  if (error) WARN("this machine does not know the name localhost: " << error.message());
  return !error;
}

TEST_CASE("IPv6 and names are addresses, too", "[transport][tcp][threads]") {
  const std::string host = GENERATE("[::1]:0", "localhost:0");
  if (host == "localhost:0" && !knows_localhost()) return;
  INFO(host);
  Tcp zero(options_of(0).listen(host));
  Tcp one(options_of(1).listen("127.0.0.1:0").contacts({zero.address()}));
  CHECK(one.gather(1, give_up));
  CHECK(zero.gather(1, give_up));
}

TEST_CASE("A name may be advertised", "[transport][tcp][threads]") {
  if (!knows_localhost()) return;
  Tcp named(options_of(0).advertise("localhost:0"));
  CHECK_THAT(named.address(), tests::contains("localhost:"));
  Tcp other(options_of(1).contacts({named.address()}));
  CHECK(other.gather(1, give_up));
}

TEST_CASE("A node without security stays on its machine", "[transport][tcp]") {
  CHECK_THAT(tests::message_of<ConfigError>([] { Tcp tcp(options_of(0).listen("0.0.0.0:0")); }),
             tests::contains("may not listen on 0.0.0.0"));
  Tcp allowed(options_of(0).listen("0.0.0.0:0").security(Security::none().insecure(true)));
  CHECK_THAT(allowed.address(), !tests::contains("0.0.0.0"));
}

TEST_CASE("A shared key lets members in and nobody else", "[transport][tcp][threads]") {
  std::vector<unsigned char> key(32);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<unsigned char>(7 * i + 1);
  std::vector<unsigned char> wrong = key;
  wrong[0] ^= 1;
  Log log;
  Pair pair(small_shape(),
            options_of(0).security(Security::shared_key_bytes(key)).logger(log.logger),
            options_of(1).security(Security::shared_key_bytes(key)));
  pair.exchange();
  Tcp thief(
      options_of(2).security(Security::shared_key_bytes(wrong)).contacts({pair.zero.address()}));
  Tcp plain(options_of(3).contacts({pair.zero.address()}));
  for (Tcp* one : {&thief, &plain}) {
    REQUIRE(wait_for(*one, [](Membership& member) { return !member.last_failure().empty(); }));
    CHECK(one->peers().empty());
  }
  CHECK_THAT(thief.last_connect_error(), tests::contains("shared key"));
  pair.exchange();
  CHECK(pair.zero.peers().size() == 1);
  CHECK(pair.zero.view().size() == 1);
}

TEST_CASE("A running group changes its key, and the old one is of no more use",
          "[transport][tcp][threads]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "run.key";
  const auto write = [&](const std::string& lines) {
    std::ofstream(path) << lines;
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  };
  const std::string before = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef\n";
  const std::string after = "ff112233445566778899aabbccddeeff0123456789abcdef0123456789abcdee\n";
  write(before);
  Pair pair(small_shape(), options_of(0).security(Security::shared_key(path)),
            options_of(1).security(Security::shared_key(path)));
  pair.exchange();
  for (const std::string& lines : {before + after, after + before, after}) {
    write(lines);
    for (Tcp* one : {&pair.zero, &pair.one}) {  // in turn: they have different files meanwhile
      one->reload_keys();
      one->endpoint().break_connections();
      pair.exchange();
    }
  }
  const auto old = folder.path() / "old.key";
  std::ofstream(old) << before;
  std::filesystem::permissions(old, std::filesystem::perms::owner_read);
  Tcp late(options_of(2).security(Security::shared_key(old)).contacts({pair.zero.address()}));
  REQUIRE(wait_for(late, [](Membership& member) { return !member.last_failure().empty(); }));
  CHECK_THAT(late.last_connect_error(), tests::contains("shared key"));
}

TEST_CASE("A node whose certificate is another node's is not let in", "[transport][tcp][threads]") {
  const tests::SmallAuthority authority;
  Log log;
  Pair pair(small_shape(),
            options_of(0)
                .security(authority.node("zero", {.names = "URI:gossamer:node:0"}))
                .logger(log.logger),
            options_of(1).security(authority.node("one")));  // it names none
  pair.exchange();
  Tcp liar(options_of(2)
               .security(authority.node("three", {.names = "URI:gossamer:node:3"}))
               .contacts({pair.zero.address()}));
  REQUIRE(wait_for(liar, [](Membership& member) { return !member.last_failure().empty(); }));
  CHECK(liar.peers().empty());
  pair.exchange();
  CHECK(pair.zero.peers().size() == 1);
  pair.zero.crash();
  CHECK_THAT(log.text(), tests::contains("says that it is node 2, and its certificate 'CN=three' "
                                         "is another node's"));
}

TEST_CASE("Options that cannot work are refused, with the value", "[transport][tcp]") {
  const auto refused = [](const TcpOptions& options) {
    return tests::message_of<ConfigError>([&] { Tcp tcp(options); });
  };
  CHECK_THAT(refused(TcpOptions().listen("nowhere")), tests::contains("host:port"));
  CHECK_THAT(refused(TcpOptions().listen("::1:80")), tests::contains("[::1]:4000"));
  CHECK_THAT(refused(TcpOptions().contacts({"host:0"})), tests::contains("must have a port"));
  CHECK_THAT(refused(TcpOptions().contacts({"host:70000"})), tests::contains("host:70000"));
  CHECK_THAT(refused(TcpOptions().linger(0ms)), tests::contains("must be positive"));
  CHECK_THAT(refused(TcpOptions().limits({.messages = 0})), tests::contains("messages"));
  Tcp first(options_of(0));
  CHECK_THAT(refused(TcpOptions().listen(first.address())),
             tests::contains("cannot listen on " + first.address()));
  CHECK(HostPort::parse("[::1]:7").text() == "[::1]:7");
  CHECK(HostPort::parse("a.b:7").text() == "a.b:7");
}

}  // namespace
