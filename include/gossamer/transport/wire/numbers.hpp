// SPDX-License-Identifier: MIT
/// Whether all numbers of a payload are finite, so that one broken node cannot spoil the others.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/kernels.hpp>

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer::transport::wire {

namespace detail {

/// Whether no word has all bits of `exponent` set: so infinity and NaN are written. Adding the
/// exponent's lowest bit carries into the sign's place for these words and no others. In vectors of
/// so many bytes.
template <std::size_t Bytes, class Word>
[[gnu::always_inline]] inline bool none_in_vectors(const Word* words, std::size_t count,
                                                   Word exponent) {
  using Words = model::kernels::detail::Vector<Word, Bytes>;
  constexpr std::size_t lanes = Bytes / sizeof(Word);
  constexpr std::size_t block = 128 * lanes;  // stops soon after the first, but not at each
  const auto low = static_cast<Word>(exponent & (~exponent + 1U));
  const auto top = static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1));
  std::size_t i = 0;
  for (; i + block <= count; i += block) {
    Words any[4] = {};
    for (std::size_t at = i; at < i + block; at += 4 * lanes) {
#pragma GCC unroll 4
      for (std::size_t k = 0; k < 4; ++k) {
        any[k] |= (*reinterpret_cast<const Words*>(words + at + k * lanes) & exponent) + low;
      }
    }
    const Words all = any[0] | any[1] | any[2] | any[3];
    Word found = 0;
    for (std::size_t k = 0; k < lanes; ++k) found = static_cast<Word>(found | all[k]);
    if ((found & top) != 0) return false;
  }
  for (; i < count; ++i) {
    if ((words[i] & exponent) == exponent) return false;
  }
  return true;
}

#if defined(__x86_64__)
template <class Word>
[[gnu::target("avx2")]] bool none_with_avx2(const Word* words, std::size_t count, Word exponent) {
  return none_in_vectors<32>(words, count, exponent);
}
#endif

template <class Word>
bool none_has_all(const Word* words, std::size_t count, Word exponent) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return none_with_avx2(words, count, exponent);
#endif
  return none_in_vectors<16>(words, count, exponent);
}

}  // namespace detail

/// Whether so many numbers in memory have no infinity and no NaN. Integers are always finite.
inline bool all_finite(const void* data, std::size_t count, c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::Float:
      return detail::none_has_all(static_cast<const std::uint32_t*>(data), count,
                                  std::uint32_t{0x7f800000U});
    case c10::ScalarType::Double:
      return detail::none_has_all(static_cast<const std::uint64_t*>(data), count,
                                  std::uint64_t{0x7ff0000000000000U});
    case c10::ScalarType::Half:
      return detail::none_has_all(static_cast<const std::uint16_t*>(data), count,
                                  std::uint16_t{0x7c00U});
    case c10::ScalarType::BFloat16:
      return detail::none_has_all(static_cast<const std::uint16_t*>(data), count,
                                  std::uint16_t{0x7f80U});
    case c10::ScalarType::ComplexFloat:
      return detail::none_has_all(static_cast<const std::uint32_t*>(data), 2 * count,
                                  std::uint32_t{0x7f800000U});
    case c10::ScalarType::ComplexDouble:
      return detail::none_has_all(static_cast<const std::uint64_t*>(data), 2 * count,
                                  std::uint64_t{0x7ff0000000000000U});
    default:
      return true;
  }
}

/// The same for a tensor in memory.
inline bool all_finite(const at::Tensor& numbers) {
  return all_finite(numbers.data_ptr(), static_cast<std::size_t>(numbers.numel()),
                    numbers.scalar_type());
}

/// The same for a whole model.
inline bool all_finite(const model::Flat& numbers) {
  return std::all_of(numbers.segments().begin(), numbers.segments().end(),
                     [](const at::Tensor& segment) { return all_finite(segment); });
}

}  // namespace gossamer::transport::wire
