// SPDX-License-Identifier: MIT
/// Whether all numbers of a model are numbers.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/kernels.hpp>

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace gossamer::model {

namespace detail {

/// Whether none of n numbers, looked at as bits, has all bits of `exponent` set. One pass, at the
/// memory's speed.
template <class Bits>
bool no_exponent_is_full(const void* numbers, Bits exponent, std::int64_t n) {
  using Lanes = kernels::detail::Vector<Bits, 16>;
  constexpr std::int64_t lanes = 16 / sizeof(Bits);
  constexpr std::int64_t unrolled = 4;
  const auto* const bits = static_cast<const Bits*>(numbers);
  Lanes found[unrolled] = {};
  Lanes mask = {};
  for (std::int64_t k = 0; k < lanes; ++k) mask[k] = exponent;
  std::int64_t i = 0;
  for (; i + unrolled * lanes <= n; i += unrolled * lanes) {
    for (std::int64_t k = 0; k < unrolled; ++k) {
      const Lanes x = *reinterpret_cast<const Lanes*>(bits + i + k * lanes);
      const auto full = (x & mask) == mask;
      found[k] |= reinterpret_cast<const Lanes&>(full);
    }
  }
  Bits any = 0;
  for (const Lanes& each : found) {
    for (std::int64_t k = 0; k < lanes; ++k) any |= each[k];
  }
  for (; i < n; ++i) any |= static_cast<Bits>((bits[i] & exponent) == exponent ? 1 : 0);
  return any == 0;
}

}  // namespace detail

/// Whether no number of a contiguous tensor is infinite or NaN.
inline bool is_finite(const at::Tensor& numbers) {
  const std::int64_t n = numbers.numel();
  if (numbers.is_cpu()) {
    const void* const data = numbers.data_ptr();
    constexpr std::uint64_t of_double = 0x7ff0000000000000U;
    switch (numbers.scalar_type()) {
      case at::kFloat:
        return detail::no_exponent_is_full<std::uint32_t>(data, 0x7f800000U, n);
      case at::kComplexFloat:
        return detail::no_exponent_is_full<std::uint32_t>(data, 0x7f800000U, 2 * n);
      case at::kDouble:
        return detail::no_exponent_is_full<std::uint64_t>(data, of_double, n);
      case at::kComplexDouble:
        return detail::no_exponent_is_full<std::uint64_t>(data, of_double, 2 * n);
      case at::kHalf:
        return detail::no_exponent_is_full<std::uint16_t>(data, 0x7c00U, n);
      case at::kBFloat16:
        return detail::no_exponent_is_full<std::uint16_t>(data, 0x7f80U, n);
      default:
        break;
    }
  }
  return numbers.isfinite().all().item().toBool();
}

/// The same of all of a model's numbers.
inline bool is_finite(const Flat& flat) {
  return std::all_of(flat.segments().begin(), flat.segments().end(),
                     [](const at::Tensor& segment) { return is_finite(segment); });
}

}  // namespace gossamer::model
