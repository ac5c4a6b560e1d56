// SPDX-License-Identifier: MIT
/// The loops of the codecs: blocks of 256 numbers, in vectors, the same bits on every processor.
///
/// Everything is a vertical operation on vectors of 8 numbers, and sums have one fixed order, so it
/// does not matter how wide the processor's own vectors are. Levels of b bits lie in 32-bit words,
/// 8 words side by side: number 8 i + l of a group of 256 / b numbers is in word l, bits i b to
/// i b + b - 1. Nothing has to be moved across a vector then.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/kernels.hpp>

#include <c10/util/Half.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gossamer::codec::kernels {

static_assert(std::endian::native == std::endian::little,
              "Gossamer's codes are little-endian, and so must be the machine");

/// Numbers per block, that is, per scale.
inline constexpr std::size_t block = 256;
inline constexpr std::size_t lanes = 8;

namespace detail {

template <class Number, std::size_t bytes>
struct VectorOf {
  // A code may lie at any address.
  typedef Number type  // NOLINT(modernize-use-using): GCC takes the attributes here only
      __attribute__((vector_size(bytes), aligned(1), may_alias));
};
using Floats = VectorOf<float, 32>::type;
using Bits = VectorOf<std::uint32_t, 32>::type;
using Ints = VectorOf<std::int32_t, 32>::type;
using Halves = VectorOf<std::uint16_t, 16>::type;

template <class To, class From>
[[gnu::always_inline]] inline const To& as(const From& from) {
  return reinterpret_cast<const To&>(from);
}
[[gnu::always_inline]] inline void load(const void* from, Bits& to) {
  to = *static_cast<const Bits*>(from);
}
template <class Vector>
[[gnu::always_inline]] inline void store(const Vector& from, void* to) {
  *static_cast<Vector*>(to) = from;
}
/// Where the mask is set `a`, elsewhere `b`.
template <class Mask, class Vector>
[[gnu::always_inline]] inline void select(const Mask& mask, const Vector& a, Vector& b) {
  const Bits chosen = (as<Bits>(a) & as<Bits>(mask)) | (as<Bits>(b) & ~as<Bits>(mask));
  b = as<Vector>(chosen);
}
/// The sum of the lanes, in one order.
[[gnu::always_inline]] inline float sum(const Floats& s) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}
/// Whether a lane is negative.
[[gnu::always_inline]] inline bool any_negative(const Ints& x) {
  std::int32_t all = 0;
  for (std::size_t l = 0; l < lanes; ++l) all |= x[l];
  return all < 0;
}

#if defined(__x86_64__)
template <class Kernel, class... Arguments>
[[gnu::target("avx2")]] auto with_avx2(Arguments... arguments) {
  return Kernel::run(arguments...);
}
#endif
/// In the vectors that the compiler's flags allow.
template <class Kernel, class... Arguments>
auto portable(Arguments... arguments) {
  return Kernel::run(arguments...);
}

inline constexpr std::uint32_t sign_bit = 0x80000000U;
inline constexpr std::uint32_t infinity = 0x7f800000U;

}  // namespace detail

/// Runs a kernel in as wide vectors as the processor has.
template <class Kernel, class... Arguments>
auto run(Arguments... arguments) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return detail::with_avx2<Kernel>(arguments...);
#endif
  return detail::portable<Kernel>(arguments...);
}

/// Random bits for rounding: a xorshift generator of 128 bits per lane (Marsaglia, "Xorshift RNGs",
/// Journal of Statistical Software 2003), begun by the node's generator.
struct Noise {
  std::uint32_t words[4][lanes];

  Noise() = default;
  explicit Noise(Generator& generator) {
    for (auto& row : words) {
      for (auto& word : row) word = generator() | 1U;
    }
  }
  [[gnu::always_inline]] void next(detail::Bits& random) {
    detail::Bits x;
    detail::Bits w;
    detail::load(words[0], x);
    detail::load(words[3], w);
    std::memmove(words[0], words[1], sizeof words - sizeof words[0]);
    x ^= x << 11;
    random = w ^ (w >> 19) ^ x ^ (x >> 8);
    detail::store(random, words[3]);
  }
};

