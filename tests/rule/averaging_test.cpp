// SPDX-License-Identifier: MIT
/// Rules that average models without weights: AD-PSGD and D-PSGD, which conserve the sum, and
/// Gossiping SGD, which does not.
#include <gossamer/error.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/rule/ad_psgd.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/gossiping_sgd.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/graph.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/rule/bad_network.hpp>
#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::AdPsgd;
using gossamer::rule::AnyRule;
using gossamer::rule::DPsgd;
using gossamer::rule::ElasticExchange;
using gossamer::rule::GossipingPull;
using gossamer::rule::GossipingPush;
using gossamer::rule::Mixing;
using gossamer::schedule::Every;
using gossamer::topology::Complete;
using gossamer::topology::Graph;
using gossamer::topology::NPeerExponential;
using gossamer::topology::Place;
using gossamer::topology::Ring;
using gossamer::transport::Delivered;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;
using namespace std::chrono_literals;

using Numbers = std::vector<double>;

Numbers numbers(Bench& bench, PeerId id) { return {bench[id].x().begin(), bench[id].x().end()}; }

// AD-PSGD.

/// A bench in whose sum an answer under way counts as what it brings.
Bench ad_psgd(std::size_t nodes, AdPsgd rule, std::size_t size = 2) {
  Bench bench(nodes, std::move(rule), size);
  bench.part_of_sum = [nodes](const tests::Message& message) {
    if (message.weight > 0) return 0.0;  // a leaver's: its model stays behind
    return message.kind == ElasticExchange::answer ? -1 / static_cast<double>(nodes) : 0.0;
  };
  return bench;
}

TEST_CASE("A pair meets halfway, and the active one from where it is by then", "[rule][ad_psgd]") {
  Bench bench = ad_psgd(2, AdPsgd(Every(1)), 1);
  bench[0].set(1);
  bench[1].set(5);
  bench.rebase();
  bench.advance(0);
  REQUIRE(bench.pending().size() == 1);
  bench.gradient = [](PeerId, std::size_t) { return 0.5; };
  bench.advance(0);  // trains on, and asks nobody else
  REQUIRE(bench.pending().size() == 1);
  bench.handle(0);
  CHECK(bench[1].x()[0] == 3);
  bench.handle(0);
  CHECK(bench[0].x()[0] == 2.5);
  CHECK(bench[0].weight() == 0.5);
  bench.advance(0);
  CHECK(bench.pending().size() == 1);  // and asks again
}

TEST_CASE("AD-PSGD conserves the sum with answers under way, late and returned",
          "[rule][ad_psgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  Bench bench = ad_psgd(nodes, AdPsgd(0.7), 3);
  Generator noise(tests::seed, 2601);
  bench.gradient = [&noise](PeerId, std::size_t) { return noise.uniform() - 0.5; };
  tests::wander(bench, 800, 2600);
  bench.settle();
}

TEST_CASE("A constant gradient moves the mean of AD-PSGD by itself", "[rule][ad_psgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  Bench bench = ad_psgd(nodes, AdPsgd());
  bench.gradient = [](PeerId, std::size_t) { return 0.25; };
  const Numbers before = bench.weighted_sum();
  for (int round = 0; round < 20; ++round) {
    for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
    bench.settle();
  }
  CHECK(bench.weighted_sum()[0] - before[0] == Approx(-5).epsilon(1e-12));
}

TEST_CASE("An exchange of AD-PSGD contracts the potential by the published rate",
          "[rule][ad_psgd]") {
  // Boyd, Ghosh, Prabhakar, Shah 2006: 1 - 1 / (n - 1) on the complete graph.
  const std::size_t n = GENERATE(2U, 3U, 8U);
  double ratios = 0;
  const int repeats = 300;
  Bench bench = ad_psgd(n, AdPsgd(), n);
  Generator order(tests::seed, 2602);
  const auto potential = [&] {
    double sum = 0;
    for (std::size_t j = 0; j < n; ++j) {
      double mean = 0;
      for (std::size_t i = 0; i < n; ++i) mean += bench[i].x()[j] / static_cast<double>(n);
      for (std::size_t i = 0; i < n; ++i) sum += std::pow(bench[i].x()[j] - mean, 2);
    }
    return sum;
  };
  for (int repeat = 0; repeat < repeats; ++repeat) {
    for (std::size_t i = 0; i < n; ++i) {
      bench[i].set(0);
      bench[i].x()[i] = 1;
    }
    bench.rebase();
    const double before = potential();
    bench.advance(order.below(static_cast<std::uint32_t>(n)));
    bench.settle();
    ratios += potential() / before / repeats;
  }
  CHECK(ratios == Approx(1 - 1 / (static_cast<double>(n) - 1)).epsilon(1e-9).margin(1e-12));
}

