// SPDX-License-Identifier: MIT
/// EASGD whose centre trusts each worker as far as its distance says.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/transport/peer_map.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace gossamer::rule {

/// What the weighting of workers is told.
struct DynamicWeightsOptions {
  /// Below this score, < 0, a worker counts as failed. One that stands still comes nearer by a
  /// factor of 1 - alpha with each exchange, and log(1 - 0.1) is about -0.1.
  TORCH_ARG(double, threshold) = -0.1;
  /// How many changes of distance make a score, >= 1.
  TORCH_ARG(std::size_t, history) = 4;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (!(threshold_ < 0)) {
      throw ConfigError(
          c10::str("DynamicWeightsOptions: threshold must be below 0, got ", threshold_));
    }
    if (history_ == 0) {
      throw ConfigError("DynamicWeightsOptions: history must be at least 1, got 0");
    }
  }
};

/// Weights by the history of u = log ||x - c|| of each worker:
///
///     score a = sum over j < q of c_j (u_{t-j} - u_{t-j-1}),  c_j = (q - j) / (q (q + 1) / 2)
///     worker  h1 = 1 for a < k, from 1 to alpha on [k, 0], alpha above
///     centre  h2 = 0 for a < k, from 0 to alpha on [k, 0], alpha above
///
/// The distance of a worker that trains stays about the same, or grows; one that stands still, or
/// whose exchanges do not get through, is overtaken by the centre, and its distance falls: it is
/// set on the centre, and the centre does not listen to it. Scores near 0 give EASGD.
///
/// Threads: as a rule.
class DynamicWeights {
 public:
  static constexpr bool needs_distance = true;
  static constexpr const char* name = "dynamic_easgd";

  explicit DynamicWeights(DynamicWeightsOptions options = {})
      : options_((options.check(), options)) {}

  /// The weights for that worker at that distance; each call is one of its exchanges.
  PullWeights operator()(PeerId worker, double distance, double alpha) {
    History& known = workers_.add(worker).first;
    known.u.insert(known.u.begin(), std::log(std::max(distance, smallest)));
    if (known.u.size() > options_.history() + 1) known.u.pop_back();
    // 0 at the threshold, 1 at 0.
    const double trust = std::clamp(1 - score(known.u) / options_.threshold(), 0.0, 1.0);
    const PullWeights weights{1 + (alpha - 1) * trust, alpha * trust};
    known.part = weights.centre / weights.worker;
    return weights;
  }

  /// The mean change of u, the newest first in `u` and in weight; 0 until there are two.
  static double score(const std::vector<double>& u) {
    const std::size_t q = u.size() - 1;
    double sum = 0;
    double weights = 0;
    for (std::size_t j = 0; j < q; ++j) {
      const auto c = static_cast<double>(q - j);
      sum += c * (u[j] - u[j + 1]);
      weights += c;
    }
    return q > 0 ? sum / weights : 0;
  }

  /// The centre's strength of the last pull with that worker, by the worker's.
  [[nodiscard]] double part(PeerId worker) const {
    const History* known = workers_.find(worker);
    return known != nullptr ? known->part : 1;
  }
  void forget(PeerId worker) {
    if (History* known = workers_.find(worker)) known->u.clear();
  }
  /// Not kept: a resumed centre takes every worker as it comes.
  void checkpoint(Archive&) {}

 private:
  static constexpr double smallest = 1e-12;  // equal models have a logarithm, too
  struct History {
    std::vector<double> u;  // the newest first
    double part = 1;
  };

  DynamicWeightsOptions options_;
  transport::PeerMap<History> workers_;
};

/// EASGD with dynamic weights (DEAHES without its optimizer, which the user's nodes have:
/// `optim::AdaHessian`; with shards of data that overlap it is DEAHES-O). See `BasicEasgd` for the
/// rest.
///
///     x <- x - eta g(x) - h1 (x - c),  c <- c + h2 (x - c)
///
/// Invariant  equal nodes stay equal, bit for bit; c stays within what nodes had. The sum is not
///            conserved unless h1 = h2.
/// Cost       as EASGD, and two more passes over x at the centre, for the distance.
/// Source     Xu, Carr, arXiv:2409.09242, 2024, for the idea: a centre that weights workers by
///            their recent distances. The formulas above are a reading from memory, and the
///            coefficients c_j and the threshold are ours: fidelity to the paper is not claimed.
using DynamicEasgd = BasicEasgd<DynamicWeights>;

}  // namespace gossamer::rule
