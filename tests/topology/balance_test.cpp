// SPDX-License-Identifier: MIT
/// How even the weights of GoSGD stay, by whom and when its nodes push: the effective number of
/// nodes, 1 / (sum of squared shares of the weight).
#include <gossamer/error.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/permutation.hpp>
#include <gossamer/topology/two_choices.hpp>
#include <gossamer/topology/uniform.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::Generator;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::transport::SimulatedOptions;
using gossamer::transport::Time;
using tests::Approx;
using tests::Bench;
using namespace std::chrono_literals;
namespace cost = gossamer::cost;
namespace rule = gossamer::rule;
namespace schedule = gossamer::schedule;
namespace topology = gossamer::topology;

/// 1 / (mean sum of squared shares), over all moments at which it is asked to look.
class Evenness {
 public:
  void look(const std::vector<double>& weights) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const double weight : weights) squares_ += weight / sum * (weight / sum);
    ++looks_;
  }
  [[nodiscard]] double effective_nodes() const { return static_cast<double>(looks_) / squares_; }

 private:
  double squares_ = 0;
  std::size_t looks_ = 0;
};

enum class Order {
  by_chance,    // one after the other, whoever it is
  one_by_one,   // in rounds, in an order of each round's own
  all_together  // in rounds, and what they send is merged after all have sent
};

/// The effective number of nodes under GoSGD where a push is merged before its sender or its
/// receiver does anything else: what asynchronous nodes do when exchanges are rare.
double on_a_bench(std::size_t nodes, const topology::Any& whom, Order in_order,
                  double probability = 1) {
  Bench bench(nodes, rule::GoSgd(schedule::Bernoulli(probability), whom), 1);
  for (PeerId id = 0; id < nodes; ++id) {
    bench[id].known = [&bench](PeerId peer) {
      gossamer::Counters status;
      status.weight = bench[peer].weight();
      return status;
    };
  }
  Generator random(tests::seed, 77);
  std::vector<PeerId> order(nodes);
  std::iota(order.begin(), order.end(), PeerId{0});
  Evenness evenness;
  const std::size_t rounds = 16'000 / nodes;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (auto k = static_cast<std::uint32_t>(nodes); k > 1; --k) {
      std::swap(order[k - 1], order[random.below(k)]);
    }
    for (const PeerId next : order) {
      const auto any = random.below(static_cast<std::uint32_t>(nodes));
      bench.advance(in_order == Order::by_chance ? any : next);
      if (in_order == Order::all_together && next != order.back()) continue;
      bench.settle();
      if (round < 50) continue;
      std::vector<double> weights;
      for (PeerId id = 0; id < nodes; ++id) weights.push_back(bench[id].weight());
      evenness.look(weights);
    }
  }
  return evenness.effective_nodes();
}

/// A node whose parameters stay as they are.
class Still final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Still(Context context)
      : GossipNode(std::move(context), {torch::zeros({1}, torch::kDouble)}) {}

 private:
  double local_step() override { return 0; }
};