TEST_CASE("If some only ask and others only answer, no exchange overshoots", "[rule][ad_psgd]") {
  // Even ones ask. Each exchange is then a convex mix, however late its answer.
  const auto odd_one = [](gossamer::PeerContext& context) -> std::optional<PeerId> {
    if (context.self() % 2 == 1) return std::nullopt;
    return 2 * context.generator().below(4) + 1;
  };
  Bench bench = ad_psgd(8, AdPsgd(Every(1), odd_one), 4);
  tests::wander(bench, 3000, 2603);
  bench.settle();
  for (PeerId id = 0; id < 8; ++id) {
    for (const double value : bench[id].x()) {
      CHECK(value >= 0);
      CHECK(value <= 1);
    }
  }
}

TEST_CASE(
    "A request that comes back, or whose peer is lost, makes room for the next, and moves "
    "nobody",
    "[rule][ad_psgd]") {
  Bench bench = ad_psgd(3, AdPsgd(Every(1), Ring{}), 1);
  const double before = bench[0].x()[0];
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
  CHECK(bench[0].x()[0] == before);
}

TEST_CASE("The passive one takes its move back when the active one is lost", "[rule][ad_psgd]") {
  Bench bench = ad_psgd(2, AdPsgd(), 1);
  const double before = bench[1].x()[0];
  bench.advance(0);
  bench.handle(0);
  REQUIRE(bench[1].x()[0] != before);
  bench.lose(0);
  bench.settle();
  CHECK(bench[1].x()[0] == Approx(before).epsilon(1e-15));
}

TEST_CASE("No request while there is no room for a copy", "[rule][ad_psgd][gossiping]") {
  const AnyRule rule = GENERATE(as<AnyRule>{}, AdPsgd(), GossipingPush());
  Bench bench(2, rule);
  bench.conserves = false;
  bench[0].room = false;
  bench.advance(0);
  CHECK(bench.pending().empty());
  bench[0].room = true;
  bench.advance(0);
  CHECK(bench.pending().size() == 1);
}

/// Three nodes in turn, and one goes. False if it was over before. The bench checks the sum after
/// each event, if there is one.
bool lose(Bench bench, const Departure& departure) {
  bench.gradient = [](PeerId id, std::size_t) { return 0.1 * id; };
  const bool lost = tests::take_turns(bench, departure, 3, tests::go);
  for (const PeerId id : bench.live()) {
    const std::size_t waiting = bench.pending().size();
    bench.advance(id);
    CHECK(bench.pending().size() == waiting + 1);  // nobody waits for ever for an answer
  }
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the others can exchange again, and AD-PSGD's sum holds",
          "[rule][ad_psgd][gossiping]") {
  const PeerId victim = GENERATE(0U, 1U, 2U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::left, Reason::finished);
  const int which = GENERATE(0, 1, 2);
  const auto bench = [which] {
    if (which == 0) return ad_psgd(3, AdPsgd());
    Bench other(3, which == 1 ? AnyRule(GossipingPull()) : AnyRule(GossipingPush()));
    other.conserves = false;
    return other;
  };
  const auto tried = tests::before_each_event(
      {victim, reason, still_arrive},
      [&](const Departure& departure) { return lose(bench(), departure); });
  CHECK(tried > 14);
}

TEST_CASE("A leaver's weight goes to a peer, and nobody's parameters move with it",
          "[rule][ad_psgd][d_psgd][gossiping]") {
  const AnyRule rule = GENERATE(as<AnyRule>{}, AdPsgd(), DPsgd(), GossipingPull(), GossipingPush());
  Bench bench(2, rule);
  bench.conserves = false;
  const Numbers before = numbers(bench, 0);
  bench.leave(1);
  CHECK(bench[1].weight() == 0);
  SECTION("it arrives") {
    bench.settle();
    CHECK(bench[0].weight() == 1);
  }
  SECTION("it comes back") {
    bench.give_back(0);
    bench.settle();
    CHECK(bench[1].weight() == 0.5);
  }
  CHECK(numbers(bench, 0) == before);
  Bench alone(1, rule);
  alone.leave(0);
  CHECK(alone[0].weight() == 1);
}

// Gossiping SGD.

