// SPDX-License-Identifier: MIT
/// Sums and differences of flat vectors, without memory of their own.
#pragma once

#include <gossamer/model/flat.hpp>

#include <ATen/ops/sub.h>

#include <cstddef>

namespace gossamer::model {

/// y <- c (x - z). Of equal vectors it is 0, exactly. y may be x or z.
inline void difference(const Flat& y, const Flat& x, const Flat& z, double c = 1) {
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    at::Tensor to = y.segments()[s];
    at::sub_out(to, x.segments()[s].to(to.device()), z.segments()[s].to(to.device()));
    if (c != 1) to.mul_(c);
  }
}

/// y <- y + c x.
inline void add(const Flat& y, const Flat& x, double c = 1) {
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    const at::Tensor& to = y.segments()[s];
    to.add_(x.segments()[s].to(to.device()), c);
  }
}

}  // namespace gossamer::model
