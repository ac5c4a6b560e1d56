// SPDX-License-Identifier: MIT
/// Slow momentum and its special cases, and the rules that are made of two others.
#include <gossamer/error.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gossip_pga.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/post_local.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/rule/slow_momentum.hpp>
#include <gossamer/rule/switch_after.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::CheckpointError;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::GossipNode;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using gossamer::rule::GoSgd;
using gossamer::rule::None;
using gossamer::rule::PerSyn;
using gossamer::rule::Sgp;
using gossamer::rule::SlowMo;
using gossamer::rule::SwitchAfter;
using gossamer::rule::Sync;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;
using namespace std::chrono_literals;
namespace fault = gossamer::fault;

using Numbers = std::vector<double>;

Numbers numbers(Bench& bench, PeerId id) { return {bench[id].x().begin(), bench[id].x().end()}; }

/// Some gradient of a node at a step, the same in every bench.
double gradient_of(Bench& bench, PeerId id, std::size_t j) {
  const double t = static_cast<double>(bench[id].steps);
  return std::sin(1.7 * t + 0.3 * id + static_cast<double>(j)) + 0.1 * bench[id].x()[j];
}

/// Lets all nodes take their steps up to that number, in order.
void go_to(Bench& bench, std::uint64_t steps) {
  for (int i = 0; i < 1000; ++i) {
    bool done = true;
    for (const PeerId id : bench.live()) {
      if (bench[id].steps < steps) bench.advance(id);
      done = done && bench[id].steps == steps;
    }
    bench.settle();
    if (done) return;
  }
  FAIL("the nodes do not come to step " << steps);
}

TEST_CASE("With alpha 1 and beta 0 around no exchange, SlowMo is PerSyn, bit for bit",
          "[rule][slowmo]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const std::uint64_t tau = GENERATE(1U, 4U);
  Bench slow(nodes, SlowMo(None(), tau, 1, 0), 3);
  Bench plain(nodes, PerSyn(tau), 3);
  for (Bench* bench : {&slow, &plain}) {
    bench->gradient = [bench](PeerId id, std::size_t j) { return gradient_of(*bench, id, j); };
  }
  for (std::uint64_t step = 1; step <= 20; ++step) {
    go_to(slow, step);
    go_to(plain, step);
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(numbers(slow, id) == numbers(plain, id));
  }
}

TEST_CASE("With one node and beta 0, SlowMo is Lookahead, bit for bit", "[rule][slowmo]") {
  const double alpha = GENERATE(0.25, 0.5, 0.8, 1.0);
  Bench bench(1, SlowMo(None(), 5, alpha, 0), 3);
  bench.gradient = [&bench](PeerId id, std::size_t j) { return gradient_of(bench, id, j); };
  // Zhang, Lucas, Hinton, Ba 2019: k steps of the fast weights, then slow += alpha (fast - slow).
  Numbers fast = numbers(bench, 0);
  Numbers slow = fast;
  Bench other(1, None(), 3);
  for (std::uint64_t step = 0; step < 23; ++step) {
    if (step > 0 && step % 5 == 0) {
      for (std::size_t j = 0; j < 3; ++j) {
        fast[j] = slow[j] = alpha == 1 ? fast[j] : slow[j] + alpha * (fast[j] - slow[j]);
      }
    }
    std::copy(fast.begin(), fast.end(), other[0].x().begin());
    for (std::size_t j = 0; j < 3; ++j) fast[j] -= gradient_of(other, 0, j);
    other[0].steps = step + 1;
    go_to(bench, step + 1);
    REQUIRE(numbers(bench, 0) == fast);
  }
}

TEST_CASE("SlowMo's outer step is the paper's, also when the learning rate changes",
          "[rule][slowmo]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U);
  const double alpha = GENERATE(0.7, 1.0);
  const double beta = 0.6;
  const std::uint64_t tau = 3;
  const auto eta = [](std::uint64_t step) { return step <= 6 ? 0.1 : 0.02; };
  Bench bench(nodes, SlowMo(None(), tau, alpha, beta).learning_rate(eta), 2);
  for (PeerId id = 0; id < nodes; ++id) bench[id].set(0.5);
  bench.gradient = [&](PeerId id, std::size_t j) {
    return eta(bench[id].steps + 1) * gradient_of(bench, id, j);
  };
  Numbers begin = numbers(bench, 0);
  Numbers u(2, 0);
  for (std::uint64_t round = 1; round <= 5; ++round) {
    go_to(bench, round * tau);
    Numbers mean(2, 0);
    for (PeerId id = 0; id < nodes; ++id) {
      for (std::size_t j = 0; j < 2; ++j) {
        mean[j] += bench[id].x()[j] / static_cast<double>(nodes);
      }
    }
    for (std::size_t j = 0; j < 2; ++j) {
      u[j] = beta * u[j] + (begin[j] - mean[j]) / eta(round * tau);
      begin[j] -= alpha * eta(round * tau) * u[j];
    }
    // The mean is asked for before the next step, whose gradient is taken there.
    std::vector<Numbers> seen(nodes);
    const auto gradient = bench.gradient;
    bench.gradient = [&](PeerId id, std::size_t j) {
      seen[id] = numbers(bench, id);
      return gradient(id, j);
    };
    go_to(bench, round * tau + 1);
    bench.gradient = gradient;
    for (PeerId id = 0; id < nodes; ++id) {
      REQUIRE(seen[id] == seen[0]);
      for (std::size_t j = 0; j < 2; ++j) REQUIRE(seen[id][j] == Approx(begin[j]).epsilon(1e-12));
    }
  }
}

