// SPDX-License-Identifier: MIT
/// Vectors of 8 numbers, in which the codecs' loops are written, and what runs them: the same bits
/// on every processor, whatever the width of its own vectors.
#pragma once

#include <gossamer/generator.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace gossamer::codec::kernels {

static_assert(std::endian::native == std::endian::little,
              "Gossamer's codes are little-endian, and so must be the machine");

/// Numbers per block, that is, per scale.
inline constexpr std::size_t block = 256;
inline constexpr std::size_t lanes = 8;

namespace detail {

template <class Number, std::size_t bytes>
struct VectorOf {
  typedef Number type  // NOLINT(modernize-use-using): GCC takes the attribute here only
      __attribute__((vector_size(bytes)));
};
using Floats = VectorOf<float, 32>::type;
using Bits = VectorOf<std::uint32_t, 32>::type;
using Ints = VectorOf<std::int32_t, 32>::type;
using Halves = VectorOf<std::uint16_t, 16>::type;

// By reference only: how vectors are passed by value depends on flags. To and from any address.
template <class Vector>
[[gnu::always_inline]] inline void load(const void* from, Vector& to) {
  std::memcpy(&to, from, sizeof to);
}
template <class Vector>
[[gnu::always_inline]] inline void store(const Vector& from, void* to) {
  std::memcpy(to, &from, sizeof from);
}
/// The sum of the lanes, in one order.
[[gnu::always_inline]] inline float sum(const Floats& s) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}
/// Whether a lane is negative.
[[gnu::always_inline]] inline bool any_negative(const Ints& x) {
  std::int32_t all = 0;
  for (std::size_t l = 0; l < lanes; ++l) all |= x[l];
  return all < 0;
}

#if defined(__x86_64__)
template <class Kernel, class... Arguments>
[[gnu::target("avx2")]] auto with_avx2(Arguments... arguments) {
  return Kernel::run(arguments...);
}
#endif
/// In the vectors that the compiler's flags allow.
template <class Kernel, class... Arguments>
auto portable(Arguments... arguments) {
  return Kernel::run(arguments...);
}

inline constexpr std::uint32_t sign_bit = 0x80000000U;
inline constexpr std::uint32_t infinity = 0x7f800000U;

}  // namespace detail

/// Runs a kernel in as wide vectors as the processor has.
template <class Kernel, class... Arguments>
auto run(Arguments... arguments) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return detail::with_avx2<Kernel>(arguments...);
#endif
  return detail::portable<Kernel>(arguments...);
}

/// Random bits for rounding: a xorshift generator of 128 bits per lane (Marsaglia, "Xorshift RNGs",
/// Journal of Statistical Software 2003), begun by the node's generator.
class Noise {
 public:
  Noise() = default;
  explicit Noise(Generator& generator) {
    for (auto& row : words_) {
      for (auto& word : row) word = generator() | 1U;
    }
  }

  /// The generator in registers: from `load` to `save`.
  struct Lanes {
    detail::Bits state[4];
    [[gnu::always_inline]] void load(const Noise& noise) {
      for (std::size_t k = 0; k < 4; ++k) detail::load(noise.words_[k], state[k]);
    }
    [[gnu::always_inline]] void save(Noise& noise) const {
      for (std::size_t k = 0; k < 4; ++k) detail::store(state[k], noise.words_[k]);
    }
    [[gnu::always_inline]] void next(detail::Bits& random) {
      const detail::Bits x = state[0] ^ (state[0] << 11);
      state[0] = state[1];
      state[1] = state[2];
      state[2] = state[3];
      random = state[3] ^ (state[3] >> 19) ^ x ^ (x >> 8);
      state[3] = random;
    }
  };

 private:
  std::uint32_t words_[4][lanes] = {};
};

}  // namespace gossamer::codec::kernels
