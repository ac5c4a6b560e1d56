// SPDX-License-Identifier: MIT
/// How messages change hands: examples, refusals, every interleaving of two nodes.
#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/delivery/delivery.hpp>

#include <tests/support.hpp>
#include <tests/transport/delivery/delivery_search.hpp>
#include <tests/transport/delivery/delivery_walk.hpp>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using gossamer::transport::CompensatedSum;
using gossamer::transport::Delivered;
using gossamer::transport::Delivery;
using gossamer::transport::DeliveryLimits;
using gossamer::transport::Event;
using gossamer::transport::FrameFate;
using gossamer::transport::FrameRule;
using gossamer::transport::Load;
using gossamer::transport::Message;
using gossamer::transport::PeerJoined;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Receipt;
using gossamer::transport::Returned;
using tests::delivery::Bounds;
using tests::delivery::Found;
using tests::delivery::search;
using tests::delivery::Walk;

/// Carries all that `from` has to say to `to`.
void carry(Delivery& from, Delivery& to) {
  while (auto frame = from.next_frame(to.self())) {
    CHECK(to.receive(from.self(), std::move(*frame)).fate != FrameFate::refused);
  }
}
/// What a perfect network does until nobody has anything to say.
void carry_all(Delivery& a, Delivery& b) {
  for (int round = 0; round < 8; ++round) {
    carry(a, b);
    carry(b, a);
  }
}

/// Both call again, as their timers would make them.
void meet_again(Delivery& a, Delivery& b) {
  a.resend(b.self());
  b.resend(a.self());
  carry_all(a, b);
}

std::vector<Event> events_of(Delivery& node) {
  std::vector<Event> events;
  while (auto event = node.poll()) events.push_back(std::move(*event));
  return events;
}

/// Two nodes whose session is open.
struct Pair {
  explicit Pair(DeliveryLimits limits = {}) : a(0, 1, limits), b(1, 1, limits) {
    a.add(1);
    b.add(0);
    carry_all(a, b);
  }
  Delivery a;
  Delivery b;
};

Message message(double weight, std::uint64_t round = 0, PeerId to = 1) {
  return {.to = to, .round = round, .weight = weight, .payload = {}};
}
Message message_to(PeerId to, double weight) { return message(weight, 0, to); }

}  // namespace

TEST_CASE("A message reaches the rule only when it was granted", "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry(pair.a, pair.b);  // the offer
  CHECK(pair.b.ledger(0).held.weight() == 0.25);
  CHECK_FALSE(pair.b.poll());
  CHECK(pair.a.ledger(1).offered.weight() == 0.25);

  carry(pair.b, pair.a);  // accepted
  CHECK(pair.a.ledger(1).granted.weight() == 0.25);
  CHECK_FALSE(pair.b.poll());

  carry(pair.a, pair.b);  // granted
  CHECK(pair.b.ledger(0).waiting.weight() == 0.25);
  const auto event = pair.b.poll();
  REQUIRE(event);
  CHECK(std::get<Delivered>(*event).message.weight == 0.25);
  CHECK(std::get<Delivered>(*event).message.from == 0);
  CHECK(pair.a.under_way(1) == 1);

  carry(pair.b, pair.a);  // confirmed
  CHECK(pair.a.ledger(1).confirmed.weight() == 0.25);
  CHECK(pair.a.under_way() == 0);
  CHECK(pair.b.under_way() == 0);
  CHECK_FALSE(pair.a.next_frame(1));
  CHECK_FALSE(pair.b.next_frame(0));
}

TEST_CASE("A message that is not polled is not confirmed", "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry_all(pair.a, pair.b);
  CHECK(pair.a.under_way(1) == 1);
  CHECK(pair.b.under_way(0) == 1);
  CHECK(events_of(pair.b).size() == 1);
  carry_all(pair.a, pair.b);
  CHECK(pair.a.under_way(1) == 0);
}

TEST_CASE("Messages of one sender arrive in their order, however frames overtake each other",
          "[transport][delivery]") {
  Pair pair;
  gossamer::Generator random(tests::seed);
  for (std::uint64_t i = 0; i < 50; ++i) pair.a.send(message(0.01, i));
  std::uint64_t next = 0;
  for (int round = 0; round < 1000 && next < 50; ++round) {
    std::vector<Delivery::Frame> frames;
    while (auto frame = pair.a.next_frame(1)) frames.push_back(std::move(*frame));
    while (!frames.empty()) {
      const auto at = frames.begin() + random.below(static_cast<std::uint32_t>(frames.size()));
      pair.b.receive(0, std::move(*at));
      frames.erase(at);
    }
    for (const Event& event : events_of(pair.b)) {
      CHECK(std::get<Delivered>(event).message.round == next++);
    }
    carry(pair.b, pair.a);
    pair.a.resend(1);
  }
  CHECK(next == 50);
}

TEST_CASE("A payload is neither copied nor kept once it is confirmed", "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({4})}));
  Pair pair;
  for (int i = 0; i < 1000; ++i) {
    Message sent = message(0.01);
    sent.payload = pool.take();
    const Flat* before = &*sent.payload;
    pair.a.send(std::move(sent));
    carry_all(pair.a, pair.b);
    const auto event = pair.b.poll();
    REQUIRE(event);
    CHECK(&*std::get<Delivered>(*event).message.payload == before);
    carry_all(pair.a, pair.b);
  }
  CHECK(pool.made() == 1);
}

