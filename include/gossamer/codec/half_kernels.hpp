// SPDX-License-Identifier: MIT
/// The loops of the codecs of 16 bits per number, and of all that must be finite.
#pragma once

#include <gossamer/codec/vectors.hpp>
#include <gossamer/model/kernels.hpp>

#include <c10/util/Half.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gossamer::codec::kernels {

/// Whether the first n numbers are finite; n a multiple of 8.
struct AllFinite {
  [[gnu::always_inline]] static bool run(const float* v, std::size_t n) {
    detail::Ints left = {};
#pragma GCC unroll 4
    for (std::size_t i = 0; i < n; i += lanes) {
      detail::Bits x;
      detail::load(v + i, x);
      x &= ~detail::sign_bit;
      left |= static_cast<std::int32_t>(detail::infinity - 1) - reinterpret_cast<detail::Ints>(x);
    }
    return !detail::any_negative(left);
  }
};

/// bfloat16, rounded to nearest even or, stochastic, up or down by chance; n a multiple of 8. What
/// rounds to infinity becomes the largest number; none may be infinite or NaN.
template <bool stochastic>
struct WriteBFloat16 {
  [[gnu::always_inline]] static void run(const float* v, [[maybe_unused]] Noise* noise,
                                         std::byte* out, std::size_t n) {
    Noise::Lanes lane_noise;
    if constexpr (stochastic) lane_noise.load(*noise);
    for (std::size_t i = 0; i < n; i += lanes) {
      detail::Bits x;
      detail::load(v + i, x);
      detail::Bits extra;
      if constexpr (stochastic) {
        lane_noise.next(extra);
        extra >>= 16;
      } else {
        extra = 0x7fffU + ((x >> 16) & 1U);
      }
      const detail::Bits sum = (x & ~detail::sign_bit) + extra;
      const auto magnitude = reinterpret_cast<detail::Ints>(sum);
      const detail::Ints largest = detail::Ints{} + 0x7f7f0000;
      const detail::Ints least = magnitude > largest ? largest : magnitude;
      const detail::Bits bits = reinterpret_cast<detail::Bits>(least) | (x & detail::sign_bit);
      const detail::Bits rounded = bits >> 16;
      detail::store(__builtin_convertvector(rounded, detail::Halves), out + 2 * i);
    }
    if constexpr (stochastic) lane_noise.save(*noise);
  }
};
/// False if a number is not finite.
struct ReadBFloat16 {
  [[gnu::always_inline]] static bool run(const std::byte* code, float* out, std::size_t n) {
    detail::Ints left = {};
    for (std::size_t i = 0; i < n; i += lanes) {
      detail::Halves halves;
      detail::load(code + 2 * i, halves);
      const detail::Bits x = __builtin_convertvector(halves, detail::Bits) << 16;
      const detail::Bits magnitude = x & ~detail::sign_bit;
      left |= static_cast<std::int32_t>(detail::infinity - 1) -
              reinterpret_cast<detail::Ints>(magnitude);
      detail::store(x, out + i);
    }
    return !detail::any_negative(left);
  }
};

namespace detail {

/// The numbers from `begin` on, one by one.
inline void write_halves(const float* v, std::byte* out, std::size_t begin, std::size_t n) {
  for (std::size_t i = begin; i < n; ++i) {
    const float clamped = v[i] > 65504 ? 65504 : v[i] < -65504 ? -65504 : v[i];
    const c10::Half half(clamped);
    std::memcpy(out + 2 * i, &half.x, 2);
  }
}
inline bool read_halves(const std::byte* code, float* out, std::size_t begin, std::size_t n) {
  bool finite = true;
  for (std::size_t i = begin; i < n; ++i) {
    c10::Half half(0, c10::Half::from_bits());
    std::memcpy(&half.x, code + 2 * i, 2);
    finite = finite && (half.x & 0x7c00U) != 0x7c00U;
    out[i] = half;
  }
  return finite;
}

#if defined(__x86_64__)
using EightHalves = model::kernels::detail::EightHalves;
[[gnu::target("avx2,f16c")]] inline void write_with_f16c(const float* v, std::byte* out,
                                                         std::size_t n) {
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Floats x;
    load(v + i, x);
    x = x < 65504.0F ? x : Floats{} + 65504.0F;
    x = x > -65504.0F ? x : Floats{} - 65504.0F;
    EightHalves::store(x, out + 2 * i);
  }
  write_halves(v, out, i, n);
}
[[gnu::target("avx2,f16c")]] inline bool read_with_f16c(const std::byte* code, float* out,
                                                        std::size_t n) {
  Halves wrong = {};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    Halves bits;
    load(code + 2 * i, bits);
    wrong |= reinterpret_cast<Halves>((bits & 0x7c00U) == 0x7c00U);
    EightHalves::load(code + 2 * i, *reinterpret_cast<EightHalves::Floats*>(out + i));
  }
  std::uint64_t any[2];
  store(wrong, any);
  return read_halves(code, out, i, n) && (any[0] | any[1]) == 0;
}
#endif

}  // namespace detail

/// float16, rounded to nearest even; what rounds to infinity becomes the largest number, 65504, and
/// none may be infinite or NaN.
inline void write_float16(const float* v, std::byte* out, std::size_t n) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && model::kernels::detail::has_f16c()) {
    return detail::write_with_f16c(v, out, n);
  }
#endif
  detail::write_halves(v, out, 0, n);
}
/// False if a number is not finite.
inline bool read_float16(const std::byte* code, float* out, std::size_t n) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && model::kernels::detail::has_f16c()) {
    return detail::read_with_f16c(code, out, n);
  }
#endif
  return detail::read_halves(code, out, 0, n);
}

}  // namespace gossamer::codec::kernels
