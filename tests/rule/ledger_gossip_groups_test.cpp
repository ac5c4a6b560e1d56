// SPDX-License-Identifier: MIT
/// Ledger gossip in whole groups: on threads, and simulated with bad networks and nodes that come
/// and go.
#include <gossamer/codec/coded.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/codec/two_bits.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::GossipNode;
using gossamer::GroupOptions;
using gossamer::NodeOptions;
using gossamer::SimulatedGroup;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::rule::LedgerGossip;
using gossamer::transport::Message;
using gossamer::transport::SimulatedOptions;
using tests::Approx;
using namespace std::chrono_literals;
namespace codec = gossamer::codec;
namespace cost = gossamer::cost;
namespace fault = gossamer::fault;

constexpr std::int64_t length = 300;

/// Adds its own number to all of its numbers in its first step, and then nothing: so the sum over
/// nodes is known. Or descends to its own number in each step.
class Walker final : public GossipNode<std::vector<at::Tensor>> {
 public:
  Walker(Context context, double rate)
      : GossipNode(std::move(context), {torch::zeros({length}, torch::kDouble)}), rate_(rate) {}
  at::Tensor& x() { return model()[0]; }

 private:
  double local_step() override {
    if (rate_ > 0) {
      x().sub_(x() - static_cast<double>(id()), rate_);
    } else if (counters().steps == 0) {
      x().add_(static_cast<double>(id()));
    }
    return 0;
  }
  double rate_;
};

auto holders() {
  return [](Context context) { return std::make_unique<Walker>(std::move(context), 0); };
}
auto descenders() {
  return [](Context context) { return std::make_unique<Walker>(std::move(context), 0.1); };
}

template <class Group>
at::Tensor sum_of(Group& group) {
  at::Tensor sum = torch::zeros({length}, torch::kDouble);
  for (const auto& member : group.replicas()) {
    sum += member.model->flat().segments()[0].slice(0, 0, length);
  }
  return sum;
}
/// The largest distance between two nodes' numbers.
template <class Group>
double spread_of(Group& group) {
  std::vector<at::Tensor> all;
  for (const auto& member : group.replicas()) all.push_back(member.model->flat().segments()[0]);
  const at::Tensor stack = torch::stack(all);
  return (stack.amax(0) - stack.amin(0)).max().template item<double>();
}

TEST_CASE("Ledger gossip on threads keeps the sum, and says a bit per number",
          "[rule][ledger_gossip][threads]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  CAPTURE(nodes);
  gossamer::ThreadGroup<Walker> group(GroupOptions(nodes), LedgerGossip(), holders());
  group.run_until(StopCondition().steps(300));
  double total = 0;  // of those whose threads came to take a step
  for (std::size_t i = 0; i < nodes; ++i) {
    if (group[i].counters().steps > 0) total += static_cast<double>(i);
  }
  CHECK((sum_of(group) - total).abs().max().item<double>() < 1e-10);
  double weight = 0;
  for (const auto& member : group.replicas()) weight += member.weight;
  CHECK(weight == Approx(1).margin(tests::weight_tolerance));
  const auto totals = group.totals();
  if (nodes == 1) {
    CHECK(totals.messages_sent == 0);
    return;
  }
  CHECK(totals.messages_sent > 0);
  const auto& layout = group[0].parameters().layout();
  const std::size_t code = codec::bytes_of(layout, codec::Sign());
  CHECK(code == 34 + 2 + (length - 256 + 7) / 8);
  CHECK(group[0].engine().context().message_bytes() == Message::header_bytes + code);
  // But for the first model, which the first node sends to the others.
  const std::size_t first = (nodes - 1) * group[0].parameters().flat().bytes();
  CHECK(totals.bytes_sent <= first + totals.messages_sent * (Message::header_bytes + code));
}

TEST_CASE("Ledger gossip on threads descends to the mean", "[rule][ledger_gossip][threads]") {
  gossamer::ThreadGroup<Walker> group(GroupOptions(4), LedgerGossip(), descenders());
  group.run_until(StopCondition().steps(300));
  // Threads may run one after the other, so it is certain only that all stay among the numbers.
  const double mean = sum_of(group).mean().item<double>() / 4;
  CHECK(mean > -1);
  CHECK(mean < 4);
  CHECK(sum_of(group).isfinite().all().item<bool>());
}

/// Units of 2^-24.
at::Tensor units(const at::Tensor& x) {
  return (x.to(torch::kDouble) * (1 << 24)).round().to(torch::kLong);
}

/// Walks at random, in float32, far from 0; and keeps account of its steps.
class Drifter final : public GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Drifter(Context context)
      : GossipNode(std::move(context), {torch::zeros({length})}), random_(generator()) {}
  at::Tensor stepped = torch::zeros({length}, torch::kLong);

 private:
  double local_step() override {
    at::Tensor& x = model()[0];
    stepped -= units(x);
    if (counters().steps == 0) x.add_(15.37 * static_cast<double>(id()));
    x.add_(0.01 * random_.uniform());
    stepped += units(x);
    return 0;
  }
  gossamer::Generator random_;
};

auto drifters() {
  return [](Context context) { return std::make_unique<Drifter>(std::move(context)); };
}