TEST_CASE("Without the exact average each node goes on from its own, and nobody waits",
          "[rule][slowmo]") {
  Bench bench(2, SlowMo(None(), 2, 1, 0.5).exact_average(false), 1);
  CHECK_FALSE(bench[0].rule->is_synchronous());
  bench.conserves = false;
  bench[0].set(0);
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  for (int i = 0; i < 2; ++i) REQUIRE(bench.advance(0));
  CHECK(bench[0].x()[0] == -2);
  for (int i = 0; i < 2; ++i) REQUIRE(bench.advance(0));  // u = 2: goes on from -2
  CHECK(bench[0].x()[0] == -4);
  REQUIRE(bench.advance(0));  // u = 1 + 2, from -2: -5
  CHECK(bench[0].x()[0] == -6);
  CHECK(bench.pending().empty());
}

TEST_CASE("Around SGP and GoSGD, all nodes are equal after an outer step, and no weight is lost",
          "[rule][slowmo]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const AnyRule base = GENERATE(as<AnyRule>{}, Sgp(), GoSgd(0.5));
  Bench bench(nodes, SlowMo(base, 4, 1, 0.5), 2);
  CHECK(bench[0].rule->name() == "slowmo(" + base->name() + ")");
  CHECK(bench[0].rule->is_synchronous());
  for (PeerId id = 0; id < nodes; ++id) bench[id].set(0.5);  // where the first stretch begins
  bench.rebase();
  std::vector<std::vector<Numbers>> seen(21, std::vector<Numbers>(nodes));
  bench.gradient = [&](PeerId id, std::size_t j) {
    seen[bench[id].steps][id] = numbers(bench, id);
    return gradient_of(bench, id, j);
  };
  Generator order(tests::seed, 2700);
  for (int i = 0; i < 100'000 && bench.live().size() > 0; ++i) {
    const PeerId id = order.below(static_cast<std::uint32_t>(nodes));
    if (order.below(2) == 0) {
      if (bench[id].steps < 21) bench.advance(id);
    } else if (!bench.pending().empty()) {
      bench.handle(bench.choose(order));
    }
    std::uint64_t least = 21;
    for (PeerId m = 0; m < nodes; ++m) least = std::min(least, bench[m].steps);
    if (least == 21) break;
  }
  bench.settle();
  for (PeerId id = 0; id < nodes; ++id) {
    REQUIRE(bench[id].steps == 21);
    // What gossip has under way may come between the outer step and the next gradient.
    if (base->name() == "gosgd") continue;
    for (const std::uint64_t step : {4U, 8U, 12U, 16U, 20U}) {
      REQUIRE(seen[step][id] == seen[step][0]);
    }
  }
}

TEST_CASE("SlowMo refuses options that make no sense", "[rule][slowmo]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(tests::message_of<ConfigError>([] { SlowMo(None(), 0); }) ==
        "SlowMo: tau must be at least 1, got 0");
  CHECK(tests::message_of<ConfigError>([] { SlowMo(None(), 1, 0); }) ==
        "SlowMo: alpha must be above 0, got 0");
  CHECK(tests::message_of<ConfigError>([nan] { SlowMo(None(), 1, nan); }) ==
        "SlowMo: alpha must be above 0, got nan");
  CHECK(tests::message_of<ConfigError>([] { SlowMo(None(), 1, 1, 1); }) ==
        "SlowMo: beta must lie in [0, 1), got 1");
}

