// SPDX-License-Identifier: MIT
/// One bit per number: its sign, and a scale per block.
#pragma once

#include <gossamer/codec/blocks.hpp>

#include <algorithm>

namespace gossamer::codec {

/// C(v) = a sign(v) per block, with a = mean |v|, rounded to bfloat16 before it is used on either
/// side. The sign of 0 is that of its bit.
///
/// Bytes    34 per 256 numbers: 1.06 bits per number.
/// Quality  delta (1 - 2^-16) / 256: |C(v) - v|^2 = |v|^2 - |v|_1^2 / 256 but for the rounding.
///          That is a block with one number; of normally distributed ones it is 2 / pi = 0.64.
/// Source   Seide, Fu, Droppo, Li, Yu, "1-bit stochastic gradient descent", Interspeech 2014; the
///          scale: Karimireddy, Rebjock, Stich, Jaggi, "Error feedback fixes SignSGD", ICML 2019.
class Sign final : public BlockCodec {
 public:
  [[nodiscard]] std::string name() const override { return "sign"; }
  [[nodiscard]] double delta(std::size_t n) const override {
    return (1 - bfloat16_error) / static_cast<double>(std::min(n, block));
  }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<Sign>(*this);
  }

 private:
  [[nodiscard]] std::size_t block_bytes(std::size_t m) const override {
    return scale::bytes + tail::bytes<1>(m);
  }
  bool write_block(const float* v, std::size_t m, Noise* /*noise*/, std::byte* out) const override {
    const auto mean = mean_magnitude(v, m);
    if (!mean) return false;
    scale::write(scale::nearest(*mean), out);
    std::array<std::byte, block / 8> whole;
    std::byte* const to = m == block ? out + scale::bytes : whole.data();
    kernels::run<kernels::WriteSigns>(v, to);
    if (m < block) tail::shorten<1>(to, m, out + scale::bytes);
    return true;
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const override {
    float mean = 0;
    if (auto error = scale::read(code, mean)) return error;
    code += scale::bytes;
    std::array<std::byte, block / 8> whole;
    if (m < block) {
      if (!tail::lengthen<1>(code, m, whole.data())) return CodeError{CodeRule::padding};
      code = whole.data();
    }
    kernels::run<kernels::ReadSigns>(code, mean, out);
    return std::nullopt;
  }
};

}  // namespace gossamer::codec