/// Of all nodes: what they count, and what their steps were.
template <class Group>
std::pair<at::Tensor, at::Tensor> counts_of(Group& group) {
  std::pair sums(torch::zeros({length}, torch::kLong), torch::zeros({length}, torch::kLong));
  for (std::size_t i = 0; i < group.size(); ++i) {
    gossamer::Engine& engine = group[i].engine();
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): the rule makes room for what it keeps
    auto& rule = const_cast<LedgerGossip&>(dynamic_cast<const LedgerGossip&>(engine.rule()));
    sums.first += rule.counted(engine.context()).segments()[0].slice(0, 0, length);
    sums.second += group[i].stepped;
  }
  return sums;
}

TEST_CASE("Integers keep the sum to the bit on threads, also of numbers that float32 rounds",
          "[rule][ledger_gossip][threads]") {
  gossamer::ThreadGroup<Drifter> group(GroupOptions(8), LedgerGossip().integers(), drifters());
  group.run_until(StopCondition().steps(100));
  const auto [counted, stepped] = counts_of(group);
  CHECK(torch::equal(counted, stepped));
}

SimulatedGroupOptions a_bad_network(std::size_t nodes, double loss) {
  return SimulatedGroupOptions(nodes)
      .world(SimulatedOptions(nodes)
                 .link({.latency = 1ms, .bytes_per_second = 1e6})
                 .noise({.loss = loss, .duplicate = 0.05, .reorder = 0.1}))
      .node(NodeOptions().seed(tests::seed))
      .cost(cost::LogNormal(10ms, 0.5));
}

TEST_CASE("Ledger gossip descends to the mean over a network that loses, doubles and reorders",
          "[rule][ledger_gossip][simulated]") {
  const auto run = [] {
    SimulatedGroup<Walker> group(a_bad_network(8, 0.1), LedgerGossip(), descenders());
    group.run(StopCondition().steps(500));
    CHECK(sum_of(group).mean().item<double>() / 8 == Approx(3.5).margin(0.35));
    CHECK(spread_of(group) < 3);  // without gossip it would be 7
    return gossamer::observe::digest(group.replicas());
  };
  CHECK(run() == run());
}

TEST_CASE("No loss of a network changes the sum under ledger gossip",
          "[rule][ledger_gossip][simulated]") {
  const double loss = GENERATE(0, 0.05, 0.3);
  SimulatedGroup<Walker> group(a_bad_network(8, loss), LedgerGossip().codec(codec::TwoBits()),
                               holders());
  group.run(StopCondition().steps(600));
  CHECK((sum_of(group) - 28).abs().max().item<double>() < 1e-10);
  CHECK(spread_of(group) < 0.01);
  CHECK(group.total_weight() == Approx(1).margin(tests::weight_tolerance));
}

TEST_CASE("Integers keep the sum to the bit over a bad network",
          "[rule][ledger_gossip][simulated]") {
  SimulatedGroup<Drifter> group(a_bad_network(8, 0.2), LedgerGossip().integers(), drifters());
  group.run(StopCondition().steps(200));
  CHECK(group.totals().messages_merged > 500);
  const auto [counted, stepped] = counts_of(group);
  CHECK(torch::equal(counted, stepped));
}

TEST_CASE("Nodes that crash, come back, join and leave are gossiped with",
          "[rule][ledger_gossip][simulated]") {
  SimulatedGroup<Walker> group(a_bad_network(4, 0.02).plan({{200ms, fault::Crash{1}},
                                                            {1s, fault::Restart{1}},
                                                            {2s, fault::Join{}},
                                                            {4s, fault::Leave{0}},
                                                            {5s, fault::Partition{{2, 3}}},
                                                            {5200ms, fault::Heal{}}}),
                               LedgerGossip().codec(codec::TwoBits()), holders());
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(15s));
  CHECK(worst < tests::weight_tolerance);
  CHECK(group.replicas().size() == 4);
  CHECK(sum_of(group).isfinite().all().item<bool>());
  CHECK(spread_of(group) < 0.01);  // all talk to each other
}

/// Sets BatchNorm's statistics to its own number, once.
class Normed final : public GossipNode<torch::nn::BatchNorm1d> {
 public:
  explicit Normed(Context context) : GossipNode(std::move(context), torch::nn::BatchNorm1d(3)) {}

 private:
  double local_step() override {
    const at::NoGradGuard no_grad;
    if (counters().steps == 0) {
      model()->running_mean.fill_(static_cast<double>(id()));
      model()->running_var.fill_(1e-6);
    }
    return 0;
  }
};

TEST_CASE("Statistics of BatchNorm go half-way to the sender's, and stay variances",
          "[rule][ledger_gossip][simulated]") {
  SimulatedGroup<Normed> group(a_bad_network(4, 0.05), LedgerGossip(), [](Context context) {
    return std::make_unique<Normed>(std::move(context));
  });
  group.run(StopCondition().steps(200));
  for (std::size_t i = 0; i < 4; ++i) {
    const auto mean = group[i].model()->running_mean;
    CHECK(mean.min().item<double>() > 0);
    CHECK(mean.max().item<double>() < 3);
    CHECK(torch::allclose(mean, group[0].model()->running_mean, 1e-2, 1e-2));
    CHECK(torch::allclose(group[i].model()->running_var, torch::full({3}, 1e-6), 1e-4, 0));
  }
}

}  // namespace
