// SPDX-License-Identifier: MIT
/// Push-sum with gradients, and Stochastic Gradient Push: conserved numerators, the dense matrices,
/// bounded lateness, lost peers.
#include <gossamer/rule/push_sum.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/rule/bad_network.hpp>
#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::Neighbourhoods;
using gossamer::rule::PushSum;
using gossamer::rule::Sgp;
using gossamer::schedule::Every;
using gossamer::topology::Complete;
using gossamer::topology::NPeerExponential;
using gossamer::topology::Ring;
using gossamer::transport::Delivered;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;

using Numbers = std::vector<double>;
using Places = std::vector<std::uint32_t>;

/// A bench that knows that each node's gradients count the same.
Bench bench_of(std::size_t nodes, const gossamer::rule::AnyRule& rule, std::size_t size = 2) {
  Bench bench(nodes, rule, size);
  bench.conserves = true;
  bench.gradient_weight = 1 / static_cast<double>(nodes);
  return bench;
}

TEST_CASE("A step of push-sum moves the de-biased parameters by its change over the weight",
          "[rule][push_sum]") {
  Bench bench = bench_of(2, PushSum(Every(2)), 1);
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  bench[0].set(5);
  bench.rebase();
  bench.advance(0);
  CHECK(bench[0].x()[0] == 4);  // w is 1
  bench.advance(0);
  CHECK(bench[0].x()[0] == 3);
  CHECK(bench[0].weight() == 0.25);
  CHECK(tests::pending_message(bench, 0).weight == 0.25);
  bench.advance(0);
  CHECK(bench[0].x()[0] == Approx(1));  // w is 1/2
  bench.settle();
  bench.advance(1);  // w is 3/2
  CHECK(bench[1].weight() == 0.75);
}

TEST_CASE("Push-sum conserves weights and numerators under any schedule", "[rule][push_sum]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  Bench bench = bench_of(nodes, PushSum(0.3), 3);
  Generator noise(tests::seed, 2501);
  bench.gradient = [&noise](PeerId, std::size_t) { return noise.uniform() - 0.5; };
  tests::wander(bench, 600, 2500);
  bench.settle();
  double weight = 0;
  for (std::size_t i = 0; i < nodes; ++i) weight += bench[i].weight();
  CHECK(std::abs(weight - 1) <= tests::weight_tolerance);
}

TEST_CASE("A constant gradient moves the mean by itself, however the weights lie",
          "[rule][push_sum][sgp]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const gossamer::rule::AnyRule rule =
      GENERATE(as<gossamer::rule::AnyRule>{}, PushSum(Every(3)), Sgp(NPeerExponential(2)),
               Sgp(Ring(Ring::Way::both), 2));
  Bench bench = bench_of(nodes, rule);
  bench.gradient = [](PeerId, std::size_t j) { return j == 0 ? 0.25 : -0.5; };
  const auto before = bench.weighted_sum();
  for (int round = 0; round < 30; ++round) {
    for (std::size_t i = 0; i < nodes; ++i) REQUIRE(bench.advance(static_cast<PeerId>(i)));
    bench.settle();
  }
  const auto after = bench.weighted_sum();
  CHECK(after[0] - before[0] == Approx(-0.25 * 30).epsilon(1e-12));
  CHECK(after[1] - before[1] == Approx(0.5 * 30).epsilon(1e-12));
}

TEST_CASE("A node that leaves push-sum hands its weight over, and the others' steps fit again",
          "[rule][push_sum][sgp]") {
  const gossamer::rule::AnyRule rule =
      GENERATE(as<gossamer::rule::AnyRule>{}, PushSum(0), Sgp(Complete()));
  Bench bench(2, rule, 1);
  bench.advance(1);
  bench.settle();
  bench.leave(1);
  bench.close(1, Reason::left);
  bench.settle();
  CHECK(bench[0].weight() == Approx(1).epsilon(1e-12));
  const double before = bench[0].x()[0];
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  bench.conserves = false;  // one node is all of the group now
  REQUIRE(bench.advance(0));
  CHECK(bench[0].x()[0] == Approx(before - 1));  // w is 1
}

/// The places to which a place sends.
Places to(const auto& graph, std::uint32_t place, std::uint32_t members, std::uint64_t round) {
  Places out;
  graph.neighbours(place, members, round % graph.period(members), out);
  return out;
}

