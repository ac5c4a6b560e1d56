// SPDX-License-Identifier: MIT
/// A piece of a flat vector, by its number among equal ones.
#pragma once

#include <cstdint>

namespace gossamer::model {

/// Piece `index` of `of` equal ones, into which each segment of a `Flat` is cut. A segment shorter
/// than `of` numbers has empty pieces. The default is the whole.
struct Chunk {
  std::uint32_t index = 0;  ///< < of
  std::uint32_t of = 1;     ///< >= 1

  [[nodiscard]] constexpr bool is_all() const noexcept { return of == 1; }
  /// Of a segment with that many numbers, the first that belongs to the piece:
  /// floor(numbers index / of).
  [[nodiscard]] constexpr std::int64_t begin(std::int64_t numbers) const noexcept {
    return cut(numbers, index);
  }
  /// One after the last: where the next piece begins.
  [[nodiscard]] constexpr std::int64_t end(std::int64_t numbers) const noexcept {
    return cut(numbers, std::uint64_t{index} + 1);
  }
  friend constexpr bool operator==(const Chunk&, const Chunk&) = default;

 private:
  /// In two terms, neither of which can overflow.
  [[nodiscard]] constexpr std::int64_t cut(std::int64_t numbers, std::uint64_t at) const noexcept {
    const auto n = static_cast<std::uint64_t>(numbers);
    return static_cast<std::int64_t>(n / of * at + n % of * at / of);
  }
};

}  // namespace gossamer::model
