// SPDX-License-Identifier: MIT
/// What a simulated group is told when it is made.
#pragma once

#include <gossamer/node/options.hpp>
#include <gossamer/simulation/callback.hpp>
#include <gossamer/simulation/compute_cost.hpp>
#include <gossamer/simulation/faults.hpp>
#include <gossamer/simulation/options.hpp>

#include <torch/arg.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace gossamer {

/// Options of a simulated group.
struct SimulatedGroupOptions {
  explicit SimulatedGroupOptions(std::size_t nodes = 1) : world_(nodes) {}

  /// The number of nodes and the network between them.
  TORCH_ARG(transport::SimulatedOptions, world);
  /// Options of each node; its seed is the whole simulation's.
  TORCH_ARG(NodeOptions, node) = {};
  /// How long each step takes, of every node, unless `cost_of` is set.
  TORCH_ARG(cost::Any, cost) = cost::Constant(std::chrono::milliseconds(10));
  /// How long each step of a node takes; asked once per incarnation.
  TORCH_ARG(std::function<cost::Any(PeerId)>, cost_of) = nullptr;
  /// What is going to happen.
  TORCH_ARG(std::vector<PlannedFault>, plan) = {};
  /// How long, at most, a run waits at its end for what is under way.
  TORCH_ARG(transport::Time, settle_limit) = std::chrono::seconds(30);
  /// Asked now and then; true stops the group.
  TORCH_ARG(std::function<bool()>, stop_when) = nullptr;
  /// Called about every `tick` of the wall clock while the group runs.
  TORCH_ARG(std::function<void()>, on_tick) = nullptr;
  TORCH_ARG(std::chrono::milliseconds, tick) = std::chrono::milliseconds(200);

 public:
  /// Adds one to those of `NodeOptions`.
  SimulatedGroupOptions& callback(std::shared_ptr<observe::Callback> callback) {
    node_.callback(std::move(callback));
    return *this;
  }
  /// Those of the nodes' callbacks that want to know what only a simulation knows.
  [[nodiscard]] std::vector<SimulationCallback*> simulation_callbacks() const {
    std::vector<SimulationCallback*> all;
    if (!node_.callback()) return all;
    node_.callback()->visit([&all](observe::Callback& one) {
      if (auto* simulation = dynamic_cast<SimulationCallback*>(&one)) all.push_back(simulation);
    });
    return all;
  }
};

}  // namespace gossamer