TEST_CASE("The live nodes are the places of a graph, and whoever sends is heard from",
          "[rule][sgp]") {
  Bench bench(5, gossamer::rule::AnyRule(Sgp()));
  Neighbourhoods graph(NPeerExponential(1));
  CHECK(graph.around(bench[1], 1).to == std::vector<PeerId>{3});
  CHECK(graph.around(bench[1], 1).from == std::vector<PeerId>{4});
  bench[1].forget(0);  // 1, 2, 3, 4 are the places 0, 1, 2, 3
  CHECK(graph.around(bench[1], 1).to == std::vector<PeerId>{3});
  CHECK(graph.around(bench[1], 1).from == std::vector<PeerId>{3});
  CHECK(graph.around(bench[1], 2).from == std::vector<PeerId>{4});
}

TEST_CASE("A place outside the graph is refused", "[rule][sgp]") {
  struct Outside final : gossamer::topology::Graph {
    void neighbours(std::uint32_t, std::uint32_t, std::uint64_t,
                    std::vector<std::uint32_t>& out) const override {
      out.assign({7});
    }
  };
  Bench bench(3, Sgp(Outside()));
  CHECK(tests::message_of<ConfigError>([&] { bench.advance(0); }) ==
        "graph: a neighbour must be one of 3 places, got place 7");
}

/// To the next one, and from place 0 to everybody: not regular.
struct Uneven final : gossamer::topology::Graph {
  void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t,
                  std::vector<std::uint32_t>& out) const override {
    out.clear();
    for (std::uint32_t other = 0; other < members; ++other) {
      if (other != place && (place == 0 || other == (place + 1) % members)) out.push_back(other);
    }
  }
};

/// The paper's iteration with dense matrices: column-stochastic P on numerators and weights.
class Dense {
 public:
  template <class G>
  Dense(Bench& bench, const G& graph)
      : to_([graph](std::uint32_t i, std::uint32_t n, std::uint64_t k) {
          return to(graph, i, n, k);
        }),
        n_(bench.size()) {
    for (std::size_t i = 0; i < n_; ++i) {
      s_.emplace_back(bench[i].x().begin(), bench[i].x().end());
      w_.push_back(1);
    }
  }
  /// One step and one round.
  void go(const std::vector<Numbers>& gradients, std::uint64_t round) {
    std::vector<Numbers> s(n_, Numbers(s_[0].size(), 0));
    Numbers w(n_, 0);
    for (std::uint32_t i = 0; i < n_; ++i) {
      Places targets = to_(i, static_cast<std::uint32_t>(n_), round);
      const double part = 1 / static_cast<double>(targets.size() + 1);
      targets.push_back(i);
      for (const std::uint32_t k : targets) {
        for (std::size_t j = 0; j < s[k].size(); ++j) {
          s[k][j] += part * (s_[i][j] - gradients[i][j]);
        }
        w[k] += part * w_[i];
      }
    }
    s_ = s;
    w_ = w;
  }
  [[nodiscard]] double z(std::size_t i, std::size_t j) const { return s_[i][j] / w_[i]; }
  [[nodiscard]] double w(std::size_t i) const { return w_[i]; }

 private:
  std::function<Places(std::uint32_t, std::uint32_t, std::uint64_t)> to_;
  std::size_t n_;
  std::vector<Numbers> s_;
  Numbers w_;
};

template <class G>
void compare_with_matrices(std::size_t nodes, const G& graph) {
  const std::uint64_t rounds = 12;
  Bench bench = bench_of(nodes, Sgp(graph));
  Dense dense(bench, graph);
  Generator order(tests::seed, 2510);
  std::vector<std::vector<Numbers>> gradients(rounds + 1, std::vector<Numbers>(nodes, Numbers(2)));
  for (auto& round : gradients) {
    for (auto& gradient : round) gradient = {order.uniform() - 0.5, 10 * order.uniform()};
  }
  // What each node has when its step begins, by step.
  std::vector<std::vector<Numbers>> seen(rounds + 1, std::vector<Numbers>(nodes));
  bench.gradient = [&](PeerId id, std::size_t j) {
    seen[bench[id].steps][id] = {bench[id].x()[0], bench[id].x()[1]};
    return gradients[bench[id].steps][id][j];
  };
  std::uint64_t spread = 0;
  for (int i = 0; i < 200'000; ++i) {
    const auto id = order.below(static_cast<std::uint32_t>(nodes));
    if (order.below(3) != 0 && bench[id].steps <= rounds) {
      bench.advance(id);
    } else if (!bench.pending().empty()) {
      const std::size_t k = bench.choose(order);
      if (order.below(5) == 0 && std::holds_alternative<Delivered>(bench.pending()[k].event)) {
        bench.give_back(k);
      } else {
        bench.handle(k);
      }
    }
    std::uint64_t least = rounds + 1;
    std::uint64_t most = 0;
    for (std::size_t m = 0; m < nodes; ++m) {
      least = std::min(least, bench[m].steps);
      most = std::max(most, bench[m].steps);
    }
    spread = std::max(spread, most - least);
    if (least > rounds) break;
  }
  for (std::uint64_t step = 0; step <= rounds; ++step) {
    for (std::size_t m = 0; m < nodes; ++m) {
      INFO("step " << step << ", node " << m << " of " << nodes);
      REQUIRE(seen[step][m].size() == 2);
      REQUIRE(seen[step][m][0] == Approx(dense.z(m, 0)).epsilon(1e-9).margin(1e-9));
      REQUIRE(seen[step][m][1] == Approx(dense.z(m, 1)).epsilon(1e-9).margin(1e-9));
    }
    dense.go(gradients[step], step);
  }
  bench.settle();
  for (std::size_t m = 0; m < nodes; ++m) {
    CHECK(bench[m].weight() * static_cast<double>(nodes) == Approx(dense.w(m)).epsilon(1e-9));
  }
  if (nodes > 3) CHECK(spread > 1);  // some were ahead of others
}

