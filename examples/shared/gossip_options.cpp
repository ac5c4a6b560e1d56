// SPDX-License-Identifier: MIT
/// Reads the shared part of the command line.
#include <gossamer/rule/registry.hpp>
#include <gossamer/simulation/cluster_file.hpp>
#include <gossamer/version.hpp>
#include <shared/dashboard.hpp>
#include <shared/gossip_options.hpp>
#include <shared/validators.hpp>
#include <shared/watch.hpp>

#include <fstream>
#include <iostream>
#include <iterator>

namespace examples {

gossamer::rule::AnyRule GossipOptions::make_rule() const {
  auto options = of_rule;
  return gossamer::rule::from_name(rule, options.probability(probability).codec(codec).seed(seed));
}

gossamer::SimulatedGroupOptions GossipOptions::simulation() const {
  return cluster.empty() ? gossamer::SimulatedGroupOptions(nodes)
                         : gossamer::ClusterFile::read(cluster);
}

nlohmann::ordered_json GossipOptions::description() const {
  nlohmann::ordered_json text = {
      {"rule", rule}, {"transport", transport}, {"nodes", nodes}, {"probability", probability}};
  if (!shares.empty()) text["shares"] = shares;
  text["seed"] = seed;
  if (!codec.empty()) text["codec"] = codec;
  if (!cluster.empty()) {
    std::ifstream in(cluster, std::ios::binary);
    text["cluster"] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return text;
}

void GossipOptions::add_to(CLI::App& app, const std::vector<std::string>& rules) {
  let_the_last_win(app);
  const Adder add{app, "Options"};
  add("--data", data,
      "Folder with MNIST's train-images-idx3-ubyte, also as .gz, or its parent, or torchvision's "
      "(also: GOSSAMER_DATA)",
      not_empty("a folder"), false)
      ->envname("GOSSAMER_DATA");
  add("--shares", shares,
      "Shares of the data: equal, or each node's larger than the one's before it",
      one_of({"equal", "unequal"}));
  add_gossip_to(app, rules, {"threads", "simulated"});
}

void GossipOptions::add_gossip_to(CLI::App& app, const std::vector<std::string>& rules,
                                  const std::vector<std::string>& transports) {
  let_the_last_win(app);
  app.set_version_flag("--version", GOSSAMER_VERSION);
  app.get_formatter()->column_width(34);
  const Adder add{app, "Options"};
  add("--seed", seed, "Seed of everything random");
  auto* count = add("--nodes", nodes, "Number of nodes (M)", within(1, 4096));
  add("--transport", transport, "How messages travel", one_of(transports));
  add("--cluster", cluster, "TOML file: machines, network and events of the simulated transport",
      CLI::ExistingFile, false)
      ->excludes(count);
  add("--rule", rule, "How nodes meet", one_of(rules));
  add("--probability", probability, "Probability of an exchange after a step (p)",
      positive() & within(0, 1));
  add("--codec", codec, "Messages in few bits, of rules that can: sign, int4, int8 ...", {}, false);
  add("--out", out, "Run folder (default: runs/ and the time)", {}, false);
  add("--watch", watch,
      "[ADDRESS:]PORT of a live page; where nodes are processes, of node N PORT + N", {}, false);
  add("--mlflow", mlflow, "Folder of MLflow's runs (mlruns), to which this one is added", {},
      false);
  add.flag("--dashboard", dashboard,
           "A table of the nodes in the terminal; q leaves it, and the run goes on");
  add.flag("--quiet", quiet, "No progress, only the table at the end");
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
  if (!options.cluster.empty() && options.transport != "simulated") {
    return refuse("--cluster: needs --transport simulated, got --transport " + options.transport);
  }
  if (options.dashboard) {
    const std::string obstacle = Dashboard::obstacle();
    if (!obstacle.empty()) return refuse("--dashboard: " + obstacle);
  }
  try {
    options.watch = watch_place(options.watch);
    (void)options.make_rule();
    if (options.cluster.empty()) return std::nullopt;
    options.nodes = options.simulation().world().nodes();
  } catch (const gossamer::ConfigError& error) {
    return refuse(error.what());
  }
  return std::nullopt;
}

}  // namespace examples
