// SPDX-License-Identifier: MIT
/// Whether all numbers of a payload are finite, so that one broken node cannot spoil the others.
#pragma once

#include <gossamer/model/flat.hpp>

#include <c10/core/ScalarType.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer::transport::wire {

/// Whether no word has all bits of `exponent` set: so infinity and NaN are written. Adding the
/// exponent's lowest bit carries into the sign's place for these words and no others, which needs
/// no branch, so the compiler makes vectors of it.
template <class Word>
bool none_has_all(const Word* words, std::size_t count, Word exponent) {
  constexpr std::size_t block = 4096;  // stops soon after the first, but not at each
  const auto low = static_cast<Word>(exponent & (~exponent + 1U));
  const auto top = static_cast<Word>(Word{1} << (8 * sizeof(Word) - 1));
  for (std::size_t begin = 0; begin < count; begin += block) {
    const std::size_t end = std::min(count, begin + block);
    Word any = 0;
    for (std::size_t i = begin; i < end; ++i) {
      any = static_cast<Word>(any | static_cast<Word>((words[i] & exponent) + low));
    }
    if ((any & top) != 0) return false;
  }
  return true;
}

/// Whether so many numbers in memory have no infinity and no NaN. Integers are always finite.
inline bool all_finite(const void* data, std::size_t count, c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::Float:
      return none_has_all(static_cast<const std::uint32_t*>(data), count,
                          std::uint32_t{0x7f800000U});
    case c10::ScalarType::Double:
      return none_has_all(static_cast<const std::uint64_t*>(data), count,
                          std::uint64_t{0x7ff0000000000000U});
    case c10::ScalarType::Half:
      return none_has_all(static_cast<const std::uint16_t*>(data), count, std::uint16_t{0x7c00U});
    case c10::ScalarType::BFloat16:
      return none_has_all(static_cast<const std::uint16_t*>(data), count, std::uint16_t{0x7f80U});
    case c10::ScalarType::ComplexFloat:
      return none_has_all(static_cast<const std::uint32_t*>(data), 2 * count,
                          std::uint32_t{0x7f800000U});
    case c10::ScalarType::ComplexDouble:
      return none_has_all(static_cast<const std::uint64_t*>(data), 2 * count,
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