TEST_CASE("What a slow peer has no room for comes back at once", "[transport][delivery]") {
  Pair pair({.messages = 3});
  for (std::uint64_t i = 0; i < 5; ++i) pair.a.send(message(0.1, i));
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto& returned = std::get<Returned>(events[i]);
    CHECK(returned.reason == Reason::queue_full);
    CHECK(returned.message.round == 3 + i);
  }
  carry_all(pair.a, pair.b);
  pair.a.send(message(0.1));  // three wait at the peer, unpolled
  CHECK(events_of(pair.a).size() == 1);
  CHECK(events_of(pair.b).size() == 3);
  carry_all(pair.a, pair.b);
  pair.a.send(message(0.1));
  CHECK(events_of(pair.a).empty());
}

TEST_CASE("Bytes are limited too, but a message of any size can go alone",
          "[transport][delivery]") {
  Pair pair({.bytes = 3 * Message::header_bytes});
  for (int i = 0; i < 4; ++i) pair.a.send(message(0.1));
  CHECK(events_of(pair.a).size() == 1);
  carry_all(pair.a, pair.b);
  CHECK(events_of(pair.b).size() == 3);

  SnapshotPool pool(Flat({torch::zeros({1000})}));
  Pair other({.bytes = 100});
  for (int i = 0; i < 2; ++i) {
    Message large = message(0.1);
    large.payload = pool.take();
    other.a.send(std::move(large));
  }
  CHECK(events_of(other.a).size() == 1);
  carry_all(other.a, other.b);
  CHECK(events_of(other.b).size() == 1);
}

TEST_CASE("A large message waits until it is wanted, and crosses once while a connection holds",
          "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Pair pair;
  Message large = message(0.25);
  large.payload = pool.take();
  pair.a.send(std::move(large));
  auto offer = pair.a.next_frame(1);
  REQUIRE(offer);
  CHECK(offer->later == Message::header_bytes + 40'000);
  CHECK_FALSE(offer->offer->has_content());
  CHECK_FALSE(pair.a.next_frame(1));
  pair.b.receive(0, *offer);
  CHECK(pair.b.session(0).held() == 0);
  auto wish = pair.b.next_frame(0);
  REQUIRE(wish);
  CHECK(wish->seen == 1);
  CHECK(wish->wanted == 1);
  pair.a.receive(1, *wish);
  pair.a.ask(1, true);
  CHECK_FALSE(pair.a.next_frame(1, Load::offers)->offer);  // between the pieces of another
  auto content = pair.a.next_frame(1);
  REQUIRE(content);
  CHECK(content->later == 0);
  CHECK(content->offer->has_content());
  // Neither impatience nor an answer that says nothing new has it sent again; a new connection has.
  for (const bool reminds : {false, true}) {
    pair.a.ask(1, reminds);
    pair.b.ask(0, reminds);
    carry(pair.b, pair.a);
    while (auto frame = pair.a.next_frame(1)) CHECK_FALSE(frame->offer);
  }
  pair.a.resend(1);
  auto again = pair.a.next_frame(1);
  REQUIRE(again);
  REQUIRE(again->offer);
  CHECK(again->offer->has_content());
  pair.b.receive(0, *content);
  pair.b.receive(0, *again);
  carry_all(pair.a, pair.b);
  CHECK(events_of(pair.b).size() == 1);
}

/// Messages of 40,000 bytes, with these weights.
std::vector<Message> large_messages(SnapshotPool& pool, const std::vector<double>& weights) {
  std::vector<Message> all;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    all.push_back(message(weights[i], i + 1));
    all.back().payload = pool.take();
  }
  return all;
}
double weight_of(const std::vector<Event>& events) {
  double sum = 0;
  for (const Event& event : events) {
    if (const auto* delivered = std::get_if<Delivered>(&event)) sum += delivered->message.weight;
    if (const auto* returned = std::get_if<Returned>(&event)) sum += returned->message.weight;
  }
  return sum;
}

TEST_CASE("What has not begun to cross can be recalled, and what has goes on",
          "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Pair pair;
  CHECK_FALSE(pair.a.recall());
  for (Message& one : large_messages(pool, {0.5, 0.25, 0.125})) pair.a.send(std::move(one));
  carry(pair.a, pair.b);  // the offers
  carry(pair.b, pair.a);
  auto content = pair.a.next_frame(1);  // of the first
  REQUIRE(content);
  REQUIRE(content->offer->has_content());
  CHECK(pair.a.recall());
  CHECK_FALSE(pair.a.recall());
  const auto back = events_of(pair.a);
  CHECK(back.size() == 2);
  CHECK(weight_of(back) == 0.375);
  CHECK(pool.out() == 3);  // one is on its way, and two are in these events
  pair.a.send(message(0.375, 4));
  CHECK(pair.b.receive(0, std::move(*content)).fate == FrameFate::taken);
  carry_all(pair.a, pair.b);
  const auto come = events_of(pair.b);
  REQUIRE(come.size() == 2);  // and nothing for those that came back
  CHECK(std::get<Delivered>(come[1]).message.round == 4);
  CHECK(weight_of(come) == 0.875);
  carry_all(pair.a, pair.b);
  CHECK(pair.a.under_way() + pair.b.under_way() == 0);
  CHECK(pair.a.ledger(1).surplus() == 0.875);
}

TEST_CASE("What may have crossed on a connection that broke cannot be recalled",
          "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Pair pair;
  for (Message& one : large_messages(pool, {0.5, 0.25})) pair.a.send(std::move(one));
  carry(pair.a, pair.b);
  carry(pair.b, pair.a);
  auto content = pair.a.next_frame(1);
  REQUIRE(content->offer->has_content());
  pair.b.receive(0, std::move(*content));  // and the answer is lost
  pair.a.resend(1);
  pair.b.resend(0);
  CHECK(pair.a.recall());
  CHECK(weight_of(events_of(pair.a)) == 0.25);
  carry_all(pair.a, pair.b);
  CHECK(weight_of(events_of(pair.b)) == 0.5);
}

