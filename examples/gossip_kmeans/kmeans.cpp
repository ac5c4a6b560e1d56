// SPDX-License-Identifier: MIT
/// The arithmetic of k-means.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossip_kmeans/kmeans.hpp>

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace kmeans {

Tally empty_tally(std::int64_t clusters, const at::Tensor& points) {
  return {at::zeros({clusters, points.size(1)}, points.options()),
          at::zeros({clusters}, points.options())};
}

at::Tensor starting_centres(const at::Tensor& points, std::int64_t clusters, std::uint64_t seed) {
  const std::int64_t n = points.size(0);
  if (clusters < 1 || clusters > n) {
    throw gossamer::ConfigError(
        c10::str("k-means: clusters must be from 1 to the ", n, " points, got ", clusters));
  }
  std::vector<std::int64_t> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  gossamer::Generator random(seed, 64);
  for (std::int64_t i = 0; i < clusters; ++i) {
    const auto other = i + random.below(static_cast<std::uint32_t>(n - i));
    std::swap(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(other)]);
  }
  rows.resize(static_cast<std::size_t>(clusters));
  return points.index_select(0, at::tensor(rows, at::kLong));
}

Assignment assign(const at::Tensor& points, const at::Tensor& centres) {
  // |x - c|^2 = |x|^2 + (|c|^2 - 2 x c): the bracket decides, in one product of matrices.
  const at::Tensor scores =
      at::addmm(centres.square().sum(1).unsqueeze(0), points, centres.t(), 1, -2);
  auto [least, labels] = scores.min(1);
  return {labels, (least + points.square().sum(1)).clamp_min_(0)};
}

void transfer(Tally& tally, const at::Tensor& points, const at::Tensor& from, const at::Tensor& to,
              double factor) {
  const at::Tensor moved = (from != to).nonzero().squeeze(1);
  if (moved.numel() == 0) return;
  // A matrix with 1 where a point comes in and -1 where it goes; an extra row is no cluster.
  const std::int64_t clusters = tally.counts.size(0);
  at::Tensor change = at::zeros({clusters + 1, moved.numel()}, points.options());
  const auto enter = [&](const at::Tensor& labels, double sign) {
    const at::Tensor rows = labels.index_select(0, moved);
    const at::Tensor known = at::where(rows < 0, at::full_like(rows, clusters), rows);
    change.scatter_(0, known.unsqueeze(0), sign);
  };
  enter(to, 1);
  enter(from, -1);
  const at::Tensor inner = change.narrow(0, 0, clusters);
  tally.sums.add_(inner.mm(points.index_select(0, moved)), factor);
  tally.counts.add_(inner.sum(1), factor);
}

at::Tensor centres_of(const Tally& tally, const at::Tensor& previous) {
  const at::Tensor counts = tally.counts.unsqueeze(1);
  return at::where(counts < 0.5, previous, tally.sums / counts.clamp_min(0.5));
}

double quantization_error(const at::Tensor& points, const at::Tensor& centres) {
  double total = 0;
  constexpr std::int64_t block = 4096;
  for (std::int64_t i = 0; i < points.size(0); i += block) {
    const at::Tensor some = points.narrow(0, i, std::min(block, points.size(0) - i));
    total += assign(some, centres).distances.sum(at::kDouble).item<double>();
  }
  return total / static_cast<double>(points.size(0));
}

Central lloyd(const at::Tensor& points, at::Tensor centres, int iterations, double tolerance) {
  Central central{std::move(centres), std::numeric_limits<double>::infinity(), 0};
  Tally tally = empty_tally(central.centres.size(0), points);
  at::Tensor labels = at::full({points.size(0)}, -1, at::kLong);
  while (central.iterations < iterations) {
    Assignment now = assign(points, central.centres);
    const double error = now.distances.mean(at::kDouble).item<double>();
    transfer(tally, points, labels, now.labels);
    labels = now.labels;
    central.centres = centres_of(tally, central.centres);
    ++central.iterations;
    if (central.error - error < tolerance * error) break;
    central.error = error;
  }
  central.error = quantization_error(points, central.centres);
  return central;
}

}  // namespace kmeans
