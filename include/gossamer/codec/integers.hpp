// SPDX-License-Identifier: MIT
/// What int8 and int4 share: evenly spaced levels, symmetric about zero.
#pragma once

#include <gossamer/codec/blocks.hpp>
#include <gossamer/codec/rounding.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace gossamer::codec::detail {

/// Per block one step s, the least bfloat16 with L s >= max |v|, L = 2^(bits - 1) - 1, and per
/// number the integer v / s, rounded, in [-L, L].
template <int bits>
class Integers : public BlockCodec {
 public:
  /// The worst block has one number at L s; the others lie where rounding costs most: for nearest
  /// at s / 2, an error as large as the number.
  [[nodiscard]] double delta(std::size_t n) const final {
    const double top = std::pow(levels * (1 - 0x1p-7), 2);  // the step was rounded up
    const auto others = static_cast<double>(std::min(n, block) - 1);
    if (!draws()) return (top - 0.25) / (top + 0.25 * others);
    if (others == 0) return 1 - 0.25 / top;
    const double c = top / others;
    const double y = std::sqrt(c * c + c) - c;  // where (y - y^2) / (c + y^2) is largest
    return 1 - (others * (y - y * y)) / (top + others * y * y) - 0.25 / top;
  }
  [[nodiscard]] bool is_unbiased() const final { return draws(); }

 protected:
  explicit Integers(Rounding rounding) : rounding_(rounding) {}
  [[nodiscard]] Rounding rounding() const { return rounding_; }

 private:
  static constexpr int levels = (1 << (bits - 1)) - 1;
  /// Of which the last level is finite.
  static constexpr std::uint32_t largest_step =
      std::bit_cast<std::uint32_t>(std::numeric_limits<float>::max() / levels) >> 16U;

  [[nodiscard]] bool draws() const final { return rounding_ == Rounding::stochastic; }
  [[nodiscard]] std::size_t block_bytes(std::size_t m) const final {
    return scale::bytes + tail::bytes<bits>(m);
  }
  bool write_block(const float* v, std::size_t m, Noise* noise, std::byte* out) const final {
    const std::uint32_t most = kernels::run<kernels::LargestBits>(v);
    if (most >= 0x7f800000U) return false;
    const float step = scale::write(
        std::min(scale::above(std::bit_cast<float>(most) / levels), largest_step), out);
    const float inverse = step > 0 ? 1 / step : 0;
    std::array<std::byte, block * bits / 8> whole;
    std::byte* const to = m == block ? out + scale::bytes : whole.data();
    if (draws()) {
      kernels::run<kernels::WriteLevels<bits, true>>(v, inverse, noise, to);
    } else {
      kernels::run<kernels::WriteLevels<bits, false>>(v, inverse, noise, to);
    }
    if (m < block) tail::shorten<bits>(to, m, out + scale::bytes);
    return true;
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const final {
    float step = 0;
    if (auto error = scale::read(code, step, largest_step)) return error;
    code += scale::bytes;
    std::array<std::byte, block * bits / 8> whole;
    if (m < block) {
      if (!tail::lengthen<bits>(code, m, whole.data())) return CodeError{CodeRule::padding};
      code = whole.data();
    }
    if (!kernels::run<kernels::ReadLevels<bits>>(code, step, out)) {
      return CodeError{CodeRule::level, 0, std::uint64_t{2} * levels};
    }
    return std::nullopt;
  }

  Rounding rounding_;
};

}  // namespace gossamer::codec::detail
