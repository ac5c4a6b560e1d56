// SPDX-License-Identifier: MIT
/// Groups that are looked at on their way to the end of a run.
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/node/mover.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace {

using namespace gossamer;
using namespace std::chrono_literals;

SimulatedGroupOptions simulation() {
  return SimulatedGroupOptions(4).node(NodeOptions().seed(tests::seed));
}

}  // namespace

TEST_CASE("A simulated run is the same to the bit, however often it is looked at on the way",
          "[node][simulated]") {
  const auto until = StopCondition().samples(200);
  SimulatedGroup<tests::Mover> plain(simulation(), rule::GoSgd(0.5));
  plain.run_until(until);
  SimulatedGroup<tests::Mover> watched(simulation(), rule::GoSgd(0.5));
  Group<tests::Mover>& group = watched;
  bool was_under_way = false;
  for (std::uint64_t samples = 10; samples <= 200; samples += 10) {
    group.run_towards(until, samples);
    CHECK(group.totals().samples >= samples);
    CHECK(group.totals().samples < samples + 10);
    CHECK(group.weight_of_all().value() == tests::Approx(1).margin(tests::weight_tolerance));
    was_under_way = was_under_way || !group.is_at_rest();
  }
  CHECK(was_under_way);  // else nothing was to be disturbed
  CHECK(group.is_at_rest());
  CHECK(group.elapsed() == plain.elapsed());
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(at::equal(group[i].model()[0], plain[i].model()[0]));
    CHECK(group[i].weight() == plain[i].weight());
  }
}

TEST_CASE("A group of threads rests where it is looked at, and goes no further than its condition",
          "[node][threads]") {
  ThreadGroup<tests::Mover> group(GroupOptions(3).node(NodeOptions().seed(tests::seed)),
                                  rule::GoSgd(0.5));
  const auto until = StopCondition().samples(120);
  group.run_towards(until, 60);
  CHECK(group.totals().samples >= 60);
  CHECK(group.totals().samples < 70);  // each node may be within a step
  CHECK(group.is_at_rest());
  CHECK(group.total_weight() == tests::Approx(1).margin(tests::weight_tolerance));
  group.run_towards(until, 1000);
  CHECK(group.totals().samples >= 120);
  CHECK(group.totals().samples < 130);
}

TEST_CASE("A simulated group ticks by the wall clock, and only if it is asked to",
          "[node][simulated]") {
  int ticks = 0;
  SimulatedGroup<tests::Mover> group(simulation().on_tick([&ticks] { ++ticks; }).tick(0ms),
                                     rule::GoSgd(0.5));
  group.run_until(StopCondition().samples(40));
  CHECK(ticks >= 40);
}

TEST_CASE("A node whose peers do not ask for the mean in time has none, and trains on",
          "[node][threads]") {
  const auto hub = transport::ThreadHub::make(2, 16);
  std::vector<std::unique_ptr<tests::Mover>> nodes;
  for (PeerId id = 0; id < 2; ++id) {
    nodes.push_back(std::make_unique<tests::Mover>(
        Context{hub->endpoint(id), rule::GoSgd(0.5), NodeOptions().seed(tests::seed), 0.5}));
  }
  CHECK_FALSE(nodes[1]->mean(0ns).has_value());
  for (int i = 0; i < 10; ++i) {
    for (auto& node : nodes) node->advance(StopCondition(), transport::Time(0));
  }
  CHECK(nodes[0]->counters().steps == 10);
  CHECK(nodes[1]->counters().steps == 10);
}
