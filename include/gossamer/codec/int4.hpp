// SPDX-License-Identifier: MIT
/// Integers of 4 bits.
#pragma once

#include <gossamer/codec/integers.hpp>

namespace gossamer::codec {

/// Per 256 numbers one bfloat16 step s, and per number an integer of 4 bits, nearest to v / s or,
/// stochastic, floor(v / s + u), u uniform.
///
/// Bytes    130 per 256 numbers.
/// Quality  delta 0.42; stochastic 0.24, and unbiased up to 2^-16 of a step.
class Int4 final : public detail::Integers<4> {
 public:
  explicit Int4(Rounding rounding = Rounding::nearest) : Integers(rounding) {}
  [[nodiscard]] std::string name() const override { return "int4" + suffix(rounding()); }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<Int4>(*this);
  }
};

}  // namespace gossamer::codec