TEST_CASE("A pull of Gossiping SGD moves the asker towards the other, and nobody else",
          "[rule][gossiping]") {
  Bench bench(3, GossipingPull(Every(1), Ring{}, 0.25), 1);
  bench.conserves = false;
  bench[0].set(1);
  bench[1].set(5);
  bench.advance(0);
  bench.advance(0);
  REQUIRE(bench.pending().size() == 1);  // one request at a time
  bench.settle();
  CHECK(bench[0].x()[0] == 2);
  CHECK(bench[1].x()[0] == 5);
}

TEST_CASE(
    "A push of Gossiping SGD makes the receiver the mean of itself and all that came since "
    "its last step",
    "[rule][gossiping]") {
  const auto to_0 = [](gossamer::PeerContext& context) -> std::optional<PeerId> {
    if (context.self() == 0) return std::nullopt;
    return PeerId{0};
  };
  Bench bench(4, GossipingPush(Every(1), to_0), 1);
  bench.conserves = false;
  const bool at_once = GENERATE(false, true);
  for (PeerId id = 0; id < 4; ++id) bench[id].set(std::pow(2.0, id));
  for (PeerId id = 1; id < 4; ++id) bench.advance(id);
  at_once ? bench.deliver_to(0) : bench.settle();
  CHECK(bench[0].x()[0] == Approx((1 + 2 + 4 + 8) / 4.0).epsilon(1e-15));
  for (PeerId id = 1; id < 4; ++id) CHECK(bench[id].x()[0] == std::pow(2.0, id));
  bench.advance(0);
  bench.advance(3);
  bench.settle();
  CHECK(bench[0].x()[0] == Approx((15 / 4.0 + 8) / 2).epsilon(1e-15));  // counts anew
}

TEST_CASE("Gossiping SGD moves the mean, but not in expectation", "[rule][gossiping]") {
  const bool push = GENERATE(false, true);
  const std::size_t n = 4;
  double sum = 0;
  double largest = 0;
  for (PeerId i = 0; i < n; ++i) {
    for (PeerId j = 0; j < n; ++j) {
      if (i == j) continue;
      const auto only = [i, j](gossamer::PeerContext& context) -> std::optional<PeerId> {
        if (context.self() != i) return std::nullopt;
        return j;
      };
      Bench bench(n, push ? AnyRule(GossipingPush(Every(1), only))
                          : AnyRule(GossipingPull(Every(1), only)));
      bench.conserves = false;
      const double before = bench.weighted_sum()[0];
      bench.advance(i);
      bench.settle();
      const double moved = bench.weighted_sum()[0] - before;
      sum += moved;
      largest = std::max(largest, std::abs(moved));
    }
  }
  CHECK(std::abs(sum) < 1e-14);
  CHECK(largest > 0.01);
}

TEST_CASE("Options of the averaging rules are refused with their values", "[rule][gossiping]") {
  CHECK(tests::message_of<ConfigError>([] { GossipingPull(0.5, 1.5); }) ==
        "GossipingPull: beta must lie in [0, 1], got 1.5");
  CHECK(tests::message_of<ConfigError>([] {
          GossipingPull(0.5, std::numeric_limits<double>::quiet_NaN());
        }) == "GossipingPull: beta must lie in [0, 1], got nan");
  CHECK(tests::message_of<ConfigError>([] { GossipingPush(-1); }) ==
        "Bernoulli: probability must lie in [0, 1], got -1");
  CHECK(tests::message_of<ConfigError>([] { AdPsgd(2); }) ==
        "Bernoulli: probability must lie in [0, 1], got 2");
}

// D-PSGD.

/// Place 0 with everybody: unequal numbers of neighbours.
struct Star final : gossamer::topology::Graph {
  void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t,
                  std::vector<std::uint32_t>& out) const override {
    out.clear();
    for (std::uint32_t other = 0; other < members; ++other) {
      if (other != place && (place == 0 || other == 0)) out.push_back(other);
    }
  }
};

