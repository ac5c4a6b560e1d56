// SPDX-License-Identifier: MIT
/// The options of the CIFAR-10 example.
#pragma once

#include <gossamer/node/options.hpp>
#include <gossamer/rule/registry_options.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/simulation/energy.hpp>
#include <gossamer/simulation/group_options.hpp>
#include <shared/process_options.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cifar10 {

/// What a run is to do; the defaults are the GoSGD slides' setting.
struct Options {
  // data
  std::filesystem::path data;  // empty: GOSSAMER_DATA, else the synthetic set
  std::int64_t crop = 28;
  bool flip = true;
  bool random_crop = true;
  bool normalise = true;
  bool shard = false;
  double overlap = 0;
  double dirichlet = 0;  // 0: shards of equal parts
  // training
  std::string network = "gosgd";
  double dropout = 0.5;
  bool channels_last = false;
  std::int64_t batch = 20;
  double learning_rate = 0.01;
  std::string optimizer = "sgd";
  double momentum = 0;
  double weight_decay = 0;
  std::uint64_t seed = 1;
  // gossip
  std::string transport = "threads";
  std::filesystem::path cluster;     // of the simulated transport; empty: equal nodes
  examples::ProcessOptions process;  // of TCP and MPI
  std::string rule = "gosgd";
  std::string topology = "uniform";    // see --list-topologies
  std::string schedule = "bernoulli";  // see --list-topologies
  std::string buffers = "average";
  std::size_t nodes = 8;
  double probability = 0.02;
  std::uint64_t tau = 0;    // 0: the nearest to 1 / probability
  std::uint32_t parts = 0;  // 0: 1 on threads, one per node on a network
  double alpha = 0;         // strength of a pull; 0: the rule's own
  double drop = 0;
  std::string graph;            // of rules that go by rounds; empty: the rule's own
  std::uint32_t peers = 1;      // of the exponential graph
  std::uint64_t staleness = 1;  // of osgp
  std::string codec;            // empty: the rule's own
  std::string base = "none";    // of slowmo
  double slow_rate = 1;         // of slowmo
  double beta = 0.5;            // of slowmo
  bool keep_momentum = false;
  std::uint64_t sync_steps = 1000;  // of post_local
  // how long
  std::uint64_t images = 0;
  std::uint64_t steps = 0;
  double seconds = 0;
  double until_accuracy = 2;  // never
  // what is kept
  std::filesystem::path out;         // empty: runs/TIME
  std::uint64_t evaluate_every = 0;  // images; 0: a fifth of the run, at least 20,000
  std::int64_t node_test_images = 1000;
  bool evaluate = true;
  std::uint64_t checkpoint_every = 0;  // images; 0: no checkpoints
  std::filesystem::path trace;         // empty: none
  std::filesystem::path step_log;      // of a node in a process of its own; empty: none
  std::string watch;                   // address and port of the live page; empty: none
  std::filesystem::path mlflow;        // of MLflow's runs, to which this one is added; empty: none
  bool dashboard = false;
  bool resume = false;
  bool quiet = false;

  /// How many nodes there are: 1 for the rule `single`.
  [[nodiscard]] std::size_t members() const { return rule == "single" ? 1 : nodes; }
  /// Pieces in which rules that can do so average, each on a node of its own.
  [[nodiscard]] std::uint32_t pieces() const;
  /// Images over all nodes that the run is to take; 0 if only time limits it.
  [[nodiscard]] std::uint64_t total_images() const;
  /// The rule that the names and numbers spell. Throws ConfigError.
  [[nodiscard]] gossamer::rule::AnyRule make_rule() const;
  [[nodiscard]] gossamer::rule::RegistryOptions rule_options() const;
  [[nodiscard]] gossamer::NodeOptions node_options() const;
  /// Whether nodes are processes, of which this is one.
  [[nodiscard]] bool is_process() const { return transport == "tcp" || transport == "mpi"; }
  /// The cluster of the simulated transport. The rule `single` has node 0 alone, to which nothing
  /// happens. Throws ConfigError for a file that is wrong.
  [[nodiscard]] gossamer::SimulatedGroupOptions simulation() const;
  /// What the cluster's devices spend; false if its file does not say.
  [[nodiscard]] gossamer::EnergyModel energy() const;
  /// What the record says of a run, and what a checkpoint is of: see `resumed_with`.
  [[nodiscard]] nlohmann::ordered_json description() const;
  /// How long the run is to be: {"images": 200000} or {"seconds": 60.0}.
  [[nodiscard]] nlohmann::ordered_json length() const;
};

/// Reads the command line. Returns nothing, with `status` set, when the program is to end at once:
/// 0 after --help, otherwise after one sentence on standard error that says what is wrong.
std::optional<Options> parse(int argc, char** argv, int& status);

}  // namespace cifar10
