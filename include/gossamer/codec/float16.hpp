// SPDX-License-Identifier: MIT
/// Numbers in IEEE half precision.
#pragma once

#include <gossamer/codec/blocks.hpp>

#include <algorithm>

namespace gossamer::codec {

/// IEEE float16, rounded to nearest even. Magnitudes above 65504 become 65504.
///
/// Bytes    2 per number.
/// Quality  delta 1 - 2^-22 for magnitudes in [2^-14, 65504]; no error is larger than its number,
///          which is all that holds outside.
class Float16 final : public BlockCodec {
 public:
  [[nodiscard]] std::string name() const override { return "float16"; }
  [[nodiscard]] double delta(std::size_t /*n*/) const override { return 1 - 0x1p-22; }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<Float16>(*this);
  }

 private:
  [[nodiscard]] std::size_t block_bytes(std::size_t m) const override { return 2 * m; }
  bool write_block(const float* v, std::size_t m, Noise* /*noise*/, std::byte* out) const override {
    kernels::write_float16(v, out, m);
    return kernels::run<kernels::AllFinite>(v, block);
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const override {
    if (!kernels::read_float16(code, out, m)) return CodeError{CodeRule::number};
    return std::nullopt;
  }
};

}  // namespace gossamer::codec
