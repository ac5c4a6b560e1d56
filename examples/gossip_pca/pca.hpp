// SPDX-License-Identifier: MIT
/// Principal components of data that is known in parts: each part's are small, and two parts' make
/// those of both.
#pragma once

#include <gossamer/model/tensors.hpp>

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace pca {

/// The q strongest principal components of some samples: their covariance is U diag(L) U^T, but for
/// what is weaker. All double.
struct Components {
  at::Tensor basis;      ///< U, (D, q): orthonormal columns; zero where the eigenvalue is zero
  at::Tensor variances;  ///< L, (q,): eigenvalues of the covariance, descending
  at::Tensor mean;       ///< (D,)
  at::Tensor samples;    ///< (1,): how many they are; may be fractional

  [[nodiscard]] double count() const;
};

/// Of no samples.
[[nodiscard]] Components no_components(std::int64_t dimensions, std::int64_t q);

/// The components of all samples of both, `a` of the one and `b` of the other, >= 0 and not both 0:
///
///     n  = a + b,  d = mean - other mean
///     cov <- (a cov + b other cov) / n + (a b / n^2) d d^T
///         =  A A^T,  A = [U sqrt(a L / n), U' sqrt(b L' / n), sqrt(a b) d / n],  D x (2q + 1)
///
/// The eigenvectors of A A^T, D x D, come from those of the small A^T A: nothing of size D x D is
/// made. Exact if the rank of all samples' covariance is at most q; otherwise what is weaker than
/// the q strongest is dropped.
void pool(Components& into, double a, const Components& other, double b);

/// Exact to rounding where the q strongest stand out; by subspace iteration on the samples, (n, D),
/// n >= 1: O(n D q) per iteration, again without D x D.
[[nodiscard]] Components components_of(const at::Tensor& samples, std::int64_t q);

/// The largest angle between the spans of two bases with orthonormal columns, in degrees.
[[nodiscard]] double largest_angle(const at::Tensor& a, const at::Tensor& b);

/// How much of the samples' variance their projection on the basis keeps, in [0, 1].
[[nodiscard]] double captured_variance(const at::Tensor& samples, const at::Tensor& basis);

}  // namespace pca
