// SPDX-License-Identifier: MIT
/// The arithmetic of elastic rules: several vectors that pull at one.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/kernels.hpp>
#include <gossamer/model/staging.hpp>
#include <gossamer/model/vectors.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer::model {

/// One vector that pulls at another, and room for the difference between them.
struct Pull {
  const Flat* x;
  const Flat* d;  ///< written to
};

/// d_i <- t (x_i - y) for each of `pulls`, all with y as it was; then y <- y + part (sum of d_i).
/// What y gains is the sum of what the d_i say, up to its own rounding. One pass over y on the CPU;
/// what lies elsewhere comes in pieces.
inline void pull(const Flat& y, std::span<const Pull> pulls, double t, double part = 1) {
  constexpr std::int64_t block = 2048;  // numbers that fit the first-level cache
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    const at::Tensor& to = y.segments()[s];
    const bool all_on_cpu =
        to.is_cpu() && std::all_of(pulls.begin(), pulls.end(), [&](const Pull& one) {
          return !is_elsewhere(*one.x, y, s) && !is_elsewhere(*one.d, y, s);
        });
    const auto on_cpu = [&](auto number) {
      using Number = decltype(number);
      auto* const target = to.data_ptr<Number>();
      for (std::int64_t begin = 0; begin < to.numel(); begin += block) {
        const std::int64_t n = std::min(block, to.numel() - begin);
        for (const Pull& one : pulls) {
          kernels::difference(one.d->segments()[s].template data_ptr<Number>() + begin,
                              one.x->segments()[s].template data_ptr<Number>() + begin,
                              target + begin, t, n);
        }
        for (const Pull& one : pulls) {
          kernels::add(target + begin, one.d->segments()[s].template data_ptr<Number>() + begin,
                       part, n);
        }
      }
    };
    if (all_on_cpu && detail::with_number(to.scalar_type(), on_cpu)) continue;
    const Flat target = y.segment(s);
    for (const Pull& one : pulls) difference(one.d->segment(s), one.x->segment(s), target, t);
    for (const Pull& one : pulls) add(target, one.d->segment(s), part);
  }
}

}  // namespace gossamer::model