TEST_CASE("What was recalled does not come back once more from a peer that dies",
          "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Pair pair;
  for (Message& one : large_messages(pool, {0.5, 0.25})) pair.a.send(std::move(one));
  carry(pair.a, pair.b);
  CHECK(pair.a.recall());
  CHECK(weight_of(events_of(pair.a)) == 0.75);
  pair.a.declare_dead(1);
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 1);
  CHECK(std::holds_alternative<PeerLeft>(events[0]));
  CHECK(pool.out() == 0);
}

TEST_CASE("A small message behind a large one keeps its turn", "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Pair pair;
  Message large = message(0.25, 1);
  large.payload = pool.take();
  pair.a.send(std::move(large));
  pair.a.send(message(0.125, 2));
  carry_all(pair.a, pair.b);
  const auto events = events_of(pair.b);
  REQUIRE(events.size() == 2);
  CHECK(std::get<Delivered>(events[0]).message.round == 1);
  CHECK(std::get<Delivered>(events[1]).message.round == 2);
}

TEST_CASE("A small message that has found no room is asked for when there is some",
          "[transport][delivery]") {
  Pair pair({.messages = 1});
  pair.a.send(message(0.25, 1));
  carry_all(pair.a, pair.b);
  CHECK(pair.b.session(0).incoming() == 1);
  pair.a.declare_dead(1);
  meet_again(pair.a, pair.b);  // and what came in the session before is not polled
  CHECK(pair.b.session(0).incoming() == 1);
  pair.a.send(message(0.125, 2));
  carry_all(pair.a, pair.b);
  CHECK(pair.b.session(0).held() == 0);
  std::size_t delivered = 0;
  for (int i = 0; i < 3; ++i) {
    for (const Event& event : events_of(pair.b)) {
      delivered += std::holds_alternative<Delivered>(event) ? 1 : 0;
    }
    carry_all(pair.a, pair.b);
  }
  CHECK(delivered == 2);
}

TEST_CASE("All peers share one budget, and whoever has waited longest is asked first",
          "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Delivery node(9, 1, {.budget = 1, .budget_messages = 2});
  std::vector<Delivery> peers;
  for (PeerId id = 0; id < 4; ++id) {
    peers.emplace_back(id, 1);
    node.add(id);
    peers[id].add(9);
    carry_all(peers[id], node);
    Message large = message(0.125, 0, 9);
    large.payload = pool.take();
    peers[id].send(std::move(large));
    carry_all(peers[id], node);
  }
  CHECK(node.session(0).incoming() == 1);
  CHECK(node.session(1).incoming() == 1);
  CHECK(node.session(2).incoming() == 0);
  CHECK(node.found_room().empty());
  CHECK(node.poll());
  CHECK(node.found_room() == std::vector<PeerId>{2});
  for (PeerId id = 0; id < 4; ++id) carry_all(peers[id], node);
  CHECK(node.session(2).incoming() == 1);
  CHECK(node.session(3).incoming() == 0);
  // Whoever was asked and dies gives its room back.
  CHECK(node.poll());
  CHECK(node.found_room() == std::vector<PeerId>{3});
  node.declare_dead(3);
  for (PeerId id = 0; id < 3; ++id) carry_all(peers[id], node);
  while (node.poll()) continue;
  peers[1].send(message(0.0625, 0, 9));
  Message large = message(0.125, 0, 9);
  large.payload = pool.take();
  peers[1].send(std::move(large));
  carry_all(peers[1], node);
  CHECK(node.session(1).incoming() == 2);
}

TEST_CASE(
    "Room that a peer does not use goes to those who wait, and what it brings after all is asked "
    "for again",
    "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Delivery node(9, 1, {.budget = 1, .budget_messages = 1});
  std::vector<Delivery> peers;
  for (PeerId id = 0; id < 3; ++id) {
    peers.emplace_back(id, 1);
    node.add(id);
    peers[id].add(9);
    carry_all(peers[id], node);
  }
  const auto offer = [&](PeerId id) {
    Message large = message(0.125, 0, 9);
    large.payload = pool.take();
    peers[id].send(std::move(large));
    carry(peers[id], node);
  };
  const auto delivered = [&] {
    std::vector<PeerId> from;
    for (const Event& event : events_of(node))
      from.push_back(std::get<Delivered>(event).message.from);
    return from;
  };
  offer(0);
  CHECK_FALSE(node.holds_up_others(0));  // nobody else wants any
  carry(node, peers[0]);
  const auto late = peers[0].next_frame(9);  // and is on its way for ever
  REQUIRE(late);
  REQUIRE(late->offer->has_content());
  offer(1);
  offer(2);
  for (PeerId id : {1, 2}) carry_all(peers[id], node);
  CHECK(delivered().empty());
  CHECK(node.holds_up_others(0));
  CHECK_FALSE(node.holds_up_others(1));

  node.take_room_back(0);
  CHECK(node.found_room() == std::vector<PeerId>{1});
  for (PeerId id : {1, 2}) carry_all(peers[id], node);
  CHECK(delivered() == std::vector<PeerId>{1});
  for (PeerId id : {1, 2}) carry_all(peers[id], node);
  CHECK(node.receive(0, *late).fate == FrameFate::taken);  // there is no room: it is dropped
  CHECK(node.session(0).held() == 0);
  carry(node, peers[0]);
  while (auto frame = peers[0].next_frame(9)) CHECK_FALSE(frame->offer);  // nor is it sent again
  CHECK(delivered() == std::vector<PeerId>{2});
  CHECK(node.found_room() == std::vector<PeerId>{2, 0});

  // Over the same connection, now that it is wanted again; and once.
  carry(node, peers[0]);
  auto again = peers[0].next_frame(9);
  REQUIRE(again);
  REQUIRE(again->offer);
  CHECK(again->offer->has_content());
  peers[0].ask(9, true);
  while (auto frame = peers[0].next_frame(9)) CHECK_FALSE(frame->offer);
  node.receive(0, std::move(*again));
  for (PeerId id : {0, 1, 2}) carry_all(peers[id], node);
  CHECK(delivered() == std::vector<PeerId>{0});
  for (PeerId id : {0, 1, 2}) {
    carry_all(peers[id], node);
    CHECK(peers[id].under_way() == 0);
  }
}