TEST_CASE("SGP is the product of its matrices, in whatever order messages come", "[rule][sgp]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 5U, 8U);
  compare_with_matrices(nodes, NPeerExponential(1));
  compare_with_matrices(nodes, NPeerExponential(2));
  compare_with_matrices(nodes, Ring(Ring::Way::both));
  compare_with_matrices(nodes, Ring());
  compare_with_matrices(nodes, Uneven());
}

TEST_CASE("Log2(n) rounds of the one-peer exponential graph give the exact average",
          "[rule][sgp]") {
  const std::size_t nodes = GENERATE(2U, 4U, 8U, 16U);
  Bench bench = bench_of(nodes, Sgp());
  const Numbers mean = bench.weighted_sum();
  for (std::size_t n = 1; n < nodes; n *= 2) {
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));
    bench.settle();
  }
  for (PeerId id = 0; id < nodes; ++id) {
    for (std::size_t j = 0; j < 2; ++j) CHECK(bench[id].x()[j] == Approx(mean[j]).epsilon(1e-13));
  }
}

TEST_CASE("Nodes that are equal stay equal under SGP, bit for bit, ahead or late", "[rule][sgp]") {
  const std::uint64_t overlap = GENERATE(0U, 2U);
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench(nodes, Sgp(NPeerExponential(2), overlap), 3);
  for (std::size_t i = 0; i < nodes; ++i) bench[i].set(0.1);
  bench.rebase();
  Generator order(tests::seed, 2511);
  for (int i = 0; i < 1500; ++i) {
    bench.advance(order.below(static_cast<std::uint32_t>(nodes)));
    if (!bench.pending().empty() && order.below(3) != 0) bench.handle(bench.choose(order));
  }
  bench.settle();
  CHECK(bench[0].steps > 30);
  for (std::size_t i = 0; i < nodes; ++i) {
    for (const double value : bench[i].x()) CHECK(value == 0.1);
  }
}

TEST_CASE("A node of SGP waits for its in-neighbour, of OSGP only when that is too late",
          "[rule][sgp]") {
  const std::uint64_t overlap = GENERATE(0U, 1U, 3U);
  Bench bench = bench_of(3, Sgp(Ring(), overlap));
  CHECK(bench[0].rule->name() == (overlap > 0 ? "osgp" : "sgp"));
  CHECK(bench[0].rule->is_synchronous());
  for (std::uint64_t i = 0; i <= overlap; ++i) REQUIRE(bench.advance(1));
  CHECK_FALSE(bench.advance(1));
  bench.advance(2);  // sends to 0
  bench.settle();
  CHECK_FALSE(bench.advance(1));
  bench.advance(0);  // sends to 1
  bench.settle();
  CHECK(bench.advance(1));
  CHECK_FALSE(bench.advance(1));
}

TEST_CASE("OSGP conserves weights and numerators, and no message is later than the overlap",
          "[rule][sgp]") {
  const std::uint64_t overlap = GENERATE(1U, 2U, 5U);
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench = bench_of(nodes, Sgp(NPeerExponential(1), overlap), 2);
  Generator order(tests::seed, 2512);
  bench.gradient = [&order](PeerId, std::size_t) { return order.uniform() - 0.5; };
  std::uint64_t latest = 0;
  for (int i = 0; i < 4000; ++i) {
    if (bench.pending().empty() || order.below(2) == 0) {
      bench.advance(order.below(static_cast<std::uint32_t>(nodes)));
      continue;
    }
    const std::size_t k = bench.choose(order);
    const auto& message = tests::pending_message(bench, k);
    REQUIRE(message.payload);
    const std::uint64_t step = bench[bench.pending()[k].at].steps;
    if (step > message.round) latest = std::max(latest, step - message.round);
    bench.handle(k);
  }
  bench.settle();
  CHECK(bench[0].steps > 20);
  CHECK(latest <= overlap);
  CHECK(latest >= 1);
}

