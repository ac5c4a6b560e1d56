// SPDX-License-Identifier: MIT
/// What strangers and hostile peers do to a node on TCP that goes on exchanging with another one.
#include <gossamer/generator.hpp>
#include <gossamer/transport/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <tests/support.hpp>
#include <tests/transport/hostile_peer.hpp>
#include <tests/transport/tcp_group.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::tcp;
using tests::hostile::Peer;

/// Two nodes that exchange; the first is attacked.
struct Swarm {
  explicit Swarm(std::int64_t numbers = 4, TcpOptions first = options_of(0))
      : shape({torch::zeros({numbers})}),
        zero(first.logger(logger)),
        one(options_of(1).contacts({zero.address()})),
        pool(shape),
        payload(shape.bytes()) {
    REQUIRE(zero.gather(1, give_up));
    REQUIRE(one.gather(1, give_up));
    zero.set_model_layout("model\n", shape);
    one.set_model_layout("model\n", shape);
  }
  Peer stranger() { return {zero.address(), payload.size()}; }
  /// A peer that was let in, and that the node knows.
  Peer enter(PeerId node, std::uint64_t life = 1) {
    Peer peer = stranger();
    peer.enter(node, life);
    const auto joined = next<PeerJoined>(zero);
    CHECK(joined.peer == node);
    return peer;
  }
  void exchange() {
    zero.send({.to = 1, .round = ++round, .weight = 0.25, .payload = pool.take()});
    CHECK(next<Delivered>(one).message.round == round);
    one.send({.to = 0, .round = ++round, .weight = 0.25, .payload = pool.take()});
    CHECK(next<Delivered>(zero).message.round == round);
  }
  /// How often the node has said that. Ends it, so that its thread has written all.
  std::size_t lines_with(const std::string& words) {
    if (!ended) zero.crash();
    ended = true;
    std::istringstream all(text->str());
    std::size_t count = 0;
    for (std::string line; std::getline(all, line);) count += line.find(words) != std::string::npos;
    return count;
  }
  template <class What>
  static What next(Tcp& tcp) {
    const Time deadline = tcp.now() + give_up;
    while (true) {
      while (auto event = tcp.poll()) {
        if (auto* what = std::get_if<What>(&*event)) return std::move(*what);
      }
      if (!tcp.wait(deadline)) REQUIRE(tcp.now() < deadline);
    }
  }

  std::shared_ptr<std::ostringstream> text = std::make_shared<std::ostringstream>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(*text));
  Flat shape;
  Tcp zero;
  Tcp one;
  SnapshotPool pool;
  std::vector<std::byte> payload;  // zeros
  std::uint64_t round = 0;
  bool ended = false;
};

std::vector<std::byte> floats(std::array<float, 4> numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {bytes.begin(), bytes.end()};
}

TEST_CASE("A peer's message passes only with a weight and numbers that can be",
          "[transport][tcp][threads][parse]") {
  Swarm swarm;
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  std::uint64_t bad = 0;
  for (const double weight : {-0.25, -1e-300, 2.5, 1e300, inf, -inf, double{nan}}) {
    INFO(weight);
    Peer peer = swarm.enter(9);
    peer.offer(weight, swarm.payload, true);
    const auto refusal = peer.hear<wire::Refusal>();
    REQUIRE(refusal);
    CHECK(refusal->code == wire::Refusal::Code::offer);
    CHECK_THAT(refusal->text, tests::contains("weight must lie in [0, 2"));
    CHECK(swarm.zero.counts().bad_offers == ++bad);
    CHECK(Swarm::next<PeerLeft>(swarm.zero).peer == 9);
  }
  for (const auto& numbers :
       {std::array<float, 4>{0, 0, nan, 0},
        std::array<float, 4>{0, 0, 0, -std::numeric_limits<float>::infinity()}}) {
    Peer peer = swarm.enter(9);
    peer.offer(0.25, floats(numbers), true);
    const auto refusal = peer.hear<wire::Refusal>();
    REQUIRE(refusal);
    CHECK_THAT(refusal->text, tests::contains("numbers that are not finite"));
    CHECK(swarm.zero.counts().bad_offers == ++bad);
    CHECK(Swarm::next<PeerLeft>(swarm.zero).peer == 9);
  }
  Peer peer = swarm.enter(9);
  peer.offer(0, swarm.payload, true);  // a question has no weight
  peer.grant();
  CHECK(Swarm::next<Delivered>(swarm.zero).message.weight == 0);
  swarm.exchange();
  CHECK(swarm.zero.counts().malformed == 0);
  // One life, one kind.
  CHECK(swarm.lines_with("weight must lie in") + swarm.lines_with("are not finite") == 1);
}

TEST_CASE("A message that claims a payload and has none is not delivered with another's numbers",
          "[transport][tcp][threads][parse]") {
  Swarm swarm;
  Peer peer = swarm.enter(9);
  peer.offer(0.25, {}, true);
  const auto refusal = peer.hear<wire::Refusal>();
  REQUIRE(refusal);
  CHECK_THAT(refusal->text,
             tests::contains("a payload of 0 bytes, this model, or its part, has 16"));
  CHECK(swarm.zero.counts().malformed == 1);
  swarm.exchange();
}

