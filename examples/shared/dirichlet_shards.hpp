// SPDX-License-Identifier: MIT
/// Shards in which labels are not alike, and which are not of one size.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace examples {

/// A draw from Gamma(shape, 1), as its logarithm: at a small shape the number itself is 0 too
/// often.
/// Source  Marsaglia, Tsang, "A simple method for generating gamma variables", ACM TOMS 2000; below
///         shape 1 by Gamma(shape) = Gamma(shape + 1) U^(1 / shape).
[[nodiscard]] inline double log_gamma_draw(double shape, gossamer::Generator& random) {
  const double boost = shape < 1 ? std::log(1 - random.uniform()) / shape : 0;
  const double d = (shape < 1 ? shape + 1 : shape) - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    const double normal = radius * std::cos(6.283185307179586 * random.uniform());
    const double v = std::pow(1 + c * normal, 3);
    if (v <= 0) continue;
    if (std::log(1 - random.uniform()) < normal * normal / 2 + d - d * v + d * std::log(v)) {
      return std::log(d * v) + boost;
    }
  }
}

/// Shares that add up to 1, from the symmetric Dirichlet distribution.
[[nodiscard]] inline std::vector<double> dirichlet_draw(std::size_t count, double alpha,
                                                        gossamer::Generator& random) {
  std::vector<double> shares(count);
  for (double& one : shares) one = log_gamma_draw(alpha, random);
  const double most = *std::max_element(shares.begin(), shares.end());
  double sum = 0;
  for (double& one : shares) sum += one = std::exp(one - most);
  for (double& one : shares) one /= sum;
  return shares;
}

/// All nodes' parts of images with these labels, each >= 0: of each label a node has a share that
/// is drawn from Dirichlet(alpha, ..., alpha). The smaller alpha, the fewer nodes have most of a
/// label, and the less alike the sizes. The parts are disjoint and cover all; each is ascending.
/// A node that would have nothing gets one image of the node that has most.
/// @throws gossamer::ConfigError unless alpha > 0 and 1 <= nodes <= images.
/// Source  Yurochkin et al., "Bayesian nonparametric federated learning of neural networks", ICML
///         2019, arXiv:1905.12022, section 4, which draws per label; it drops small parts, and this
///         does not.
[[nodiscard]] inline std::vector<std::vector<std::int64_t>> dirichlet_shards(
    std::span<const std::int64_t> labels, std::size_t nodes, double alpha, std::uint64_t seed) {
  if (!(alpha > 0 && alpha <= 1e6)) {
    throw gossamer::ConfigError(
        c10::str("dirichlet_shards: alpha must lie in (0, 1e6], got ", alpha));
  }
  if (nodes < 1 || nodes > labels.size()) {
    throw gossamer::ConfigError(c10::str("dirichlet_shards: nodes must lie in [1, ", labels.size(),
                                         "], the number of images, got ", nodes));
  }
  constexpr std::uint64_t shard_stream = std::uint64_t{6} << 48U;
  gossamer::Generator random(seed, shard_stream);
  std::vector<std::vector<std::int64_t>> of_label;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<std::size_t>(labels[i]);
    if (label >= of_label.size()) of_label.resize(label + 1);
    of_label[label].push_back(static_cast<std::int64_t>(i));
  }
  std::vector<std::vector<std::int64_t>> parts(nodes);
  for (auto& images : of_label) {
    for (std::size_t i = images.size(); i > 1; --i) {
      std::swap(images[i - 1], images[random.below(static_cast<std::uint32_t>(i))]);
    }
    const std::vector<double> shares = dirichlet_draw(nodes, alpha, random);
    double end = 0;
    std::size_t begun = 0;
    for (std::size_t node = 0; node < nodes; ++node) {
      end += shares[node] * static_cast<double>(images.size());
      const std::size_t to =
          node + 1 == nodes ? images.size()
                            : std::min(images.size(), static_cast<std::size_t>(std::llround(end)));
      for (; begun < to; ++begun) parts[node].push_back(images[begun]);
    }
  }
  for (auto& part : parts) {
    if (!part.empty()) continue;
    auto most = std::max_element(parts.begin(), parts.end(),
                                 [](const auto& a, const auto& b) { return a.size() < b.size(); });
    part.push_back(most->back());
    most->pop_back();
  }
  for (auto& part : parts) std::sort(part.begin(), part.end());
  return parts;
}

}  // namespace examples