/// The sum of the magnitudes of a block; not finite if a number is not, or if it is too large.
struct AbsoluteSum {
  [[gnu::always_inline]] static float run(const float* v) {
    detail::Floats sums[4] = {};
    for (std::size_t i = 0; i < block; i += 4 * lanes) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        detail::Bits x;
        detail::load(v + i + k * lanes, x);
        x &= ~detail::sign_bit;
        sums[k] += detail::as<detail::Floats>(x);
      }
    }
    const detail::Floats all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return detail::sum(all);
  }
};

/// The bits of the largest magnitude of a block; those of a NaN are the largest.
struct LargestBits {
  [[gnu::always_inline]] static std::uint32_t run(const float* v) {
    detail::Ints most = {};
    for (std::size_t i = 0; i < block; i += lanes) {
      detail::Bits x;
      detail::load(v + i, x);
      x &= ~detail::sign_bit;
      const auto larger = detail::as<detail::Ints>(x) > most;
      detail::select(larger, detail::as<detail::Ints>(x), most);
    }
    std::int32_t result = 0;
    for (std::size_t l = 0; l < lanes; ++l) result = most[l] > result ? most[l] : result;
    return static_cast<std::uint32_t>(result);
  }
};

/// Sums and number of the magnitudes that reach a threshold, and the sum of those that do not.
struct Classes {
  float above = 0;
  float below = 0;
  std::uint32_t count = 0;  ///< of those above
  bool operator==(const Classes&) const = default;
};
struct SumClasses {
  [[gnu::always_inline]] static Classes run(const float* v, float threshold) {
    detail::Floats above[2] = {};
    detail::Floats below[2] = {};
    detail::Ints count = {};
    for (std::size_t i = 0; i < block; i += 2 * lanes) {
#pragma GCC unroll 2
      for (std::size_t k = 0; k < 2; ++k) {
        detail::Bits x;
        detail::load(v + i + k * lanes, x);
        x &= ~detail::sign_bit;
        const auto reaches = detail::as<detail::Floats>(x) >= threshold;
        const detail::Bits& mask = detail::as<detail::Bits>(reaches);
        const detail::Bits high = x & mask;
        const detail::Bits low = x & ~mask;
        above[k] += detail::as<detail::Floats>(high);
        below[k] += detail::as<detail::Floats>(low);
        count -= detail::as<detail::Ints>(reaches);
      }
    }
    const detail::Floats high = above[0] + above[1];
    const detail::Floats low = below[0] + below[1];
    Classes result{detail::sum(high), detail::sum(low)};
    for (std::size_t l = 0; l < lanes; ++l) result.count += static_cast<std::uint32_t>(count[l]);
    return result;
  }
};

/// One bit per number: its sign. 32 bytes.
struct WriteSigns {
  [[gnu::always_inline]] static void run(const float* v, std::byte* out) {
    detail::Bits word = {};
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 32; ++i) {
      detail::Bits x;
      detail::load(v + i * lanes, x);
      word = (word >> 1) | (x & detail::sign_bit);
    }
    detail::store(word, out);
  }
};
struct ReadSigns {
  [[gnu::always_inline]] static void run(const std::byte* code, float scale, float* out) {
    const auto magnitude = std::bit_cast<std::uint32_t>(scale);
    detail::Bits word;
    detail::load(code, word);
#pragma GCC unroll 4
    for (int i = 0; i < 32; ++i) {
      const detail::Bits x = ((word << (31 - i)) & detail::sign_bit) | magnitude;
      detail::store(x, out + static_cast<std::size_t>(i) * lanes);
    }
  }
};