TEST_CASE("An old frame does not bring back room that was taken", "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({10'000})}));
  Pair pair({.budget = 1, .budget_messages = 1});
  Message large = message(0.25);
  large.payload = pool.take();
  pair.a.send(std::move(large));
  carry(pair.a, pair.b);
  const auto wish = pair.b.next_frame(0);
  REQUIRE(wish);
  CHECK(wish->wanted == 1);
  pair.b.take_room_back(0);  // and at once it is this peer's turn again
  const auto again = pair.b.next_frame(0);
  REQUIRE(again);
  CHECK(again->withdrawn == 1);
  auto without = *again;
  without.wanted = 0;
  pair.a.receive(1, without);
  pair.a.receive(1, *wish);
  CHECK_FALSE(pair.a.next_frame(1));
  pair.a.receive(1, *again);
  const auto content = pair.a.next_frame(1);
  REQUIRE(content);
  CHECK(content->offer->has_content());
}

TEST_CASE("Codes that are in doubt are on the budget as payloads are", "[transport][delivery]") {
  gossamer::codec::CodedPool codes;
  Pair pair({.doubt = 5000});
  for (int i = 0; i < 3; ++i) {
    Message coded = message(0.125);
    coded.code = codes.take(4000);
    pair.a.send(std::move(coded));
  }
  carry(pair.a, pair.b);
  carry(pair.b, pair.a);  // all are granted, and nobody knows it
  pair.b.declare_dead(0);
  CHECK(codes.out() == 3);
  pair.a.declare_dead(1);
  CHECK(pair.a.ledger(1).in_doubt.weight() == 0.375);
  CHECK(codes.out() == 1);
  meet_again(pair.a, pair.b);
  double weight = 0;
  int stripped = 0;
  for (const Event& event : events_of(pair.a)) {
    const auto* returned = std::get_if<Returned>(&event);
    if (returned == nullptr) continue;
    weight += returned->message.weight;
    stripped += returned->message.stripped ? 1 : 0;
    CHECK(returned->message.stripped != returned->message.has_content());
  }
  CHECK(weight == 0.375);
  CHECK(stripped == 2);
}

TEST_CASE("A peer that is gone costs no models: what is in doubt comes home without its numbers",
          "[transport][delivery]") {
  SnapshotPool pool(Flat({torch::zeros({1000})}));
  Pair pair({.doubt = 5000});
  for (int i = 0; i < 3; ++i) {
    Message large = message(0.125);
    large.payload = pool.take();
    pair.a.send(std::move(large));
  }
  carry(pair.a, pair.b);
  carry(pair.b, pair.a);  // all are granted, and nobody knows it
  pair.b.declare_dead(0);
  pair.a.declare_dead(1);
  CHECK(pair.a.ledger(1).in_doubt.weight() == 0.375);
  CHECK(events_of(pair.a).size() == 1);
  CHECK(pool.out() == 1);
  meet_again(pair.a, pair.b);
  double weight = 0;
  int with_numbers = 0;
  for (const Event& event : events_of(pair.a)) {
    const auto* returned = std::get_if<Returned>(&event);
    if (returned == nullptr) continue;
    weight += returned->message.weight;
    with_numbers += returned->message.has_content() ? 1 : 0;
  }
  CHECK(weight == 0.375);
  CHECK(with_numbers == 1);
  CHECK(pool.out() == 0);
}

TEST_CASE("What was not granted comes home from a dead peer, after the news",
          "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry(pair.a, pair.b);
  pair.a.send(message(0.125));
  pair.a.declare_dead(1);
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 3);
  CHECK(std::get<PeerLeft>(events[0]).reason == Reason::lost);
  CHECK(std::get<Returned>(events[1]).message.weight == 0.25);
  CHECK(std::get<Returned>(events[2]).message.weight == 0.125);
  CHECK(std::get<Returned>(events[2]).reason == Reason::lost);
  // And what is sent now, at once.
  pair.a.send(message(0.5));
  CHECK(std::get<Returned>(*pair.a.poll()).reason == Reason::lost);
  // The peer, which knows nothing of this, never delivers what it holds.
  meet_again(pair.a, pair.b);
  for (const Event& event : events_of(pair.b))
    CHECK_FALSE(std::holds_alternative<Delivered>(event));
  CHECK(pair.b.ledger(0).discarded.weight() == 0.25);
}

TEST_CASE("What was granted is in doubt until the two meet again, and is then confirmed",
          "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry_all(pair.a, pair.b);
  CHECK(events_of(pair.b).size() == 1);  // and the confirmation gets lost
  pair.a.declare_dead(1);
  CHECK(events_of(pair.a).size() == 1);  // the news
  CHECK(pair.a.ledger(1).in_doubt.weight() == 0.25);
  CHECK(pair.a.under_way(1) == 0);
  meet_again(pair.a, pair.b);
  CHECK(pair.a.ledger(1).in_doubt.messages() == 0);
  CHECK(pair.a.ledger(1).confirmed.weight() == 0.25);
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 1);
  CHECK(std::get<PeerJoined>(events[0]).peer == 1);
}

