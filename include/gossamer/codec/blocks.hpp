// SPDX-License-Identifier: MIT
/// What codecs share that write a vector in blocks of 256 numbers: scales, and the loop over
/// blocks.
#pragma once

#include <gossamer/codec/codec.hpp>
#include <gossamer/codec/half_kernels.hpp>
#include <gossamer/codec/kernels.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace gossamer::codec {

using kernels::block;
using kernels::Noise;

/// The unit roundoff of bfloat16, squared: what rounding a scale, or a number, to nearest costs of
/// the square of what it stands for.
inline constexpr double bfloat16_error = 0x1p-16;

/// A scale: bfloat16, positive, finite, and normal or zero, so that it does not matter whether a
/// processor flushes denormals.
namespace scale {

inline constexpr std::size_t bytes = 2;
inline constexpr std::uint32_t least = 0x0080;
inline constexpr std::uint32_t most = 0x7f7f;

/// The bits of the scale nearest to x, x >= 0 and finite.
inline std::uint32_t nearest(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = std::min((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U, most);
  return rounded < least ? 0 : rounded;
}
/// Those of the least scale that is not below x.
inline std::uint32_t above(float x) {
  const std::uint32_t rounded = (std::bit_cast<std::uint32_t>(x) + 0xffffU) >> 16U;
  return rounded < least ? 0 : rounded;
}
inline float value(std::uint32_t bits) { return std::bit_cast<float>(bits << 16U); }

/// Writes the scale and gives back what the receiver will read.
inline float write(std::uint32_t bits, std::byte* out) {
  const auto half = static_cast<std::uint16_t>(bits);
  std::memcpy(out, &half, bytes);
  return value(bits);
}
/// No scale is above `limit`, as bits.
inline std::optional<CodeError> read(const std::byte* code, float& x, std::uint32_t limit = most) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, code, bytes);
  x = value(bits);
  if (bits != 0 && (bits < least || bits > limit)) return CodeError{CodeRule::scale, bits, limit};
  return std::nullopt;
}

}  // namespace scale

/// One number as bfloat16: to nearest even, or up with the probability that `chance`, one of 2^16,
/// gives it. What rounds to infinity becomes the largest number.
inline constexpr std::uint32_t nearest_even = 0x10000;
/// Writes x as bfloat16; `chance` is what rounding adds to the bits that go.
inline void write_bfloat16(float x, std::byte* out, std::uint32_t chance = nearest_even) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t extra = chance == nearest_even ? 0x7fffU + ((bits >> 16U) & 1U) : chance;
  const std::uint32_t magnitude = ((bits & 0x7fffffffU) + extra) >> 16U;
  const auto half =
      static_cast<std::uint16_t>(std::min(magnitude, scale::most) | (bits >> 31U) << 15U);
  std::memcpy(out, &half, 2);
}
/// Reads what `write_bfloat16` wrote.
inline float read_bfloat16(const std::byte* code) {
  std::uint16_t half = 0;
  std::memcpy(&half, code, 2);
  return scale::value(half);
}

/// Whether no number is infinite or NaN.
inline bool all_finite(std::span<const float> v) {
  const std::size_t whole = v.size() / kernels::lanes * kernels::lanes;
  const auto rest = v.subspan(whole);
  return kernels::run<kernels::AllFinite>(v.data(), whole) &&
         std::all_of(rest.begin(), rest.end(), [](float x) { return std::isfinite(x); });
}

/// The mean magnitude of the first m numbers of a block whose others are zero; nothing if one is
/// not finite.
inline std::optional<float> mean_magnitude(const float* v, std::size_t m) {
  const float sum = kernels::run<kernels::AbsoluteSum>(v);
  if (std::isfinite(sum)) return sum / static_cast<float>(m);
  double exact = 0;  // the sum may have been too large for a float
  for (std::size_t i = 0; i < m; ++i) exact += std::fabs(static_cast<double>(v[i]));
  if (!std::isfinite(exact)) return std::nullopt;
  return static_cast<float>(exact / static_cast<double>(m));
}

/// The mean magnitudes of the numbers below and from a threshold on; 0 where there are none.
struct Magnitudes {
  float below = 0;
  float above = 0;
};
/// The mean |v| of the numbers below the threshold, and of those above it.
inline Magnitudes magnitudes_of(const float* v, std::size_t m, float threshold) {
  const auto classes = kernels::run<kernels::SumClasses>(v, threshold);
  const auto above = std::min<std::size_t>(classes.count, m);  // the zeros beyond reach 0
  const auto mean = [](float sum, std::size_t count) {
    return count == 0 ? 0 : sum / static_cast<float>(count);
  };
  if (std::isfinite(classes.above) && std::isfinite(classes.below)) {
    return {mean(classes.below, m - above), mean(classes.above, above)};
  }
  double sums[2] = {0, 0};
  for (std::size_t i = 0; i < m; ++i) {
    const float x = std::fabs(v[i]);
    sums[x >= threshold ? 1 : 0] += x;
  }
  return {m == above ? 0 : static_cast<float>(sums[0] / static_cast<double>(m - above)),
          above == 0 ? 0 : static_cast<float>(sums[1] / static_cast<double>(above))};
}

