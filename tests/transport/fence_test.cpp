// SPDX-License-Identifier: MIT
/// Messages over TCP whose numbers are still being written: not a byte of them leaves before they
/// are there, and all else passes meanwhile.
#include <gossamer/model/fence.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/tcp.hpp>

#include <tests/support.hpp>
#include <tests/transport/hostile_peer.hpp>
#include <tests/transport/tcp_group.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::tcp;
using tests::hostile::Peer;

/// Opened by hand. Who would wait for it is counted and let through, so that what is read too early
/// can be seen.
class Gate final : public gossamer::model::Fence {
 public:
  [[nodiscard]] bool ready() const override {
    ++asked;
    return open_.load();
  }
  void wait() const override {
    if (!open_.load()) ++blocked;
  }
  void open() { open_.store(true); }
  mutable std::atomic<int> asked{0};
  mutable std::atomic<int> blocked{0};

 private:
  std::atomic<bool> open_{false};
};

constexpr std::uint32_t before = 0x11223344;  // what the memory holds while a device would write,
constexpr std::uint32_t after = 0x55667788;   // and what it has written

void fill(const Flat& flat, std::uint32_t bits) {
  auto* const numbers = static_cast<std::uint32_t*>(flat.segments()[0].data_ptr());
  std::fill_n(numbers, flat.segments()[0].numel(), bits);
}
/// How often the four bytes are among those, one after the other.
std::size_t count(std::span<const std::byte> bytes, std::uint32_t bits) {
  const auto pattern = std::as_bytes(std::span(&bits, 1));
  std::size_t found = 0;
  auto at = bytes.begin();
  while (true) {
    at = std::search(at, bytes.end(), pattern.begin(), pattern.end());
    if (at == bytes.end()) return found;
    at += 4;
    ++found;
  }
}

/// A node that is about to push to a peer that reads its bytes.
struct Push {
  explicit Push(std::int64_t numbers)
      : shape({at::zeros({numbers})}), pool(shape), node(options_of(0)) {
    node.set_model_layout("model\n", shape);
    peer.emplace(node.address(), shape.bytes());
    peer->enter(1, 1);
    wait_for(node, [](Membership& member) { return member.knows(1); });
    while (node.poll()) {
    }
    payload = pool.take();
    fill(payload.writable(), before);
    numbers_ = payload->segments()[0];
    payload.set_fence(gate);
  }
  /// The answer to a ping, and all frames that came before it.
  std::vector<wire::Body> until_answer(std::uint64_t number) {
    std::vector<wire::Body> all;
    peer->ping(number);
    while (true) {
      auto body = peer->hear();
      REQUIRE(body);
      const auto* ping = std::get_if<wire::Ping>(&*body);
      if (ping != nullptr && ping->answer && ping->number == number) return all;
      all.push_back(std::move(*body));
    }
  }
  /// The peer says what it knows of, and that it has room.
  void want(std::uint64_t sequence) {
    peer->frame.seen = peer->frame.wanted = sequence;
    peer->say(peer->delivery());
  }

  Flat shape;
  SnapshotPool pool;
  Tcp node;
  std::optional<Peer> peer;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  Snapshot payload;
  at::Tensor numbers_;  // of the payload, past its fence
};

}  // namespace

TEST_CASE("Nothing of a payload is on the wire before its fence is reached, and pings pass",
          "[transport][tcp][staging][threads]") {
  const std::int64_t numbers = GENERATE(16, 300'000);  // such as come unasked, and in pieces
  CAPTURE(numbers);
  Push push(numbers);
  push.node.send({.to = 1, .round = 7, .weight = 0.25, .payload = push.payload});
  std::uint64_t ping = 0;
  std::size_t offers = 0;
  for (int i = 0; i < 20; ++i) {
    for (const wire::Body& body : push.until_answer(++ping)) {
      const auto* said = std::get_if<wire::DeliveryBody>(&body);
      if (said == nullptr || !said->frame.offer) continue;
      ++offers;
      CHECK(said->frame.later > 0);  // it is announced
      CHECK_FALSE(said->payload);
      push.want(said->frame.sequence);
    }
  }
  CHECK(offers == 1);
  CHECK(push.gate->asked > 0);
  CHECK(push.gate->blocked == 0);
  REQUIRE(count(push.peer->bytes_heard, before) == 0);

  std::thread device([&] {
    fill(Flat({push.numbers_}), after);
    push.gate->open();
  });
  std::size_t came = 0;
  while (came < static_cast<std::size_t>(numbers)) {
    push.until_answer(++ping);
    came = count(push.peer->bytes_heard, after);
  }
  device.join();
  CHECK(came == static_cast<std::size_t>(numbers));
  CHECK(count(push.peer->bytes_heard, before) == 0);
  CHECK(push.gate->blocked == 0);
}

TEST_CASE("A message behind one whose fence is shut waits for it, and counters pass",
          "[transport][tcp][staging][threads]") {
  Push push(16);
  push.node.send({.to = 1, .round = 1, .weight = 0.25, .payload = push.payload});
  push.node.send({.to = 1, .round = 2, .weight = 0.25, .payload = {}});
  std::uint64_t ping = 0;
  push.until_answer(++ping);
  push.want(2);
  push.peer->offer(0.125, {}, false);  // and the peer's own arrive
  bool has_accepted = false;
  std::uint64_t carried = 0;
  for (int i = 0; i < 20; ++i) {
    for (const wire::Body& body : push.until_answer(++ping)) {
      const auto* said = std::get_if<wire::DeliveryBody>(&body);
      if (said == nullptr) continue;
      has_accepted = has_accepted || said->frame.accepted == 1;
      if (said->frame.offer && said->frame.later == 0) ++carried;
    }
  }
  CHECK(has_accepted);
  CHECK(carried == 0);
  fill(Flat({push.numbers_}), after);
  push.gate->open();
  std::vector<std::uint64_t> rounds;
  while (rounds.size() < 2) {
    for (const wire::Body& body : push.until_answer(++ping)) {
      const auto* said = std::get_if<wire::DeliveryBody>(&body);
      if (said == nullptr || !said->frame.offer || said->frame.later > 0) continue;
      rounds.push_back(said->frame.offer->round);
    }
  }
  CHECK(rounds == std::vector<std::uint64_t>{1, 2});
  CHECK(count(push.peer->bytes_heard, before) == 0);
}

TEST_CASE("A message whose fence is shut is returned when its receiver is gone",
          "[transport][tcp][staging][threads]") {
  Push push(16);
  push.node.send({.to = 1, .weight = 0.25, .payload = push.payload});
  push.until_answer(1);
  push.node.endpoint().with([](Membership& member) { member.suspect(1); });
  double returned = 0;
  const Time deadline = push.node.now() + give_up;
  while (returned == 0) {
    while (auto event = push.node.poll()) {
      if (const auto* one = std::get_if<Returned>(&*event)) returned = one->message.weight;
    }
    if (returned == 0) REQUIRE((push.node.wait(deadline) || push.node.now() < deadline));
  }
  CHECK(returned == 0.25);
  CHECK(push.gate->blocked == 0);
  push.gate->open();
}
