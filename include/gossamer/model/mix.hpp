// SPDX-License-Identifier: MIT
/// The arithmetic of meeting: convex mixes and sums of flat vectors, in one pass over memory.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/kernels.hpp>
#include <gossamer/model/staging.hpp>

#include <ATen/ops/view_as_real.h>

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
    const std::int64_t length = std::min(mix_block, n - begin);
    for (const Share& share : shares) {
      const auto* const from = share.flat->segments()[segment].template data_ptr<Scalar>() + begin;
      if (share.t == 1) {  // what y was does not matter, be it infinite
        std::copy_n(from, length, to + begin);
      } else {
        kernels::lerp(to + begin, from, share.t, length);
      }
    }
  }
}

/// Whether `mix_segment` did it: vectors on the CPU, all of them beside each other, of a type that
/// the kernels know.
inline bool mix_on_cpu(const at::Tensor& y, std::span<const Share> shares, std::size_t segment) {
  if (!y.is_cpu()) return false;
  switch (y.scalar_type()) {
    case at::kFloat:
      mix_segment<float>(y, shares, segment);
      return true;
    case at::kDouble:
      mix_segment<double>(y, shares, segment);
      return true;
    case at::kHalf:
      mix_segment<at::Half>(y, shares, segment);
      return true;
    case at::kBFloat16:
      mix_segment<at::BFloat16>(y, shares, segment);
      return true;
    default:
      return false;
  }
}

}  // namespace detail

/// y <- y + t (x - y), for each share in turn. Equal vectors stay equal, bit for bit; t = 1 gives
/// x. float, double, half and bfloat16 on the CPU take one pass over y for all shares; everything
/// else goes through `lerp_`, and what lies elsewhere comes in pieces.
inline void mix(const Flat& y, std::span<const Share> shares) {
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    const at::Tensor& to = y.segments()[s];
    const auto is_beside = [&](const Share& x) { return !is_elsewhere(*x.flat, y, s); };
    const bool all_beside = std::all_of(shares.begin(), shares.end(), is_beside);
    if (all_beside && detail::mix_on_cpu(to, shares, s)) continue;
    for (const Share& share : shares) {
      const std::array from{share.flat};
      const auto of_pieces = [&](const Flat& part, std::span<const Flat* const> pieces) {
        const std::array one{Share{pieces[0], share.t}};
        mix(part, one);
      };
      if (in_pieces(y, from, s, of_pieces)) continue;
      const std::array one{share};
      if (!detail::mix_on_cpu(to, one, s)) to.lerp_(share.flat->segments()[s], share.t);
    }
  }
}

/// y <- y + t (x - y).
inline void mix(const Flat& y, const Flat& x, double t) {
  const std::array share{Share{&x, t}};
  mix(y, share);
}

namespace detail {

/// The mean of the numbers from `begin` to `end`, in one pass over memory.
template <class Number>
void mean_segment(const at::Tensor& y, std::span<const Flat* const> xs, std::size_t segment,
                  std::int64_t begin, std::int64_t end) {
  for (; begin < end; begin += mix_block) {
    const std::int64_t length = std::min(mix_block, end - begin);
    const auto from = [&](const Flat* x) {
      return x->segments()[segment].template data_ptr<Number>() + begin;
    };
    auto* const to = y.data_ptr<Number>() + begin;
    std::copy_n(from(xs.front()), length, to);
    for (const Flat* x : xs.subspan(1)) kernels::add(to, from(x), length);
    kernels::divide(to, static_cast<Number>(xs.size()), length);
  }
}

/// Whether `mean_segment` did it: vectors of float or double on the CPU, all of them beside each
/// other.
inline bool mean_on_cpu(const at::Tensor& y, std::span<const Flat* const> xs, std::size_t segment,
                        std::int64_t begin, std::int64_t end) {
  if (!y.is_cpu()) return false;
  if (y.scalar_type() == at::kFloat) {
    mean_segment<float>(y, xs, segment, begin, end);
  } else if (y.scalar_type() == at::kDouble) {
    mean_segment<double>(y, xs, segment, begin, end);
  } else {
    return false;
  }
  return true;
}

}  // namespace detail

/// y <- (1 / n) sum of the n vectors of `xs`, or of that part of them, added in their order, so
/// that the result is the same bits wherever, and in whatever pieces, it is computed. y may be none
/// of them. Numbers outside the part are neither read nor written. float and double on the CPU take
/// one pass, without allocation; what lies elsewhere comes in pieces.
inline void mean(const Flat& y, std::span<const Flat* const> xs, Chunk part = {}) {
  const auto of_pieces = [](const Flat& to, std::span<const Flat* const> pieces) {
    mean(to, pieces);
  };
  for (std::size_t s = 0; s < y.segments().size(); ++s) {
    const at::Tensor& all = y.segments()[s];
    const std::int64_t begin = part.begin(all.numel());
    const std::int64_t end = part.end(all.numel());
    if (begin == end || in_pieces(y, xs, s, begin, end, of_pieces)) continue;
    if (detail::mean_on_cpu(all, xs, s, begin, end)) continue;
    // As real numbers: LibTorch rounds a complex quotient differently at the end of a vector, and
    // a complex sum loses the sign of a zero.
    const auto part_of = [&](const Flat& x) {
      const at::Tensor numbers = x.segments()[s].narrow(0, begin, end - begin);
      return numbers.is_complex() ? at::view_as_real(numbers) : numbers;
    };
    const at::Tensor to = part_of(y);
    to.copy_(part_of(*xs.front()));
    for (const Flat* x : xs.subspan(1)) to.add_(part_of(*x));
    to.div_(static_cast<double>(xs.size()));
  }
}

}  // namespace gossamer::model
