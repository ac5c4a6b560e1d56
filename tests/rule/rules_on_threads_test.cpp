// SPDX-License-Identifier: MIT
/// The push-sum and averaging rules on threads: groups of any size, that go on, stop, and lose a
/// node.
#include <gossamer/error.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/a2cid2.hpp>
#include <gossamer/rule/ad_psgd.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/gasloc.hpp>
#include <gossamer/rule/gossip_pga.hpp>
#include <gossamer/rule/gossiping_sgd.hpp>
#include <gossamer/rule/noloco.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/post_local.hpp>
#include <gossamer/rule/push_sum.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/rule/slow_momentum.hpp>
#include <gossamer/topology/complete.hpp>

#include <tests/node/descender.hpp>
#include <tests/support.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using gossamer::NodeError;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using tests::Descender;
namespace rule = gossamer::rule;
namespace topology = gossamer::topology;

std::vector<AnyRule> rules() {
  return {rule::PushSum(0.5),
          rule::Sgp(),
          rule::Sgp(topology::NPeerExponential(2)),
          rule::Sgp(topology::NPeerExponential(1), 2),
          rule::DPsgd(),
          rule::DPsgd(topology::Complete(), rule::Mixing::after_gradient),
          rule::AdPsgd(),
          rule::A2Cid2(),
          rule::A2Cid2().clock(rule::A2Cid2::Clock::time),
          rule::NoLoCo(rule::NoLoCoOptions().tau(3)),
          rule::GasLoc(rule::GasLocOptions().tau(2).peers(2).gamma(0.3)),
          rule::GossipingPull(0.5),
          rule::GossipingPush(0.5),
          rule::SlowMo(rule::None(), 3),
          rule::SlowMo(rule::Sgp(), 3),
          rule::post_local(4, 3),
          rule::gossip_pga(3)};
}

double total_of(gossamer::ThreadGroup<Descender>& group) {
  double weight = 0;
  for (const auto& member : group.replicas()) weight += member.weight;
  return weight;
}

TEST_CASE("A group of any size does its steps under the push-sum and averaging rules",
          "[rule][threads]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 5U);
  for (const AnyRule& one : rules()) {
    CAPTURE(one->name(), nodes);
    gossamer::ThreadGroup<Descender> group(gossamer::GroupOptions(nodes), one);
    group.run_until(StopCondition().steps(20));
    CHECK(std::abs(total_of(group) - 1) < tests::weight_tolerance);
    if (one->is_synchronous()) {
      for (std::size_t i = 0; i < nodes; ++i) CHECK(group[i].counters().steps == 20);
    }
    group.run(StopCondition().steps(50));
    CHECK(group.totals().steps >= 50 * nodes);
    CHECK(std::abs(total_of(group) - 1) < tests::weight_tolerance);
    // All descend to the mean of the numbers. Those who go by rounds come close to it; of the
    // others it is certain only that they stay among the numbers, except where little weight makes
    // long steps (push-sum with random peers, which may diverge).
    const double mean = (static_cast<double>(nodes) - 1) / 2;
    const double found = group.mean().segments()[0][0].item<double>();
    if (one->name() == "push_sum") continue;
    CHECK(std::abs(found - mean) <=
          (one->is_synchronous() && one->name() != "osgp" ? 0.35 : mean) + 1e-9);
  }
}

TEST_CASE("The others go on when a node fails under the push-sum and averaging rules",
          "[rule][threads]") {
  for (const AnyRule& one : rules()) {
    CAPTURE(one->name());
    // Little weight makes long steps under push-sum, and while a thread sleeps the others may halve
    // theirs without end: there nobody takes any.
    gossamer::ThreadGroup<Descender> group(
        gossamer::GroupOptions(3), one,
        tests::descenders({.rate = one->name() == "push_sum" ? 0 : 0.1}));
    group[1].fails_at = 7;
    CHECK(tests::message_of<NodeError>([&] { group.run_until(StopCondition().steps(10'000)); }) ==
          "node 1: no more data");
    CHECK(group.replicas().size() == 2);
    const std::uint64_t before = group.totals().steps;
    group.run(StopCondition().steps(before + 50));
    CHECK(group.totals().steps > before);
  }
}

}  // namespace