TEST_CASE("What was granted and not delivered comes home when the two meet again",
          "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry(pair.a, pair.b);
  carry(pair.b, pair.a);  // A grants, and the grant gets lost
  (void)pair.a.next_frame(1);
  pair.b.declare_dead(0);
  CHECK(pair.a.ledger(1).granted.weight() == 0.25);
  meet_again(pair.a, pair.b);
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 3);
  CHECK(std::get<PeerLeft>(events[0]).peer == 1);
  CHECK(std::get<Returned>(events[1]).message.weight == 0.25);
  CHECK(std::get<PeerJoined>(events[2]).peer == 1);
  CHECK(pair.a.ledger(1).returned.weight() == 0.25);
  CHECK(pair.b.ledger(0).delivered.messages() == 0);
}

TEST_CASE("A peer that lost its memory took along what it was granted", "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry_all(pair.a, pair.b);
  pair.a.send(message(0.125));  // never granted
  pair.b = Delivery(1, 2);      // the same node in its next life
  pair.b.add(0);
  meet_again(pair.a, pair.b);
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 3);
  CHECK(std::get<PeerLeft>(events[0]).reason == Reason::lost);
  CHECK(std::get<Returned>(events[1]).message.weight == 0.125);
  CHECK(std::holds_alternative<PeerJoined>(events[2]));
  // Its first life's books are kept apart from those of the second.
  CHECK(pair.a.past(1).lost_with_peer.weight() == 0.25);
  CHECK(pair.a.past(1).returned.weight() == 0.125);
  CHECK(pair.a.ledger(1).sent.messages() == 0);
  pair.a.send(message(0.5));
  carry_all(pair.a, pair.b);
  CHECK(events_of(pair.b).size() == 1);
}

TEST_CASE("What a dead node held follows from the survivors' ledgers", "[transport][delivery]") {
  Pair pair;
  double a = 0.5;
  double b = 0.5;
  const auto send = [](Delivery& from, double& weight, PeerId to) {
    from.send(message_to(to, weight / 2));
    weight /= 2;
  };
  send(pair.a, a, 1);
  send(pair.b, b, 0);
  carry_all(pair.a, pair.b);
  a += std::get<Delivered>(*pair.a.poll()).message.weight;
  b += std::get<Delivered>(*pair.b.poll()).message.weight;
  send(pair.b, b, 0);  // is with A, but not granted, when B dies
  carry(pair.b, pair.a);
  pair.a.declare_dead(1);
  CHECK(a + (0.5 + pair.a.ledger(1).surplus()) == 1);
  CHECK(0.5 + pair.a.ledger(1).surplus() == 2 * b);
}

TEST_CASE("A peer that is forgotten is not heard again in that life", "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry_all(pair.a, pair.b);
  pair.a.forget(1);
  CHECK(pair.a.ledger(1).lost_with_peer.weight() == 0.25);
  CHECK(pair.a.ledger(1).in_doubt.messages() == 0);
  CHECK_FALSE(pair.a.waits_for(1));
  pair.b.declare_dead(0);
  meet_again(pair.a, pair.b);
  CHECK_FALSE(pair.a.is_open(1));
  CHECK_FALSE(pair.b.is_open(0));
  pair.b = Delivery(1, 2);
  pair.b.add(0);
  meet_again(pair.a, pair.b);
  CHECK(pair.a.is_open(1));
}

TEST_CASE("A leaver gives back what it has not polled, and stays until that is known",
          "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(0.25));
  pair.a.send(message(0.125));
  carry_all(pair.a, pair.b);
  CHECK(std::get<Delivered>(*pair.b.poll()).message.weight == 0.25);
  pair.b.send(message_to(0, 0.75));  // all that it has, handed over
  pair.b.leave();
  CHECK_FALSE(pair.b.poll());
  CHECK_FALSE(pair.b.may_close());
  carry_all(pair.a, pair.b);
  CHECK_FALSE(pair.b.may_close());  // A has not polled
  const auto events = events_of(pair.a);
  REQUIRE(events.size() == 3);
  CHECK(std::get<PeerLeft>(events[0]).reason == Reason::left);
  CHECK(std::get<Returned>(events[1]).message.weight == 0.125);
  CHECK(std::get<Returned>(events[1]).reason == Reason::left);
  CHECK(std::get<Delivered>(events[2]).message.weight == 0.75);
  carry_all(pair.a, pair.b);
  CHECK(pair.b.may_close());
  CHECK(pair.a.ledger(1).confirmed.weight() == 0.25);
  CHECK(pair.b.ledger(0).delivered.weight() == 0.25);
  // Its silence is no second piece of news.
  pair.a.declare_dead(1);
  CHECK_FALSE(pair.a.poll());
  pair.a.send(message(0.5));
  CHECK(std::get<Returned>(*pair.a.poll()).reason == Reason::left);
}

TEST_CASE("A newcomer is news when its session opens", "[transport][delivery]") {
  Delivery a(0, 1);
  Delivery b(1, 1);
  CHECK(a.receive(1, Delivery::Frame{}).error.rule == FrameRule::known_peer);
  a.admit(1);
  b.admit(0);
  a.send(message(0.25));
  CHECK(std::holds_alternative<Returned>(*a.poll()));  // nobody yet
  carry_all(a, b);
  CHECK(std::get<PeerJoined>(*a.poll()).peer == 1);
  CHECK(std::get<PeerJoined>(*b.poll()).peer == 0);
  a.send(message(0.25));
  carry_all(a, b);
  CHECK(events_of(b).size() == 1);
}

