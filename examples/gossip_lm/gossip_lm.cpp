// SPDX-License-Identifier: MIT
/// Nodes that gossip learn to predict a text's next byte, each from a part of its own.
#include <gossamer/node/allocator.hpp>
#include <gossamer/rule/registry.hpp>
#include <gossip_lm/node.hpp>
#include <shared/gossip_run.hpp>
#include <shared/mpi_job.hpp>
#include <shared/process_group.hpp>
#include <shared/validators.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using examples::Json;
using language::LanguageNode;
using language::Transformer;

struct Options : examples::GossipOptions {
  std::filesystem::path text;
  language::TransformerOptions network;
  language::Training training;
  std::uint64_t steps = 500;
  std::uint64_t evaluations = 5;
  std::int64_t held_out_bytes = 65'536;
  std::int64_t node_bytes = 16'384;
  examples::ProcessOptions process;

  [[nodiscard]] bool is_process() const { return transport == "tcp" || transport == "mpi"; }
};

/// Measures the mean model and the nodes that live here on what is held out.
class Judge {
 public:
  Judge(const Options& options, const language::Text& text)
      : is_process_(options.is_process()),
        mean_(std::make_shared<Transformer>(options.network)),
        pieces_(language::even_pieces(text.held_out, options.network.context(),
                                      options.held_out_bytes)),
        few_(language::even_pieces(text.held_out, options.network.context(), options.node_bytes)),
        unigram_(language::unigram_bits(text.train, pieces_)) {}

  examples::Evaluation operator()(gossamer::Group<LanguageNode>& group) {
    const auto replicas = group.replicas();
    examples::Evaluation found = {{"bits_per_byte", mean_bits(group)}, {"unigram_bits", unigram_}};
    examples::Evaluation of_nodes;
    double worst = 0;
    double best = INFINITY;
    double sum = 0;
    for (LanguageNode* node : group.live()) {
      const double one = language::measured_bits(*node->model(), few_);
      of_nodes.emplace_back("node_" + std::to_string(node->id()) + "_bits", one);
      worst = std::max(worst, one);
      best = std::min(best, one);
      sum += one;
    }
    found.emplace_back("mean_node_bits", sum / static_cast<double>(of_nodes.size()));
    found.emplace_back("worst_node_bits", worst);
    found.emplace_back("best_node_bits", best);
    found.emplace_back("consensus_error",
                       is_process_ ? NAN : gossamer::observe::consensus_error(replicas));
    found.insert(found.end(), of_nodes.begin(), of_nodes.end());
    return found;
  }

 private:
  /// Not a number if others, in other processes, do not ask for the mean in time.
  double mean_bits(gossamer::Group<LanguageNode>& group) {
    try {
      const auto mean = group.mean();
      gossamer::observe::copy_into(mean_, mean, group.replicas());
    } catch (const gossamer::NodeError&) {
      throw;
    } catch (const std::runtime_error& late) {
      std::cerr << "gossip_lm: no mean model this time: " << late.what() << '\n';
      return NAN;
    }
    return language::measured_bits(*mean_, pieces_);
  }

  bool is_process_;  // the other nodes are not here
  std::shared_ptr<Transformer> mean_;
  at::Tensor pieces_;  // on which the mean model is measured
  at::Tensor few_;     // and the nodes
  double unigram_;
};

std::string sentence(const Json& line) {
  const auto number = [&line](const char* key) {
    return line[key].is_number() ? line[key].get<double>() : NAN;
  };
  char text[160];
  std::snprintf(text, sizeof text, "bits per byte %.4f (mean model), %.4f to %.4f (nodes)",
                number("bits_per_byte"), number("best_node_bits"), number("worst_node_bits"));
  return text;
}

Json description(const Options& o, std::int64_t parameters) {
  Json text = {{"text", o.text.filename().string()},
               {"parameters", parameters},
               {"width", o.network.width()},
               {"layers", o.network.layers()},
               {"heads", o.network.heads()},
               {"context", o.network.context()},
               {"batch", o.training.batch},
               {"learning_rate", o.training.learning_rate},
               {"weight_decay", o.training.weight_decay},
               {"held_out_bytes", o.held_out_bytes},
               {"node_bytes", o.node_bytes}};
  if (gossamer::rule::entry_of(o.rule).by_period) {
    auto of_rule = o.of_rule;
    text["tau"] = of_rule.probability(o.probability).steps_between();
  }
  if (!o.of_rule.graph().empty()) text["graph"] = o.of_rule.graph();
  if (o.of_rule.alpha() > 0) text["alpha"] = o.of_rule.alpha();
  if (o.rule == "post_local") text["sync_steps"] = o.of_rule.sync_steps();
  if (o.rule == "slowmo" || o.rule == "async_diloco") text["beta"] = o.of_rule.beta();
  return text;
}