TEST_CASE("A restored SlowMo goes on with its momentum, to the same bits", "[rule][slowmo]") {
  const auto rule = [] { return SlowMo(None(), 2, 0.9, 0.5); };
  Bench bench(2, rule());
  Bench restored(2, rule());
  for (Bench* one : {&bench, &restored}) {
    one->gradient = [one](PeerId id, std::size_t j) { return gradient_of(*one, id, j); };
  }
  go_to(bench, 5);
  for (PeerId id = 0; id < 2; ++id) {
    Archive saved;
    bench[id].rule->checkpoint(saved);
    Archive archive(saved.entries());
    restored[id].rule->checkpoint(archive);
    Archive again;  // before the rule has seen a model
    restored[id].rule->checkpoint(again);
    CHECK(again.entries() == saved.entries());
    restored[id].steps = 5;
    std::copy(bench[id].x().begin(), bench[id].x().end(), restored[id].x().begin());
  }
  go_to(bench, 11);
  go_to(restored, 11);
  for (PeerId id = 0; id < 2; ++id) CHECK(numbers(bench, id) == numbers(restored, id));

  Archive saved;
  bench[0].rule->checkpoint(saved);
  Archive archive(saved.entries());
  Bench larger(1, rule(), 200);
  larger[0].rule->checkpoint(archive);
  larger[0].steps = 12;
  const auto text = tests::message_of<CheckpointError>([&] { larger.advance(0); });
  CHECK(text.rfind("checkpoint: a rule's vector must have 1600 ", 0) == 0);
}

/// Five steps on M nodes, and one node goes. False if it was over before that. The others take all
/// their steps.
bool lose(const AnyRule& rule, std::size_t nodes, const Departure& departure) {
  const std::uint64_t steps = 5;
  Bench bench(nodes, rule);
  Generator order(tests::seed, 2710);
  const bool lost = tests::take_steps(bench, departure, steps, order);
  INFO(rule->name() << " on " << nodes << " nodes: " << departure);
  for (const PeerId id : bench.live()) {
    INFO("node " << id << " of the others");
    REQUIRE(bench[id].steps == steps);
  }
  REQUIRE(bench.pending().empty());
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the others of a combination take all their steps",
          "[rule][slowmo]") {
  const std::size_t nodes = GENERATE(2U, 3U);
  const Reason reason = GENERATE(Reason::lost, Reason::finished);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  if (reason == Reason::finished && still_arrive != Bench::all) return;
  for (const AnyRule& rule :
       {AnyRule(SlowMo(None(), 2)), AnyRule(SlowMo(Sgp(), 2)),
        AnyRule(gossamer::rule::gossip_pga(2)), AnyRule(gossamer::rule::post_local(2, 1))}) {
    for (PeerId victim = 0; victim < nodes; ++victim) {
      const auto tried = tests::before_each_event(
          {victim, reason, still_arrive},
          [&](const Departure& departure) { return lose(rule, nodes, departure); });
      REQUIRE(tried > 3 * nodes);
    }
  }
}

TEST_CASE("Each part of a combination gets its own messages and no others", "[rule][then]") {
  // GoSGD until step 2, then averages: what was pushed arrives in the second part.
  Bench bench(2, SwitchAfter(GoSgd(1), 2, PerSyn(3)), 1);
  bench.conserves = true;
  CHECK(bench[0].rule->name() == "gosgd_then_persyn");
  for (int i = 0; i < 3; ++i) REQUIRE(bench.advance(0));
  CHECK(bench.pending().size() == 2);  // two pushes
  CHECK(bench[0].weight() == 0.125);
  bench.settle();
  CHECK(bench[1].weight() == 0.875);
  bench.conserves = false;
  go_to(bench, 4);
  CHECK(bench[0].x()[0] == bench[1].x()[0]);
}

TEST_CASE("Post-local SGD is synchronous until the change, and averages every tau steps after it",
          "[rule][then]") {
  Bench bench(3, gossamer::rule::post_local(4, 3), 2);
  Bench sync(3, Sync(), 2);
  CHECK(bench[0].rule->name() == "post_local");
  CHECK(bench[0].rule->needs_gradient_hook());
  CHECK(bench[0].rule->is_synchronous());
  for (Bench* one : {&bench, &sync}) {
    for (PeerId id = 0; id < 3; ++id) (*one)[id].set(0.5);
    one->gradient = [one](PeerId id, std::size_t j) { return gradient_of(*one, id, j); };
  }
  for (std::uint64_t step = 1; step <= 4; ++step) {
    go_to(bench, step);
    go_to(sync, step);
    for (PeerId id = 0; id < 3; ++id) REQUIRE(numbers(bench, id) == numbers(sync, 0));
  }
  go_to(bench, 5);
  CHECK(numbers(bench, 0) != numbers(bench, 1));
  go_to(bench, 6);
  Numbers mean(2, 0);
  for (PeerId id = 0; id < 3; ++id) {
    for (std::size_t j = 0; j < 2; ++j) mean[j] += bench[id].x()[j] / 3;
  }
  bench.gradient = nullptr;
  go_to(bench, 7);
  for (PeerId id = 0; id < 3; ++id) {
    for (std::size_t j = 0; j < 2; ++j) CHECK(bench[id].x()[j] == Approx(mean[j]));
  }
}