/// Levels of `bits` bits in the order of a whole block, or in that of what is less than a block,
/// number after number from the lowest bits on.
namespace tail {

template <int bits>
std::size_t bytes(std::size_t m) {
  return (m * bits + 7) / 8;
}
/// The lowest bit of level i in either order.
template <int bits>
std::size_t place_in_block(std::size_t i) {
  constexpr std::size_t group = block / bits;
  const std::size_t step = i % group / kernels::lanes;
  return (i / group * kernels::lanes + i % kernels::lanes) * 32 + step * bits;
}
/// Moves a level from bit `from` of one code to bit `to` of another, where there are zeros.
template <int bits>
void move_level(const std::byte* source, std::size_t from, std::byte* target, std::size_t to) {
  constexpr std::byte mask{(1 << bits) - 1};
  const std::byte level = (source[from / 8] >> static_cast<int>(from % 8)) & mask;
  target[to / 8] |= level << static_cast<int>(to % 8);
}
/// Copies m levels from the order of a whole block.
template <int bits>
void shorten(const std::byte* from, std::size_t m, std::byte* to) {
  std::fill_n(to, bytes<bits>(m), std::byte{0});
  for (std::size_t i = 0; i < m; ++i) move_level<bits>(from, place_in_block<bits>(i), to, i * bits);
}
/// Copies them back; the other levels are 0. False if there is padding that is not 0.
template <int bits>
bool lengthen(const std::byte* from, std::size_t m, std::byte* to) {
  std::fill_n(to, block * bits / 8, std::byte{0});
  for (std::size_t i = 0; i < m; ++i) move_level<bits>(from, i * bits, to, place_in_block<bits>(i));
  const std::size_t used = m * bits % 8;
  return used == 0 || (from[m * bits / 8] >> static_cast<int>(used)) == std::byte{0};
}

/// m numbers in base 3, five in a byte, the first one in the lowest digit.
inline void write_trits(const float* v, std::size_t m, float threshold, std::byte* out) {
  for (std::size_t i = 0; i < m; i += 5) {
    std::uint32_t byte = 0;
    for (std::size_t k = std::min(i + 5, m); k-- > i;) {
      const auto bits = std::bit_cast<std::uint32_t>(v[k]);
      byte =
          3 * byte + static_cast<std::uint32_t>(std::fabs(v[k]) >= threshold) * (1 + (bits >> 31U));
    }
    out[i / 5] = static_cast<std::byte>(byte);
  }
}
inline std::optional<CodeError> read_trits(const std::byte* code, std::size_t m, float magnitude,
                                           float* out) {
  const float values[3] = {0, magnitude, -magnitude};
  for (std::size_t i = 0; i < m; i += 5) {
    auto byte = std::to_integer<std::uint32_t>(code[i / 5]);
    if (byte > 242) return CodeError{CodeRule::level, 0, 242};
    for (std::size_t k = i; k < std::min(i + 5, m); ++k, byte /= 3) {
      out[k] = values[byte % 3];
    }
    if (byte != 0) return CodeError{CodeRule::padding};
  }
  return std::nullopt;
}

}  // namespace tail

/// A codec of independent blocks of 256 numbers, the last of which may have less. A derived class
/// says how many bytes m numbers take, and writes and reads one block.
class BlockCodec : public Codec {
 public:
  [[nodiscard]] std::size_t bytes(std::size_t n) const final {
    return n / block * block_bytes(block) + (n % block == 0 ? 0 : block_bytes(n % block));
  }

 private:
  [[nodiscard]] virtual std::size_t block_bytes(std::size_t m) const = 0;
  /// Whether `write_block` draws.
  [[nodiscard]] virtual bool draws() const { return false; }
  /// Writes m numbers; v has 256, those from m on are 0. False if one is not finite.
  virtual bool write_block(const float* v, std::size_t m, Noise* noise, std::byte* out) const = 0;
  /// Reads m numbers; `out` has room for 256.
  virtual std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                              float* out) const = 0;

  bool write(std::span<const float> v, std::span<float> decoded, Generator& generator,
             std::span<std::byte> out) const final {
    Noise noise;
    if (draws()) noise = Noise(generator);
    Noise* const random = draws() ? &noise : nullptr;
    std::byte* to = out.data();
    const std::size_t step = block_bytes(block);
    std::size_t i = 0;
    for (; i + block <= v.size(); i += block, to += step) {
      if (!write_block(v.data() + i, block, random, to)) return false;
      if (!decoded.empty() && read_block(to, block, decoded.data() + i)) return false;
    }
    if (i == v.size()) return true;
    const std::size_t m = v.size() - i;
    std::array<float, block> rest{};
    std::copy_n(v.data() + i, m, rest.begin());
    if (!write_block(rest.data(), m, random, to)) return false;
    return decoded.empty() || !read_rest(to, decoded.subspan(i));
  }

  std::optional<CodeError> read(std::span<const std::byte> code, std::span<float> out) const final {
    const std::byte* from = code.data();
    const std::size_t step = block_bytes(block);
    std::size_t i = 0;
    for (; i + block <= out.size(); i += block, from += step) {
      if (auto error = read_block(from, block, out.data() + i)) return error;
    }
    return i == out.size() ? std::nullopt : read_rest(from, out.subspan(i));
  }

  std::optional<CodeError> read_rest(const std::byte* code, std::span<float> out) const {
    std::array<float, block> numbers;
    if (auto error = read_block(code, out.size(), numbers.data())) return error;
    std::copy_n(numbers.begin(), out.size(), out.begin());
    return std::nullopt;
  }
};

}  // namespace gossamer::codec
