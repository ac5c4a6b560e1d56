// SPDX-License-Identifier: MIT
/// Reads the command line, and turns names into rules.
#include <cifar10/meetings.hpp>
#include <cifar10/networks.hpp>
#include <cifar10/options.hpp>
#include <cifar10/rules.hpp>
#include <gossamer/launch/tcp_launch.hpp>
#include <gossamer/simulation/cluster_file.hpp>
#include <gossamer/version.hpp>
#include <shared/validators.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <fstream>
#include <iostream>
#include <iterator>
#include <vector>

namespace cifar10 {
namespace {

using examples::one_of;
using examples::positive;
using examples::within;

std::vector<std::string> rule_names() {
  std::vector<std::string> names;
  for (const NamedRule& one : named_rules()) names.push_back(one.name);
  return names;
}

void add_options(CLI::App& app, Options& o) {
  app.set_version_flag("--version", GOSSAMER_VERSION);

  const char* data = "Data";
  app.add_option("--data", o.data,
                 "Folder with CIFAR-10's binary version, or its parent (also: GOSSAMER_DATA)")
      ->envname("GOSSAMER_DATA")
      ->group(data);
  app.add_flag_callback("--download",
                        [] {
                          throw CLI::ValidationError(
                              "--download",
                              "belongs to ./examples/run.sh, or call examples/cifar10/download.sh");
                        })
      ->group("");  // not in the help
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
  app.add_flag("--channels-last", o.channels_last,
               "The channels of a pixel lie together in memory: other kernels, other last bits")
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
  app.add_option("--rule", o.rule, "How nodes meet: see --list-rules")
      ->check(one_of(rule_names()))
      ->capture_default_str()
      ->group(gossip);
  app.add_flag_callback(
         "--list-rules",
         [] {
           list_rules(std::cout);
           throw CLI::Success();
         },
         "All rules, with paper, what they conserve and what they need")
      ->group(gossip);
  app.add_option("--probability", o.probability, "Probability of an exchange after a step (p)")
      ->check(within(0, 1))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--tau", o.tau,
                 "Steps between two averages of all nodes, or exchanges with a centre or leader "
                 "(default: 1 / p)")
      ->check(positive())
      ->group(gossip);
  app.add_option("--parts", o.parts,
                 "Pieces in which sync and persyn average (default: 1; simulated: one per node)")
      ->check(within(1, 4096))
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
  app.add_option("--topology", o.topology,
                 "Whom rules meet that choose one peer at a time: a name of --list-topologies, "
                 "with parameters")
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--schedule", o.schedule,
                 "When they meet: bernoulli, every:TAU, poisson:RATE or bandwidth:BYTES")
      ->capture_default_str()
      ->group(gossip);
  app.add_flag_callback(
         "--list-topologies",
         [] {
           std::cout << "Topologies\n" << topology_table() << "\nSchedules\n" << schedule_table();
           throw CLI::Success();
         },
         "Say what --topology and --schedule know, and end")
      ->group(gossip);
  app.add_option("--graph", o.graph,
                 "Neighbours under rules that go by rounds (default: the rule's own)")
      ->check(one_of({"exponential", "ring", "complete"}))
      ->group(gossip);
  app.add_option("--peers", o.peers, "Peers per round of the exponential graph")
      ->check(within(1, 64))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--staleness", o.staleness, "How many steps late osgp takes messages")
      ->check(within(1, 1000))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--base", o.base, "The rule around which slowmo is")
      ->check(one_of(rule_names()))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--slow-rate", o.slow_rate, "Slow learning rate of slowmo")
      ->check(positive())
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--beta", o.beta, "Slow momentum of slowmo")
      ->check(within(0, 1, true))
      ->capture_default_str()
      ->group(gossip);
  app.add_flag("--keep-momentum", o.keep_momentum,
               "Keep the nodes' own momentum when slowmo averages, instead of resetting it")
      ->group(gossip);
  app.add_option("--sync-steps", o.sync_steps, "Steps of post_local before nodes go local")
      ->check(within(0, 1e12))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--buffers", o.buffers, "BatchNorm statistics when models meet")
      ->check(one_of({"average", "local", "reset"}))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--transport", o.transport, "How messages travel")
      ->check(one_of({"threads", "simulated", "tcp", "mpi"}))
      ->capture_default_str()
      ->group(gossip);
  app.add_option("--cluster", o.cluster,
                 "TOML file: machines, network and events of the simulated transport")
      ->check(CLI::ExistingFile)
      ->excludes(nodes)
      ->group(gossip);

