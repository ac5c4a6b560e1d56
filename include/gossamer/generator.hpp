// SPDX-License-Identifier: MIT
/// A small, portable, restorable stream of random numbers: one seed, one stream per node and
/// purpose.
#pragma once

#include <ATen/core/PhiloxRNGEngine.h>

#include <cstdint>

namespace gossamer {

/// A counter-based generator (Philox 4x32-10, Salmon et al., SC 2011): the same numbers on every
/// machine and compiler, independent streams from one seed, and a state of three integers.
/// Distinct objects may be used from distinct threads; one object may not. LibTorch's global
/// generator is never touched.
class Generator {
 public:
  /// All that a checkpoint needs. `drawn` counts 32-bit draws.
  struct State {
    std::uint64_t seed = 0;
    std::uint64_t stream = 0;
    std::uint64_t drawn = 0;
    bool operator==(const State&) const = default;
  };

  using result_type = std::uint32_t;

  explicit Generator(std::uint64_t seed = 0, std::uint64_t stream = 0)
      : state_{seed, stream, 0}, engine_(seed, stream) {}
  explicit Generator(const State& state)
      : state_(state), engine_(state.seed, state.stream, state.drawn / 4) {
    for (auto i = state.drawn % 4; i > 0; --i) engine_();
  }

  [[nodiscard]] const State& state() const noexcept { return state_; }

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return 0xffffffffU; }

  /// 32 random bits; makes this a standard uniform random bit generator.
  result_type operator()() {
    ++state_.drawn;
    return engine_();
  }

  /// Uniform in [0, 1), with 53 random bits.
  double uniform() {
    const std::uint64_t high = (*this)() >> 5U;  // 27 bits
    const std::uint64_t low = (*this)() >> 6U;   // 26 bits
    return static_cast<double>((high << 26U) | low) * 0x1p-53;
  }

  /// Uniform in {0, ..., n - 1}; n >= 1. Multiplies and rejects, hence without bias (Lemire, "Fast
  /// random integer generation in an interval", ACM TOMACS 2019).
  std::uint32_t below(std::uint32_t n) {
    std::uint64_t product = std::uint64_t{(*this)()} * n;
    if (static_cast<std::uint32_t>(product) < n) {
      const std::uint32_t threshold = (0U - n) % n;
      while (static_cast<std::uint32_t>(product) < threshold) {
        product = std::uint64_t{(*this)()} * n;
      }
    }
    return static_cast<std::uint32_t>(product >> 32U);
  }

 private:
  State state_;
  at::Philox4_32 engine_;
};

}  // namespace gossamer