TEST_CASE("What is sent to a member before the first session waits for it",
          "[transport][delivery]") {
  Delivery a(0, 1);
  Delivery b(1, 1);
  a.add(1);
  b.add(0);
  a.send(message(0.25));
  CHECK_FALSE(a.poll());
  carry_all(a, b);
  CHECK(events_of(b).size() == 1);
}

TEST_CASE("A peer that comes and goes faster than the node polls has to wait",
          "[transport][delivery][parse]") {
  Pair pair;
  std::size_t sessions = 0;
  for (int i = 0; i < 1000; ++i) {
    pair.b.declare_dead(0);
    (void)events_of(pair.b);
    meet_again(pair.a, pair.b);
    if (pair.a.is_open(1)) ++sessions;
  }
  CHECK(sessions < 20);
  CHECK(events_of(pair.a).size() < 40);
  meet_again(pair.a, pair.b);
  CHECK(pair.a.is_open(1));
}

TEST_CASE("A frame that cannot be is refused, names rule and value, and changes nothing",
          "[transport][delivery][parse]") {
  struct Case {
    FrameRule rule;
    std::string text;
    void (*spoil)(Delivery::Frame&);
  };
  const std::vector<Case> cases = {
      {FrameRule::identity, "incarnation and epoch must be at least 1, got 0",
       [](auto& frame) {
         frame.from = {};
         frame.from.incarnation = 9;
       }},
      {FrameRule::hello, "must have no counters, got 2", [](auto& frame) { frame.open = false; }},
      {FrameRule::accepted, "accepts message 8, but 1 were offered",
       [](auto& frame) { frame.accepted = 8; }},
      {FrameRule::granted, "grants message 2, but 1 were accepted",
       [](auto& frame) { frame.granted = 2; }},
      {FrameRule::granted, "grants message 18446744073709551615",
       [](auto& frame) { frame.granted = std::numeric_limits<std::uint64_t>::max(); }},
      {FrameRule::delivered, "confirms message 2, but 1 were granted",
       [](auto& frame) { frame.delivered = 2; }},
      {FrameRule::sequence, "number 65, which must lie in [1, 64]",
       [](auto& frame) { frame.sequence = 65; }},
      {FrameRule::sequence, "number 0", [](auto& frame) { frame.sequence = 0; }},
      {FrameRule::sequence, "number 2", [](auto& frame) { frame.offer.reset(); }},
      {FrameRule::sender, "must be from peer 1, is from 3",
       [](auto& frame) { frame.offer->from = 3; }},
      {FrameRule::receiver, "must be to node 0, is to 5", [](auto& frame) { frame.offer->to = 5; }},
      {FrameRule::weight, "must lie in [0, 2.000000], got nan",
       [](auto& frame) { frame.offer->weight = std::nan(""); }},
      {FrameRule::weight, "got -0.25", [](auto& frame) { frame.offer->weight = -0.25; }},
      {FrameRule::weight, "got inf",
       [](auto& frame) { frame.offer->weight = std::numeric_limits<double>::infinity(); }},
      {FrameRule::weight, "got 1e", [](auto& frame) { frame.offer->weight = 3; }},
  };
  for (const Case& bad : cases) {
    CAPTURE(bad.text);
    Pair pair;
    pair.a.send(message(0.25));
    pair.b.send(message_to(0, 0.25));
    carry(pair.a, pair.b);
    carry(pair.b, pair.a);  // both hold an offer, A has granted its own
    pair.b.send(message_to(0, 0.125));
    auto frame = pair.b.next_frame(0);
    REQUIRE(frame);
    REQUIRE(frame->sequence == 2);
    auto spoiled = *frame;
    bad.spoil(spoiled);
    const Receipt receipt = pair.a.receive(1, spoiled);
    CHECK(receipt.fate == FrameFate::refused);
    CHECK(receipt.error.rule == bad.rule);
    CHECK(receipt.error.peer == 1);
    const std::string text = receipt.error.text();
    CHECK_THAT(text, tests::contains("node 0: a frame of peer 1 is refused: "));
    if (bad.text != "got 1e") CHECK_THAT(text, tests::contains(bad.text));
    // As if it had not been: the true frame is taken, and all ends well.
    CHECK(pair.a.receive(1, *frame).fate == FrameFate::taken);
    carry_all(pair.a, pair.b);
    CHECK(events_of(pair.a).size() == 2);
    CHECK(events_of(pair.b).size() == 1);
    carry_all(pair.a, pair.b);
    CHECK(pair.a.under_way() + pair.b.under_way() == 0);
  }
}

TEST_CASE("A report of more than was granted is refused", "[transport][delivery][parse]") {
  Pair pair;
  pair.a.send(message(0.25));
  carry_all(pair.a, pair.b);
  pair.a.declare_dead(1);
  carry(pair.a, pair.b);  // B hears that A has begun anew
  auto frame = pair.b.next_frame(0);
  REQUIRE(frame);
  CHECK(frame->reported_delivered == 1);
  auto spoiled = *frame;
  spoiled.reported_delivered = 2;
  CHECK(pair.a.receive(1, spoiled).error.rule == FrameRule::report);
  spoiled = *frame;
  ++spoiled.reported.epoch;
  const Receipt receipt = pair.a.receive(1, spoiled);
  CHECK(receipt.error.rule == FrameRule::report);
  CHECK_THAT(receipt.error.text(), tests::contains("1 messages delivered in the last session"));
  CHECK(pair.a.ledger(1).in_doubt.weight() == 0.25);
  CHECK(pair.a.receive(1, *frame).fate == FrameFate::taken);
  CHECK(pair.a.ledger(1).confirmed.weight() == 0.25);
}

