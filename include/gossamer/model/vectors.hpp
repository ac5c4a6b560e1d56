// SPDX-License-Identifier: MIT
/// Differences between flat vectors, and what is added of them.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/kernels.hpp>
#include <gossamer/model/staging.hpp>

#include <ATen/ops/sub.h>

#include <array>
#include <cstddef>
#include <span>

namespace gossamer::model {

namespace detail {

/// Calls `f` with a number of the dtype; false if the kernels do not know it.
template <class F>
bool with_number(at::ScalarType dtype, F f) {
  switch (dtype) {
    case at::kFloat:
      f(float{});
      return true;
    case at::kDouble:
      f(double{});
      return true;
    case at::kHalf:
      f(at::Half{});
      return true;
    case at::kBFloat16:
      f(at::BFloat16{});
      return true;
    default:
      return false;
  }
}

}  // namespace detail

/// d <- t (x - y); each number is rounded once. Of equal vectors it is 0, exactly. d may be x or y.
inline void difference(const Flat& d, const Flat& x, const Flat& y, double t = 1) {
  const std::array from{&x, &y};
  const auto of_pieces = [t](const Flat& to, std::span<const Flat* const> pieces) {
    difference(to, *pieces[0], *pieces[1], t);
  };
  for (std::size_t s = 0; s < d.segments().size(); ++s) {
    if (in_pieces(d, from, s, of_pieces)) continue;
    at::Tensor to = d.segments()[s];
    const at::Tensor& a = x.segments()[s];
    const at::Tensor& b = y.segments()[s];
    const auto on_cpu = [&](auto number) {
      using Number = decltype(number);
      kernels::difference(to.data_ptr<Number>(), a.data_ptr<Number>(), b.data_ptr<Number>(), t,
                          to.numel());
    };
    if (to.is_cpu() && detail::with_number(to.scalar_type(), on_cpu)) continue;
    at::sub_out(to, a, b).mul_(t);
  }
}

/// y <- y + t d.
inline void add(const Flat& y, const Flat& d, double t = 1) {
  const std::array from{&d};
  const auto of_pieces = [t](const Flat& to, std::span<const Flat* const> pieces) {
    add(to, *pieces[0], t);
  };
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    if (in_pieces(y, from, s, of_pieces)) continue;
    const at::Tensor& to = y.segments()[s];
    const at::Tensor& numbers = d.segments()[s];
    const auto on_cpu = [&](auto number) {
      using Number = decltype(number);
      kernels::add(to.data_ptr<Number>(), numbers.data_ptr<Number>(), t, to.numel());
    };
    if (to.is_cpu() && detail::with_number(to.scalar_type(), on_cpu)) continue;
    to.add_(numbers, t);
  }
}

}  // namespace gossamer::model
