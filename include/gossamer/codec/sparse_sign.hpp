// SPDX-License-Identifier: MIT
/// The signs of the largest numbers only.
#pragma once

#include <gossamer/codec/blocks.hpp>
#include <gossamer/codec/indices.hpp>
#include <gossamer/codec/largest.hpp>

namespace gossamer::codec {

/// The k = ceil(fraction n) largest numbers become plus or minus their mean magnitude, in bfloat16;
/// the others 0.
///
/// Bytes    2, k bits, and those of the indices, see `IndexCode`: at 0.1, 0.63 bits per number.
/// Quality  delta min(1 / k, k / n) (1 - 2^-11); of normally distributed numbers 0.42 at 0.1.
/// Throws   ConfigError for a fraction outside (0, 1].
/// Source   Sattler, Wiedemann, Mueller, Samek, "Sparse binary compression", IJCNN 2019,
///          arXiv:1805.08768.
/// Differs  keeps both signs, with one magnitude, where theirs keeps the sign with the larger mean.
class SparseSign final : public Codec {
 public:
  explicit SparseSign(double fraction) : fraction_("SparseSign", fraction) {}
  [[nodiscard]] std::string name() const override {
    return c10::str("sparse_sign:", fraction_.value());
  }
  [[nodiscard]] std::size_t bytes(std::size_t n) const override {
    return n == 0 ? 0 : head(fraction_.of(n)) + IndexCode{n, fraction_.of(n)}.bytes();
  }
  [[nodiscard]] double delta(std::size_t n) const override {
    const auto k = static_cast<double>(fraction_.of(n));
    return std::min(1 / k, k / static_cast<double>(n)) * (1 - 0x1p-11);
  }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<SparseSign>(*this);
  }

 private:
  static std::size_t head(std::size_t k) { return scale::bytes + (k + 7) / 8; }

  bool write(std::span<const float> v, std::span<float> decoded, Generator& /*generator*/,
             std::span<std::byte> out) const override {
    const std::size_t k = fraction_.of(v.size());
    const auto largest = Largest::of(v, k);
    if (!largest) return false;
    std::byte* const signs = out.data() + scale::bytes;
    std::fill(signs, out.data() + head(k), std::byte{0});
    IndexWriter indices({v.size(), k}, out.data() + head(k));
    double sum = 0;
    std::size_t j = 0;
    largest->each([&](std::size_t i, float x) {
      indices.add(i);
      signs[j / 8] |= std::byte{std::signbit(x)} << static_cast<int>(j % 8);
      sum += std::fabs(static_cast<double>(x));
      ++j;
    });
    indices.finish();
    scale::write(scale::nearest(static_cast<float>(sum / static_cast<double>(k))), out.data());
    return decoded.empty() || !read(out, decoded);
  }
  std::optional<CodeError> read(std::span<const std::byte> code,
                                std::span<float> out) const override {
    const std::size_t k = fraction_.of(out.size());
    float magnitude = 0;
    if (auto error = scale::read(code.data(), magnitude)) return error;
    const std::byte* const signs = code.data() + scale::bytes;
    if (k % 8 != 0 && (signs[k / 8] >> static_cast<int>(k % 8)) != std::byte{0}) {
      return CodeError{CodeRule::padding};
    }
    std::fill(out.begin(), out.end(), 0.0F);
    const float values[2] = {magnitude, -magnitude};
    return read_indices({out.size(), k}, code.data() + head(k), [&](std::size_t j, std::size_t i) {
      const std::byte sign = (signs[j / 8] >> static_cast<int>(j % 8)) & std::byte{1};
      out[i] = values[std::to_integer<std::size_t>(sign)];
    });
  }

  Fraction fraction_;
};

}  // namespace gossamer::codec
