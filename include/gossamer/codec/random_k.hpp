// SPDX-License-Identifier: MIT
/// Some numbers, chosen by chance.
#pragma once

#include <gossamer/codec/blocks.hpp>
#include <gossamer/codec/indices.hpp>

namespace gossamer::codec {

/// One number out of each of k = ceil(fraction n) equal pieces of the vector, in bfloat16; the
/// others become 0. The code has the seed from which both sides draw the indices. `unbiased`: times
/// the length of its piece, rounded by chance.
///
/// Bytes    8 and 2 k: at 0.01, 0.16 bits per number.
/// Quality  in the mean, delta about k / n; unbiased about 2 - n / k, useless to error feedback.
/// Throws   ConfigError for a fraction outside (0, 1].
/// Source   Stich, Cordonnier, Jaggi, "Sparsified SGD with memory", NeurIPS 2018, arXiv:1809.07599.
/// Differs  k pieces in place of k of all numbers: as likely for each number, and drawn in order.
class RandomK final : public Codec {
 public:
  explicit RandomK(double fraction, bool unbiased = false)
      : fraction_("RandomK", fraction), unbiased_(unbiased) {}
  [[nodiscard]] std::string name() const override {
    return c10::str("random_k:", fraction_.value(), unbiased_ ? ":unbiased" : "");
  }
  [[nodiscard]] std::size_t bytes(std::size_t n) const override {
    return n == 0 ? 0 : sizeof(std::uint64_t) + 2 * fraction_.of(n);
  }
  [[nodiscard]] double delta(std::size_t n) const override {
    const double longest = std::ceil(static_cast<double>(n) / static_cast<double>(fraction_.of(n)));
    return unbiased_ ? 2 - longest * (1 + bfloat16_error) : (1 - bfloat16_error) / longest;
  }
  [[nodiscard]] bool is_unbiased() const override { return unbiased_; }
  [[nodiscard]] std::unique_ptr<Codec> copy() const override {
    return std::make_unique<RandomK>(*this);
  }

 private:
  /// Calls use(j, i, length) for the index i out of the j-th piece.
  template <class Use>
  static void choose(std::uint64_t seed, std::size_t n, std::size_t k, Use use) {
    Generator generator(seed);
    for (std::size_t j = 0; j < k; ++j) {
      const std::size_t begin = j * n / k;
      const std::size_t length = (j + 1) * n / k - begin;
      use(j, begin + generator.below(static_cast<std::uint32_t>(length)), length);
    }
  }

  bool write(std::span<const float> v, std::span<float> decoded, Generator& generator,
             std::span<std::byte> out) const override {
    if (!all_finite(v)) return false;
    const std::uint64_t seed = std::uint64_t{generator()} << 32U | generator();
    std::memcpy(out.data(), &seed, sizeof seed);
    choose(seed, v.size(), fraction_.of(v.size()),
           [&](std::size_t j, std::size_t i, std::size_t length) {
             const std::uint32_t chance = unbiased_ ? generator() >> 16U : nearest_even;
             write_bfloat16(v[i] * (unbiased_ ? static_cast<float>(length) : 1.0F),
                            out.data() + sizeof seed + 2 * j, chance);
           });
    return decoded.empty() || !read(out, decoded);
  }
  std::optional<CodeError> read(std::span<const std::byte> code,
                                std::span<float> out) const override {
    std::uint64_t seed = 0;
    std::memcpy(&seed, code.data(), sizeof seed);
    std::fill(out.begin(), out.end(), 0.0F);
    bool finite = true;
    choose(seed, out.size(), fraction_.of(out.size()), [&](std::size_t j, std::size_t i, auto) {
      out[i] = read_bfloat16(code.data() + sizeof seed + 2 * j);
      finite = finite && std::isfinite(out[i]);
    });
    return finite ? std::nullopt : std::optional(CodeError{CodeRule::number});
  }

  Fraction fraction_;
  bool unbiased_;
};

}  // namespace gossamer::codec
