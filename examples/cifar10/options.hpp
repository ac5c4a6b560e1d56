// SPDX-License-Identifier: MIT
/// The options of the CIFAR-10 example.
#pragma once

#include <gossamer/model/flat_model.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/simulation/group_options.hpp>

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
  std::filesystem::path cluster;  // of the simulated transport; empty: equal nodes
  struct Tcp {
    std::int64_t rank = -1;        // as given; negative: a launcher says, or this is a newcomer
    std::uint32_t number = 0;      // this node's
    bool has_place = true;         // the number was given, not drawn
    std::uint32_t world_size = 0;  // how many nodes the run begins with
    std::string listen = "127.0.0.1:0";
    std::string advertise;
    std::vector<std::string> contacts;
    std::uint16_t port = 29400;  // of the first node, if a launcher does not say
    std::string run = "cifar10";
    std::filesystem::path shared_key;
    std::filesystem::path authority;
    std::filesystem::path certificate;
    std::filesystem::path key;
    bool insecure = false;
    double gather_seconds = 60;
    double drain_seconds = 30;
    std::filesystem::path step_log;  // empty: none
  } tcp;
  std::string rule = "gosgd";
  std::string topology = "uniform";    // see meetings.hpp
  std::string schedule = "bernoulli";  // see meetings.hpp
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
  std::filesystem::path trace;         // of the simulated transport; empty: none
  bool resume = false;
  bool quiet = false;

  /// How many nodes there are: 1 for the rule `single`.
  [[nodiscard]] std::size_t members() const { return rule == "single" ? 1 : nodes; }
  /// Steps between two averages of the rules that have some.
  [[nodiscard]] std::uint64_t period() const;
  /// Pieces in which sync and persyn average, each on a node of its own.
  [[nodiscard]] std::uint32_t pieces() const;
  /// Images over all nodes that the run is to take; 0 if only time limits it.
  [[nodiscard]] std::uint64_t total_images() const;
  /// The rule that the names and numbers spell.
  [[nodiscard]] gossamer::rule::AnyRule make_rule() const;
  [[nodiscard]] gossamer::model::Buffers buffer_policy() const;
  /// The cluster of the simulated transport. The rule `single` has node 0 alone, to which nothing
  /// happens. Throws ConfigError for a file that is wrong.
  [[nodiscard]] gossamer::SimulatedGroupOptions simulation() const;
  /// What must be equal for a checkpoint to be resumed, and what the record says of a run.
  [[nodiscard]] nlohmann::ordered_json description() const;
};

/// Reads the command line. Returns nothing, with `status` set, when the program is to end at once:
/// 0 after --help, otherwise after one sentence on standard error that says what is wrong.
std::optional<Options> parse(int argc, char** argv, int& status);

}  // namespace cifar10