/// Two bits per number: its sign, and whether its magnitude reaches the threshold. 64 bytes.
struct WriteTwoBits {
  [[gnu::always_inline]] static void run(const float* v, float threshold, std::byte* out) {
    for (std::size_t group = 0; group < 2; ++group) {
      detail::Bits word = {};
#pragma GCC unroll 4
      for (std::size_t i = 0; i < 16; ++i) {
        detail::Bits x;
        detail::load(v + (group * 16 + i) * lanes, x);
        const detail::Bits magnitude = x & ~detail::sign_bit;
        const auto reaches = detail::as<detail::Floats>(magnitude) >= threshold;
        word = (word >> 2) | (detail::as<detail::Bits>(reaches) & detail::sign_bit) |
               ((x & detail::sign_bit) >> 1);
      }
      detail::store(word, out + group * 32);
    }
  }
};
struct ReadTwoBits {
  [[gnu::always_inline]] static void run(const std::byte* code, float low, float high, float* out) {
    const auto near = std::bit_cast<std::uint32_t>(low);
    const auto apart = near ^ std::bit_cast<std::uint32_t>(high);
    for (std::size_t group = 0; group < 2; ++group) {
      detail::Bits word;
      detail::load(code + group * 32, word);
#pragma GCC unroll 4
      for (int i = 0; i < 16; ++i) {
        const detail::Bits pair = word << (30 - 2 * i);
        const detail::Ints reaches = detail::as<detail::Ints>(pair) >> 31;
        const detail::Bits x = near ^ (detail::as<detail::Bits>(reaches) & apart);
        const detail::Bits number = x | ((pair << 1) & detail::sign_bit);
        detail::store(number, out + (group * 16 + static_cast<std::size_t>(i)) * lanes);
      }
    }
  }
};

/// Five numbers per byte, in base 3: 0 is 0, 1 and 2 are + and - of the scale. The first 240
/// numbers of a block in 48 bytes: word l has in byte j the numbers 40 j + 8 d + l, d = 0, ..., 4,
/// of the first 160; byte k of the next 16 those of the last 80 in the same manner.
struct WriteTrits {
  [[gnu::always_inline]] static void byte_of(const float* v, float threshold, detail::Bits& byte) {
    byte = detail::Bits{};
#pragma GCC unroll 5
    for (std::size_t d = 5; d-- > 0;) {
      detail::Bits x;
      detail::load(v + d * lanes, x);
      const detail::Bits magnitude = x & ~detail::sign_bit;
      const auto reaches = detail::as<detail::Floats>(magnitude) >= threshold;
      byte = byte + byte + byte + (detail::as<detail::Bits>(reaches) & (1U + (x >> 31)));
    }
  }
  [[gnu::always_inline]] static void run(const float* v, float threshold, std::byte* out) {
    detail::Bits word = {};
    detail::Bits byte;
    for (std::size_t j = 0; j < 4; ++j) {
      byte_of(v + 40 * j, threshold, byte);
      word |= byte << static_cast<int>(8 * j);
    }
    detail::store(word, out);
    byte_of(v + 160, threshold, word);
    byte_of(v + 200, threshold, byte);
    word |= byte << 8;
    detail::store(__builtin_convertvector(word, detail::Halves), out + 32);
  }
};
/// False if a byte is above 242.
struct ReadTrits {
  [[gnu::always_inline]] static void numbers_of(detail::Bits& byte, std::uint32_t magnitude,
                                                float* out, detail::Ints& left) {
    left |= 242 - detail::as<detail::Ints>(byte);
#pragma GCC unroll 5
    for (std::size_t d = 0; d < 5; ++d) {
      const detail::Bits third = (byte * 171U) >> 9;  // byte / 3, right for all bytes
      const detail::Bits digit = byte - third - third - third;
      const auto is_zero = digit == 0U;
      const detail::Bits x =
          ~detail::as<detail::Bits>(is_zero) & (((digit >> 1) << 31) | magnitude);
      detail::store(x, out + d * lanes);
      byte = third;
    }
  }
  [[gnu::always_inline]] static bool run(const std::byte* code, float scale, float* out) {
    const auto magnitude = std::bit_cast<std::uint32_t>(scale);
    detail::Ints left = {};
    detail::Bits word;
    detail::Bits byte;
    detail::load(code, word);
    for (std::size_t j = 0; j < 4; ++j) {
      byte = (word >> static_cast<int>(8 * j)) & 255U;
      numbers_of(byte, magnitude, out + 40 * j, left);
    }
    const auto halves = *reinterpret_cast<const detail::Halves*>(code + 32);
    word = __builtin_convertvector(halves, detail::Bits);
    byte = word & 255U;
    numbers_of(byte, magnitude, out + 160, left);
    byte = word >> 8;
    numbers_of(byte, magnitude, out + 200, left);
    return !detail::any_negative(left);
  }
};

