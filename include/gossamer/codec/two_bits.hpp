// SPDX-License-Identifier: MIT
/// Two bits per number: its sign, and whether it is large.
#pragma once

#include <gossamer/codec/blocks.hpp>

#include <algorithm>

namespace gossamer::codec {

/// Per block two magnitudes: the means of |v| over the numbers below and from 1.23 mean |v| on,
/// where the best quantizer of four levels divides normally distributed numbers.
///
/// Bytes    68 per 256 numbers: 2.13 bits per number.
/// Quality  delta (1 - 2^-16) / 256, that of `Sign`, since two means do not fit worse than one; of
///          normally distributed numbers 0.88.
/// Source   the threshold: Max, "Quantizing for minimum distortion", IRE Transactions on
///          Information Theory 1960, table I (0.9816 standard deviations).
class TwoBits final : public BlockCodec {
 public:
  [[nodiscard]] std::string name() const override { return "two_bits"; }
  [[nodiscard]] double delta(std::size_t n) const override {
    return (1 - bfloat16_error) / static_cast<double>(std::min(n, block));
  }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<TwoBits>(*this);
  }

 private:
  static constexpr std::size_t scales = 2 * scale::bytes;

  [[nodiscard]] std::size_t block_bytes(std::size_t m) const override {
    return scales + tail::bytes<2>(m);
  }
  bool write_block(const float* v, std::size_t m, Noise* /*noise*/, std::byte* out) const override {
    const auto mean = mean_magnitude(v, m);
    if (!mean) return false;
    const float threshold = 1.2302F * *mean;
    const Magnitudes magnitudes = magnitudes_of(v, m, threshold);
    scale::write(scale::nearest(magnitudes.below), out);
    scale::write(scale::nearest(magnitudes.above), out + scale::bytes);
    std::array<std::byte, block / 4> whole;
    std::byte* const to = m == block ? out + scales : whole.data();
    kernels::run<kernels::WriteTwoBits>(v, threshold, to);
    if (m < block) tail::shorten<2>(to, m, out + scales);
    return true;
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const override {
    float low = 0;
    float high = 0;
    if (auto error = scale::read(code, low)) return error;
    if (auto error = scale::read(code + scale::bytes, high)) return error;
    code += scales;
    std::array<std::byte, block / 4> whole;
    if (m < block) {
      if (!tail::lengthen<2>(code, m, whole.data())) return CodeError{CodeRule::padding};
      code = whole.data();
    }
    kernels::run<kernels::ReadTwoBits>(code, low, high, out);
    return std::nullopt;
  }
};

}  // namespace gossamer::codec