TEST_CASE("Gossip-PGA gossips, and makes all nodes equal once a period, at their mean",
          "[rule][slowmo]") {
  const std::size_t nodes = 6;
  Bench bench(nodes, gossamer::rule::gossip_pga(3), 2);
  CHECK(bench[0].rule->name() == "gossip_pga");
  const Numbers mean = bench.weighted_sum();
  const Numbers first = numbers(bench, 0);
  go_to(bench, 1);
  CHECK(numbers(bench, 0) != first);  // has met its neighbours
  CHECK(numbers(bench, 0)[0] != Approx(mean[0]).epsilon(1e-6));
  go_to(bench, 4);
  for (PeerId id = 0; id < nodes; ++id) {
    for (std::size_t j = 0; j < 2; ++j) CHECK(bench[id].x()[j] == Approx(mean[j]).epsilon(1e-12));
  }
}

/// A layer with running statistics, and an optimizer with momentum that is reset at a restart.
class Learner final : public GossipNode<torch::nn::Sequential> {
 public:
  explicit Learner(gossamer::Context context)
      : GossipNode(std::move(context),
                   torch::nn::Sequential(torch::nn::Linear(3, 4), torch::nn::BatchNorm1d(4))),
        random_(generator()),
        optimizer_(model()->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9)) {}

  int restarts = 0;
  double largest_momentum_after_restart = 0;
  [[nodiscard]] torch::Tensor running_var() {
    return model()[1]->as<torch::nn::BatchNorm1d>()->running_var;
  }

 private:
  double local_step() override {
    std::vector<float> inputs(24);
    for (float& x : inputs) x = static_cast<float>(random_.uniform());
    const auto x = torch::tensor(inputs).view({8, 3}) * (1.0 + id());
    optimizer_.zero_grad();
    const auto loss = model()->forward(x).pow(2).mean();
    loss.backward();
    optimizer_.step();
    return loss.item<double>();
  }
  void on_restart() override {
    ++restarts;
    for (auto& entry : optimizer_.state()) {
      auto& buffer = static_cast<torch::optim::SGDParamState&>(*entry.second).momentum_buffer();
      largest_momentum_after_restart =
          std::max(largest_momentum_after_restart, buffer.abs().max().item<double>());
      buffer.zero_();
    }
  }
  Generator random_;
  torch::optim::SGD optimizer_;
};

TEST_CASE("After an outer step a node may reset its optimizer, and statistics take no momentum",
          "[rule][slowmo][simulated]") {
  gossamer::SimulatedGroup<Learner> group(gossamer::SimulatedGroupOptions(3),
                                          SlowMo(None(), 4, 1, 0.9));
  group.run(StopCondition().steps(40));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(group[i].restarts == 10);
    CHECK(group[i].largest_momentum_after_restart > 0);
    CHECK(group[i].running_var().min().item<double>() > 0);
    CHECK(torch::equal(group[i].running_var(), group[0].running_var()));
  }
  CHECK(gossamer::observe::consensus_error(group.replicas()) == 0);
  // A mean alone restarts nothing: an optimizer with momentum goes on as it does under PerSyn.
  gossamer::SimulatedGroup<Learner> means(gossamer::SimulatedGroupOptions(3),
                                          SlowMo(None(), 4, 1, 0));
  means.run(StopCondition().steps(40));
  CHECK(means[0].restarts == 0);
}

TEST_CASE("Under faults, slow momentum loses no weight and the others get through",
          "[rule][slowmo][simulated]") {
  const AnyRule base = GENERATE(as<AnyRule>{}, None(), Sgp(), GoSgd(0.3));
  CAPTURE(base->name());
  gossamer::SimulatedGroup<Learner> group(
      gossamer::SimulatedGroupOptions(4)
          .world(gossamer::transport::SimulatedOptions(4)
                     .link({.latency = 300us, .bytes_per_second = 1e6})
                     .noise({.loss = 0.02, .duplicate = 0.02, .reorder = 0.05}))
          .node(gossamer::NodeOptions().seed(tests::seed))
          .cost(gossamer::cost::LogNormal(10ms, 0.5))
          .plan({{500ms, fault::Crash{1}}, {2s, fault::Join{}}, {3s, fault::Leave{0}}}),
      SlowMo(base, 6, 1, 0.5));
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(8s));
  CHECK(worst < tests::weight_tolerance);
  CHECK(group.replicas().size() == 3);
  for (PeerId id = 0; id < group.size(); ++id) {
    if (group.is_live(id)) CHECK(group[id].counters().steps > 100);
  }
}

}  // namespace