/// Levels of `bits` bits: floor(v / step + L + u), L = 2^(bits - 1) - 1; u is 1/2, or drawn from
/// [0, 1) in multiples of 2^-16, so that no sum is rounded up to the level beyond the last.
/// 32 `bits` bytes.
template <int bits>
struct WriteLevels {
  static constexpr float most = static_cast<float>((1 << (bits - 1)) - 1);
  [[gnu::always_inline]] static void run(const float* v, float inverse, Noise* noise,
                                         std::byte* out) {
    constexpr int steps = 32 / bits;
    for (std::size_t group = 0; group < bits; ++group) {
      detail::Bits word = {};
#pragma GCC unroll 4
      for (int i = 0; i < steps; ++i) {
        detail::Bits x;
        detail::load(v + (group * steps + static_cast<std::size_t>(i)) * lanes, x);
        detail::Floats y = detail::as<detail::Floats>(x) * inverse;
        const detail::Floats top = detail::Floats{} + most;
        const detail::Floats bottom = detail::Floats{} - most;
        const auto above = y > top;
        const auto below = y < bottom;
        detail::select(above, top, y);
        detail::select(below, bottom, y);
        y += most;
        if (noise != nullptr) {
          detail::Bits random;
          noise->next(random);
          const detail::Bits upper = random >> 16;
          y += __builtin_convertvector(detail::as<detail::Ints>(upper), detail::Floats) * 0x1p-16F;
        } else {
          y += 0.5F;
        }
        const detail::Ints level = __builtin_convertvector(y, detail::Ints);
        word |= detail::as<detail::Bits>(level) << (i * bits);
      }
      detail::store(word, out + group * 32);
    }
  }
};
/// False if there is a level above 2 L.
template <int bits>
struct ReadLevels {
  [[gnu::always_inline]] static bool run(const std::byte* code, float step, float* out) {
    constexpr int steps = 32 / bits;
    constexpr std::int32_t most = (1 << (bits - 1)) - 1;
    detail::Ints left = {};
    for (std::size_t group = 0; group < bits; ++group) {
      detail::Bits word;
      detail::load(code + group * 32, word);
#pragma GCC unroll 4
      for (int i = 0; i < steps; ++i) {
        const detail::Bits raw = (word >> (i * bits)) & ((1U << bits) - 1U);
        left |= 2 * most - detail::as<detail::Ints>(raw);
        const detail::Ints level = detail::as<detail::Ints>(raw) - most;
        const detail::Floats y = __builtin_convertvector(level, detail::Floats) * step;
        detail::store(y, out + (group * steps + static_cast<std::size_t>(i)) * lanes);
      }
    }
    return !detail::any_negative(left);
  }
};

