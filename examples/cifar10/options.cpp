// SPDX-License-Identifier: MIT
/// Reads the command line, and turns names into rules.
#include <cifar10/networks.hpp>
#include <cifar10/options.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/cluster_file.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <fstream>
#include <iterator>
#include <vector>

namespace cifar10 {
namespace {

const std::vector<std::string> rule_names = {
    "single", "none", "sync", "persyn", "gosgd", "gosgd_pull",
    // elastic, centre and leader rules
    "elastic_gossip", "easgd", "easgd_sync", "dynamic_easgd", "downpour", "leader_sgd"};

/// A number above zero; says so otherwise (not-a-number included).
CLI::Validator positive() {
  return CLI::Validator(
      [](const std::string& text) {
        try {
          if (std::stod(text) > 0 && std::isfinite(std::stod(text))) return std::string();
        } catch (const std::exception&) {  // not a number: the same sentence
        }
        return "must be a number above 0, got " + text;
      },
      "> 0");
}

/// A number in [low, high], or in [low, high) if `open`.
CLI::Validator within(double low, double high, bool open = false) {
  const std::string range =
      "[" + CLI::detail::to_string(low) + ", " + CLI::detail::to_string(high) + (open ? ")" : "]");
  return CLI::Validator(
      [=](const std::string& text) {
        try {
          const double value = std::stod(text);
          if (value >= low && (open ? value < high : value <= high)) return std::string();
        } catch (const std::exception&) {  // not a number: the same sentence
        }
        return "must lie in " + range + ", got " + text;
      },
      range);
}

/// One of some names.
CLI::Validator one_of(std::vector<std::string> names) {
  const std::string list = CLI::detail::join(names, ", ");
  return CLI::Validator(
      [names = std::move(names), list](const std::string& text) {
        const bool known = std::find(names.begin(), names.end(), text) != names.end();
        return known ? std::string() : "must be one of " + list + ", got " + text;
      },
      list);
}

void add_options(CLI::App& app, Options& o) {
  app.set_version_flag("--version", GOSSAMER_VERSION);

  const char* data = "Data";
  app.add_option("--data", o.data,
                 "Folder with CIFAR-10's binary version, or its parent (also: GOSSAMER_DATA)")
      ->envname("GOSSAMER_DATA")
      ->group(data);
  app.add_flag("--download", o.download,
               "Fetch the official archive (170 MB) into the cache, unless --data is given")
      ->group(data);
  app.add_option("--crop", o.crop, "Side of the crops in pixels: 28, or 32 with resnet18")
      ->check(one_of({"28", "32"}))
      ->capture_default_str()
      ->group(data);
  app.add_flag("!--no-flip", o.flip, "Do not mirror half of the training images")->group(data);
  app.add_flag("!--no-random-crop", o.random_crop, "Train on centre crops")->group(data);
  app.add_flag("!--no-normalise", o.normalise, "Pixels in [0, 1] instead of mean 0, deviation 1")
      ->group(data);
  auto* shard =
      app.add_flag("--shard", o.shard, "Each node sees its own part of the data, not all of it")
          ->group(data);
  app.add_option("--overlap", o.overlap, "Share of the images that every node's shard has")
      ->check(within(0, 1))
      ->needs(shard)
      ->group(data);

  const char* training = "Training";
  app.add_option("--network", o.network, "The network")
      ->check(one_of(network_names()))
      ->capture_default_str()
      ->group(training);
  app.add_option("--dropout", o.dropout, "Probability that a unit before the last layer is dropped")
      ->check(within(0, 1, true))
      ->capture_default_str()
      ->group(training);
  app.add_option("--batch", o.batch, "Images per step of a node")
      ->check(within(1, 50000))
      ->capture_default_str()
      ->group(training);
  app.add_option("--learning-rate", o.learning_rate, "Learning rate, constant")
      ->check(positive())
      ->capture_default_str()
      ->group(training);
  app.add_option("--optimizer", o.optimizer,
                 "Each node's own: sgd, nesterov (with easgd: EAMSGD), adahessian")
      ->check(one_of({"sgd", "nesterov", "adahessian"}))
      ->capture_default_str()
      ->group(training);
  app.add_option("--momentum", o.momentum, "Momentum of each node's own SGD")
      ->check(within(0, 1, true))
      ->capture_default_str()
      ->group(training);
  app.add_option("--weight-decay", o.weight_decay, "L2 regularisation")
      ->check(within(0, 1))
      ->capture_default_str()
      ->group(training);
  app.add_option("--seed", o.seed, "Seed of everything random")
      ->capture_default_str()
      ->group(training);

  const char* gossip = "Gossip";
  auto* nodes = app.add_option("--nodes", o.nodes, "Number of nodes (M)")
                    ->check(within(1, 4096))
                    ->capture_default_str()
                    ->group(gossip);
  app.add_option("--rule", o.rule, "How nodes meet")
      ->check(one_of(rule_names))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--probability", o.probability, "Probability of an exchange after a step (p)")
      ->check(within(0, 1))
      ->capture_default_str()
      ->group(gossip);
  app.add_option(
         "--tau", o.tau,
         "Steps between two averages of persyn, or exchanges of easgd, downpour, leader_sgd "
         "(default: 1 / p)")
      ->check(positive())
      ->group(gossip);
  app.add_option("--alpha", o.alpha,
                 "Strength of a pull of elastic_gossip (default: 0.5), easgd (0.9 / workers), "
                 "leader_sgd (0.1)")
      ->check(within(0, 1))
      ->group(gossip);
  app.add_option("--drop", o.drop,
                 "Probability that a worker of easgd or dynamic_easgd fails to "
                 "get through when an exchange is due")
      ->check(within(0, 1))
      ->group(gossip);
  app.add_option("--topology", o.topology, "Whom gosgd, gosgd_pull and elastic_gossip meet")
      ->check(one_of({"uniform", "ring"}))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--buffers", o.buffers, "BatchNorm statistics when models meet")
      ->check(one_of({"average", "local", "reset"}))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--transport", o.transport, "How messages travel")
      ->check(one_of({"threads", "simulated"}))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--cluster", o.cluster,
                 "TOML file: machines, network and events of the simulated transport")
      ->check(CLI::ExistingFile)
      ->excludes(nodes)
      ->group(gossip);

