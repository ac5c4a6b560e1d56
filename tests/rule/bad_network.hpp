// SPDX-License-Identifier: MIT
/// Six simulated nodes that walk at random over a lossy network of uneven machines.
#pragma once

#include <gossamer/node/gossip_node.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

namespace tests {

/// Adds noise to four numbers, and knows how much.
class Walker final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Walker(gossamer::Context context)
      : GossipNode(std::move(context), {torch::zeros({4}, torch::kDouble)}), random_(generator()) {}
  double walked = 0;  // in the first coordinate
  [[nodiscard]] double number() { return model()[0].data_ptr<double>()[0]; }

 private:
  double local_step() override {
    for (int i = 0; i < 4; ++i) {
      const double step = random_.uniform() - 0.5;
      model()[0].data_ptr<double>()[i] += step;
      if (i == 0) walked += step;
    }
    return 0;
  }
  gossamer::Generator random_;
};

using WalkerGroup = gossamer::SimulatedGroup<Walker>;

inline gossamer::SimulatedGroupOptions bad_network(std::vector<gossamer::PlannedFault> plan) {
  using namespace std::chrono_literals;
  return gossamer::SimulatedGroupOptions(6)
      .world(gossamer::transport::SimulatedOptions(6)
                 .link({.latency = 300us, .bytes_per_second = 1e6})
                 .noise({.loss = 0.02, .duplicate = 0.02, .reorder = 0.05}))
      .node(gossamer::NodeOptions().seed(seed))
      .cost(gossamer::cost::LogNormal(10ms, 0.5))
      .plan(std::move(plan));
}

/// A crash, a partition, a newcomer, a restart and a leaver: checks at every event that the weight
/// is there, and at the end that all who are left got through. Returns the group for more.
inline std::unique_ptr<WalkerGroup> survive_faults(const gossamer::rule::AnyRule& rule) {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  auto group = std::make_unique<WalkerGroup>(bad_network({{500ms, fault::Crash{1}},
                                                          {900ms, fault::Partition{{2, 3}}},
                                                          {1100ms, fault::Heal{}},
                                                          {3s, fault::Join{}},
                                                          {4s, fault::Restart{1}},
                                                          {6s, fault::Leave{4}}}),
                                             rule);
  double worst = 0;
  group->on_step = [&] { worst = std::max(worst, std::abs(group->total_weight() - 1)); };
  group->run(gossamer::StopCondition().duration(20s));
  group->on_step = nullptr;
  CHECK(worst < weight_tolerance);
  CHECK(group->replicas().size() == 6);
  for (gossamer::PeerId id = 0; id < group->size(); ++id) {
    if (group->is_live(id)) CHECK((*group)[id].counters().steps > 200);
  }
  return group;
}

}  // namespace tests
