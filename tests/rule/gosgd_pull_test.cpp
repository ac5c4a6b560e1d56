// SPDX-License-Identifier: MIT
/// GoSGD by pulling: one request at a time, and no answer that is waited for in vain.
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <variant>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::GoSgdPull;
using gossamer::schedule::Every;
using gossamer::topology::Ring;
using gossamer::transport::PeerLeft;
using gossamer::transport::Returned;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;

bool is_request(const Bench::Pending& one) {
  const auto* message = Bench::message_of(one);
  return message != nullptr && !message->payload;
}

/// Requests of a node that are under way, to whoever.
std::size_t requests_of(const Bench& bench, PeerId id) {
  return static_cast<std::size_t>(std::count_if(
      bench.pending().begin(), bench.pending().end(),
      [id](const auto& one) { return is_request(one) && Bench::message_of(one)->from == id; }));
}

/// The place of the first event of that type for a node.
template <class Event>
std::size_t place_of(const Bench& bench, PeerId at) {
  for (std::size_t k = 0; k < bench.pending().size(); ++k) {
    const auto& one = bench.pending()[k];
    if (one.at == at && std::holds_alternative<Event>(one.event)) return k;
  }
  FAIL("no such event for node " << at);
  return 0;
}

TEST_CASE("A pull halves the weight of the one who is asked and moves it to the asker",
          "[rule][gosgd_pull]") {
  Bench bench(2, GoSgdPull(Every(1)), 1);
  bench[0].set(3);
  bench[1].set(6);
  bench.rebase();
  bench.advance(0);
  REQUIRE(bench.pending().size() == 1);
  CHECK(tests::pending_message(bench, 0).weight == 0);
  CHECK(is_request(bench.pending()[0]));
  CHECK(bench[0].weight() == 0.5);
  bench.handle(0);  // node 1 answers
  CHECK(bench[1].weight() == 0.25);
  CHECK(tests::pending_message(bench, 0).weight == 0.25);
  bench.handle(0);
  CHECK(bench[0].weight() == 0.75);
  CHECK(bench[0].x()[0] == Approx(4).epsilon(1e-15));
  CHECK(bench[1].x()[0] == 6);
  CHECK(bench.pending().empty());
}

TEST_CASE("Those who ask at once are answered from one copy", "[rule][gosgd_pull]") {
  const auto node_0 = [](gossamer::PeerContext& context) {
    return context.self() == 0 ? std::nullopt : std::optional<PeerId>(0);
  };
  Bench bench(3, GoSgdPull(Every(1), node_0));
  bench.advance(1);
  bench.advance(2);
  bench.deliver_to(0);
  REQUIRE(bench.pending().size() == 2);
  const auto& one = tests::pending_message(bench, 0);
  const auto& other = tests::pending_message(bench, 1);
  CHECK(&*one.payload == &*other.payload);
  CHECK(one.weight == Approx(1.0 / 6));
  CHECK(other.weight == Approx(1.0 / 12));
  CHECK(bench[0].weight() == Approx(1.0 / 12));
}

TEST_CASE("A node that waits for an answer trains on and asks nobody else", "[rule][gosgd_pull]") {
  Bench bench(3, GoSgdPull(Every(1)));
  for (int i = 0; i < 5; ++i) REQUIRE(bench.advance(0));
  CHECK(bench[0].steps == 5);
  CHECK(bench.pending().size() == 1);
  bench.settle();
  bench.advance(0);
  CHECK(requests_of(bench, 0) == 1);  // answered: asks again
}

TEST_CASE("Two nodes that ask each other at once both get their answer", "[rule][gosgd_pull]") {
  Bench bench(2, GoSgdPull(Every(1)));
  bench.advance(0);
  bench.advance(1);
  bench.settle();
  CHECK(bench[0].weight() == 0.5);
  CHECK(bench[1].weight() == 0.5);
  bench.advance(0);
  bench.advance(1);
  CHECK(bench.pending().size() == 2);
}

