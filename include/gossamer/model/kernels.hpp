// SPDX-License-Identifier: MIT
/// The loops whose speed matters, at the memory's speed whatever flags the user compiles with.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace gossamer::model::kernels {

/// What a number is computed in: itself, or float for the narrow types.
template <class Scalar>
using Wide = std::conditional_t<std::is_same_v<Scalar, double>, double, float>;

namespace detail {

// `g++ -O2` does not vectorise plain loops well, hence the compilers' vector types. They are passed
// by pointer only: how they are passed by value depends on flags.
template <class Number, std::size_t Bytes>
struct VectorOf {
  // May lie anywhere in an array of `Number`.
  typedef Number type  // NOLINT(modernize-use-using): GCC takes the attributes here only
      __attribute__((vector_size(Bytes), aligned(alignof(Number)), may_alias));
};
template <class Number, std::size_t Bytes>
using Vector = typename VectorOf<Number, Bytes>::type;

/// One vector of numbers to and from memory, computed in `Wide`.
template <class Scalar, std::size_t Bytes>
struct Pack {
  using Numbers = Vector<Scalar, Bytes>;
  static constexpr std::int64_t lanes = Bytes / sizeof(Scalar);
  [[gnu::always_inline]] static void load(const Scalar* from, Numbers& to) {
    to = *reinterpret_cast<const Numbers*>(from);
  }
  [[gnu::always_inline]] static void store(const Numbers& from, Scalar* to) {
    *reinterpret_cast<Numbers*>(to) = from;
  }
};

/// bfloat16 is the upper half of a float; rounded to nearest even, as LibTorch does.
template <std::size_t Bytes>
struct Pack<c10::BFloat16, Bytes> {
  using Numbers = Vector<float, Bytes>;
  using Bits = Vector<std::uint32_t, Bytes>;
  using Halves = Vector<std::uint16_t, Bytes / 2>;
  static constexpr std::int64_t lanes = Bytes / sizeof(float);
  [[gnu::always_inline]] static void load(const c10::BFloat16* from, Numbers& to) {
    const auto halves = *reinterpret_cast<const Halves*>(from);
    const Bits bits = __builtin_convertvector(halves, Bits) << 16;
    to = reinterpret_cast<const Numbers&>(bits);
  }
  [[gnu::always_inline]] static void store(const Numbers& from, c10::BFloat16* to) {
    const auto bits = reinterpret_cast<const Bits&>(from);
    const Bits rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
    const auto is_number = from == from;
    const auto mask = reinterpret_cast<const Bits&>(is_number);
    const Bits result = (rounded & mask) | (~mask & 0x7fc0U);
    *reinterpret_cast<Halves*>(to) = __builtin_convertvector(result, Halves);
  }
};

template <class Scalar>
[[gnu::always_inline]] inline void lerp_rest(Scalar* y, const Scalar* x, Wide<Scalar> t,
                                             std::int64_t begin, std::int64_t n) {
  for (std::int64_t i = begin; i < n; ++i) {
    const auto to = static_cast<Wide<Scalar>>(y[i]);
    y[i] = static_cast<Scalar>(to + t * (static_cast<Wide<Scalar>>(x[i]) - to));
  }
}

template <class Scalar, std::size_t Bytes>
[[gnu::always_inline]] inline void lerp_in_vectors(Scalar* y, const Scalar* x, Wide<Scalar> t,
                                                   std::int64_t n) {
  using Unit = Pack<Scalar, Bytes>;
  constexpr int unrolled = 4;  // enough loads under way to hide the memory's latency
  constexpr std::int64_t step = unrolled * Unit::lanes;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    typename Unit::Numbers to[unrolled];
    typename Unit::Numbers from[unrolled];
#pragma GCC unroll 4
    for (int k = 0; k < unrolled; ++k) {
      Unit::load(y + i + k * Unit::lanes, to[k]);
      Unit::load(x + i + k * Unit::lanes, from[k]);
      to[k] += t * (from[k] - to[k]);
      Unit::store(to[k], y + i + k * Unit::lanes);
    }
  }
  lerp_rest(y, x, t, i, n);
}

#if defined(__x86_64__)
// Without fused multiply-add: the same bits with and without AVX2.
template <class Scalar>
[[gnu::target("avx2")]] void lerp_avx2(Scalar* y, const Scalar* x, Wide<Scalar> t, std::int64_t n) {
  lerp_in_vectors<Scalar, 32>(y, x, t, n);
}

// Clang 16's __builtin_cpu_supports does not know f16c.
inline bool has_f16c() {
  static const bool known = [] {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  }();
  return known;
}

template <class Half>
[[gnu::target("avx2,f16c")]] void lerp_f16c(Half* y, const Half* x, float t, std::int64_t n) {
  const __m256 step = _mm256_set1_ps(t);
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const auto* from = reinterpret_cast<const __m128i*>(x + i);
    auto* to = reinterpret_cast<__m128i*>(y + i);
    const __m256 b = _mm256_cvtph_ps(_mm_loadu_si128(from));
    const __m256 a = _mm256_cvtph_ps(_mm_loadu_si128(to));
    const __m256 mixed = _mm256_add_ps(a, _mm256_mul_ps(step, _mm256_sub_ps(b, a)));
    _mm_storeu_si128(to, _mm256_cvtps_ph(mixed, _MM_FROUND_TO_NEAREST_INT));
  }
  lerp_rest(y, x, t, i, n);
}
#endif

/// Enough for numbers that lie in the first-level cache, on any processor.
template <class Number>
using ShortPack = Pack<Number, 16>;

}  // namespace detail

/// y <- y + x for n numbers, float or double; x and y do not overlap.
template <class Number>
void add(Number* y, const Number* x, std::int64_t n) {
  using Unit = detail::ShortPack<Number>;
  std::int64_t i = 0;
  for (; i + Unit::lanes <= n; i += Unit::lanes) {
    typename Unit::Numbers to;
    typename Unit::Numbers from;
    Unit::load(y + i, to);
    Unit::load(x + i, from);
    to += from;
    Unit::store(to, y + i);
  }
  for (; i < n; ++i) y[i] += x[i];
}

/// y <- y / divisor for n numbers, float or double.
template <class Number>
void divide(Number* y, Number divisor, std::int64_t n) {
  using Unit = detail::ShortPack<Number>;
  std::int64_t i = 0;
  for (; i + Unit::lanes <= n; i += Unit::lanes) {
    typename Unit::Numbers to;
    Unit::load(y + i, to);
    to /= divisor;
    Unit::store(to, y + i);
  }
  for (; i < n; ++i) y[i] /= divisor;
}

/// y <- y + t (x - y) for n numbers, one after the other; equal numbers stay equal, bit for bit.
/// float, double, c10::Half, c10::BFloat16; the narrow ones are rounded once. x and y are equal or
/// do not overlap. The processor decides, at run time, in how wide vectors.
template <class Scalar>
void lerp(Scalar* y, const Scalar* x, double factor, std::int64_t n) {
  const auto t = static_cast<Wide<Scalar>>(factor);
  if constexpr (std::is_same_v<Scalar, c10::Half>) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && detail::has_f16c()) {
      return detail::lerp_f16c(y, x, t, n);
    }
#endif
    detail::lerp_rest(y, x, t, 0, n);
  } else {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return detail::lerp_avx2(y, x, t, n);
#endif
    detail::lerp_in_vectors<Scalar, 16>(y, x, t, n);
  }
}

}  // namespace gossamer::model::kernels
