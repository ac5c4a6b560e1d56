// SPDX-License-Identifier: MIT
/// k-means by matrix products: assignment, sums and counts, Lloyd's step.
#pragma once

#include <gossamer/model/tensors.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace kmeans {

/// Per cluster the sum of its points and their number: all that centres are made of, and what
/// travels. Both may be fractional on the way.
struct Tally {
  at::Tensor sums;    ///< (K, D)
  at::Tensor counts;  ///< (K,)
};

/// What the library gossips of it.
inline gossamer::model::Tensors gossip_tensors(Tally& tally) {
  return {.parameters = {{"sums", tally.sums}, {"counts", tally.counts}}};
}

/// A tally of nothing, for points like these.
[[nodiscard]] Tally empty_tally(std::int64_t clusters, const at::Tensor& points);

/// K distinct points, drawn by seed; K <= n. Throws gossamer::ConfigError.
[[nodiscard]] at::Tensor starting_centres(const at::Tensor& points, std::int64_t clusters,
                                          std::uint64_t seed);

/// The nearest centre of each point, and the squared distance to it.
struct Assignment {
  at::Tensor labels;     ///< (n,) int64
  at::Tensor distances;  ///< (n,)
};
[[nodiscard]] Assignment assign(const at::Tensor& points, const at::Tensor& centres);

/// Moves points between clusters: adds `factor` times what they change. The label -1 is no cluster
/// (a point that was not counted before).
void transfer(Tally& tally, const at::Tensor& points, const at::Tensor& from, const at::Tensor& to,
              double factor = 1);

/// sums / counts. A cluster of less than half a point keeps its centre: it is empty, but for
/// rounding, or, for a moment, more was taken out of it here than has arrived.
[[nodiscard]] at::Tensor centres_of(const Tally& tally, const at::Tensor& previous);

/// Mean over the points of the squared distance to the nearest centre.
[[nodiscard]] double quantization_error(const at::Tensor& points, const at::Tensor& centres);

/// Lloyd's algorithm on all points in one place, until an iteration lowers the error by less than
/// `tolerance` of it, or at most `iterations` times.
struct Central {
  at::Tensor centres;
  double error = 0;
  int iterations = 0;
};
[[nodiscard]] Central lloyd(const at::Tensor& points, at::Tensor centres, int iterations,
                            double tolerance);

}  // namespace kmeans
