// SPDX-License-Identifier: MIT
/// Synchronous groups that a network parts, and that come together again.
#include <gossamer/generator.hpp>
#include <gossamer/node/stop_condition.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sgp.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/simulation/faults.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/node/descender.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::PeerId;
using gossamer::PlannedFault;
using gossamer::SimulatedGroup;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using tests::Approx;
using tests::Descender;
using Group = SimulatedGroup<Descender>;
namespace cost = gossamer::cost;
namespace fault = gossamer::fault;
namespace rule = gossamer::rule;
using gossamer::transport::Time;
using namespace std::chrono_literals;
using Catch::Generators::as;

constexpr PeerId nodes = 6;

struct Parting {
  std::string name;
  std::vector<PlannedFault> plan;
};
const std::vector<Parting>& partings() {
  static const std::vector<Parting> all{
      {"4 and 2", {{1s, fault::Partition{{4, 5}}}, {9s, fault::Heal{}}}},
      {"2 and 4", {{1s, fault::Partition{{0, 1}}}, {9s, fault::Heal{}}}},
      {"3 and 3", {{1s, fault::Partition{{1, 3, 5}}}, {9s, fault::Heal{}}}},
      {"one alone", {{1s, fault::Partition{{0}}}, {9s, fault::Heal{}}}},
      {"three parts",
       {{1s, fault::Partition{{0, 1}}}, {1s, fault::Partition{{2, 3}}}, {9s, fault::Heal{}}}},
      {"twice",
       {{1s, fault::Partition{{4, 5}}},
        {9s, fault::Heal{}},
        {15s, fault::Partition{{0, 1, 5}}},
        {20s, fault::Heal{}}}},
      {"a link", {{1s, fault::Cut{0, 3}}, {9s, fault::Reconnect{0, 3}}}},
      {"a link of others", {{1s, fault::Cut{2, 3}}, {9s, fault::Reconnect{2, 3}}}},
      {"too short to be seen", {{1s, fault::Partition{{4, 5}}}, {1100ms, fault::Heal{}}}},
  };
  return all;
}

Group group_of(const Parting& parting, const AnyRule& rule, std::uint64_t seed = 1) {
  return Group(SimulatedGroupOptions(nodes)
                   .node(gossamer::NodeOptions().seed(seed))
                   .cost_of([](PeerId id) { return cost::Constant(10ms + id * 100us); })
                   .plan(parting.plan),
               rule, tests::descenders({}));
}

/// How far the models are apart.
double spread(Group& group) {
  double lowest = group[0].value();
  double highest = lowest;
  for (PeerId id = 0; id < nodes; ++id) {
    lowest = std::min(lowest, group[id].value());
    highest = std::max(highest, group[id].value());
  }
  return highest - lowest;
}

}  // namespace

TEST_CASE("Halves of a synchronous group that meet again are one, and equal",
          "[node][group_view][simulated]") {
  const auto [name, rule] =
      GENERATE(table<std::string, AnyRule>({{"sync", rule::Sync()},
                                            {"sync in pieces", rule::Sync().chunks(nodes)},
                                            {"persyn", rule::PerSyn(5)}}));
  const std::size_t which = GENERATE(range(std::size_t{0}, partings().size()));
  const Parting& parting = partings()[which];
  CAPTURE(name, parting.name);
  Group group = group_of(parting, rule);
  group.run(StopCondition().steps(3000).duration(200s));
  for (PeerId id = 0; id < nodes; ++id) {
    CAPTURE(id);
    CHECK(group[id].engine().step() == 3000);
  }
  CHECK(spread(group) == 0);
  CHECK(group[0].value() == Approx(2.5));  // where the mean of all descends to
  CHECK(group.total_weight() == Approx(1).margin(tests::weight_tolerance));
}

TEST_CASE("However often a synchronous group is parted and healed, it is one in the end",
          "[node][group_view][simulated]") {
  // In pieces, since then all speak with all, and each notices who is cut off from it.
  const std::uint64_t seed = GENERATE(range(1, 21));
  gossamer::Generator random(seed, 0);
  Parting parting{"drawn", {}};
  Time at = 1s;
  for (int i = 0; i < 3; ++i) {
    std::vector<std::vector<PeerId>> parts(3);
    for (PeerId id = 0; id < nodes; ++id) parts[random.below(3)].push_back(id);
    at += random.below(1000) * 1ms;
    for (const auto& part : parts) {
      if (!part.empty()) parting.plan.push_back({at, fault::Partition{part}});
    }
    at += 3s + random.below(3000) * 1ms;
    parting.plan.push_back({at, fault::Heal{}});
    at += 3s;
  }
  CAPTURE(seed);
  Group group = group_of(parting, rule::Sync().chunks(nodes), seed);
  group.run(StopCondition().steps(6000).duration(300s));
  for (PeerId id = 0; id < nodes; ++id) {
    CAPTURE(id);
    CHECK(group[id].engine().step() == 6000);
  }
  CHECK(spread(group) == 0);
  CHECK(group.total_weight() == Approx(1).margin(tests::weight_tolerance));
}