TEST_CASE("A session that is said again delivers nothing again",
          "[transport][tcp][threads][parse]") {
  Swarm swarm;
  std::vector<std::byte> said;
  {
    Peer peer = swarm.enter(9);
    peer.offer(0.25, swarm.payload, true);
    peer.grant();
    CHECK(Swarm::next<Delivered>(swarm.zero).message.weight == 0.25);
    said = peer.said;
  }
  for (int i = 0; i < 3; ++i) {
    Peer again = swarm.stranger();
    again.write(said);
    again.ping(77);
    while (const auto ping = again.hear<wire::Ping>()) {  // all before it was heard
      if (ping->answer && ping->number == 77) break;
    }
    const bool deaf = swarm.zero.endpoint().with([](Membership& member) {
      while (const auto event = member.poll()) {
        if (std::holds_alternative<Delivered>(*event)) return false;
      }
      return true;
    });
    CHECK(deaf);
  }
  swarm.exchange();
  CHECK(swarm.zero.endpoint().with([](Membership& member) {
    for (const MembershipView& view : member.view()) {
      if (view.peer == 9) return view.ledger.delivered.weight();
    }
    return -1.0;
  }) == 0.25);
}

TEST_CASE("A peer that reads nothing is cut off, and what waits for it comes home",
          "[transport][tcp][threads]") {
  Swarm swarm(1'000'000, options_of(0).timers({.heartbeat = 100ms,
                                               .dead_after = 400ms,
                                               .resend_after = 100ms,
                                               .redial_after = 10ms,
                                               .handshake = 30s}));
  Peer peer = swarm.enter(9);
  for (int i = 0; i < 8; ++i) {  // more than any system keeps for a peer
    swarm.zero.send({.to = 9, .weight = 0.0625, .payload = swarm.pool.take()});
  }
  double home = 0;
  const Time deadline = swarm.zero.now() + give_up;
  bool gone = false;
  while (!gone && swarm.zero.now() < deadline) {
    peer.ping(1);  // it lives
    swarm.zero.wait(swarm.zero.now() + 20ms);
    while (const auto event = swarm.zero.poll()) {
      const auto* left = std::get_if<PeerLeft>(&*event);
      gone = gone || (left != nullptr && left->peer == 9);
      if (const auto* returned = std::get_if<Returned>(&*event)) home += returned->message.weight;
    }
  }
  REQUIRE(gone);
  CHECK(home == 0.5);
  swarm.zero.endpoint().with([](Membership& member) { member.ping_all(); });
  REQUIRE(wait_for(swarm.zero, [](Membership& member) { return member.is_connected(1); }));
  CHECK(swarm.lines_with("node 9 does not read") == 1);
}

TEST_CASE("Strangers are counted one by one, and named once", "[transport][tcp][threads][parse]") {
  constexpr std::size_t most = 32;
  constexpr std::size_t many = 200;
  Swarm swarm(4, options_of(0).handshakes(most));
  std::vector<std::unique_ptr<Peer>> held;
  for (std::size_t i = 0; i < many; ++i) {
    held.push_back(std::make_unique<Peer>(swarm.stranger()));
    if (i % 2 == 0) held.back()->write(std::vector<std::byte>(i % 39));  // a part of a header
  }
  swarm.exchange();
  // Each was begun or turned away; those are hung up on.
  std::size_t refused = 0;
  while (refused < many - most) {
    refused = swarm.zero.endpoint().attempts().refused;
    swarm.exchange();
  }
  CHECK(refused <= many - most);
  CHECK(swarm.zero.counts().malformed == 0);
  held.clear();
  std::uint64_t failed = 0;
  while (failed < many - refused) {
    failed = swarm.zero.endpoint().attempts().failed[0];
    swarm.exchange();
  }
  CHECK(failed == many - refused);
  CHECK(swarm.zero.counts().suspicions == 0);
  CHECK(swarm.lines_with("has begun too many connections") == 1);
  CHECK(swarm.lines_with("has begun a connection and not said who it is") == 1);
}

TEST_CASE("Noise of one kind is refused each time, and named once",
          "[transport][tcp][threads][parse]") {
  Swarm swarm;
  gossamer::Generator random(tests::seed, 1);
  std::vector<std::byte> version;
  wire::append_frame(version, wire::fingerprint("gossamer"),
                     wire::Hello{.address = "", .agreement = ""});
  version[4] = std::byte{9};
  for (int i = 0; i < 20; ++i) {
    std::vector<std::byte> noise(1000);
    for (std::byte& byte : noise) byte = std::byte(random.below(256));
    for (const auto* bytes : {&noise, &version}) {
      Peer peer = swarm.stranger();
      peer.write(*bytes);
      CHECK(peer.hear<wire::Refusal>());
    }
  }
  swarm.exchange();
  CHECK(swarm.zero.counts().malformed == 40);
  CHECK(swarm.lines_with("does not speak Gossamer's protocol") == 1);
  CHECK(swarm.lines_with("speaks version 9") == 1);
}