  const char* length = "Length: one of these; all nodes end together";
  auto* images = app.add_option("--images", o.images, "Images over all nodes (default: 200000)")
                     ->check(positive())
                     ->group(length);
  auto* steps = app.add_option("--steps", o.steps, "Steps per node, on average")
                    ->check(positive())
                    ->excludes(images)
                    ->group(length);
  app.add_option("--seconds", o.seconds, "Seconds of training, on the cluster's clock")
      ->check(positive())
      ->excludes(images)
      ->excludes(steps)
      ->group(length);
  app.add_option("--until-accuracy", o.until_accuracy,
                 "End before that when an evaluation of the mean model is as good as this")
      ->check(within(0, 1))
      ->group(length);

  const char* records = "Records";
  app.add_option("--out", o.out, "Run folder (default: runs/ and the time)")->group(records);
  app.add_option("--evaluate-every", o.evaluate_every,
                 "Images between two evaluations (default: a fifth of the run, at least 20000)")
      ->check(positive())
      ->group(records);
  app.add_option("--node-test-images", o.node_test_images,
                 "Test images on which the single nodes are measured; the means always on all")
      ->check(within(1, 10000))
      ->capture_default_str()
      ->group(records);
  app.add_option("--checkpoint-every", o.checkpoint_every, "Images between two checkpoints")
      ->check(positive())
      ->group(records);
  app.add_flag("--resume", o.resume, "Go on from the checkpoint in --out")->group(records);
  app.add_flag("--quiet", o.quiet, "No progress, only the table at the end")->group(records);
}

}  // namespace

std::uint64_t Options::period() const {
  if (tau > 0) return tau;
  return static_cast<std::uint64_t>(std::max(1.0, std::round(1 / probability)));
}

bool Options::uses_tau() const {
  return rule == "easgd" || rule == "easgd_sync" || rule == "dynamic_easgd" || rule == "downpour" ||
         rule == "leader_sgd";
}

std::uint64_t Options::total_images() const {
  if (seconds > 0) return 0;
  if (steps > 0) return steps * members() * static_cast<std::uint64_t>(batch);
  return images > 0 ? images : 200'000;
}

gossamer::rule::AnyRule Options::make_rule() const {
  using namespace gossamer;
  topology::Any whom = topology::Uniform{};
  if (topology == "ring") whom = topology::Ring{};
  if (rule == "sync") return rule::Sync{};
  if (rule == "persyn") return rule::PerSyn(period());
  if (rule == "gosgd") return rule::GoSgd(schedule::Bernoulli(probability), whom);
  if (rule == "gosgd_pull") return rule::GoSgdPull(schedule::Bernoulli(probability), whom);
  if (rule == "elastic_gossip") {
    return rule::ElasticGossip(schedule::Bernoulli(probability), whom, alpha > 0 ? alpha : 0.5);
  }
  if (rule == "downpour") return rule::Downpour(period());
  if (rule == "leader_sgd") {
    return rule::LeaderSgd(
        rule::LeaderSgdOptions().tau(period()).pull(alpha > 0 ? alpha : 0.1).window(period()));
  }
  if (!uses_tau()) return rule::None{};
  const auto centred = rule::EasgdOptions().tau(period()).alpha(alpha).drop(drop);
  if (rule == "easgd") return rule::Easgd(centred);
  if (rule == "easgd_sync") return rule::Easgd(rule::EasgdOptions(centred).synchronous(true));
  return rule::DynamicEasgd(centred);
}

