// SPDX-License-Identifier: MIT
/// How fast a graph mixes: spectral gap, and the two constants of A2CiD2. Needs LAPACK in LibTorch,
/// as all its packages have.
#pragma once

#include <gossamer/topology/mixing.hpp>

#include <ATen/ops/linalg_eigvals.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/linalg_inv.h>

#include <limits>
#include <tuple>

namespace gossamer::topology {

/// 1 minus the second largest modulus of the eigenvalues of a mixing matrix (square, double). The
/// differences between nodes shrink by a factor of 1 minus the gap per round, in the long run. 0:
/// the graph falls apart or only swaps; 1: one round gives the mean. Cost  O(m^3).
inline double spectral_gap(const at::Tensor& mixing) {
  if (mixing.size(0) < 2) return 1;
  const at::Tensor moduli = at::equal(mixing, mixing.t()) ? at::linalg_eigvalsh(mixing, "L").abs()
                                                          : at::linalg_eigvals(mixing).abs();
  const at::Tensor largest_first = std::get<0>(moduli.sort(0, /*descending=*/true));
  return 1 - largest_first[1].item().toDouble();
}

/// What the rate of asynchronous pairwise gossip on a graph depends on.
struct Resistance {
  double chi1 = 0;  ///< 1 / (second smallest eigenvalue of the Laplacian): how badly linked it is
  double chi2 = 0;  ///< half of the largest effective resistance of an edge; <= chi1
};

/// chi1 and chi2 of a graph given by the weights of its edges: a symmetric matrix A (m, m) with
/// m >= 2, >= 0, zero on the diagonal; `adjacency` is one. Edge (i, j) takes part in
///
///     lambda_ij = rate / 2 (A_ij / (sum of row i) + A_ij / (sum of row j))
///
/// exchanges per unit of time, so a place takes part in `rate` of them on average. With the
/// Laplacian L = sum of lambda_ij (e_i - e_j)(e_i - e_j)^T:
///
///     chi1 = 1 / lambda_2(L),   chi2 = max over edges of (e_i - e_j)^T L^+ (e_i - e_j) / 2
///
/// Plain gossip takes a time of the order of chi1, accelerated gossip one of sqrt(chi1 chi2).
/// Infinite if the graph is not in one piece. Throws ConfigError if it has a direction.
/// Cost     O(m^3).
/// Source   Nabli, Belilovsky, Oyallon, "A2CiD2: Accelerating asynchronous communication in
///          decentralized deep learning", NeurIPS 2023, arXiv:2306.08289.
/// Differs  where the rows have different sums, the authors' code takes rate (I - D^-1 A) for L,
///          which is not symmetric then.
inline Resistance resistance(const at::Tensor& a, double rate = 1) {
  if (a.size(0) < 2) throw ConfigError(c10::str("resistance: needs 2 members, got ", a.size(0)));
  if (!at::equal(a, a.t())) throw ConfigError("resistance: needs a graph without direction");
  const at::Tensor shares = a.div(a.sum(1, true).clamp_min(std::numeric_limits<double>::min()));
  const at::Tensor rates = shares.add(shares.t()).mul(rate / 2);
  at::Tensor laplacian = rates.neg();
  laplacian.diagonal().copy_(rates.sum(1));
  const double second = at::linalg_eigvalsh(laplacian, "L")[1].item().toDouble();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (!(second > 1e-12 * rate)) return {infinity, infinity};
  // The inverse of L + 1 1^T / m is L^+ + 1 1^T / m, and the second term cancels.
  const at::Tensor inverse = at::linalg_inv(laplacian.add(1.0 / static_cast<double>(a.size(0))));
  const at::Tensor own = inverse.diagonal();
  const at::Tensor across = own.unsqueeze(0).add(own.unsqueeze(1)).sub(inverse.mul(2));
  return {1 / second, across.mul(a.gt(0)).max().item().toDouble() / 2};
}

/// The same of a graph whose edges count alike.
inline Resistance resistance(const Graph& graph, Place members, double rate = 1) {
  return resistance(adjacency(graph, members), rate);
}

}  // namespace gossamer::topology
