// SPDX-License-Identifier: MIT
/// The numbers themselves, as float32.
#pragma once

#include <gossamer/codec/blocks.hpp>

#include <cstring>

namespace gossamer::codec {

/// The numbers as they are, for comparison and for what must not lose a bit.
///
/// Bytes    4 per number.
/// Quality  delta 1.
class Exact final : public BlockCodec {
 public:
  [[nodiscard]] std::string name() const override { return "exact"; }
  [[nodiscard]] double delta(std::size_t /*n*/) const override { return 1; }
  [[nodiscard]] bool is_unbiased() const override { return true; }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<Exact>(*this);
  }

 private:
  [[nodiscard]] std::size_t block_bytes(std::size_t m) const override { return 4 * m; }
  bool write_block(const float* v, std::size_t m, Noise* /*noise*/, std::byte* out) const override {
    std::memcpy(out, v, 4 * m);
    return kernels::run<kernels::AllFinite>(v, block);
  }
  std::optional<CodeError> read_block(const std::byte* code, std::size_t m,
                                      float* out) const override {
    std::memcpy(out, code, 4 * m);
    std::fill(out + m, out + block, 0.0F);
    if (!kernels::run<kernels::AllFinite>(static_cast<const float*>(out), block)) {
      return CodeError{CodeRule::number};
    }
    return std::nullopt;
  }
};

}  // namespace gossamer::codec
