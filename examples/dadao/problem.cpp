// SPDX-License-Identifier: MIT
/// Draws the samples, finds curvatures, and solves the problem in one place.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>
#include <dadao/problem.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace dadao {

namespace {

double normal(gossamer::Generator& random) {  // Box, Muller
  const double radius = std::sqrt(-2 * std::log1p(-random.uniform()));
  return radius * std::cos(6.283185307179586 * random.uniform());
}

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum += a[k] * b[k];
  return sum;
}

/// As a tensor that looks at it.
at::Tensor view(std::vector<double>& values, at::IntArrayRef shape) {
  return at::from_blob(values.data(), shape, at::kDouble);
}

/// First and second derivative of a sample's loss by u = <a, x>.
struct Derivatives {
  double first;
  double second;
};
Derivatives loss(bool is_logistic, double u, double b) {
  if (!is_logistic) return {u - b, 1};
  const double wrong = 1 / (1 + std::exp(b * u));
  return {-b * wrong, wrong * (1 - wrong)};
}

}  // namespace

Problem::Problem(const ProblemOptions& options) : o_(options) {
  const bool is_logistic = o_.kind == "logistic";
  if (!is_logistic && o_.kind != "ridge") {
    throw gossamer::ConfigError("Problem: kind must be ridge or logistic, got " + o_.kind);
  }
  if (!(o_.kappa > 1)) {
    throw gossamer::ConfigError(c10::str("Problem: kappa must be above 1, got ", o_.kappa));
  }
  gossamer::Generator random(o_.seed, 1);
  const std::size_t d = o_.dimensions;
  const double fall = d > 1 ? std::pow(o_.kappa, -0.5 / static_cast<double>(d - 1)) : 1;
  std::vector<double> common(d);
  for (double& value : common) value = normal(random);
  double largest = 0;
  double smallest = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < o_.nodes; ++i) {
    std::vector<double> own = common;
    for (double& value : own) value += normal(random) / 2;
    std::vector<double> rows;
    for (std::size_t s = 0; s < o_.samples; ++s) {
      for (std::size_t k = 0; k < d; ++k) {
        rows.push_back(normal(random) * std::pow(fall, static_cast<double>(k)));
      }
      const double u = dot(std::span(rows).last(d), own) + normal(random) / 10;
      b_.push_back(is_logistic ? (u < 0 ? -1 : 1) : u);
    }
    const at::Tensor a =
        view(rows, {static_cast<std::int64_t>(o_.samples), static_cast<std::int64_t>(d)});
    const at::Tensor curvatures =
        at::linalg_eigvalsh(a.t().mm(a).div(static_cast<double>(o_.samples)), "L");
    largest = std::max(largest, curvatures[-1].item<double>());
    smallest = std::min(smallest, std::max(0.0, curvatures[0].item<double>()));
    a_.insert(a_.end(), rows.begin(), rows.end());
  }
  if (is_logistic) {
    largest /= 4;
    smallest = 0;
  }
  c_ = (largest - o_.kappa * smallest) / (o_.kappa - 1);
  if (!(c_ > 0)) {
    throw gossamer::ConfigError(c10::str("Problem: these samples alone have a kappa of ",
                                         largest / smallest, ", below the wanted ", o_.kappa));
  }
  mu_ = smallest + c_;
  smoothness_ = largest + c_;

  // Newton's method; of ridge regression the first step is the last.
  optimum_.assign(d, 0);
  std::vector<double> gradient;
  std::vector<double> hessian;
  const auto size = static_cast<std::int64_t>(d);
  for (int step = 0; step < 100; ++step) {
    derivatives(optimum_, gradient, hessian);
    const at::Tensor move =
        at::linalg_solve(view(hessian, {size, size}), view(gradient, {size}).unsqueeze(1));
    view(optimum_, {size}).sub_(move.squeeze(1));
    if (move.abs().max().item<double>() < 1e-14) break;
  }
}

std::span<const double> Problem::sample(std::size_t node, std::size_t s) const {
  return std::span(a_).subspan((node * o_.samples + s) * o_.dimensions, o_.dimensions);
}

void Problem::gradient(std::size_t node, std::span<const double> x, std::span<double> out) const {
  for (std::size_t k = 0; k < x.size(); ++k) out[k] = c_ * x[k];
  for (std::size_t s = 0; s < o_.samples; ++s) {
    const auto a = sample(node, s);
    const double slope = loss(o_.kind == "logistic", dot(a, x), b_[node * o_.samples + s]).first /
                         static_cast<double>(o_.samples);
    for (std::size_t k = 0; k < x.size(); ++k) out[k] += slope * a[k];
  }
}

void Problem::derivatives(std::span<const double> x, std::vector<double>& gradient,
                          std::vector<double>& hessian) const {
  const std::size_t d = x.size();
  gradient.assign(d, 0);
  hessian.assign(d * d, 0);
  const double part = 1 / static_cast<double>(o_.nodes * o_.samples);
  for (std::size_t k = 0; k < d; ++k) {
    gradient[k] = c_ * x[k];
    hessian[k * d + k] = c_;
  }
  for (std::size_t i = 0; i < o_.nodes; ++i) {
    for (std::size_t s = 0; s < o_.samples; ++s) {
      const auto a = sample(i, s);
      const auto [first, second] = loss(o_.kind == "logistic", dot(a, x), b_[i * o_.samples + s]);
      for (std::size_t k = 0; k < d; ++k) {
        gradient[k] += part * first * a[k];
        for (std::size_t l = 0; l < d; ++l) hessian[k * d + l] += part * second * a[k] * a[l];
      }
    }
  }
}

}  // namespace dadao