TEST_CASE("Pulling conserves weight and weighted parameters under any schedule",
          "[rule][gosgd_pull]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const bool equal = GENERATE(false, true);
  Bench bench(nodes, GoSgdPull(0.7), 3);
  Generator order(tests::seed, 2100);
  for (std::size_t i = 0; equal && i < nodes; ++i) bench[i].set(0.1);
  bench.rebase();
  if (!equal) bench.gradient = [&order](PeerId, std::size_t) { return order.uniform() - 0.5; };
  for (int i = 0; i < 600; ++i) {
    bench.act(order);
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(requests_of(bench, id) <= 1);
  }
  bench.settle();
  double weight = 0;
  for (std::size_t i = 0; i < nodes; ++i) {
    weight += bench[i].weight();
    for (const double value : bench[i].x()) {
      if (equal) CHECK(value == 0.1);
    }
  }
  CHECK(std::abs(weight - 1) <= tests::weight_tolerance);
}

TEST_CASE("A request that comes back, or whose peer is lost, makes room for the next",
          "[rule][gosgd_pull]") {
  Bench bench(3, GoSgdPull(Every(1), Ring{}));
  bench.advance(0);
  SECTION("the peer's queue was full") {
    bench.give_back(0);
    bench.settle();
    bench.advance(0);
    CHECK(tests::pending_message(bench, 0).to == 1);
  }
  SECTION("the peer is lost with the request") {
    bench.lose(1);
    bench.settle();
    bench.advance(0);
    CHECK(tests::pending_message(bench, 0).to == 2);
  }
  SECTION("the peer is lost with its answer") {
    bench.handle(0);
    bench.lose(1, 0);
    bench.settle();
    bench.advance(0);
    CHECK(tests::pending_message(bench, 0).to == 2);
  }
  CHECK(bench.pending().size() == 1);
}

TEST_CASE("A peer that has finished still answers, and until then nobody else is asked",
          "[rule][gosgd_pull]") {
  Bench bench(3, GoSgdPull(Every(1), Ring{}));
  bench.advance(0);
  bench.finish(1);
  bench.handle(place_of<PeerLeft>(bench, 0));
  bench.advance(0);
  CHECK(requests_of(bench, 0) == 1);
  bench.settle();
  CHECK(bench[0].weight() == Approx(1.0 / 3 + 1.0 / 6).epsilon(1e-15));
  bench.advance(0);
  CHECK(tests::pending_message(bench, 0).to == 2);
}

TEST_CASE("An answer that comes back is at home again with its weight", "[rule][gosgd_pull]") {
  Bench bench(2, GoSgdPull(Every(1)));
  const double before = bench[1].x()[0];
  bench.advance(0);
  bench.handle(0);
  bench.lose(0);
  bench.settle();
  CHECK(bench[1].weight() == 0.5);
  CHECK(bench[1].x()[0] == before);
}

TEST_CASE("A request that comes back late makes no room for a second one beside the new",
          "[rule][gosgd_pull]") {
  Bench bench(3, GoSgdPull(Every(1), Ring{}));
  bench.advance(0);  // asks 1
  bench.close(1, Reason::left);
  bench.handle(place_of<PeerLeft>(bench, 0));
  bench.advance(0);                            // asks 2
  bench.handle(place_of<Returned>(bench, 0));  // the request to 1
  bench.advance(0);
  CHECK(requests_of(bench, 0) == 1);
}

/// Three nodes that pull in turn, and one goes. False if it was over before.
bool lose(const Departure& departure) {
  Bench bench(3, GoSgdPull(Every(1)), 2);
  const bool lost = tests::take_turns(bench, departure, 3, tests::hand_over_and_go);
  for (const PeerId id : bench.live()) {
    bench.advance(id);
    CHECK(requests_of(bench, id) == 1);  // nobody waits for ever for an answer
  }
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the others can pull again", "[rule][gosgd_pull]") {
  const PeerId victim = GENERATE(0U, 1U, 2U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::left, Reason::finished);
  CHECK(tests::before_each_event({victim, reason, still_arrive}, lose) > 20);
}

}  // namespace
