// SPDX-License-Identifier: MIT
/// Nodes that gossip find the principal components of MNIST, each with a share of it; beside those
/// of all of it in one place.
#include <gossamer/node/allocator.hpp>
#include <gossip_pca/node.hpp>
#include <shared/gossip_run.hpp>
#include <shared/mnist.hpp>
#include <shared/validators.hpp>

#include <ATen/ATen.h>

#include <algorithm>
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
using pca::PcaNode;

struct Options : examples::GossipOptions {
  std::int64_t components = 10;
  std::uint64_t steps = 40;
};

/// Measures each node's components beside the central ones, which it takes from the covariance.
class Judge {
 public:
  Judge(const at::Tensor& samples, std::int64_t q) {
    const at::Tensor x = samples.to(at::kDouble);
    const at::Tensor centred = x - x.mean(0);
    covariance_ = centred.t().mm(centred) / static_cast<double>(x.size(0));
    const auto [values, vectors] = at::linalg_eigh(covariance_);
    basis_ = vectors.flip(1).narrow(1, 0, q).contiguous();
    captured_ = captured(basis_);
    best_ = distance(basis_, values.flip(0).narrow(0, 0, q));
  }

  examples::Evaluation operator()(gossamer::Group<PcaNode>& group) {
    double angle_sum = 0;
    double angle_worst = 0;
    double captured_sum = 0;
    double captured_worst = 1;
    double distance_worst = 0;
    double samples = 0;
    double nodes = 0;
    for (PcaNode* node : group.live()) {
      if (!(node->weight() > 0)) continue;  // a newcomer that has not been given anything
      ++nodes;
      const pca::Components& known = node->components();
      const double angle = pca::largest_angle(basis_, known.basis);
      const double share = captured(known.basis) / captured_;
      angle_sum += angle;
      captured_sum += share;
      angle_worst = std::max(angle_worst, angle);
      captured_worst = std::min(captured_worst, share);
      distance_worst = std::max(distance_worst, distance(known.basis, known.variances));
      samples += node->weight() * known.count();
    }
    return {{"mean_angle_degrees", angle_sum / nodes},
            {"worst_angle_degrees", angle_worst},
            {"mean_captured_to_central", captured_sum / nodes},
            {"worst_captured_to_central", captured_worst},
            {"central_captured", captured_},
            {"worst_covariance_error", distance_worst},
            {"central_covariance_error", best_},
            {"samples_held", samples}};
  }

 private:
  /// The part of the variance that a basis captures.
  [[nodiscard]] double captured(const at::Tensor& basis) const {
    return (basis.t().mm(covariance_).mm(basis).trace() / covariance_.trace()).item<double>();
  }
  /// || C - U L U^T || / || C ||, in Frobenius' norm.
  [[nodiscard]] double distance(const at::Tensor& basis, const at::Tensor& values) const {
    return ((covariance_ - (basis * values).mm(basis.t())).norm() / covariance_.norm())
        .item<double>();
  }

  at::Tensor covariance_;
  at::Tensor basis_;
  double captured_ = 0;
  double best_ = 0;
};

std::string sentence(const Json& line) {
  char text[200];
  std::snprintf(text, sizeof text,
                "largest angle %.2f (mean), %.2f (worst) degrees; variance captured, to central: "
                "%.5f (mean), %.5f (worst)",
                line["mean_angle_degrees"].get<double>(), line["worst_angle_degrees"].get<double>(),
                line["mean_captured_to_central"].get<double>(),
                line["worst_captured_to_central"].get<double>());
  return text;
}

int run(const Options& o) {
  const examples::Points points = examples::find_points(o.data, o.seed, "gossip_pca");
  const auto parts = examples::shares(points.values, o.nodes, o.shares == "unequal");
  examples::GossipJob<PcaNode> job;
  job.program = "gossip_pca";
  job.description = {
      {"dataset", points.name}, {"samples", points.values.size(0)}, {"components", o.components}};
  job.unit = "steps";
  job.end = o.steps * o.nodes;
  job.measure_every = std::max<std::uint64_t>(1, job.end / 10);
  // A newcomer has nothing of its own to add: it learns.
  const at::Tensor none = points.values.narrow(0, 0, 0);
  job.make = [&, none](gossamer::Context context) {
    const std::size_t place = context.transport->self();
    const bool is_founder = context.weight > 0 && place < parts.size();
    return std::make_unique<PcaNode>(std::move(context), is_founder ? parts[place] : none,
                                     o.components);
  };
  job.measure = Judge(points.values, o.components);
  job.sentence = sentence;
  return examples::GossipRun<PcaNode>(o, std::move(job)).run();
}

}  // namespace

int main(int argc, char** argv) {
  gossamer::tune_allocator();
  Options options;
  options.nodes = 8;
  options.shares = "equal";
  CLI::App app(
      "Finds the principal components of MNIST with nodes that gossip: each knows those of its "
      "own\n"
      "samples, and pushes half of what it knows to another.\n\n"
      "  gossip_pca --data DIR                             8 nodes, as threads\n"
      "  gossip_pca --data DIR --transport simulated --nodes 100\n",
      "gossip_pca");
  options.add_to(app, {"gosgd", "gosgd_pull"});
  app.add_option("--components", options.components, "Number of components (q)")
      ->check(examples::within(1, 784))
      ->capture_default_str();
  app.add_option("--steps", options.steps, "Steps, and messages if p is 1, per node")
      ->check(examples::within(1, 1e9))
      ->capture_default_str();
  if (const auto status = examples::parse(app, options, argc, argv)) return *status;
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "gossip_pca: " << error.what() << '\n';
    return 1;
  }
}
