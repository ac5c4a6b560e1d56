// SPDX-License-Identifier: MIT
/// How far nodes drift apart when each adds N(0, 1) to every coordinate in every step, under each
/// rule that mixes parameters: the consensus error of the GoSGD papers' experiment, per coordinate
/// and over time, beside theory where there is one. Prints a line of JSON for each rule.
#include <gossamer/gossamer.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/mixing.hpp>
#include <gossamer/topology/permutation.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/two_choices.hpp>

#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/zeros.h>
#include <c10/util/StringUtil.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace gossamer;
using namespace std::chrono_literals;

constexpr double M = 8;
constexpr std::int64_t length = 32;

/// Adds N(0, 1) to each of its numbers per step.
class Walker final : public GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Walker(Context context)
      : GossipNode(std::move(context), {at::zeros({length}, at::kDouble)}), random_(generator()) {}

 private:
  double local_step() override {
    double* x = model()[0].data_ptr<double>();
    for (std::int64_t i = 0; i < length; i += 2) {  // two at a time (Box, Muller)
      const double radius = std::sqrt(-2 * std::log(1 - random_.uniform()));
      const double angle = 6.283185307179586 * random_.uniform();
      x[i] += radius * std::cos(angle);
      x[i + 1] += radius * std::sin(angle);
    }
    return 0;
  }
  Generator random_;
};

/// One line of the record. `rule` and `theory` are functions of the rate of exchange p = 1 / tau.
struct Line {
  std::string name;
  std::function<rule::AnyRule(double p)> rule;
  std::function<double(double p)> theory = nullptr;  // unset: none is known
  bool has_centre = false;
  bool every_step = false;  // whatever p
};

std::uint64_t tau(double p) { return static_cast<std::uint64_t>(std::llround(1 / p)); }
topology::Ring two_way_ring() { return topology::Ring(topology::Ring::Way::both); }

// Theory. The simulator computes a step at its beginning, so all nodes are looked at with the step
// that they are in: M - 1 on top of what there is before it.

/// A consensus error that grows by (M - 1) / M with each step of a node, and is multiplied by 1 - q
/// on average after it.
double balance(double q) { return (M - 1) / M * (1 - q) / q + (M - 1); }
/// Exact averages of all every tau steps, for which nobody waits long.
double periodic(double p) { return (M - 1) * (1 / p - 1) / 2 + (M - 1); }
/// x <- W x + noise with the Metropolis weights of a ring; `mixed`: x <- W (x + noise).
double on_ring(bool mixed) {
  const at::Tensor w = topology::metropolis_mixing(two_way_ring(), static_cast<std::uint32_t>(M));
  const at::Tensor values = at::linalg_eigvalsh(w, "L");
  double sum = 0;
  for (std::int64_t i = 0; i + 1 < values.size(0); ++i) {
    const double square = std::pow(values[i].item().toDouble(), 2);
    sum += (mixed ? square : 1) / (1 - square);
  }
  return sum + (M - 1);
}
/// A random pair averages, at once: the error loses 1 / (M - 1) of itself.
double pairs(double p) { return balance(p / (M - 1)); }
/// One of a random pair goes to the middle, which moves the mean, too.
double one_sided(double p) { return balance(p * (M + 1) / (2 * M * (M - 1))); }

