// SPDX-License-Identifier: MIT
/// The arithmetic of meeting: convex mixes and sums of flat vectors, in one pass over memory.
#pragma once

#include <gossamer/model/flat.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer::model {

/// One vector to mix in, and how far to go towards it: t in [0, 1].
struct Share {
  const Flat* flat;
  double t;
};

namespace detail {

/// Numbers that fit the first-level cache: y is read and written once for all shares.
inline constexpr std::int64_t mix_block = 2048;

template <class Scalar>
void mix_segment(const at::Tensor& y, std::span<const Share> shares, std::size_t segment) {
  auto* const to = y.data_ptr<Scalar>();
  const std::int64_t n = y.numel();
  for (std::int64_t begin = 0; begin < n; begin += mix_block) {
    const std::int64_t end = std::min(begin + mix_block, n);
    for (const Share& share : shares) {
      const auto* const from = share.flat->segments()[segment].data_ptr<Scalar>();
      const auto t = static_cast<Scalar>(share.t);
      if (t == 1) {  // what y was does not matter, be it infinite
        std::copy(from + begin, from + end, to + begin);
        continue;
      }
      for (std::int64_t i = begin; i < end; ++i) to[i] += t * (from[i] - to[i]);
    }
  }
}

}  // namespace detail

/// y <- y + t (x - y), for each share in turn. Equal vectors stay equal, bit for bit; t = 1 gives
/// x. float and double on the CPU take one pass over y for all shares; everything else goes through
/// `lerp_`, with copies.
inline void mix(const Flat& y, std::span<const Share> shares) {
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    const at::Tensor& to = y.segments()[s];
    const bool on_cpu =
        to.is_cpu() && std::all_of(shares.begin(), shares.end(),
                                   [s](const Share& x) { return x.flat->segments()[s].is_cpu(); });
    if (on_cpu && to.scalar_type() == at::kFloat) {
      detail::mix_segment<float>(to, shares, s);
    } else if (on_cpu && to.scalar_type() == at::kDouble) {
      detail::mix_segment<double>(to, shares, s);
    } else {
      // Not every LibTorch has `lerp_` for half and bfloat16 on the CPU: those go through float.
      const bool narrow = to.scalar_type() == at::kHalf || to.scalar_type() == at::kBFloat16;
      const auto type = narrow ? at::kFloat : to.scalar_type();
      for (const Share& share : shares) {
        const at::Tensor from = share.flat->segments()[s].to(to.device(), type);
        if (narrow) {
          to.copy_(to.to(type).lerp_(from, share.t));
        } else {
          to.lerp_(from, share.t);
        }
      }
    }
  }
}

/// y <- y + t (x - y).
inline void mix(const Flat& y, const Flat& x, double t) {
  const std::array share{Share{&x, t}};
  mix(y, share);
}

/// y <- (1 / n) sum of the n vectors of `xs`, added in their order, so that the result is the same
/// bits wherever it is computed. y may be none of them.
inline void mean(const Flat& y, std::span<const Flat* const> xs) {
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    const at::Tensor& to = y.segments()[s];
    to.copy_(xs.front()->segments()[s]);
    for (const Flat* x : xs.subspan(1)) to.add_(x->segments()[s].to(to.device()));
    to.div_(static_cast<double>(xs.size()));
  }
}

}  // namespace gossamer::model