/// Whether the first n numbers are finite; n a multiple of 8.
struct AllFinite {
  [[gnu::always_inline]] static bool run(const float* v, std::size_t n) {
    detail::Ints left = {};
#pragma GCC unroll 4
    for (std::size_t i = 0; i < n; i += lanes) {
      detail::Bits x;
      detail::load(v + i, x);
      x &= ~detail::sign_bit;
      left |= static_cast<std::int32_t>(detail::infinity - 1) - detail::as<detail::Ints>(x);
    }
    return !detail::any_negative(left);
  }
};

/// Which of the 8 groups of 32 numbers of a block have a number whose magnitude's bits are at least
/// `bits`: bit g of the result.
struct GroupsReaching {
  [[gnu::always_inline]] static std::uint32_t run(const float* v, std::uint32_t bits) {
    std::uint32_t result = 0;
    for (std::uint32_t g = 0; g < 8; ++g) {
      detail::Ints left = {};
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        detail::Bits x;
        detail::load(v + g * 32 + k * lanes, x);
        x &= ~detail::sign_bit;
        left |= static_cast<std::int32_t>(bits) - 1 - detail::as<detail::Ints>(x);
      }
      result |= detail::any_negative(left) ? 1U << g : 0U;
    }
    return result;
  }
};

/// bfloat16, rounded to nearest even or, with noise, up or down by chance; n a multiple of 8. What
/// rounds to infinity becomes the largest number; none may be infinite or NaN.
struct WriteBFloat16 {
  [[gnu::always_inline]] static void run(const float* v, Noise* noise, std::byte* out,
                                         std::size_t n) {
    for (std::size_t i = 0; i < n; i += lanes) {
      detail::Bits x;
      detail::load(v + i, x);
      detail::Bits extra;
      if (noise != nullptr) {
        noise->next(extra);
        extra >>= 16;
      } else {
        extra = 0x7fffU + ((x >> 16) & 1U);
      }
      detail::Bits magnitude = (x & ~detail::sign_bit) + extra;
      const detail::Bits largest = detail::Bits{} + 0x7f7f0000U;
      const auto beyond = detail::as<detail::Ints>(magnitude) > detail::as<detail::Ints>(largest);
      detail::select(beyond, largest, magnitude);
      const detail::Bits rounded = (magnitude >> 16) | ((x & detail::sign_bit) >> 16);
      detail::store(__builtin_convertvector(rounded, detail::Halves), out + 2 * i);
    }
  }
};
/// False if a number is not finite.
struct ReadBFloat16 {
  [[gnu::always_inline]] static bool run(const std::byte* code, float* out, std::size_t n) {
    detail::Ints left = {};
    for (std::size_t i = 0; i < n; i += lanes) {
      const auto halves = *reinterpret_cast<const detail::Halves*>(code + 2 * i);
      const detail::Bits x = __builtin_convertvector(halves, detail::Bits) << 16;
      const detail::Bits magnitude = x & ~detail::sign_bit;
      left |= static_cast<std::int32_t>(detail::infinity - 1) - detail::as<detail::Ints>(magnitude);
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
[[gnu::target("avx2,f16c")]] inline void write_with_f16c(const float* v, std::byte* out,
                                                         std::size_t n) {
  const __m256 most = _mm256_set1_ps(65504);
  const __m256 least = _mm256_set1_ps(-65504);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const __m256 x = _mm256_max_ps(_mm256_min_ps(_mm256_loadu_ps(v + i), most), least);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 2 * i),
                     _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  write_halves(v, out, i, n);
}
[[gnu::target("avx2,f16c")]] inline bool read_with_f16c(const std::byte* code, float* out,
                                                        std::size_t n) {
  const __m128i exponent = _mm_set1_epi16(0x7c00);
  __m128i wrong = _mm_setzero_si128();
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(code + 2 * i));
    wrong = _mm_or_si128(wrong, _mm_cmpeq_epi16(_mm_and_si128(halves, exponent), exponent));
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(halves));
  }
  return read_halves(code, out, i, n) && _mm_testz_si128(wrong, wrong) != 0;
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
