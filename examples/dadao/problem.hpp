// SPDX-License-Identifier: MIT
/// A strongly convex problem, divided among nodes, with a known solution.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dadao {

/// What the problem is made of.
struct ProblemOptions {
  std::string kind = "ridge";   ///< "ridge" or "logistic"
  std::size_t nodes = 16;       ///< each has a part of its own
  std::size_t dimensions = 20;  ///< of x
  std::size_t samples = 10;     ///< of each node
  double kappa = 100;           ///< L / mu, > 1
  std::uint64_t seed = 1;       ///< of the samples
};

/// The sum of f_i(x) over nodes, with m samples a and labels b each:
///
///     ridge     f_i(x) = sum of (<a, x> - b)^2 / (2 m)          + c |x|^2 / 2
///     logistic  f_i(x) = sum of log(1 + exp(-b <a, x>)) / m     + c |x|^2 / 2,   b = 1 or -1
///
/// The coordinates of a are normal, and fall in size from the first to the last by the root of
/// kappa; labels follow an x of the node's own, near a common one. c is such that L / mu is kappa,
/// with L the largest and mu the smallest curvature of any f_i, as far as they are known: of
/// logistic regression mu is c, and L has a fourth of the largest eigenvalue.
/// Threads  safe once made. Throws ConfigError for another kind, and for a kappa that is not above
/// 1, or that ridge regression cannot have with that many samples.
class Problem {
 public:
  explicit Problem(const ProblemOptions& options);

  /// Of node's f at x (d,), to `out` (d,).
  void gradient(std::size_t node, std::span<const double> x, std::span<double> out) const;
  [[nodiscard]] double mu() const noexcept { return mu_; }
  /// L.
  [[nodiscard]] double smoothness() const noexcept { return smoothness_; }
  /// Where the sum is least, (d,).
  [[nodiscard]] std::span<const double> optimum() const noexcept { return optimum_; }

 private:
  /// Of all nodes at x: the mean gradient, (d,), and the mean Hessian, (d, d) by rows.
  void derivatives(std::span<const double> x, std::vector<double>& gradient,
                   std::vector<double>& hessian) const;
  [[nodiscard]] std::span<const double> sample(std::size_t node, std::size_t s) const;

  ProblemOptions o_;
  std::vector<double> a_;  // (nodes, samples, d)
  std::vector<double> b_;  // (nodes, samples)
  double c_ = 0;
  double mu_ = 0;
  double smoothness_ = 0;
  std::vector<double> optimum_;
};

}  // namespace dadao
