// SPDX-License-Identifier: MIT
/// What devices do, and what they spend: steps and bytes, each device its own price.
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/simulation/callback.hpp>
#include <gossamer/simulation/energy.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/simulation/throttled_cost.hpp>

#include <tests/support.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::DeviceEnergy;
using gossamer::EnergyModel;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::SimulatedGroup;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::transport::Time;
using tests::Approx;
using namespace std::chrono_literals;
namespace cost = gossamer::cost;
namespace fault = gossamer::fault;

/// A hundred numbers that stay as they are.
class Idler final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Idler(gossamer::Context context)
      : GossipNode(std::move(context), {torch::zeros({100})}) {}

 private:
  double local_step() override { return 0; }
};

/// When steps begin, of each node.
class StepTimes final : public gossamer::SimulationCallback {
 public:
  explicit StepTimes(std::size_t nodes) : times(nodes) {}
  void on_step(Time now, PeerId node) override { times[node].push_back(now); }

  std::vector<std::vector<Time>> times;
};

}  // namespace

TEST_CASE("Joules are steps and bytes at each device's own price", "[simulated]") {
  SimulatedGroup<Idler> group(SimulatedGroupOptions(4), gossamer::rule::GoSgd(0.5));
  group.run(StopCondition().steps(50));
  const auto price = [](PeerId id) { return DeviceEnergy{0.5 * (id + 1), 1e-3 * (4 - id)}; };
  double expected = 0;
  for (PeerId id = 0; id < 4; ++id) {
    const auto counters = group.counters(id);
    REQUIRE(counters.bytes_sent > 0);
    expected += static_cast<double>(counters.steps) * 0.5 * (id + 1) +
                static_cast<double>(counters.bytes_sent) * 1e-3 * (4 - id);
  }
  CHECK(EnergyModel(price).joules(group) == Approx(expected));
  CHECK(EnergyModel(price));
  CHECK_FALSE(EnergyModel());
  CHECK(EnergyModel().joules(group) == 0);
}

TEST_CASE("A sleeping device takes no steps", "[simulated]") {
  const auto times = std::make_shared<StepTimes>(2);
  auto options = SimulatedGroupOptions(2)
                     .cost(cost::Constant(10ms))
                     .plan({{1s, fault::Pause{1, 2s}}, {4s, fault::Pause{1, 1s}}});
  options.callback(times);
  SimulatedGroup<Idler> group(options, gossamer::rule::GoSgd(0.1));
  group.run(StopCondition().duration(6s));
  std::size_t awake = 0;
  for (const Time at : times->times[1]) {
    const bool asleep = (at > 1s && at < 3s) || (at > 4s && at < 5s);
    CHECK_FALSE(asleep);
    awake += asleep ? 0 : 1;
  }
  CHECK(awake >= 295);
  CHECK(awake <= 305);
  CHECK(times->times[0].size() >= 599);
}

TEST_CASE("A device is slower when it has computed for a while", "[simulated]") {
  Generator random(tests::seed);
  cost::Any hot = cost::Throttled(cost::Constant(10ms), 1s, 2.5);
  const cost::Any fresh = hot;
  for (int i = 0; i < 100; ++i) CHECK(hot(random) == 10ms);
  for (int i = 0; i < 100; ++i) CHECK(hot(random) == 25ms);
  CHECK(cost::Any(fresh)(random) == 10ms);  // a node that begins anew is cold
  CHECK(cost::Throttled(cost::Constant(10ms), 0s, 3)(random) == 30ms);
  CHECK(tests::message_of<ConfigError>([] { cost::Throttled(cost::Constant(1s), 1s, 0.5); }) ==
        "cost::Throttled: needs a time of at least 0 ns and a factor in [1, 1e6], got "
        "1000000000 ns and 0.5");
}
