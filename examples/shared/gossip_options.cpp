// SPDX-License-Identifier: MIT
/// Reads the shared part of the command line.
#include <gossamer/gossamer.hpp>
#include <gossamer/simulation/cluster_file.hpp>
#include <shared/gossip_options.hpp>
#include <shared/validators.hpp>

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>

namespace examples {

gossamer::rule::AnyRule GossipOptions::make_rule() const {
  using namespace gossamer;
  if (rule == "gosgd_pull") return rule::GoSgdPull(probability);
  if (rule == "persyn") {
    return rule::PerSyn(static_cast<std::uint64_t>(std::max(1.0, std::round(1 / probability))));
  }
  return rule::GoSgd(probability);
}

gossamer::SimulatedGroupOptions GossipOptions::simulation() const {
  return cluster.empty() ? gossamer::SimulatedGroupOptions(nodes)
                         : gossamer::ClusterFile::read(cluster);
}

nlohmann::ordered_json GossipOptions::description() const {
  nlohmann::ordered_json text = {{"rule", rule},     {"transport", transport},
                                 {"nodes", nodes},   {"probability", probability},
                                 {"shares", shares}, {"seed", seed}};
  if (!cluster.empty()) {
    std::ifstream in(cluster, std::ios::binary);
    text["cluster"] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return text;
}

void GossipOptions::add_to(CLI::App& app, const std::vector<std::string>& rules) {
  app.set_version_flag("--version", GOSSAMER_VERSION);
  app.get_formatter()->column_width(34);
  app.add_option("--data", data,
                 "Folder with MNIST's train-images-idx3-ubyte, or its parent (also: GOSSAMER_DATA)")
      ->envname("GOSSAMER_DATA");
  app.add_option("--seed", seed, "Seed of everything random")->capture_default_str();
  auto* count = app.add_option("--nodes", nodes, "Number of nodes (M)")
                    ->check(within(1, 4096))
                    ->capture_default_str();
  app.add_option("--shares", shares,
                 "Shares of the data: equal, or each node's larger than the one's before it")
      ->check(one_of({"equal", "unequal"}))
      ->capture_default_str();
  app.add_option("--transport", transport, "How messages travel")
      ->check(one_of({"threads", "simulated"}))
      ->capture_default_str();
  app.add_option("--cluster", cluster,
                 "TOML file: machines, network and events of the simulated transport")
      ->check(CLI::ExistingFile)
      ->excludes(count);
  app.add_option("--rule", rule, "How nodes meet")->check(one_of(rules))->capture_default_str();
  auto chance = within(0, 1);
  app.add_option("--probability", probability, "Probability of an exchange after a step (p)")
      ->check(positive() & chance)
      ->capture_default_str();
  app.add_option("--out", out, "Run folder (default: runs/ and the time)");
  app.add_flag("--quiet", quiet, "No progress, only the table at the end");
}

std::optional<int> parse(CLI::App& app, GossipOptions& options, int argc, char** argv) {
  const auto refuse = [&app](const std::string& why) {
    std::cerr << app.get_name() << ": " << why << '\n';
    return 2;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return refuse(error.what());
  }
  if (options.cluster.empty()) return std::nullopt;
  if (options.transport != "simulated") {
    return refuse("--cluster: needs --transport simulated, got --transport " + options.transport);
  }
  try {
    options.nodes = options.simulation().world().nodes();
  } catch (const gossamer::ConfigError& error) {
    return refuse(error.what());
  }
  return std::nullopt;
}

}  // namespace examples