int run(Options o) {
  std::optional<examples::MpiJob> mpi;
  if (o.transport == "mpi") mpi.emplace(o.process.number, o.nodes, o.out);
  try {
    if (o.is_process()) {
      if (o.out.empty()) o.out = examples::folder_named_by_time();
      o.out /= "node-" + std::to_string(o.process.number);
    }
    o.of_rule.nodes(static_cast<std::uint32_t>(o.nodes));
    if (o.transport != "threads") o.of_rule.chunks(static_cast<std::uint32_t>(o.nodes));
    const language::Text text = language::read_text(o.text, o.network.context());
    o.network.seed(o.seed);
    o.training.nodes = o.nodes;
    o.training.pieces = o.steps * o.nodes * static_cast<std::uint64_t>(o.training.batch);
    examples::GossipJob<LanguageNode> job;
    job.program = "gossip_lm";
    job.description = description(o, Transformer(o.network).parameter_count());
    job.unit = "pieces";
    job.batch = static_cast<std::uint64_t>(o.training.batch);
    job.end = o.training.pieces;
    job.measure_every = std::max<std::uint64_t>(1, job.end / o.evaluations);
    job.make = [&](gossamer::Context context) {
      const at::Tensor part =
          language::part_of(text.train, context.transport->self(), o.nodes, o.network.context());
      return std::make_unique<LanguageNode>(std::move(context), o.network, o.training, part);
    };
    if (o.transport == "tcp") {
      job.make_group = [&o](const auto& plan, auto make) {
        return examples::make_tcp_group<LanguageNode>(o.process, "gossip_lm", plan, make);
      };
    } else if (o.transport == "mpi") {
      job.make_group = [&o](const auto& plan, auto make) {
        return examples::make_mpi_group<LanguageNode>(o.process, plan, make);
      };
    }
    job.port_offset = o.process.port_offset();
    job.measure = Judge(o, text);
    job.sentence = sentence;
    return examples::GossipRun<LanguageNode>(o, std::move(job)).run();
  } catch (const std::exception& error) {
    std::cerr << "gossip_lm: " << error.what() << '\n';
    if (mpi) examples::MpiJob::abort();  // the other ranks would wait for this one
    return 1;
  }
}

void add_own(CLI::App& app, Options& o) {
  using examples::positive;
  using examples::within;
  const examples::Adder text{app, "Text and network"};
  text("--text", o.text,
       "File to learn, of any kind; its last tenth is held out (also: GOSSAMER_TEXT)",
       CLI::ExistingFile, false)
      ->envname("GOSSAMER_TEXT");
  text("--width", o.network.width(), "Width of the network", within(1, 65'536));
  text("--layers", o.network.layers(), "Blocks of the network", within(1, 1000));
  text("--heads", o.network.heads(), "Heads of attention", within(1, 65'536));
  text("--context", o.network.context(), "Bytes that it looks at", within(1, 65'536));
  const examples::Adder training{app, "Training"};
  training("--steps", o.steps, "Steps per node, on average", positive(1e12));
  training("--batch", o.training.batch, "Pieces of text per step of a node", within(1, 1e6));
  training("--learning-rate", o.training.learning_rate,
           "Highest learning rate: it rises over the first tenth of the run, then falls to a tenth",
           positive(1000));
  training("--weight-decay", o.training.weight_decay, "Of matrices", within(0, 1));
  const examples::Adder rules{app, "Of some rules"};
  rules("--tau", o.of_rule.period(),
        "Steps between two averages, or exchanges with a centre (default: 1 / p)", positive(1e12),
        false);
  rules("--graph", o.of_rule.graph(), "Of rules that go by one (default: the rule's own)", {},
        false);
  rules("--alpha", o.of_rule.alpha(), "Strength of a pull (default: the rule's own)", within(0, 1),
        false);
  rules("--beta", o.of_rule.beta(), "Outer momentum of slowmo and async_diloco",
        within(0, 1, true));
  rules("--sync-steps", o.of_rule.sync_steps(), "Of post_local", within(0, 1e12));
  const examples::Adder records{app, "Records"};
  records("--evaluations", o.evaluations, "How often the models are measured", within(1, 1e6));
  records("--held-out-bytes", o.held_out_bytes, "Bytes on which the mean model is measured",
          within(1, 1e12));
  records("--node-bytes", o.node_bytes, "Bytes on which each node is measured", within(1, 1e12));
  o.process.run = o.process.default_run = "gossip_lm";
  o.process.add_to(app, "TCP: one node per process (--nodes: how many the run begins with)");
}

/// What single options cannot see, and this node's place. Throws ConfigError.
void complete(Options& o, bool wants_nodes) {
  if (o.text.empty()) {
    throw gossamer::ConfigError(
        "--text: needs a file to learn, got none; ./examples/run.sh gossip_lm takes the King James "
        "text of Debian's bible-kjv");
  }
  o.network.check();
  if (o.transport == "tcp") o.nodes = o.process.find_place(o.nodes, wants_nodes);
}

}  // namespace

int main(int argc, char** argv) {
  gossamer::tune_allocator();
  Options options;
  options.shares = "";
  options.nodes = 8;
  options.probability = 0.1;
  CLI::App app(
      "Trains a transformer to predict a text's next byte, with nodes that gossip: each has a "
      "part\n"
      "of the text, and what they make of its last tenth is told in bits per byte.\n\n"
      "  gossip_lm --text FILE                              8 nodes, GoSGD, p = 0.1\n"
      "  gossip_lm --text FILE --rule noloco --tau 50       now and then, in pairs\n"
      "  gossip_lm --text FILE --transport simulated --cluster FILE\n"
      "  gossip_lm --text FILE --transport tcp --nodes 4 --rank 2 --contact HOST:PORT\n",
      "gossip_lm");
  std::vector<std::string> rules;
  for (const auto& entry : gossamer::rule::known()) rules.emplace_back(entry.name);
  options.add_gossip_to(app, rules, {"threads", "simulated", "tcp", "mpi"});
  add_own(app, options);
  if (const auto status = examples::parse(app, options, argc, argv)) return *status;
  try {
    complete(options, app.count("--nodes") > 0);
  } catch (const std::exception& error) {
    std::cerr << "gossip_lm: " << error.what() << '\n';
    return 2;
  }
  return run(options);
}
