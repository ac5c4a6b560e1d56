// SPDX-License-Identifier: MIT
/// Nodes that gossip cluster MNIST, each with a share of it; beside Lloyd's algorithm on all of it.
#include <gossamer/node/allocator.hpp>
#include <gossip_kmeans/node.hpp>
#include <shared/gossip_run.hpp>
#include <shared/mnist.hpp>
#include <shared/validators.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using examples::Json;
using kmeans::KMeansNode;
using kmeans::Tally;

struct Options : examples::GossipOptions {
  std::int64_t clusters = 64;
  std::int64_t batch = 500;
  double passes = 50;
  int central_iterations = 300;
  std::int64_t node_points = 10'000;
};

/// Measures the nodes' centres, and those of their weighted mean, beside the central ones.
class Judge {
 public:
  Judge(const at::Tensor& points, std::int64_t node_points, const at::Tensor& start,
        const kmeans::Central& central)
      : points_(points),
        sample_(points.narrow(0, 0, std::min(node_points, points.size(0)))),
        centres_(start),
        central_(central.error),
        central_on_sample_(kmeans::quantization_error(sample_, central.centres)) {}

  examples::Evaluation operator()(gossamer::Group<KMeansNode>& group) {
    const auto members = group.replicas();
    Tally all = kmeans::empty_tally(centres_.size(0), centres_);
    gossamer::observe::copy_into(all, gossamer::observe::weighted_mean(members), members);
    centres_ = kmeans::centres_of(all, centres_);
    const double error = kmeans::quantization_error(points_, centres_);
    double sum = 0;
    double worst = 0;
    double nodes = 0;
    for (KMeansNode* node : group.live()) {
      if (!(node->weight() > 0)) continue;  // a newcomer that has not been given anything
      ++nodes;
      const double one = kmeans::quantization_error(sample_, node->centres()) / central_on_sample_;
      sum += one;
      worst = std::max(worst, one);
    }
    const gossamer::Counters totals = group.totals();
    if (error <= 1.01 * central_ && within_ == 0) within_ = totals.messages_sent;
    if (worst <= 1.01 && all_within_ == 0) all_within_ = totals.messages_sent;
    using Value = gossamer::observe::Callback::Value;
    const auto number = [](std::uint64_t messages) {
      return messages > 0 ? Value(messages) : Value(NAN);
    };
    return {{"error", error},
            {"central_error", central_},
            {"error_to_central", error / central_},
            {"mean_node_to_central", sum / nodes},
            {"worst_node_to_central", worst},
            {"points_counted", all.counts.sum().item<double>()},
            {"messages_to_1_percent", number(within_)},
            {"messages_to_1_percent_all", number(all_within_)}};
  }

 private:
  at::Tensor points_;
  at::Tensor sample_;  // on which single nodes are measured
  at::Tensor centres_;
  double central_;
  double central_on_sample_;
  std::uint64_t within_ = 0;      // messages until the consensus was within 1 % of central,
  std::uint64_t all_within_ = 0;  // and until every node was
};

std::string sentence(const Json& line) {
  char text[160];
  std::snprintf(text, sizeof text, "error %.4f; to central: consensus %.4f, nodes %.4f to %.4f",
                line["error"].get<double>(), line["error_to_central"].get<double>(),
                line["mean_node_to_central"].get<double>(),
                line["worst_node_to_central"].get<double>());
  return text;
}

int run(const Options& o) {
  const examples::Points points = examples::find_points(o.data, o.seed, "gossip_kmeans");
  const at::Tensor start = kmeans::starting_centres(points.values, o.clusters, o.seed);
  const kmeans::Central central =
      kmeans::lloyd(points.values, start, o.central_iterations, /*tolerance=*/1e-5);
  if (!o.quiet) {
    std::cout << "Lloyd on all " << points.values.size(0) << " points: error " << central.error
              << " after " << central.iterations << " iterations" << std::endl;
  }
  const auto parts = examples::shares(points.values, o.nodes, o.shares == "unequal");
  examples::GossipJob<KMeansNode> job;
  job.program = "gossip_kmeans";
  job.description = {{"dataset", points.name},
                     {"points", points.values.size(0)},
                     {"clusters", o.clusters},
                     {"batch", o.batch},
                     {"central_iterations", central.iterations}};
  const auto n = static_cast<double>(points.values.size(0));
  job.batch = static_cast<std::uint64_t>(o.batch);
  job.end = static_cast<std::uint64_t>(o.passes * n);
  job.measure_every = std::max<std::uint64_t>(1, job.end / 20);
  // A newcomer has no points of its own: those of a node that was lost stay counted.
  const at::Tensor none = points.values.narrow(0, 0, 0);
  job.make = [&, none](gossamer::Context context) {
    const std::size_t place = context.transport->self();
    const bool is_founder = context.weight > 0 && place < parts.size();
    return std::make_unique<KMeansNode>(std::move(context), is_founder ? parts[place] : none, start,
                                        o.batch);
  };
  job.measure = Judge(points.values, o.node_points, start, central);
  job.sentence = sentence;
  return examples::GossipRun<KMeansNode>(o, std::move(job)).run();
}

}  // namespace

int main(int argc, char** argv) {
  gossamer::tune_allocator();
  Options options;
  CLI::App app(
      "Clusters MNIST with nodes that gossip: each keeps the sums and counts of its own points,\n"
      "and pushes half of what it holds to another after a batch.\n\n"
      "  gossip_kmeans --data DIR                          16 nodes with unequal shares\n"
      "  gossip_kmeans --data DIR --transport simulated --cluster FILE\n",
      "gossip_kmeans");
  options.add_to(app, {"gosgd", "gosgd_pull", "persyn"});
  app.add_option("--clusters", options.clusters, "Number of clusters (K)")
      ->check(examples::within(1, 4096))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Points of its share that a node reassigns per step")
      ->check(examples::within(1, 1e6))
      ->capture_default_str();
  app.add_option("--passes", options.passes, "Passes over all points")
      ->check(examples::positive())
      ->capture_default_str();
  app.add_option("--central-iterations", options.central_iterations,
                 "Most iterations of Lloyd's algorithm, beside which the nodes are measured")
      ->check(examples::within(1, 100'000))
      ->capture_default_str();
  app.add_option("--node-points", options.node_points,
                 "Points on which the single nodes are measured; their weighted mean always on all")
      ->check(examples::within(1, 1e9))
      ->capture_default_str();
  if (const auto status = examples::parse(app, options, argc, argv)) return *status;
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "gossip_kmeans: " << error.what() << '\n';
    return 1;
  }
}