/// Rounds of D-PSGD in a random order of events, beside x <- W x - g or x <- W (x - g).
template <class G>
void compare_with_matrices(std::size_t nodes, const G& graph, Mixing mixing) {
  const std::uint64_t rounds = 8;
  Bench bench(nodes, DPsgd(graph, mixing));
  Generator order(tests::seed, 2610);
  const auto n = static_cast<std::uint32_t>(nodes);
  std::vector<std::vector<Numbers>> gradients(rounds, std::vector<Numbers>(nodes));
  for (auto& round : gradients) {
    for (auto& gradient : round) gradient = {order.uniform() - 0.5, 10 * order.uniform()};
  }
  bench.gradient = [&](PeerId id, std::size_t j) { return gradients[bench[id].steps][id][j]; };
  std::vector<Numbers> x;
  for (PeerId id = 0; id < nodes; ++id) x.push_back(numbers(bench, id));
  for (std::uint64_t done = 0; done < rounds * nodes;) {
    const PeerId id = order.below(n);
    if (order.below(3) != 0) {
      if (bench[id].steps < rounds && bench.advance(id)) ++done;
    } else if (!bench.pending().empty()) {
      const std::size_t k = bench.choose(order);
      if (order.below(5) == 0 && std::holds_alternative<Delivered>(bench.pending()[k].event)) {
        bench.give_back(k);
      } else {
        bench.handle(k);
      }
    }
  }
  bench.settle();
  const auto degree = [&](std::uint32_t i) {
    std::vector<std::uint32_t> out;
    graph.neighbours(i, n, 0, out);
    return out;
  };
  for (const auto& gradient : gradients) {
    std::vector<Numbers> from = x;
    for (std::size_t i = 0; i < nodes && mixing == Mixing::after_gradient; ++i) {
      for (std::size_t j = 0; j < 2; ++j) from[i][j] -= gradient[i][j];
    }
    for (std::uint32_t i = 0; i < n; ++i) {
      const auto near = degree(i);
      for (std::size_t j = 0; j < 2; ++j) {
        double rest = 1;
        double sum = 0;
        for (const std::uint32_t k : near) {
          const double w = 1 / (1 + static_cast<double>(std::max(near.size(), degree(k).size())));
          sum += w * from[k][j];
          rest -= w;
        }
        x[i][j] = sum + rest * from[i][j];
        if (mixing == Mixing::before_gradient) x[i][j] -= gradient[i][j];
      }
    }
  }
  for (PeerId id = 0; id < nodes; ++id) {
    INFO("node " << id << " of " << nodes);
    for (std::size_t j = 0; j < 2; ++j) {
      REQUIRE(bench[id].x()[j] == Approx(x[id][j]).epsilon(1e-11));
    }
  }
}

TEST_CASE("D-PSGD is the product of its matrices, in whatever order messages come",
          "[rule][d_psgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 5U, 8U);
  const Mixing mixing = GENERATE(Mixing::before_gradient, Mixing::after_gradient);
  compare_with_matrices(nodes, Ring(Ring::Way::both), mixing);
  compare_with_matrices(nodes, Complete(), mixing);
  compare_with_matrices(nodes, Star(), mixing);
}

TEST_CASE("Nodes that are equal stay equal under D-PSGD, and a constant gradient moves them alike",
          "[rule][d_psgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  Bench bench(nodes, DPsgd(Ring(Ring::Way::both),
                           GENERATE(Mixing::before_gradient, Mixing::after_gradient)));
  for (PeerId id = 0; id < nodes; ++id) bench[id].set(0.1);
  bench.gradient = [](PeerId, std::size_t) { return 0.25; };
  double expected = 0.1;
  for (int round = 0; round < 20; ++round) {
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));
    bench.settle();
    expected -= 0.25;
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench[id].x()[0] == expected);
  }
}

TEST_CASE("A node of D-PSGD waits for its neighbours, and not for others", "[rule][d_psgd]") {
  Bench bench(5, DPsgd());
  REQUIRE(bench.advance(0));
  CHECK_FALSE(bench.advance(0));
  bench.advance(1);
  bench.settle();
  CHECK_FALSE(bench.advance(0));
  bench.advance(4);
  bench.settle();
  CHECK(bench.advance(0));
  CHECK(bench[0].rule->is_synchronous());
}

TEST_CASE("D-PSGD refuses a graph whose edges go one way", "[rule][d_psgd]") {
  CHECK(tests::message_of<ConfigError>([] { (void)DPsgd(NPeerExponential(1)); }) ==
        "DPsgd: needs a graph whose edges go both ways; among 8 places some go one way");
  // One that goes one way only among fewer: when it is used.
  class TwoWayFromEight final : public Graph {
    void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                    std::vector<Place>& out) const override {
      Ring(members < 8 ? Ring::Way::next : Ring::Way::both).neighbours(place, members, 0, out);
    }
  };
  Bench bench(4, DPsgd(TwoWayFromEight()));
  CHECK(tests::message_of<ConfigError>([&] { bench.advance(2); }) ==
        "DPsgd: needs a graph whose edges go both ways; in round 1 node 2 sends to 1 peers that "
        "are not those it hears from");
}