TEST_CASE("Frames of an old session or an old life are ignored", "[transport][delivery][parse]") {
  Pair pair;
  pair.b.send(message_to(0, 0.25));
  const auto old = pair.b.next_frame(0);
  REQUIRE(old);
  pair.b = Delivery(1, 2);
  pair.b.add(0);
  meet_again(pair.a, pair.b);
  CHECK(pair.a.receive(1, *old).fate == FrameFate::old);
  CHECK(pair.a.ledger(1).held.messages() == 0);
}

TEST_CASE("A peer that says anything at all takes no weight of others",
          "[transport][delivery][parse]") {
  // Three nodes; what 1 says to 0 is random, near to what could be. 0 and 2 are not touched by it.
  gossamer::Generator random(tests::seed);
  Delivery a(0, 1, {.messages = 8});
  Delivery c(2, 1, {.messages = 8});
  a.add(1);
  a.add(2);
  c.add(0);
  carry_all(a, c);
  std::size_t refused = 0;
  std::size_t waiting = 0;
  const auto number = [&random](std::uint32_t below) -> std::uint64_t {
    return random.below(8) == 0 ? std::numeric_limits<std::uint64_t>::max() - random.below(3)
                                : random.below(below);
  };
  for (int i = 0; i < 20'000; ++i) {
    Delivery::Frame frame;
    frame.from = {1 + random.below(2), number(4)};
    frame.to = {1, 1 + number(40)};
    frame.open = random.below(4) > 0;
    frame.asks = random.below(2) == 0;
    frame.leaving = random.below(50) == 0;
    frame.leaving_seen = random.below(50) == 0;
    frame.reported = {1, number(4)};
    frame.reported_delivered = number(4);
    if (random.below(4) > 0) {
      frame.accepted = number(4);
      frame.granted = number(4);
      frame.delivered = number(3);
      frame.sequence = number(9);
      if (random.below(2) == 0) frame.offer = message_to(0, random.uniform());
    }
    if (frame.offer) frame.offer->from = 1;
    if (const auto said = a.next_frame(1); said && random.below(2) == 0) {
      frame.to = said->from;
      frame.from.epoch = std::max<std::uint64_t>(said->to.epoch, 1);
    }
    if (a.receive(1, frame).fate == FrameFate::refused) ++refused;
    a.send(message_to(random.below(2) + 1, 0.001));
    carry_all(a, c);
    if (random.below(10) == 0) {
      (void)events_of(a);
      (void)events_of(c);
    }
    waiting = std::max(waiting, a.under_way(1));
  }
  CHECK(refused > 0);
  CHECK(waiting <= 16);
  (void)events_of(c);
  carry_all(a, c);
  CHECK(a.ledger(2).confirmed.weight() == c.ledger(0).delivered.weight());
  CHECK(a.under_way(2) == 0);
}

TEST_CASE("A message that no peer would take is refused by its sender", "[transport][delivery]") {
  Pair pair;
  for (const double weight : {std::nan(""), -0.1, HUGE_VAL}) {
    const auto text =
        tests::message_of<std::invalid_argument>([&] { pair.a.send(message(weight)); });
    CHECK_THAT(text, tests::contains("node 0: a message to peer 1 must have a finite weight"));
    CHECK_THAT(text, tests::contains("got " + std::to_string(weight)));
  }
  CHECK(pair.a.ledger(1).sent.messages() == 0);
  pair.a.send(message_to(7, 0.5));
  CHECK(std::get<Returned>(*pair.a.poll()).reason == Reason::left);
}

TEST_CASE("A message that is too heavy for its receiver comes home at once",
          "[transport][delivery]") {
  Pair pair;
  pair.a.send(message(2.5));
  const auto returned = std::get<Returned>(*pair.a.poll());
  CHECK(returned.message.weight == 2.5);
  CHECK(returned.reason == Reason::queue_full);
  pair.a.send(message(2));
  CHECK_FALSE(pair.a.has_event());
}

TEST_CASE("Limits that cannot work are refused", "[transport][delivery]") {
  CHECK_THAT(tests::message_of<ConfigError>([] { Delivery(0, 1, {.messages = 0}); }),
             tests::contains("messages must be at least 1, got 0"));
  CHECK_THAT(tests::message_of<ConfigError>([] { Delivery(0, 1, {.weight = std::nan("")}); }),
             tests::contains("weight must be positive, got nan"));
  CHECK_THAT(tests::message_of<ConfigError>([] { Delivery(0, 0); }),
             tests::contains("incarnation must be at least 1, got 0"));
}

TEST_CASE("A tally of ten million weights is as exact as one weight", "[transport][delivery]") {
  CompensatedSum tally;
  for (int i = 0; i < 10'000'000; ++i) tally.add(0.1);
  CHECK(tally.weight() == 1e6);
  CHECK(tally.messages() == 10'000'000);
}

namespace {

void report(const Found& found, const std::string& name) {
  std::cout << name << ": " << found.states << " states, " << found.healed << " healed\n";
  std::string steps;
  for (const std::string& step : found.steps) steps += "  " + step + "\n";
  INFO(name << ": " << found.broken << " after\n" << steps);
  CHECK(found.broken.empty());
  CHECK(found.complete);
}

struct Scene {
  const char* name;
  Bounds bounds;
};

}  // namespace

