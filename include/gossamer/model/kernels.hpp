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

/// What a loop does with each pair of numbers a, b.
enum class Op {
  lerp,        ///< a + t (b - a)
  difference,  ///< t (b - a)
  add          ///< a + t b
};

/// One number, or the numbers from `begin` on: out <- op(a, b).
template <Op op, class Scalar>
[[gnu::always_inline]] inline void rest(Scalar* out, const Scalar* a, const Scalar* b,
                                        Wide<Scalar> t, std::int64_t begin, std::int64_t n) {
  for (std::int64_t i = begin; i < n; ++i) {
    const auto to = static_cast<Wide<Scalar>>(a[i]);
    const auto from = static_cast<Wide<Scalar>>(b[i]);
    if constexpr (op == Op::lerp) out[i] = static_cast<Scalar>(to + t * (from - to));
    if constexpr (op == Op::difference) out[i] = static_cast<Scalar>(t * (from - to));
    if constexpr (op == Op::add) out[i] = static_cast<Scalar>(to + t * from);
  }
}

template <Op op, class Scalar, std::size_t Bytes>
[[gnu::always_inline]] inline void in_vectors(Scalar* out, const Scalar* a, const Scalar* b,
                                              Wide<Scalar> t, std::int64_t n) {
  using Unit = Pack<Scalar, Bytes>;
  constexpr int unrolled = 4;  // enough loads under way to hide the memory's latency
  constexpr std::int64_t step = unrolled * Unit::lanes;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) {
    typename Unit::Numbers to[unrolled];
    typename Unit::Numbers from[unrolled];
#pragma GCC unroll 4
    for (int k = 0; k < unrolled; ++k) {
      Unit::load(a + i + k * Unit::lanes, to[k]);
      Unit::load(b + i + k * Unit::lanes, from[k]);
      if constexpr (op == Op::lerp) to[k] += t * (from[k] - to[k]);
      if constexpr (op == Op::difference) to[k] = t * (from[k] - to[k]);
      if constexpr (op == Op::add) to[k] += t * from[k];
      Unit::store(to[k], out + i + k * Unit::lanes);
    }
  }
  rest<op>(out, a, b, t, i, n);
}

#if defined(__x86_64__)
// Without fused multiply-add: the same bits with and without AVX2.
template <Op op, class Scalar>
[[gnu::target("avx2")]] void with_avx2(Scalar* out, const Scalar* a, const Scalar* b,
                                       Wide<Scalar> t, std::int64_t n) {
  in_vectors<op, Scalar, 32>(out, a, b, t, n);
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

// Eight numbers, converted by the processor. The compilers' own names of the two instructions, for
// <immintrin.h> takes long to read. Vectors by reference, as above.
struct EightHalves {
  using Halves = Vector<short, 16>;
  using Floats = Vector<float, 32>;
  [[gnu::target("avx2,f16c"), gnu::always_inline]] static void load(const void* from, Floats& to) {
    to = __builtin_ia32_vcvtph2ps256(*static_cast<const Halves*>(from));
  }
  /// Rounded to nearest even.
  [[gnu::target("avx2,f16c"), gnu::always_inline]] static void store(const Floats& from, void* to) {
    *static_cast<Halves*>(to) = __builtin_ia32_vcvtps2ph256(from, 0);
  }
};

template <Op op, class Half>
[[gnu::target("avx2,f16c")]] void with_f16c(Half* out, const Half* a, const Half* b, float t,
                                            std::int64_t n) {
  std::int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    EightHalves::Floats to;
    EightHalves::Floats from;
    EightHalves::load(a + i, to);
    EightHalves::load(b + i, from);
    if constexpr (op == Op::lerp) to += t * (from - to);
    if constexpr (op == Op::difference) to = t * (from - to);
    if constexpr (op == Op::add) to += t * from;
    EightHalves::store(to, out + i);
  }
  rest<op>(out, a, b, t, i, n);
}
#endif

/// Enough for numbers that lie in the first-level cache, on any processor.
template <class Number>
using ShortPack = Pack<Number, 16>;

/// out <- op(a, b) for n numbers, in as wide vectors as the processor has.
template <Op op, class Scalar>
void apply(Scalar* out, const Scalar* a, const Scalar* b, double factor, std::int64_t n) {
  const auto t = static_cast<Wide<Scalar>>(factor);
  if constexpr (std::is_same_v<Scalar, c10::Half>) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && has_f16c()) return with_f16c<op>(out, a, b, t, n);
#endif
    rest<op>(out, a, b, t, 0, n);
  } else {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) return with_avx2<op>(out, a, b, t, n);
#endif
    in_vectors<op, Scalar, 16>(out, a, b, t, n);
  }
}

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
void lerp(Scalar* y, const Scalar* x, double t, std::int64_t n) {
  detail::apply<detail::Op::lerp>(y, y, x, t, n);
}

/// d <- t (x - y), in the same manner.
template <class Scalar>
void difference(Scalar* d, const Scalar* x, const Scalar* y, double t, std::int64_t n) {
  detail::apply<detail::Op::difference>(d, y, x, t, n);
}

/// y <- y + t d, in the same manner.
template <class Scalar>
void add(Scalar* y, const Scalar* d, double t, std::int64_t n) {
  detail::apply<detail::Op::add>(y, y, d, t, n);
}

}  // namespace gossamer::model::kernels
