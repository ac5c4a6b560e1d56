// SPDX-License-Identifier: MIT
/// Reads the command line, and turns names into rules.
#include <cifar10/networks.hpp>
#include <cifar10/options.hpp>
#include <gossamer/rule/registry.hpp>
#include <gossamer/simulation/cluster_file.hpp>
#include <gossamer/topology/graph_file.hpp>
#include <gossamer/version.hpp>
#include <shared/dashboard.hpp>
#include <shared/validators.hpp>
#include <shared/watch.hpp>

#include <CLI/CLI.hpp>

#include <array>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <utility>
#include <vector>

namespace cifar10 {
namespace {

using examples::Adder;
using examples::not_empty;
using examples::one_of;
using examples::positive;
using examples::within;

/// `single`, which is `none` with one node, and all rules of the library.
std::vector<std::string> rule_names() {
  std::vector<std::string> names = {"single"};
  for (const auto& entry : gossamer::rule::known()) names.emplace_back(entry.name);
  return names;
}
std::string in_library(const std::string& rule) { return rule == "single" ? "none" : rule; }

constexpr std::uint64_t most_images = 1'000'000'000'000'000;  // beyond any run

void list_rules() {
  const auto row = [](const std::array<std::string_view, 4>& cells) {
    std::cout << std::left << std::setw(16) << cells[0] << std::setw(43) << cells[1]
              << std::setw(38) << cells[2] << cells[3] << '\n';
  };
  row({"rule", "paper", "conserves", "needs"});
  row({"single", "", "", "one node"});
  for (const auto& entry : gossamer::rule::known()) {
    row({entry.name, entry.paper, entry.conserves, entry.needs});
  }
  throw CLI::Success();
}

void list_topologies() {
  const auto print = [](const auto& table) {
    for (const auto& entry : table) {
      std::cout << std::left << std::setw(26) << entry.usage.text << entry.description << '\n';
    }
  };
  std::cout << "Topologies\n";
  print(gossamer::topology::known_with_files());
  std::cout << "\nSchedules\n";
  print(gossamer::schedule::known());
  throw CLI::Success();
}

void add_data(CLI::App& app, Options& o) {
  const Adder add{app, "Data"};
  add("--data", o.data,
      "Folder with CIFAR-10's binary version, or its parent (also: GOSSAMER_DATA)",
      not_empty("a folder"), false)
      ->envname("GOSSAMER_DATA");
  app.add_flag_callback("--download",
                        [] {
                          throw CLI::ValidationError(
                              "--download",
                              "belongs to ./examples/run.sh, or call examples/cifar10/download.sh");
                        })
      ->group("");  // not in the help
  add("--crop", o.crop, "Side of the crops in pixels: 28, or 32 with resnet18",
      one_of({"28", "32"}));
  add.flag("!--no-flip", o.flip, "Do not mirror half of the training images");
  add.flag("!--no-random-crop", o.random_crop, "Train on centre crops");
  add.flag("!--no-normalise", o.normalise, "Pixels in [0, 1] instead of mean 0, deviation 1");
  auto* shard =
      add.flag("--shard", o.shard, "Each node sees its own part of the data, not all of it");
  auto* overlap = add("--overlap", o.overlap, "Share of the images that every node's shard has",
                      within(0, 1), false)
                      ->needs(shard);
  add("--dirichlet", o.dirichlet,
      "Shards of labels that are not alike, nor of one size: shares of each label from "
      "Dirichlet(ALPHA)",
      positive(1e6), false)
      ->needs(shard)
      ->excludes(overlap);
}

void add_training(CLI::App& app, Options& o) {
  const Adder add{app, "Training"};
  add("--network", o.network, "The network", one_of(network_names()));
  add("--dropout", o.dropout, "Probability that a unit before the last layer is dropped",
      within(0, 1, true));
  add.flag("--channels-last", o.channels_last,
           "The channels of a pixel lie together in memory: other kernels, other last bits");
  add("--batch", o.batch, "Images per step of a node", within(1, 50000));
  add("--learning-rate", o.learning_rate, "Learning rate, constant", positive(1000));
  add("--optimizer", o.optimizer,
      "Each node's own: sgd, nesterov (with easgd: EAMSGD), quasi_global, adahessian",
      one_of({"sgd", "nesterov", "quasi_global", "quasi_global_nesterov", "adahessian"}));
  add("--momentum", o.momentum, "Momentum of each node's own SGD", within(0, 1, true));
  add("--weight-decay", o.weight_decay, "L2 regularisation", within(0, 1));
  add("--seed", o.seed, "Seed of everything random");
}

void add_gossip(CLI::App& app, Options& o) {
  const Adder add{app, "Gossip"};
  auto* nodes = add("--nodes", o.nodes, "Number of nodes (M)", within(1, 4096));
  add("--rule", o.rule, "How nodes meet: see --list-rules", one_of(rule_names()));
  app.add_flag_callback("--list-rules", list_rules,
                        "All rules, with paper, what they conserve and what they need")
      ->group(add.group);
  add("--probability", o.probability, "Probability of an exchange after a step (p)", within(0, 1));
  add("--tau", o.tau,
      "Steps between two averages of all nodes, or exchanges with a centre or leader "
      "(default: 1 / p)",
      positive(1e12), false);
  add("--parts", o.parts,
      "Pieces in which sync, acco, persyn and post_local average (default: 1; simulated: one per "
      "node)",
      within(1, 4096), false);
  add("--alpha", o.alpha,
      "Strength of a pull of elastic_gossip (default: 0.5), easgd (0.9 / workers), "
      "leader_sgd (0.1), gasloc (0.5)",
      within(0, 1), false);
  add("--drop", o.drop,
      "Probability that a worker of easgd or dynamic_easgd fails to "
      "get through when an exchange is due",
      within(0, 1), false);
  add("--topology", o.topology,
      "Whom rules meet that choose one peer at a time: a name of --list-topologies, "
      "with parameters");
  add("--schedule", o.schedule,
      "When they meet: bernoulli, every:TAU, poisson:RATE or bandwidth:BYTES");
  app.add_flag_callback("--list-topologies", list_topologies,
                        "Say what --topology and --schedule know, and end")
      ->group(add.group);
  add("--graph", o.graph,
      "Neighbours under rules that go by rounds: exponential (see --peers), ring (both ways), or a "
      "graph of --list-topologies (default: the rule's own)",
      {}, false);
  add("--peers", o.peers, "Peers per round of the exponential graph", within(1, 64));
  add("--staleness", o.staleness, "How many steps late osgp takes messages", within(1, 1000));
  add("--base", o.base, "The rule around which slowmo is", one_of(rule_names()));
  add("--slow-rate", o.slow_rate, "Slow learning rate of slowmo", positive());
  add("--beta", o.beta, "Outer momentum of slowmo and async_diloco", within(0, 1, true));
  add.flag("--keep-momentum", o.keep_momentum,
           "Keep the nodes' own momentum when slowmo averages, instead of resetting it");
  add("--codec", o.codec,
      "Messages in few bits, of rules that can: sign, two_bits, int4, int8, top_k:0.01 ... "
      "(default: "
      "sign for ledger_gossip and choco_sgd, whole vectors for others)",
      {}, false);
  add("--sync-steps", o.sync_steps, "Steps of post_local before nodes go local", within(0, 1e12));
  add("--buffers", o.buffers, "BatchNorm statistics when models meet",
      one_of({"average", "local", "reset"}));
  add("--transport", o.transport, "How messages travel",
      one_of({"threads", "simulated", "tcp", "mpi"}));
  add("--cluster", o.cluster, "TOML file: machines, network and events of the simulated transport",
      CLI::ExistingFile, false)
      ->excludes(nodes);
}

void add_length(CLI::App& app, Options& o) {
  const Adder add{app, "Length: one of these; all nodes end together"};
  auto* images =
      add("--images", o.images, "Images over all nodes (default: 200000)", positive(), false);
  auto* steps =
      add("--steps", o.steps, "Steps per node, on average", positive(), false)->excludes(images);
  add("--seconds", o.seconds, "Seconds of training, on the cluster's clock", positive(1e9), false)
      ->excludes(images)
      ->excludes(steps);
  add("--until-accuracy", o.until_accuracy,
      "End before that when an evaluation of the mean model is as good as this", within(0, 1),
      false);
}

void add_records(CLI::App& app, Options& o) {
  const Adder add{app, "Records"};
  add("--out", o.out, "Run folder (default: runs/ and the time)", {}, false);
  add("--evaluate-every", o.evaluate_every,
      "Images between two evaluations (default: a fifth of the run, at least 20000)", positive(),
      false);
  add("--node-test-images", o.node_test_images,
      "Test images on which the single nodes are measured; the means always on all",
      within(1, 10000));
  add.flag("!--no-evaluation", o.evaluate, "Do not measure the models on the test images");
  add("--checkpoint-every", o.checkpoint_every, "Images between two checkpoints", positive(),
      false);
  add("--trace", o.trace,
      "File for a trace of this run, to be opened in Perfetto; of node N on TCP or MPI, with "
      "-node-N "
      "in its name, and run.sh trace makes one of these",
      {}, false);
  add("--step-log", o.step_log,
      "File for when each step of this process's node on TCP or MPI begins, and how long it has "
      "waited for a core until then",
      {}, false);
  add("--watch", o.watch,
      "[ADDRESS:]PORT of a live page of the run; of node N on TCP or MPI, PORT + N; of a "
      "newcomer, PORT. Where others "
      "reach it, the environment's GOSSAMER_WATCH_TOKEN says what a viewer must know",
      {}, false);
  add("--mlflow", o.mlflow, "Folder of MLflow's runs (mlruns), to which this one is added", {},
      false);
  add.flag("--dashboard", o.dashboard,
           "A table of the nodes in the terminal; q leaves it, and the run goes on");
  add.flag("--resume", o.resume, "Go on from the checkpoint in --out");
  add.flag("--quiet", o.quiet, "No progress, only the table at the end");
}

/// Refuses what single options cannot see, and finds this node's place. Throws ConfigError.
void complete(Options& o, bool wants_nodes) {
  const auto refuse_if = [](bool wrong, const std::string& why) {
    if (wrong) throw gossamer::ConfigError(why);
  };
  const gossamer::rule::Entry& rule = gossamer::rule::entry_of(in_library(o.rule));
  refuse_if(rule.by_period && o.tau == 0 && !(o.probability > 0),
            "--rule " + o.rule + ": needs --tau, or --probability above 0, got 0");
  refuse_if(o.optimizer == "nesterov" && !(o.momentum > 0),
            "--optimizer nesterov: needs --momentum above 0, got 0");
  refuse_if(o.optimizer == "adahessian" && o.rule == "sync",
            "--optimizer adahessian: cannot be used with --rule sync, which changes gradients");
  refuse_if(o.rule == "acco" && o.optimizer != "sgd" && o.optimizer != "nesterov",
            "--rule acco: needs --optimizer sgd or nesterov, whose steps can be taken back, got " +
                o.optimizer);
  refuse_if(o.rule == "elastic_gossip" && o.alpha == 1,
            "--alpha: must lie below 1 with elastic_gossip, got 1");
  refuse_if(o.drop > 0 && o.rule != "easgd" && o.rule != "dynamic_easgd",
            "--drop: needs --rule easgd or dynamic_easgd, got --rule " + o.rule);
  refuse_if(o.rule == "slowmo" && o.base == "slowmo",
            "--base: slowmo needs another rule, got slowmo");
  refuse_if(o.rule == "slowmo" && o.base == "acco",
            "--base: slowmo needs a rule that takes no steps back, got acco");
  refuse_if(o.crop == 32 && o.network != "resnet18",
            "--crop 32: only resnet18 takes 32x32 images, got --network " + o.network);
  refuse_if(!o.cluster.empty() && o.transport != "simulated",
            "--cluster: needs --transport simulated, got --transport " + o.transport);
  if (!o.cluster.empty()) o.nodes = gossamer::ClusterFile::read(o.cluster).world().nodes();
  if (o.transport == "tcp") o.nodes = o.process.find_place(o.nodes, wants_nodes);
  o.watch = examples::watch_place(o.watch);
  if (o.dashboard) {
    const std::string obstacle = examples::Dashboard::obstacle();
    refuse_if(!obstacle.empty(), "--dashboard: " + obstacle);
  }
  (void)o.make_rule();
  const std::uint64_t a_step = o.members() * static_cast<std::uint64_t>(o.batch);
  refuse_if(o.steps > most_images / a_step,
            "--steps: must be at most " + std::to_string(most_images / a_step) + " with " +
                std::to_string(o.members()) + " nodes and batches of " + std::to_string(o.batch) +
                ", got " + std::to_string(o.steps));
  refuse_if(o.resume && o.transport == "tcp" && !o.process.has_place,
            "--resume: needs --rank N, the number of the node (its folder is node-N in --out)");
  refuse_if(o.resume && o.out.empty(),
            "--resume: needs --out DIR, the folder of the run to go on with");
}

}  // namespace

gossamer::rule::RegistryOptions Options::rule_options() const {
  std::string named_graph = graph;
  const std::string& by_rounds = rule == "slowmo" ? base : rule;
  const bool is_sgp = by_rounds == "sgp" || by_rounds == "osgp";
  const bool by_graph = gossamer::rule::entry_of(in_library(by_rounds)).by_graph;
  if ((graph == "exponential" && by_graph) || (graph.empty() && is_sgp)) {
    named_graph = "n_peer_exponential:" + std::to_string(peers);
  }
  if (graph == "ring" && by_graph) named_graph = "two_way_ring";
  return gossamer::rule::RegistryOptions()
      .probability(probability)
      .period(tau)
      .schedule(schedule)
      .topology(topology)
      .graph(named_graph)
      .nodes(static_cast<std::uint32_t>(members()))
      .seed(seed)
      .chunks(pieces())
      .alpha(alpha)
      .drop(drop)
      .staleness(staleness)
      .base(in_library(base))
      .slow_rate(slow_rate)
      .beta(beta)
      .sync_steps(sync_steps)
      .codec(codec)
      .topologies(gossamer::topology::known_with_files());
}

gossamer::rule::AnyRule Options::make_rule() const {
  return gossamer::rule::from_name(in_library(rule), rule_options());
}

std::uint32_t Options::pieces() const {
  if (parts > 0) return parts;
  return transport == "threads" ? 1 : static_cast<std::uint32_t>(members());
}

std::uint64_t Options::total_images() const {
  if (seconds > 0) return 0;
  if (steps > 0) return steps * members() * static_cast<std::uint64_t>(batch);
  return images > 0 ? images : 200'000;
}

nlohmann::ordered_json Options::length() const {
  if (seconds > 0) return {{"seconds", seconds}};
  return {{"images", total_images()}};
}

gossamer::NodeOptions Options::node_options() const {
  using gossamer::model::Buffers;
  const Buffers others = buffers == "reset" ? Buffers::reset : Buffers::average;
  gossamer::NodeOptions node;
  node.seed(seed).samples_per_step(static_cast<std::uint64_t>(batch));
  node.buffers(buffers == "local" ? Buffers::local : others);
  return node;
}

gossamer::SimulatedGroupOptions Options::simulation() const {
  auto group = cluster.empty() ? gossamer::SimulatedGroupOptions(members())
                               : gossamer::ClusterFile::read(cluster);
  if (rule == "single")
    group.world(gossamer::transport::SimulatedOptions(group.world()).nodes(1)).plan({});
  return group;
}

gossamer::EnergyModel Options::energy() const {
  return cluster.empty() ? gossamer::EnergyModel() : gossamer::ClusterFile::read_energy(cluster);
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
  if (schedule != "bernoulli") text["schedule"] = schedule;
  if ((rule == "sync" || rule == "persyn") && pieces() > 1) text["parts"] = pieces();
  if (channels_last) text["channels_last"] = true;
  if (optimizer != "sgd") text["optimizer"] = optimizer;
  if (alpha > 0) text["alpha"] = alpha;
  if (!codec.empty()) text["codec"] = codec;
  if (drop > 0) text["drop"] = drop;
  if (overlap > 0) text["overlap"] = overlap;
  if (dirichlet > 0) text["dirichlet"] = dirichlet;
  if (gossamer::rule::entry_of(in_library(rule)).by_period) {
    text["tau"] = rule_options().steps_between();
  }
  if (!graph.empty()) text["graph"] = graph;
  if (peers != 1) text["peers"] = peers;
  if (rule == "osgp" || base == "osgp") text["staleness"] = staleness;
  if (rule == "post_local") text["sync_steps"] = sync_steps;
  if (rule == "async_diloco") text["beta"] = beta;
  if (rule == "slowmo") {
    text["base"] = base;
    text["slow_rate"] = slow_rate;
    text["beta"] = beta;
    text["keep_momentum"] = keep_momentum;
  }
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
      "  cifar10 --list-rules                          all ways in which nodes can meet\n"
      "  cifar10 --data DIR --transport simulated --cluster FILE   a cluster that is computed\n"
      "  cifar10 --data DIR --transport tcp --nodes 4 --rank 2 --contact HOST:PORT   one of four\n"
      "  mpirun -np 4 cifar10 --data DIR --transport mpi   four ranks; the job ends if one dies,\n"
      "                                                    unlike one on TCP\n"
      "  cifar10 --data DIR --momentum 0.9 --images 500000 --out RUN --checkpoint-every 50000\n"
      "  cifar10 ... --out RUN --resume                go on after a crash\n",
      "cifar10");
  examples::let_the_last_win(app);
  app.set_version_flag("--version", GOSSAMER_VERSION);
  app.get_formatter()->column_width(34);
  add_data(app, options);
  add_training(app, options);
  add_gossip(app, options);
  options.process.run = options.process.default_run = "cifar10";
  options.process.add_to(app, "TCP: one node per process (--nodes: how many the run begins with)");
  add_length(app, options);
  add_records(app, options);
  try {
    app.parse(argc, argv);
    complete(options, app.count("--nodes") > 0);
    return options;
  } catch (const CLI::Success& help) {
    status = app.exit(help);
  } catch (const std::exception& error) {
    std::cerr << "cifar10: " << error.what() << '\n';
    status = 2;
  }
  return std::nullopt;
}

}  // namespace cifar10