/// Four steps on M nodes, and one node goes. False if it was over before that. The others must get
/// through, and the bench's books must balance.
bool lose(const Sgp& rule, std::size_t nodes, const Departure& departure, std::uint64_t stream) {
  const std::uint64_t steps = 4;
  Bench bench = bench_of(nodes, rule);
  Generator order(tests::seed, stream);
  bench.gradient = [](PeerId id, std::size_t) { return 0.1 * id; };
  const bool lost = tests::take_steps(bench, departure, steps, order);
  INFO(rule.name() << " on " << nodes << " nodes: " << departure << ", stream " << stream);
  double weight = 0;
  for (const PeerId id : bench.live()) {
    INFO("node " << id << " of the others");
    REQUIRE(bench[id].steps == steps);
    weight += bench[id].weight();
  }
  REQUIRE(bench.pending().empty());
  REQUIRE(weight <= 1 + tests::weight_tolerance);
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the others take all their steps, and no weight is lost",
          "[rule][sgp]") {
  const std::size_t nodes = GENERATE(2U, 3U, 4U);
  const Reason reason = GENERATE(Reason::lost, Reason::finished);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  if (reason == Reason::finished && still_arrive != Bench::all) return;
  for (const Sgp& rule : {Sgp(), Sgp(NPeerExponential(2)), Sgp(Ring(Ring::Way::both), 1)}) {
    for (PeerId victim = 0; victim < nodes; ++victim) {
      for (std::uint64_t stream = 2520; stream < 2523; ++stream) {
        const auto tried = tests::before_each_event(
            {victim, reason, still_arrive},
            [&](const Departure& departure) { return lose(rule, nodes, departure, stream); });
        REQUIRE(tried > 3 * nodes);
      }
    }
  }
}

TEST_CASE("A share that comes back from a peer that is lost is at home again", "[rule][sgp]") {
  Bench bench = bench_of(2, Sgp(), 1);
  const double before = bench[0].x()[0];
  bench.advance(0);
  CHECK(bench[0].weight() == 0.25);
  CHECK_FALSE(bench.advance(0));
  bench.lose(1);
  bench.settle();
  CHECK(bench[0].weight() == 0.5);
  CHECK(bench[0].x()[0] == before);
  CHECK(bench.advance(0));  // nobody to wait for
}

TEST_CASE("A newcomer that takes half of the weight while others are ahead loses none of it",
          "[rule][sgp]") {
  Bench bench = bench_of(4, Sgp(Ring()), 1);
  for (int i = 0; i < 3; ++i) {
    for (const PeerId id : {2U, 3U, 0U}) bench.advance(id);
    bench.settle();
  }
  REQUIRE(bench[0].steps == 3);
  REQUIRE(bench[1].steps == 0);
  REQUIRE(bench[1].weight() > 0.5);  // three shares of rounds to come are in its books
  const double half = bench[1].weight() / 2;
  bench[1].weight() -= half;  // as the engine gives it to a newcomer, who here is node 0
  const auto x = bench[1].x()[0];
  const double all = bench[0].weight() + half;
  bench[0].x()[0] += half / all * (x - bench[0].x()[0]);
  bench[0].weight() = all;
  bench.advance(1);
  bench.settle();
  CHECK(bench.total_weight() == Approx(1).epsilon(1e-12));
}

TEST_CASE("A restored node of SGP goes on with its weight in the same scale", "[rule][sgp]") {
  Bench bench = bench_of(3, Sgp(Uneven()), 1);
  bench.advance(0);
  bench.settle();
  Archive saved;
  bench[0].rule->checkpoint(saved);
  Bench restored(3, Sgp(Uneven()), 1);
  Archive archive(saved.entries());
  restored[0].rule->checkpoint(archive);
  restored.lose(2);  // of three nodes one is lost: its weight, too, so that 1/3 is still 1
  restored.settle();
  restored[0].set(1);
  restored.conserves = false;
  restored.gradient = [](PeerId, std::size_t) { return 0.25; };
  restored.advance(0);
  CHECK(restored[0].x()[0] == 0.75);
}

TEST_CASE("Under faults, push-sum keeps its weight at every event and the others get through",
          "[rule][sgp][push_sum][simulated]") {
  const gossamer::rule::AnyRule rule =
      GENERATE(as<gossamer::rule::AnyRule>{}, Sgp(), Sgp(NPeerExponential(2)),
               Sgp(NPeerExponential(1), 2), PushSum(0.3));
  CAPTURE(rule->name());
  tests::survive_faults(rule);
}

}  // namespace