TEST_CASE("A stranger's refusal does not stop a run that begins, and its text is one short line",
          "[transport][tcp][threads][parse]") {
  Tcp zero(options_of(0));
  Peer peer(zero.address(), 0);
  peer.say(wire::Refusal{wire::Refusal::Code::run, "go home\nnode 0: all is well"});
  while (peer.hear()) {
  }
  Tcp one(options_of(1).contacts({zero.address()}));
  CHECK(zero.gather(1, give_up));
  CHECK(zero.last_connect_error() == "go home node 0: all is well");
}

TEST_CASE("A wrong key is refused each time, and named once", "[transport][tcp][threads][parse]") {
  std::vector<unsigned char> key(32);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<unsigned char>(7 * i + 1);
  auto text = std::make_shared<std::ostringstream>();
  Tcp zero(options_of(0)
               .security(Security::shared_key_bytes(key))
               .logger(std::make_shared<spdlog::logger>(
                   "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(*text))));
  for (int i = 0; i < 20; ++i) {
    Peer peer(zero.address(), 0);
    peer.write(std::vector<std::byte>(200, std::byte{'x'}));
    peer.hear_all();
  }
  const auto failed = [&] {
    return zero.endpoint().attempts().failed[static_cast<std::size_t>(SecureError::not_tls)];
  };
  while (failed() < 20) zero.wait(zero.now() + 10ms);
  CHECK(failed() == 20);
  zero.crash();
  const std::string all = text->str();
  CHECK_THAT(all, tests::contains("the peer sends plain bytes"));
  CHECK(std::count(all.begin(), all.end(), '\n') == 1);
}

TEST_CASE("Nothing that takes memory is read before a peer is let in",
          "[transport][tcp][threads][parse]") {
  Swarm swarm;
  asio::io_context io;
  // Somebody listens there and says nothing, so the peer's address is looked at for long.
  asio::ip::tcp::acceptor silent(io, {asio::ip::make_address("127.0.0.1"), 0});
  const auto checked = [&] {
    return wire::Hello{.node = 9,
                       .incarnation = 1,
                       .address = "127.0.0.1:" + std::to_string(silent.local_endpoint().port()),
                       .agreement = ""};
  };
  Peer with_model = swarm.stranger();
  with_model.say(checked());
  with_model.say(wire::Model{7, std::string(1000, 'x')});
  const auto refusal = with_model.hear<wire::Refusal>();
  REQUIRE(refusal);
  CHECK(refusal->code == wire::Refusal::Code::protocol);
  Peer with_payload = swarm.stranger();
  with_payload.say(checked());
  with_payload.offer(0.25, swarm.payload, true);
  CHECK(with_payload.hear<wire::Refusal>());
  CHECK(swarm.zero.counts().malformed == 2);
  swarm.exchange();
}

TEST_CASE("Strangers of all addresses together are limited", "[transport][tcp][threads]") {
  Swarm swarm(4, options_of(0).handshakes(1000).handshakes_of_all(8));
  std::vector<std::unique_ptr<Peer>> held;
  for (int i = 0; i < 8; ++i) held.push_back(std::make_unique<Peer>(swarm.stranger()));
  for (int i = 0; i < 4; ++i) swarm.stranger().hear_all();  // hung up on
  swarm.exchange();
  held.pop_back();
  bool is_in = false;
  while (!is_in) {  // as soon as the node has noticed that one is gone
    Peer peer = swarm.stranger();
    peer.say(wire::Hello{.node = 9, .incarnation = 1, .address = "", .agreement = ""});
    is_in = peer.hear<wire::Hello>().has_value();
  }
  CHECK(swarm.lines_with("have begun without being let in") == 1);
}

TEST_CASE("An error in the thread of the network is thrown by the node's next call",
          "[transport][tcp][threads]") {
  class Full final : public spdlog::sinks::base_sink<std::mutex> {
    void sink_it_(const spdlog::details::log_msg&) override {
      throw std::runtime_error("the disk is full");
    }
    void flush_() override {}
  };
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<Full>());
  logger->set_error_handler([](const std::string& what) { throw std::runtime_error(what); });
  Tcp zero(options_of(0).logger(logger));
  Tcp one(options_of(1).contacts({zero.address()}));
  REQUIRE(zero.gather(1, give_up));
  one.crash();  // node 0 has something to say of that
  const Time deadline = zero.now() + give_up;
  CHECK_THAT(tests::message_of<std::runtime_error>([&] {
               while (zero.now() < deadline) {
                 while (zero.poll()) {
                 }
                 zero.wait(deadline);
               }
             }),
             tests::contains("the thread of the network has ended: the disk is full"));
}

}  // namespace