  const char* tcp = "TCP: one node per process (--nodes: how many the run begins with)";
  app.add_option("--rank", o.tcp.rank,
                 "Number of this node, from 0 (default: as torchrun, mpirun or srun say; without\n"
                 "them, one that joins a run)")
      ->check(within(0, 65535))
      ->group(tcp);
  app.add_option("--listen", o.tcp.listen, "Address and port of this machine; port 0 is a free one")
      ->capture_default_str()
      ->group(tcp);
  app.add_option("--advertise", o.tcp.advertise, "Where others dial this node, if not there")
      ->group(tcp);
  app.add_option("--contact", o.tcp.contacts, "host:port of any member; may be repeated")
      ->group(tcp);
  app.add_option("--port", o.tcp.port, "Of node 0 under a launcher that names none")
      ->capture_default_str()
      ->group(tcp);
  app.add_option("--run", o.tcp.run, "Only nodes of the same run meet")
      ->capture_default_str()
      ->group(tcp);
  auto* shared = app.add_option("--shared-key", o.tcp.shared_key, "File with the run's secret")
                     ->check(CLI::ExistingFile)
                     ->group(tcp);
  auto* authority = app.add_option("--authority", o.tcp.authority, "Certificate of the authority")
                        ->check(CLI::ExistingFile)
                        ->excludes(shared)
                        ->group(tcp);
  auto* certificate =
      app.add_option("--certificate", o.tcp.certificate, "This node's, signed by the authority")
          ->check(CLI::ExistingFile)
          ->needs(authority)
          ->group(tcp);
  auto* key = app.add_option("--key", o.tcp.key, "Its private key")
                  ->check(CLI::ExistingFile)
                  ->needs(authority)
                  ->group(tcp);
  authority->needs(certificate)->needs(key);
  app.add_flag("--insecure", o.tcp.insecure, "Other machines may come without a key: anybody may")
      ->excludes(shared)
      ->excludes(authority)
      ->group(tcp);
  app.add_option("--gather-seconds", o.tcp.gather_seconds, "How long to wait for the others")
      ->check(positive())
      ->capture_default_str()
      ->group(tcp);
  app.add_option("--drain-seconds", o.tcp.drain_seconds,
                 "How long, at most, to wait at the end for what is under way")
      ->check(positive())
      ->capture_default_str()
      ->group(tcp);
  app.add_option(
         "--step-log", o.tcp.step_log,
         "File for when each step begins, and how long the node has waited for a core until then")
      ->group(tcp);

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
  app.add_flag("!--no-evaluation", o.evaluate, "Do not measure the models on the test images")
      ->group(records);
  app.add_option("--checkpoint-every", o.checkpoint_every, "Images between two checkpoints")
      ->check(positive())
      ->group(records);
  app.add_option("--trace", o.trace,
                 "File for a trace of this simulated run, to be opened in Perfetto")
      ->group(records);
  app.add_flag("--resume", o.resume, "Go on from the checkpoint in --out")->group(records);
  app.add_flag("--quiet", o.quiet, "No progress, only the table at the end")->group(records);
}

/// This node's place among the processes. Throws ConfigError for an environment that makes no
/// sense, and if more than one node is wanted and there is nobody to dial. `wants_nodes`: --nodes
/// was given.
void find_place(Options& options, bool wants_nodes) {
  namespace launch = gossamer::launch;
  Options::Tcp& tcp = options.tcp;
  const bool has_others = wants_nodes || tcp.rank >= 0 || !tcp.contacts.empty();
  auto wanted = gossamer::transport::TcpOptions()
                    .listen(tcp.listen)
                    .contacts(tcp.contacts)
                    .run(tcp.run)
                    .world_size(has_others ? static_cast<std::uint32_t>(options.nodes) : 0);
  launch::TcpPlace place;
  if (tcp.rank >= 0) {
    place = {wanted.number(static_cast<std::uint32_t>(tcp.rank)), true};
    launch::refuse_to_wait_for_nobody(wanted, "give --contact, or --listen with a port");
  } else {
    place = launch::tcp_place(launch::process_variables(), tcp.port, std::move(wanted));
  }
  tcp.has_place = place.has_number;
  tcp.number = place.options.number();
  tcp.world_size = place.options.world_size();
  tcp.listen = place.options.listen();
  tcp.contacts = place.options.contacts();
  tcp.run = place.options.run();
  options.nodes = std::max<std::uint32_t>(tcp.world_size, 1);
}

}  // namespace

std::uint64_t Options::period() const {
  if (tau > 0) return tau;
  return static_cast<std::uint64_t>(std::max(1.0, std::round(1 / probability)));
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

gossamer::rule::AnyRule Options::make_rule() const { return named_rule(rule).make(*this); }

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
  if (schedule != "bernoulli") text["schedule"] = schedule;
  if ((rule == "sync" || rule == "persyn") && pieces() > 1) text["parts"] = pieces();
  if (channels_last) text["channels_last"] = true;
  if (optimizer != "sgd") text["optimizer"] = optimizer;
  if (alpha > 0) text["alpha"] = alpha;
  if (drop > 0) text["drop"] = drop;
  if (overlap > 0) text["overlap"] = overlap;
  if (named_rule(rule).has_period) text["tau"] = period();
  if (!graph.empty()) text["graph"] = graph;
  if (peers != 1) text["peers"] = peers;
  if (rule == "osgp" || base == "osgp") text["staleness"] = staleness;
  if (rule == "post_local") text["sync_steps"] = sync_steps;
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
  if (named_rule(options.rule).has_period && options.tau == 0 && !(options.probability > 0)) {
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
  if (options.rule == "slowmo" && options.base == "slowmo") {
    return refuse("--base: slowmo needs another rule, got slowmo");
  }
  try {
    (void)options.make_rule();
  } catch (const gossamer::ConfigError& error) {
    return refuse(error.what());
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
  if (!options.trace.empty() && options.transport != "simulated") {
    return refuse("--trace: needs --transport simulated, got --transport " + options.transport);
  }
  if (options.transport == "tcp") {
    try {
      find_place(options, app.count("--nodes") > 0);
    } catch (const gossamer::ConfigError& error) {
      return refuse(error.what());
    }
  }
  if (options.resume && options.transport == "tcp" && !options.tcp.has_place) {
    return refuse(
        "--resume: needs --rank N, the number of the node (its folder is node-N in --out)");
  }
  if (options.resume && options.out.empty()) {
    return refuse("--resume: needs --out DIR, the folder of the run to go on with");
  }
  return options;
}

}  // namespace cifar10
