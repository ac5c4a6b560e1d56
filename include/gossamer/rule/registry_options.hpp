// SPDX-License-Identifier: MIT
/// What a rule that is made by name may be told, in the words of a command line.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/neighbourhoods.hpp>
#include <gossamer/schedule/registry.hpp>
#include <gossamer/topology/registry.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace gossamer::rule {

/// Options of all rules together; each takes what it goes by, and checks it.
struct RegistryOptions {
  /// Probability of an exchange after a step.
  TORCH_ARG(double, probability) = 0.02;
  /// Steps from one average, or exchange with a centre or leader, to the next; 0: the number
  /// nearest to 1 / probability, at least 1.
  TORCH_ARG(std::uint64_t, period) = 0;
  /// When nodes meet, of rules that choose one peer at a time: see `schedule::known`.
  TORCH_ARG(std::string, schedule) = "bernoulli";
  /// Whom they meet: see `topology::known`.
  TORCH_ARG(std::string, topology) = "uniform";
  /// The graph of rules that go by rounds, of the same names; empty: the rule's own.
  TORCH_ARG(std::string, graph) = "";
  /// How many nodes a graph is looked at with, to see whether a rule can use it; 0: not known.
  TORCH_ARG(std::uint32_t, nodes) = 0;
  /// Of random graphs, permutations and matchings, the same on all nodes.
  TORCH_ARG(std::uint64_t, seed) = 0;
  /// Chunks in which `sync`, `acco`, `persyn` and `post_local` average, each on a node of its own:
  /// see `AllReduce`.
  TORCH_ARG(std::uint32_t, chunks) = 1;
  /// Strength of a pull of `elastic_gossip`, `easgd`, `gasloc` and `leader_sgd`, and the step size
  /// (gamma) of `choco_sgd`; 0: the rule's own.
  TORCH_ARG(double, alpha) = 0;
  /// See `EasgdOptions`.
  TORCH_ARG(double, drop) = 0;
  /// How many steps late `osgp` takes messages, >= 1.
  TORCH_ARG(std::uint64_t, staleness) = 1;
  /// The rule that `slowmo` is around, its learning rate (alpha) and its momentum, which
  /// `async_diloco` has, too.
  TORCH_ARG(std::string, base) = "none";
  TORCH_ARG(double, slow_rate) = 1;
  TORCH_ARG(double, beta) = 0.5;
  /// Synchronous steps of `post_local`.
  TORCH_ARG(std::uint64_t, sync_steps) = 1000;
  /// How rules that can do so write models and differences: see `codec::all`. Empty: signs where
  /// there is nothing but codes, else whole vectors.
  TORCH_ARG(std::string, codec) = "";
  /// What `topology` and `graph` may name.
  TORCH_ARG(std::vector<topology::Entry>, topologies) = topology::known();

 public:
  /// The period, or what the probability makes of it. Throws ConfigError if both are 0.
  [[nodiscard]] std::uint64_t steps_between() const {
    if (period_ > 0) return period_;
    if (!(probability_ > 0)) {
      throw ConfigError(c10::str("RegistryOptions: needs a period, or a probability above 0, got ",
                                 probability_));
    }
    return static_cast<std::uint64_t>(std::max(1.0, std::round(1 / probability_)));
  }
  [[nodiscard]] schedule::Any when() const {
    return schedule::from_text(schedule_, schedule::RegistryOptions().probability(probability_));
  }
  [[nodiscard]] topology::Any whom() const {
    const auto turns = schedule::steps_per_turn(schedule_);
    return topology::from_text(
        topology_, topology::RegistryOptions().seed(seed_).steps_per_turn(turns), topologies_);
  }
  /// The graph, or that one.
  [[nodiscard]] Neighbourhoods any_graph(const std::string& own) const {
    return topology::graph_from_text(graph_.empty() ? own : graph_,
                                     topology::RegistryOptions().seed(seed_), topologies_);
  }
  /// The same for a rule that needs edges which go both ways; a ring if none is said.
  [[nodiscard]] Neighbourhoods two_way_graph(const std::string& rule) const {
    if (graph_.empty()) return topology::Ring(topology::Ring::Way::both);
    const auto graph =
        topology::graph_from_text(graph_, topology::RegistryOptions().seed(seed_), topologies_);
    if (!topology::is_two_way(*graph, nodes_ > 0 ? nodes_ : 8)) {
      throw ConfigError(rule + ": needs a graph whose edges go both ways, got " + graph_);
    }
    return {graph, true};
  }
};

}  // namespace gossamer::rule
