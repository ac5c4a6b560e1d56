// SPDX-License-Identifier: MIT
/// The largest numbers only.
#pragma once

#include <gossamer/codec/blocks.hpp>
#include <gossamer/codec/indices.hpp>
#include <gossamer/codec/largest.hpp>

#include <algorithm>

namespace gossamer::codec {

/// The k = ceil(fraction n) largest numbers in bfloat16, with their indices; the others become 0.
///
/// Bytes    2 k, and about k (2 + log2(n / k)) bits for the indices: at 0.01, 0.25 bits per number.
/// Quality  delta k / n (1 - 2^-11): all numbers equal. Of normally distributed ones 0.08 at 0.01.
/// Throws   ConfigError for a fraction outside (0, 1].
/// Source   Aji, Heafield, "Sparse communication for distributed gradient descent", EMNLP 2017.
/// Differs  numbers that agree in 13 bits are equally large, and the first ones are taken.
class TopK final : public Codec {
 public:
  explicit TopK(double fraction) : fraction_("TopK", fraction) {}
  [[nodiscard]] std::string name() const override { return c10::str("top_k:", fraction_.value()); }
  [[nodiscard]] std::size_t bytes(std::size_t n) const override {
    return n == 0 ? 0 : 2 * fraction_.of(n) + IndexCode{n, fraction_.of(n)}.bytes();
  }
  [[nodiscard]] double delta(std::size_t n) const override {
    return static_cast<double>(fraction_.of(n)) / static_cast<double>(n) * (1 - 0x1p-11);
  }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<TopK>(*this);
  }

 private:
  bool write(std::span<const float> v, std::span<float> decoded, Generator& /*generator*/,
             std::span<std::byte> out) const override {
    const std::size_t k = fraction_.of(v.size());
    const auto largest = Largest::of(v, k);
    if (!largest) return false;
    std::byte* number = out.data();
    IndexWriter indices({v.size(), k}, out.data() + 2 * k);
    largest->each([&](std::size_t i, float x) {
      indices.add(i);
      write_bfloat16(x, number);
      number += 2;
    });
    indices.finish();
    return decoded.empty() || !read(out, decoded);
  }
  std::optional<CodeError> read(std::span<const std::byte> code,
                                std::span<float> out) const override {
    const std::size_t k = fraction_.of(out.size());
    std::fill(out.begin(), out.end(), 0.0F);
    bool finite = true;
    auto error =
        read_indices({out.size(), k}, code.data() + 2 * k, [&](std::size_t j, std::size_t i) {
          out[i] = read_bfloat16(code.data() + 2 * j);
          finite = finite && std::isfinite(out[i]);
        });
    if (!error && !finite) error = CodeError{CodeRule::number};
    return error;
  }

  Fraction fraction_;
};

}  // namespace gossamer::codec