/// Four steps on M nodes, and one node goes. False if it was over before that. The others take all
/// their steps.
bool lose_neighbour(const DPsgd& rule, std::size_t nodes, const Departure& departure,
                    std::uint64_t stream) {
  const std::uint64_t steps = 4;
  Bench bench(nodes, rule);
  Generator order(tests::seed, stream);
  const bool lost = tests::take_steps(bench, departure, steps, order);
  INFO(departure << ", of " << nodes << " nodes, stream " << stream);
  double mean = 0;
  double lowest = 1;
  double highest = 0;
  for (const PeerId id : bench.live()) {
    INFO("node " << id << " of the others");
    REQUIRE(bench[id].steps == steps);
    for (const double x : bench[id].x()) {
      lowest = std::min(lowest, x);
      highest = std::max(highest, x);
    }
    mean += bench[id].x()[0] / static_cast<double>(nodes);
  }
  REQUIRE(bench.pending().empty());
  REQUIRE(lowest >= 0);  // convex mixes of first values in [0, 1)
  REQUIRE(highest < 1);
  if (!lost) REQUIRE(mean == Approx(Bench(nodes, rule).weighted_sum()[0]).epsilon(1e-12));
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the others of D-PSGD take all their steps",
          "[rule][d_psgd]") {
  const std::size_t nodes = GENERATE(2U, 3U, 4U);
  const Reason reason = GENERATE(Reason::lost, Reason::finished);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  if (reason == Reason::finished && still_arrive != Bench::all) return;
  for (const DPsgd& rule : {DPsgd(), DPsgd(Star(), Mixing::after_gradient)}) {
    for (PeerId victim = 0; victim < nodes; ++victim) {
      for (std::uint64_t stream = 2620; stream < 2623; ++stream) {
        const auto tried = tests::before_each_event(
            {victim, reason, still_arrive}, [&](const Departure& departure) {
              return lose_neighbour(rule, nodes, departure, stream);
            });
        REQUIRE(tried > 3 * nodes);
      }
    }
  }
}

TEST_CASE("A restored node of D-PSGD begins the next round, not the last one again",
          "[rule][d_psgd]") {
  Bench bench(2, DPsgd(), 1);
  for (PeerId id = 0; id < 2; ++id) bench.advance(id);
  bench.settle();
  Bench restored(2, DPsgd(), 1);
  for (PeerId id = 0; id < 2; ++id) {
    Archive saved;
    bench[id].rule->checkpoint(saved);
    Archive archive(saved.entries());
    restored[id].rule->checkpoint(archive);
    restored[id].steps = 1;
  }
  for (PeerId id = 0; id < 2; ++id) REQUIRE(restored.advance(id));
  CHECK(tests::pending_message(restored, 0).round == 2);
  restored.settle();
  CHECK(restored[0].x()[0] == Approx(restored[1].x()[0]));
}

// All of them, on a bad network.

namespace fault = gossamer::fault;

TEST_CASE("The sum of the models is that of all steps, over a lossy and parted network",
          "[rule][ad_psgd][d_psgd][simulated]") {
  const AnyRule rule =
      GENERATE(as<AnyRule>{}, AdPsgd(), DPsgd(), DPsgd(Star(), Mixing::after_gradient));
  CAPTURE(rule->name());
  tests::WalkerGroup group(
      tests::bad_network({{500ms, fault::Cut{1, 2}}, {700ms, fault::Reconnect{1, 2}}}), rule);
  group.run(StopCondition().steps(200));
  double sum = 0;
  double walked = 0;
  for (PeerId id = 0; id < 6; ++id) {
    sum += group[id].number();
    walked += group[id].walked;
  }
  CHECK(sum == Approx(walked).margin(1e-9));
  CHECK(std::abs(walked) > 0.1);
  CHECK(gossamer::observe::consensus_error(group.replicas()) < 6 * 4 * 5);
  CHECK(group.totals().messages_merged > 500);
}

TEST_CASE("Under crashes, joins and leaves the averaging rules get through and stay together",
          "[rule][ad_psgd][d_psgd][gossiping][simulated]") {
  const AnyRule rule =
      GENERATE(as<AnyRule>{}, AdPsgd(), DPsgd(), DPsgd(Star(), Mixing::after_gradient),
               GossipingPull(), GossipingPush());
  CAPTURE(rule->name());
  const auto group = tests::survive_faults(rule);
  CHECK(gossamer::observe::consensus_error(group->replicas()) < 6 * 4 * 5);
}

}  // namespace
