// SPDX-License-Identifier: MIT
/// Groups of nodes in this process, as the examples make them.
#pragma once

#include <gossamer/node/thread_group.hpp>
#include <gossamer/simulation/group.hpp>

#include <ATen/Parallel.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace examples {

/// How nodes are made.
template <class Node>
using MakeNode = std::function<std::unique_ptr<Node>(gossamer::Context)>;
template <class Node>
using AnyGroup = std::unique_ptr<gossamer::Group<Node>>;

/// What a group is made of, whatever its transport. `stop_when` is asked now and then while it
/// trains.
struct GroupPlan {
  gossamer::rule::AnyRule rule;
  gossamer::NodeOptions node;
  std::function<bool()> stop_when;
};

/// Nodes as threads of this process.
template <class Node>
AnyGroup<Node> make_thread_group(std::size_t nodes, const GroupPlan& plan, MakeNode<Node> make) {
  const auto options = gossamer::GroupOptions(nodes).node(plan.node).stop_when(plan.stop_when);
  return std::make_unique<gossamer::ThreadGroup<Node>>(options, plan.rule, std::move(make));
}

/// Nodes in one thread, under a virtual clock. Computes with one of LibTorch's own threads: the
/// same bits on any number of cores.
template <class Node>
AnyGroup<Node> make_simulated_group(gossamer::SimulatedGroupOptions options, const GroupPlan& plan,
                                    MakeNode<Node> make) {
  at::set_num_threads(1);
  options.node(plan.node).stop_when(plan.stop_when);
  return std::make_unique<gossamer::SimulatedGroup<Node>>(options, plan.rule, std::move(make));
}

}  // namespace examples
