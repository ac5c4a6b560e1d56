// SPDX-License-Identifier: MIT
/// The loops of the codecs over blocks of 256 numbers, in vectors.
///
/// Everything is a vertical operation on vectors of 8 numbers, and sums have one fixed order.
/// Levels of b bits lie in 32-bit words, 8 words side by side: number 8 i + l of a group of 256 / b
/// numbers is in word l, bits i b to i b + b - 1. Nothing has to be moved across a vector then.
#pragma once

#include <gossamer/codec/vectors.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace gossamer::codec::kernels {

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
        sums[k] += reinterpret_cast<detail::Floats>(x);
      }
    }
    const detail::Floats all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    return detail::sum(all);
  }
};

/// The bits of the largest magnitude of a block; those of a NaN are the largest.
struct LargestBits {
  [[gnu::always_inline]] static std::uint32_t run(const float* v) {
    detail::Ints most[4] = {};
    for (std::size_t i = 0; i < block; i += 4 * lanes) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        detail::Bits x;
        detail::load(v + i + k * lanes, x);
        x &= ~detail::sign_bit;
        const auto y = reinterpret_cast<detail::Ints>(x);
        most[k] = y > most[k] ? y : most[k];
      }
    }
    std::int32_t result = 0;
    for (const detail::Ints& some : most) {
      for (std::size_t l = 0; l < lanes; ++l) result = some[l] > result ? some[l] : result;
    }
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
        const auto reaches = reinterpret_cast<detail::Floats>(x) >= threshold;
        const auto mask = reinterpret_cast<detail::Bits>(reaches);
        const detail::Bits high = x & mask;
        const detail::Bits low = x & ~mask;
        above[k] += reinterpret_cast<detail::Floats>(high);
        below[k] += reinterpret_cast<detail::Floats>(low);
        count -= reinterpret_cast<detail::Ints>(reaches);
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
        const auto reaches = reinterpret_cast<detail::Floats>(magnitude) >= threshold;
        word = (word >> 2) | (reinterpret_cast<detail::Bits>(reaches) & detail::sign_bit) |
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
        const detail::Ints reaches = reinterpret_cast<detail::Ints>(pair) >> 31;
        const detail::Bits x = near ^ (reinterpret_cast<detail::Bits>(reaches) & apart);
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
      const auto reaches = reinterpret_cast<detail::Floats>(magnitude) >= threshold;
      byte = byte + byte + byte + (reinterpret_cast<detail::Bits>(reaches) & (1U + (x >> 31)));
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
    left |= 242 - reinterpret_cast<detail::Ints>(byte);
#pragma GCC unroll 5
    for (std::size_t d = 0; d < 5; ++d) {
      const detail::Bits third = (byte * 171U) >> 9;  // byte / 3, right for all bytes
      const detail::Bits digit = byte - third - third - third;
      const auto is_zero = digit == 0U;
      const detail::Bits x =
          ~reinterpret_cast<detail::Bits>(is_zero) & (((digit >> 1) << 31) | magnitude);
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
    detail::Halves halves;
    detail::load(code + 32, halves);
    word = __builtin_convertvector(halves, detail::Bits);
    byte = word & 255U;
    numbers_of(byte, magnitude, out + 160, left);
    byte = word >> 8;
    numbers_of(byte, magnitude, out + 200, left);
    return !detail::any_negative(left);
  }
};

/// Levels of `bits` bits: floor(v / step + L + u), L = 2^(bits - 1) - 1; u is 1/2, or drawn from
/// [0, 1) in multiples of 2^-16. A step may be so little too small that a number comes to the level
/// beyond the last, or before the first; it then has the last, or the first. 32 `bits` bytes.
template <int bits, bool stochastic>
struct WriteLevels {
  static constexpr float most = static_cast<float>((1 << (bits - 1)) - 1);
  [[gnu::always_inline]] static void run(const float* v, float inverse,
                                         [[maybe_unused]] Noise* noise, std::byte* out) {
    constexpr int steps = 32 / bits;
    Noise::Lanes lane_noise;
    if constexpr (stochastic) lane_noise.load(*noise);
    for (std::size_t group = 0; group < bits; ++group) {
      detail::Bits word = {};
#pragma GCC unroll 4
      for (int i = 0; i < steps; ++i) {
        detail::Bits x;
        detail::load(v + (group * steps + static_cast<std::size_t>(i)) * lanes, x);
        detail::Floats y = reinterpret_cast<detail::Floats>(x) * inverse;
        y += most;
        if constexpr (stochastic) {
          detail::Bits random;
          lane_noise.next(random);
          const detail::Bits upper = random >> 16;
          y += __builtin_convertvector(reinterpret_cast<detail::Ints>(upper), detail::Floats) *
               0x1p-16F;
        } else {
          y += 0.5F;
        }
        detail::Ints level = __builtin_convertvector(y, detail::Ints);
        level += level > 2 * static_cast<std::int32_t>(most);  // minus one where it is beyond
        word |= reinterpret_cast<detail::Bits>(level) << (i * bits);
      }
      detail::store(word, out + group * 32);
    }
    if constexpr (stochastic) lane_noise.save(*noise);
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
        left |= 2 * most - reinterpret_cast<detail::Ints>(raw);
        const detail::Ints level = reinterpret_cast<detail::Ints>(raw) - most;
        const detail::Floats y = __builtin_convertvector(level, detail::Floats) * step;
        detail::store(y, out + (group * steps + static_cast<std::size_t>(i)) * lanes);
      }
    }
    return !detail::any_negative(left);
  }
};

/// Which numbers of a block have a magnitude whose bits are at least `bits`: bit i of word g for
/// number 32 g + i. On x86-64 in SSE2, which is always there: memory is no faster.
struct Reaching {
  std::uint32_t words[block / 32];

  Reaching(const float* v, std::uint32_t bits) {
    for (std::size_t g = 0; g < block / 32; ++g, v += 32) words[g] = word_of(v, bits);
  }

 private:
  static std::uint32_t word_of(const float* v, std::uint32_t bits) {
    std::uint32_t word = 0;
#if defined(__x86_64__)
    const __m128i magnitude = _mm_set1_epi32(0x7fffffff);
    const __m128i below = _mm_set1_epi32(static_cast<int>(bits) - 1);
#pragma GCC unroll 8
    for (int i = 0; i < 32; i += 4) {
      const __m128i x = _mm_and_si128(_mm_castps_si128(_mm_loadu_ps(v + i)), magnitude);
      const __m128 reaches = _mm_castsi128_ps(_mm_cmpgt_epi32(x, below));
      word |= static_cast<std::uint32_t>(_mm_movemask_ps(reaches)) << i;
    }
#else
    for (int i = 0; i < 32; ++i) {
      const auto x = std::bit_cast<std::uint32_t>(v[i]) & ~detail::sign_bit;
      word |= (x >= bits ? 1U : 0U) << i;
    }
#endif
    return word;
  }
};

}  // namespace gossamer::codec::kernels