gossamer::model::Buffers Options::buffer_policy() const {
  using gossamer::model::Buffers;
  if (buffers == "local") return Buffers::local;
  return buffers == "reset" ? Buffers::reset : Buffers::average;
}

gossamer::SimulatedGroupOptions Options::simulation() const {
  gossamer::SimulatedGroupOptions group(members());
  if (!cluster.empty()) group = gossamer::ClusterFile::read(cluster);
  if (rule == "single") {
    auto world = group.world();
    group.world(world.nodes(1)).plan({});
  }
  return group;
}

nlohmann::ordered_json Options::description() const {
  nlohmann::ordered_json text = {{"network", network},
                                 {"rule", rule},
                                 {"transport", transport},
                                 {"nodes", members()},
                                 {"probability", probability},
                                 {"batch", batch},
                                 {"learning_rate", learning_rate},
                                 {"momentum", momentum},
                                 {"weight_decay", weight_decay},
                                 {"dropout", dropout},
                                 {"seed", seed},
                                 {"crop", crop},
                                 {"flip", flip},
                                 {"random_crop", random_crop},
                                 {"normalise", normalise},
                                 {"shard", shard},
                                 {"topology", topology},
                                 {"buffers", buffers}};
  if (rule == "persyn" || uses_tau()) text["tau"] = period();
  if (optimizer != "sgd") text["optimizer"] = optimizer;
  if (alpha > 0) text["alpha"] = alpha;
  if (drop > 0) text["drop"] = drop;
  if (overlap > 0) text["overlap"] = overlap;
  if (!cluster.empty()) {
    std::ifstream in(cluster, std::ios::binary);
    text["cluster"] = std::string(std::istreambuf_iterator<char>(in), {});
  }
  return text;
}

std::optional<Options> parse(int argc, char** argv, int& status) {
  Options options;
  CLI::App app(
      "Trains a network on CIFAR-10 with nodes that gossip: each trains its own copy, and now and\n"
      "then pushes half of its weight with a snapshot of its parameters to another (GoSGD).\n\n"
      "  cifar10 --data DIR                            8 nodes, GoSGD, p = 0.02\n"
      "  cifar10 --data DIR --rule persyn --tau 50     the same traffic, with a barrier\n"
      "  cifar10 --data DIR --rule single              one node alone\n"
      "  cifar10 --data DIR --transport simulated --cluster FILE   a cluster that is computed\n"
      "  cifar10 --download --momentum 0.9 --images 500000 --out RUN --checkpoint-every 50000\n"
      "  cifar10 ... --out RUN --resume                go on after a crash\n",
      "cifar10");
  app.get_formatter()->column_width(34);
  add_options(app, options);
  const auto refuse = [&status](const std::string& why) {
    std::cerr << "cifar10: " << why << '\n';
    status = 2;
    return std::nullopt;
  };
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    status = app.exit(help);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    return refuse(error.what());
  }
  if ((options.rule == "persyn" || options.uses_tau()) && options.tau == 0 &&
      !(options.probability > 0)) {
    return refuse("--rule " + options.rule + ": needs --tau, or --probability above 0, got 0");
  }
  if (options.optimizer == "nesterov" && !(options.momentum > 0)) {
    return refuse("--optimizer nesterov: needs --momentum above 0, got 0");
  }
  if (options.optimizer == "adahessian" && options.rule == "sync") {
    return refuse(
        "--optimizer adahessian: cannot be used with --rule sync, which changes gradients");
  }
  if (options.rule == "elastic_gossip" && options.alpha == 1) {
    return refuse("--alpha: must lie below 1 with elastic_gossip, got 1");
  }
  if (options.drop > 0 && options.rule != "easgd" && options.rule != "dynamic_easgd") {
    return refuse("--drop: needs --rule easgd or dynamic_easgd, got --rule " + options.rule);
  }
  if (options.crop == 32 && options.network != "resnet18") {
    return refuse("--crop 32: only resnet18 takes 32x32 images, got --network " + options.network);
  }
  if (!options.cluster.empty()) {
    if (options.transport != "simulated") {
      return refuse("--cluster: needs --transport simulated, got --transport " + options.transport);
    }
    try {
      options.nodes = gossamer::ClusterFile::read(options.cluster).world().nodes();
    } catch (const gossamer::ConfigError& error) {
      return refuse(error.what());
    }
  }
  if (options.resume && options.out.empty()) {
    return refuse("--resume: needs --out DIR, the folder of the run to go on with");
  }
  return options;
}

}  // namespace cifar10