TEST_CASE("No interleaving of two nodes loses a message or uses one twice",
          "[transport][delivery]") {
  const std::vector<Scene> scenes = {
      {"two messages, a bad network", {.messages = {2, 0}, .suspicions = {0, 0}}},
      {"messages both ways, a bad network",
       {.messages = {1, 1}, .suspicions = {0, 0}, .heal_every = 4}},
      {"the sender suspects", {.messages = {1, 0}, .suspicions = {1, 0}, .heal_every = 8}},
      {"the receiver suspects", {.messages = {1, 0}, .suspicions = {0, 1}, .heal_every = 8}},
      {"both suspect", {.messages = {1, 0}, .frames = 1}},
      {"the sender suspects twice", {.messages = {1, 0}, .suspicions = {2, 0}, .frames = 1}},
      {"the receiver suspects twice", {.messages = {1, 0}, .suspicions = {0, 2}, .frames = 1}},
      {"two messages, one suspicion",
       {.messages = {2, 0}, .suspicions = {1, 0}, .heal_every = 4, .frames = 1}},
      {"the receiver crashes", {.messages = {1, 0}, .suspicions = {0, 0}, .crashes = {0, 1}}},
      {"the sender crashes", {.messages = {1, 0}, .suspicions = {0, 0}, .crashes = {1, 0}}},
      {"the receiver crashes after a suspicion",
       {.messages = {1, 0}, .suspicions = {1, 0}, .crashes = {0, 1}, .frames = 1}},
      {"the receiver leaves", {.messages = {1, 0}, .suspicions = {0, 0}, .leaves = {0, 1}}},
      {"the sender leaves", {.messages = {1, 0}, .suspicions = {0, 0}, .leaves = {1, 0}}},
      {"the receiver leaves and is suspected",
       {.messages = {1, 0}, .suspicions = {1, 0}, .leaves = {0, 1}, .frames = 1}},
      {"two messages that are asked for",
       {.messages = {2, 0}, .suspicions = {0, 0}, .asks = true, .heal_every = 4, .frames = 1}},
      {"the sender suspects who has asked",
       {.messages = {1, 0}, .suspicions = {1, 0}, .asks = true, .heal_every = 4, .frames = 1}},
      {"the receiver suspects whom it has asked",
       {.messages = {1, 0}, .suspicions = {0, 1}, .asks = true, .heal_every = 4, .frames = 1}},
      {"the receiver leaves after it has asked",
       {.messages = {1, 0}, .suspicions = {0, 0}, .leaves = {0, 1}, .asks = true, .frames = 1}},
      {"the receiver takes room back",
       {.messages = {1, 0},
        .suspicions = {0, 0},
        .withdrawals = {0, 2},
        .asks = true,
        .frames = 2}},
      {"the receiver takes room back, and the sender suspects",
       {.messages = {1, 0},
        .suspicions = {1, 0},
        .withdrawals = {0, 1},
        .asks = true,
        .heal_every = 4,
        .frames = 1}},
      {"the sender recalls", {.messages = {2, 0}, .suspicions = {0, 0}, .recalls = {1, 0}}},
      {"the sender recalls what was asked for",
       {.messages = {2, 0},
        .suspicions = {0, 0},
        .recalls = {1, 0},
        .asks = true,
        .heal_every = 4,
        .frames = 1}},
      {"the sender recalls, and is suspected",
       {.messages = {1, 0},
        .suspicions = {0, 1},
        .recalls = {1, 0},
        .asks = true,
        .heal_every = 4,
        .frames = 1}},
      {"the sender recalls and leaves",
       {.messages = {1, 0},
        .suspicions = {0, 0},
        .leaves = {1, 0},
        .recalls = {1, 0},
        .frames = 1}},
      {"a frame is forged",
       {.messages = {1, 0}, .suspicions = {1, 0}, .forgeries = true, .frames = 1}},
  };
  for (const Scene& scene : scenes) report(search(scene.bounds), scene.name);
}

TEST_CASE("No long interleaving of two nodes loses a message or uses one twice",
          "[.][long][transport][delivery]") {
  const std::vector<Scene> scenes = {
      {"messages both ways, both suspect", {.heal_every = 4, .frames = 1}},
      {"both suspect twice", {.messages = {1, 0}, .suspicions = {2, 2}, .frames = 1}},
      {"both suspect and both crash",
       {.messages = {1, 0}, .crashes = {1, 1}, .heal_every = 4, .frames = 1}},
      {"both leave and both suspect",
       {.messages = {1, 0}, .leaves = {1, 1}, .heal_every = 4, .frames = 1}},
      {"both suspect, frames overtake", {.messages = {1, 0}, .heal_every = 16}},
  };
  for (const Scene& scene : scenes) report(search(scene.bounds), scene.name);
}

TEST_CASE("Three nodes at random lose nothing and use nothing twice", "[transport][delivery]") {
  std::size_t crashes = 0;
  std::size_t suspicions = 0;
  for (std::uint64_t i = 0; i < 5; ++i) {
    CAPTURE(tests::seed + i);
    Walk walk(tests::seed + i);
    for (int step = 1; step <= 100'000 && walk.broken().empty(); ++step) {
      walk.step();
      if (step % 500 == 0) walk.heal();
    }
    CHECK(walk.broken().empty());
    INFO(walk.broken());
    CHECK(walk.delivered() > 1000);
    CHECK(walk.returned() > 1000);
    crashes += walk.crashes();
    suspicions += walk.suspicions();
  }
  CHECK(crashes > 50);
  CHECK(suspicions > 500);
}
