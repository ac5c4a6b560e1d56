// SPDX-License-Identifier: MIT
/// The arithmetic of pooled principal components.
#include <gossip_pca/pca.hpp>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace pca {
namespace {

/// Below this share of the largest eigenvalue it is rounding.
constexpr double rounding = 1e-13;

/// The q strongest eigenpairs of A A^T, from those of A^T A; zero where there are none.
void strongest(const at::Tensor& a, at::Tensor& basis, at::Tensor& values) {
  const auto [ascending, vectors] = at::linalg_eigh(a.t().mm(a));
  const at::Tensor all = ascending.flip(0);
  const std::int64_t found = std::min(all.size(0), values.size(0));
  const at::Tensor top = all.narrow(0, 0, found);
  const at::Tensor real = top > rounding * std::max(top[0].item<double>(), 0.0);
  const at::Tensor kept = at::where(real, top, at::zeros_like(top));
  // A v has the length sqrt(eigenvalue).
  const at::Tensor scale = at::where(real, top.clamp_min(1e-300).rsqrt(), at::zeros_like(top));
  const at::Tensor columns = a.mm(vectors.flip(1).narrow(1, 0, found)) * scale;
  basis.zero_();
  values.zero_();
  basis.narrow(1, 0, found).copy_(columns);
  values.narrow(0, 0, found).copy_(kept);
}

}  // namespace

double Components::count() const { return samples.item<double>(); }

Components no_components(std::int64_t dimensions, std::int64_t q) {
  return {at::zeros({dimensions, q}, at::kDouble), at::zeros({q}, at::kDouble),
          at::zeros({dimensions}, at::kDouble), at::zeros({1}, at::kDouble)};
}

void pool(Components& into, double a, const Components& other, double b) {
  const double n = a + b;
  const at::Tensor difference = into.mean - other.mean;
  const at::Tensor factors = at::cat({into.basis * (into.variances * (a / n)).sqrt(),
                                      other.basis * (other.variances * (b / n)).sqrt(),
                                      (difference * (std::sqrt(a * b) / n)).unsqueeze(1)},
                                     1);
  strongest(factors, into.basis, into.variances);
  into.mean.sub_(difference, b / n);
  into.samples.fill_(n);
}

Components components_of(const at::Tensor& samples, std::int64_t q) {
  const std::int64_t dimensions = samples.size(1);
  Components result = no_components(dimensions, q);
  const at::Tensor x = samples.to(at::kDouble);
  result.mean.copy_(x.mean(0));
  result.samples.fill_(static_cast<double>(x.size(0)));
  const at::Tensor centred = x - result.mean;
  // A few directions more than asked for, begun with samples of the data.
  const std::int64_t width = std::min({2 * q + 5, dimensions, x.size(0)});
  const at::Tensor some = at::arange(width, at::kLong) * (x.size(0) / width);
  at::Tensor q_now = std::get<0>(at::linalg_qr(centred.index_select(0, some).t()));
  constexpr int iterations = 30;
  for (int i = 0; i < iterations; ++i) {
    q_now = std::get<0>(at::linalg_qr(centred.t().mm(centred.mm(q_now))));
  }
  // The covariance within the span, as a factor of it.
  const at::Tensor inside = centred.mm(q_now) / std::sqrt(static_cast<double>(x.size(0)));
  const auto [ascending, vectors] = at::linalg_eigh(inside.t().mm(inside));
  const at::Tensor lengths = ascending.clamp_min(0).sqrt();
  strongest(q_now.mm(vectors * lengths), result.basis, result.variances);
  return result;
}

double largest_angle(const at::Tensor& a, const at::Tensor& b) {
  // By its sine, what of `a` lies outside the span of `b`: a cosine near 1 has no digits left.
  const at::Tensor outside = a - b.mm(b.t().mm(a));
  const double sine =
      std::sqrt(at::linalg_eigvalsh(outside.t().mm(outside)).max().clamp(0, 1).item<double>());
  return std::asin(sine) * 57.29577951308232;
}

double captured_variance(const at::Tensor& samples, const at::Tensor& basis) {
  const at::Tensor x = samples.to(at::kDouble);
  const at::Tensor centred = x - x.mean(0);
  return (centred.mm(basis).square().sum() / centred.square().sum()).item<double>();
}

}  // namespace pca
