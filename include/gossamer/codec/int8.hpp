// SPDX-License-Identifier: MIT
/// Integers of 8 bits.
#pragma once

#include <gossamer/codec/integers.hpp>

namespace gossamer::codec {

/// Per 256 numbers one bfloat16 step s, and per number an integer of 8 bits, nearest to v / s or,
/// stochastic, floor(v / s + u), u uniform.
///
/// Bytes    258 per 256 numbers.
/// Quality  delta 0.995; stochastic 0.995, and unbiased up to 2^-16 of a step.
class Int8 final : public detail::Integers<8> {
 public:
  explicit Int8(Rounding rounding = Rounding::nearest) : Integers(rounding) {}
  [[nodiscard]] std::string name() const override { return "int8" + suffix(rounding()); }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<Int8>(*this);
  }
};

}  // namespace gossamer::codec