std::vector<Line> lines() {
  using schedule::Bernoulli;
  return {
      {"gosgd", [](double p) { return rule::GoSgd(p); }},
      {"gosgd, two choices",
       [](double p) { return rule::GoSgd(Bernoulli(p), topology::TwoChoices()); }},
      {"gosgd, permutation, every 1 / p steps",
       [](double p) { return rule::GoSgd(schedule::Every(tau(p)), topology::Permutation(1)); }},
      {"gosgd_pull", [](double p) { return rule::GoSgdPull(p); }},
      {"push_sum", [](double p) { return rule::PushSum(p); }},
      {"ad_psgd", [](double p) { return rule::AdPsgd(p); }, pairs},
      {"elastic_gossip", [](double p) { return rule::ElasticGossip(p); }, pairs},
      {"gossiping_pull", [](double p) { return rule::GossipingPull(p); }, one_sided},
      {"gossiping_push", [](double p) { return rule::GossipingPush(p); }, one_sided},
      {"persyn", [](double p) { return rule::PerSyn(tau(p)); }, periodic},
      {"slowmo, beta = 0.5", [](double p) { return rule::SlowMo(rule::None(), tau(p)); }, periodic},
      {"slowmo around gosgd, p = 0.5",
       [](double p) { return rule::SlowMo(rule::GoSgd(0.5), tau(p)); }},
      {"gossip_pga", [](double p) { return rule::gossip_pga(tau(p)); }},
      {"easgd", [](double p) { return rule::Easgd(rule::EasgdOptions().tau(tau(p))); }, nullptr,
       true},
      {"easgd_sync",
       [](double p) { return rule::Easgd(rule::EasgdOptions().tau(tau(p)).synchronous(true)); },
       nullptr, true},
      {"dynamic_easgd",
       [](double p) { return rule::DynamicEasgd(rule::EasgdOptions().tau(tau(p))); }, nullptr,
       true},
      {"downpour", [](double p) { return rule::Downpour(tau(p)); }, nullptr, true},
      {"sgp", [](double) { return rule::Sgp(); }, nullptr, false, true},
      {"osgp", [](double) { return rule::Sgp(topology::OnePeerExponential(), 1); }, nullptr, false,
       true},
      {"d_psgd", [](double) { return rule::DPsgd(); }, [](double) { return on_ring(false); }, false,
       true},
      {"d_psgd, after the gradient",
       [](double) { return rule::DPsgd(two_way_ring(), rule::Mixing::after_gradient); },
       [](double) { return on_ring(true); }, false, true},
  };
}

struct Found {
  double error = 0;
  double effective_nodes = 0;
};

/// Means over time, but for the first tenth.
Found measure(const Line& line, double p) {
  const auto nodes = static_cast<std::size_t>(M) + (line.has_centre ? 1 : 0);
  SimulatedGroup<Walker> group(
      SimulatedGroupOptions(nodes)
          .world(transport::SimulatedOptions(nodes).link({.latency = 10us}))
          .node(NodeOptions().seed(1).max_in_flight(1000))
          .cost(cost::LogNormal(10ms, 0.2)),
      line.rule(p), [](Context context) { return std::make_unique<Walker>(std::move(context)); });
  const auto steps = static_cast<std::uint64_t>(1500 / p);
  const auto between = std::chrono::duration<double>(0.0107 * std::max(1.0, 0.05 / p));
  group.begin(StopCondition().steps(steps));
  Found sum;
  std::uint64_t count = 0;
  std::chrono::duration<double> next(0.01 * static_cast<double>(steps) / 10);
  while (!group.go_on([&] { return group.elapsed() >= next; })) {
    const auto members = group.replicas();
    const std::span<const observe::Replica> workers =
        std::span(members).subspan(line.has_centre ? 1 : 0);
    sum.error += observe::consensus_error(workers) / static_cast<double>(length);
    sum.effective_nodes += observe::effective_nodes(workers);
    ++count;
    next = group.elapsed() + between;
  }
  return {sum.error / static_cast<double>(count), sum.effective_nodes / static_cast<double>(count)};
}

}  // namespace

int main() {
  const std::vector<double> rates = {0.5, 0.1, 0.02};
  int row = 0;
  for (const Line& line : lines()) {
    nlohmann::ordered_json record = {{"name", line.name}, {"row", row++}};
    for (const double p : line.every_step ? std::vector<double>{1} : rates) {
      const Found found = measure(line, p);
      const std::string rate = c10::str(p);
      record["consensus_error"][rate] = found.error;
      if (line.theory) record["theory"][rate] = line.theory(p);
      record["effective_nodes"][rate] = found.effective_nodes;
    }
    std::cout << record << std::endl;
  }
}
