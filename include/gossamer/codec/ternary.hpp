// SPDX-License-Identifier: MIT
/// Three levels: minus, zero, plus.
#pragma once

#include <gossamer/codec/blocks.hpp>

#include <algorithm>

namespace gossamer::codec {

/// Numbers from 0.767 mean |v| on become plus or minus their mean magnitude, the others 0: where
/// the best quantizer of three levels divides normally distributed numbers. Five in a byte.
///
/// Bytes    54 per 256 numbers: 1.69 bits per number.
/// Quality  delta (1 - 2^-16) / 256 is proved, for the worst block 0.02 was found; of normally
///          distributed numbers it is 0.81.
/// Source   Max, "Quantizing for minimum distortion", IRE Transactions on Information Theory 1960,
///          table I (0.612 standard deviations); as in Li, Zhang, Liu, "Ternary weight networks",
///          2016, arXiv:1605.04711, who have 0.7 mean |v|.
class Ternary final : public BlockCodec {
 public:
  [[nodiscard]] std::string name() const override { return "ternary"; }
  [[nodiscard]] double delta(std::size_t n) const override {
    return (1 - bfloat16_error) / static_cast<double>(std::min(n, block));
  }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<Ternary>(*this);
  }

 private:
  static constexpr std::size_t vectors = 240;  // numbers of a whole block that the kernel takes

  [[nodiscard]] std::size_t block_bytes(std::size_t m) const override {
    return scale::bytes + (m == block ? 52 : (m + 4) / 5);
  }
  bool write_block(const float* v, std::size_t m, Noise* /*noise*/, std::byte* out) const override {
    const auto mean = mean_magnitude(v, m);
    if (!mean) return false;
    const float threshold = 0.767F * *mean;
    scale::write(scale::nearest(magnitudes_of(v, m, threshold).above), out);
    out += scale::bytes;
    std::size_t begin = 0;
    if (m == block) {
      kernels::run<kernels::WriteTrits>(v, threshold, out);
      begin = vectors;
      out += vectors / 5;
    }
    tail::write_trits(v + begin, m - begin, threshold, out);
    return true;
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const override {
    float magnitude = 0;
    if (auto error = scale::read(code, magnitude)) return error;
    code += scale::bytes;
    std::size_t begin = 0;
    if (m == block) {
      if (!kernels::run<kernels::ReadTrits>(code, magnitude, out)) {
        return CodeError{CodeRule::level, 0, 242};
      }
      begin = vectors;
      code += vectors / 5;
    }
    return tail::read_trits(code, m - begin, magnitude, out + begin);
  }
};

}  // namespace gossamer::codec