/// The effective number of 8 nodes in a simulated group whose steps take 10 ms, give or take a
/// third, and which exchange after every tenth step or so.
double in_a_group(const schedule::Any& when, const topology::Any& whom, Time status_delay = 0ms) {
  gossamer::SimulatedGroup<Still> group(
      SimulatedGroupOptions(8)
          .world(SimulatedOptions(8).status_delay(status_delay))
          .node(NodeOptions().seed(tests::seed).max_in_flight(1000))
          .cost(cost::LogNormal(10ms, 0.3)),
      rule::GoSgd(when, whom));
  Evenness evenness;
  group.on_step = [&] {
    if (group.world().now() < 2s || group.world().events() % 8 != 0) return;
    std::vector<double> weights;
    for (std::size_t id = 0; id < 8; ++id) weights.push_back(group[id].weight());
    evenness.look(weights);
  };
  group.run(StopCondition().steps(20'000));
  return evenness.effective_nodes();
}

TEST_CASE("Uniform peers leave (M + 1) / 2 effective nodes", "[topology][balance]") {
  // A push from i to j changes the sum of squares S by -w_i^2 / 2 + w_i w_j: in the mean by
  // -S / (2 M) + (1 - S) / (M (M - 1)), which is 0 at S = 2 / (M + 1).
  CHECK(on_a_bench(8, topology::Uniform(), Order::by_chance) == Approx(4.5).epsilon(0.05));
  CHECK(on_a_bench(32, topology::Uniform(), Order::by_chance) == Approx(16.5).epsilon(0.05));
  CHECK(on_a_bench(2, topology::Uniform(), Order::by_chance) == Approx(1.5).epsilon(0.05));
}

TEST_CASE("The lighter of two peers leaves 6 to 6.7 of 8 effective nodes, and 24 to 26 of 32",
          "[topology][balance]") {
  // Within a tenth on either side, as the runs are finite.
  const double eight = on_a_bench(8, topology::TwoChoices(), Order::by_chance);
  CHECK(eight > 5.9);
  CHECK(eight < 6.8);
  const double in_rounds = on_a_bench(8, topology::TwoChoices(), Order::one_by_one);
  CHECK(in_rounds > eight);
  CHECK(in_rounds < 6.8);
  const double many = on_a_bench(32, topology::TwoChoices(), Order::by_chance);
  CHECK(many > 23.5);
  CHECK(many < 26.1);
  // Of one choice it is the uniform topology.
  CHECK(on_a_bench(8, topology::TwoChoices(1), Order::by_chance) == Approx(4.5).epsilon(0.05));
}

TEST_CASE("Permutations in step leave (M + 1 - p) / (2 - p) effective nodes, for p = 1 all",
          "[topology][balance]") {
  // S becomes (1 - p / 2) S + p (1 - p / 2) (1 - S) / (M - 1) in the mean.
  const topology::Permutation whom(tests::seed);
  CHECK(on_a_bench(8, whom, Order::all_together) == Approx(8).margin(1e-9));
  CHECK(on_a_bench(32, whom, Order::all_together) == Approx(32).margin(1e-9));
  CHECK(on_a_bench(8, whom, Order::all_together, 0.5) == Approx(8.5 / 1.5).epsilon(0.05));
  CHECK(on_a_bench(32, whom, Order::all_together, 0.5) == Approx(32.5 / 1.5).epsilon(0.05));
  // Not quite in step: still more than two choices.
  const double eight = on_a_bench(8, whom, Order::one_by_one);
  CHECK(eight > 6.5);
  CHECK(eight < 7.4);
  const double many = on_a_bench(32, whom, Order::one_by_one);
  CHECK(many > 26);
  CHECK(many < 29);
}

TEST_CASE("Weights older than the time between two exchanges undo what two choices gain",
          "[topology][balance]") {
  const schedule::Bernoulli when(0.1);  // every 100 ms
  const double uniform = in_a_group(when, topology::Uniform());
  CHECK(uniform == Approx(4.6).margin(0.3));  // a little above (M + 1) / 2
  CHECK(in_a_group(when, topology::TwoChoices()) > uniform + 0.9);
  CHECK(in_a_group(when, topology::TwoChoices(), 50ms) > uniform + 0.4);
  CHECK(in_a_group(when, topology::TwoChoices(), 1000ms) < uniform);
  // The lightest of all gains no more, and loses more.
  CHECK(in_a_group(when, topology::TwoChoices(7), 200ms) < uniform - 1);
}

TEST_CASE("A regular schedule evens the weights, and most in turns of the exponential graph",
          "[topology][balance]") {
  const schedule::Every when(10);
  const double by_chance = in_a_group(schedule::Bernoulli(0.1), topology::Uniform());
  const double uniform = in_a_group(when, topology::Uniform());
  CHECK(uniform > by_chance + 0.7);
  CHECK(in_a_group(when, topology::TwoChoices()) > uniform + 0.5);
  // No weight of anybody need be known.
  CHECK(in_a_group(when, topology::OnePeerExponential(10)) > uniform + 0.5);
}

TEST_CASE("What a node publishes is known to others after the delay, and not before",
          "[transport][simulated]") {
  const auto world =
      gossamer::transport::SimulatedWorld::make(SimulatedOptions(2).status_delay(30ms));
  auto a = world->endpoint(0);
  const auto b = world->endpoint(1);
  const auto publish = [&](std::uint64_t steps) {
    gossamer::Counters status;
    status.steps = steps;
    a.publish(status);
  };
  publish(1);
  CHECK(b.counters(0).steps == 0);
  world->run_until(10ms);
  publish(2);
  CHECK(world->counters(0).steps == 2);
  world->run_until(29ms);
  CHECK(b.counters(0).steps == 0);
  world->run_until(30ms);
  CHECK(b.counters(0).steps == 1);
  publish(3);
  CHECK(b.counters(0).steps == 1);
  world->run_until(40ms);
  CHECK(b.counters(0).steps == 2);
  world->run_until(100ms);
  CHECK(b.counters(0).steps == 3);
  CHECK(tests::message_of<gossamer::ConfigError>([] {
          gossamer::transport::SimulatedWorld::make(SimulatedOptions(2).status_delay(-1ms));
        }) == "SimulatedOptions: status_delay must not be negative, got -1000000 ns");
}

}  // namespace
