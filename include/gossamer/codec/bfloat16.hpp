// SPDX-License-Identifier: MIT
/// Numbers in bfloat16: the upper halves of floats.
#pragma once

#include <gossamer/codec/blocks.hpp>
#include <gossamer/codec/rounding.hpp>

#include <algorithm>

namespace gossamer::codec {

/// bfloat16, rounded to nearest even, or up or down by chance.
///
/// Bytes    2 per number.
/// Quality  delta 1 - 2^-16; stochastic the same in the mean, and unbiased.
class BFloat16 final : public BlockCodec {
 public:
  explicit BFloat16(Rounding rounding = Rounding::nearest) : rounding_(rounding) {}
  [[nodiscard]] std::string name() const override { return "bfloat16" + suffix(rounding_); }
  [[nodiscard]] double delta(std::size_t /*n*/) const override { return 1 - bfloat16_error; }
  [[nodiscard]] bool is_unbiased() const override { return draws(); }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<BFloat16>(*this);
  }

 private:
  [[nodiscard]] std::size_t block_bytes(std::size_t m) const override { return 2 * m; }
  [[nodiscard]] bool draws() const override { return rounding_ == Rounding::stochastic; }
  bool write_block(const float* v, std::size_t m, Noise* noise, std::byte* out) const override {
    std::array<std::byte, 2 * block> numbers;
    std::byte* const to = m == block ? out : numbers.data();
    if (draws()) {
      kernels::run<kernels::WriteBFloat16<true>>(v, noise, to, block);
    } else {
      kernels::run<kernels::WriteBFloat16<false>>(v, noise, to, block);
    }
    if (m < block) std::copy_n(to, 2 * m, out);
    return kernels::run<kernels::AllFinite>(v, block);
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const override {
    std::array<std::byte, 2 * block> numbers{};
    if (m < block) {
      std::copy_n(code, 2 * m, numbers.data());
      code = numbers.data();
    }
    if (!kernels::run<kernels::ReadBFloat16>(code, out, block)) return CodeError{CodeRule::number};
    return std::nullopt;
  }

  Rounding rounding_;
};

}  // namespace gossamer::codec
