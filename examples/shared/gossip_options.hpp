// SPDX-License-Identifier: MIT
/// The options that examples share: data, group, gossip, records.
#pragma once

#include <gossamer/rule/registry_options.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/simulation/group.hpp>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace examples {

/// What a run is to do, whatever its model.
struct GossipOptions {
  std::filesystem::path data;  ///< empty: GOSSAMER_DATA, else synthetic points
  std::uint64_t seed = 1;
  std::size_t nodes = 16;
  std::string shares = "unequal";  ///< empty: the example deals its data out in its own way
  std::string transport = "threads";
  std::filesystem::path cluster;  ///< of the simulated transport; empty: equal nodes
  std::string rule = "gosgd";
  double probability = 1;
  std::string codec;                        ///< empty: the rule's own
  gossamer::rule::RegistryOptions of_rule;  ///< what else the rule is told
  std::filesystem::path out;                ///< empty: runs/TIME
  std::string watch;                        ///< ADDRESS:PORT of the live page; empty: none
  std::filesystem::path mlflow;             ///< folder of MLflow's runs; empty: none
  bool dashboard = false;
  bool quiet = false;

  [[nodiscard]] gossamer::rule::AnyRule make_rule() const;
  /// The cluster of the simulated transport. Throws ConfigError for a file that is wrong.
  [[nodiscard]] gossamer::SimulatedGroupOptions simulation() const;
  /// What the record says of a run.
  [[nodiscard]] nlohmann::ordered_json description() const;

  /// Adds them to a program on MNIST's images that takes these `rules`, names of rules in the
  /// library.
  void add_to(CLI::App& app, const std::vector<std::string>& rules);
  /// The same but for data and shares, for one that also takes these `transports`.
  void add_gossip_to(CLI::App& app, const std::vector<std::string>& rules,
                     const std::vector<std::string>& transports);
};

/// Reads the command line into what was added to `app`. Nothing if the run may begin; else the exit
/// status: 0 after --help, 2 after one sentence on standard error that says what is wrong.
std::optional<int> parse(CLI::App& app, GossipOptions& options, int argc, char** argv);

}  // namespace examples
