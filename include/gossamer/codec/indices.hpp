// SPDX-License-Identifier: MIT
/// k of n indices in about k (2 + log2(n / k)) bits, and the share of a vector that is kept.
#pragma once

#include <gossamer/codec/code_error.hpp>
#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>

namespace gossamer::codec {

/// Which part of a vector is kept, in (0, 1]. Throws ConfigError for another one.
class Fraction {
 public:
  Fraction(const char* codec, double value) : value_(value) {
    if (!(value > 0 && value <= 1)) {
      throw ConfigError(c10::str(codec, ": fraction must lie in (0, 1], got ", value));
    }
  }
  /// Of n numbers: at least one. Throws std::invalid_argument for 2^32 numbers or more.
  [[nodiscard]] std::size_t of(std::size_t n) const {
    if (n > std::numeric_limits<std::uint32_t>::max()) {
      throw std::invalid_argument(
          c10::str("codec: a sparse code is of fewer than 2^32 numbers, got ", n));
    }
    const auto k = static_cast<std::size_t>(std::ceil(value_ * static_cast<double>(n)));
    return std::min(n, std::max<std::size_t>(k, n > 0 ? 1 : 0));
  }
  [[nodiscard]] double value() const noexcept { return value_; }

 private:
  double value_;
};

/// Increasing indices in Elias and Fano's form: the lowest l = floor(log2(n / k)) bits of each,
/// then a bit set in which the j-th index i sets bit (i >> l) + j. Its size follows from n and k
/// alone. Source: Elias, "Efficient storage and retrieval by content and address of static files",
/// Journal of the ACM 1974.
struct IndexCode {
  std::size_t n;
  std::size_t k;  ///< 1 <= k <= n

  [[nodiscard]] int low_bits() const { return static_cast<int>(std::bit_width(n / k)) - 1; }
  [[nodiscard]] std::size_t low_bytes() const {
    return (k * static_cast<std::size_t>(low_bits()) + 7) / 8;
  }
  [[nodiscard]] std::size_t set_bits() const { return k + ((n - 1) >> low_bits()); }
  [[nodiscard]] std::size_t bytes() const { return low_bytes() + (set_bits() + 7) / 8; }
};

/// Writes the indices one after the other.
class IndexWriter {
 public:
  IndexWriter(IndexCode code, std::byte* out)
      : bits_(code.low_bits()), low_(out), set_(out + code.low_bytes()) {
    std::fill_n(out, code.bytes(), std::byte{0});
  }
  void add(std::size_t i) {
    const std::size_t place = (i >> bits_) + count_++;
    set_[place / 8] |= std::byte{1} << static_cast<int>(place % 8);
    pending_ |= (i & ((std::uint64_t{1} << bits_) - 1)) << filled_;
    for (filled_ += bits_; filled_ >= 8; filled_ -= 8, pending_ >>= 8U) {
      *low_++ = static_cast<std::byte>(pending_ & 255U);
    }
  }
  void finish() {
    if (filled_ > 0) *low_ = static_cast<std::byte>(pending_);
  }

 private:
  int bits_;
  std::byte* low_;
  std::byte* set_;
  std::size_t count_ = 0;
  std::uint64_t pending_ = 0;
  int filled_ = 0;
};

/// Calls use(j, i) for the j-th index i, each of which is below n and above the one before; stops
/// at the first that is not.
template <class Use>
std::optional<CodeError> read_indices(IndexCode code, const std::byte* from, Use use) {
  const CodeError wrong{CodeRule::index, 0, code.n};
  const int bits = code.low_bits();
  const std::byte* low = from;
  const std::byte* const set = from + code.low_bytes();
  const std::size_t set_bytes = (code.set_bits() + 7) / 8;
  std::uint64_t pending = 0;
  int filled = 0;
  std::size_t j = 0;
  std::size_t least = 0;
  for (std::size_t b = 0; b < set_bytes; ++b) {
    for (auto byte = std::to_integer<unsigned>(set[b]); byte != 0; byte &= byte - 1, ++j) {
      if (j == code.k) return wrong;
      for (; filled < bits; filled += 8)
        pending |= std::to_integer<std::uint64_t>(*low++) << filled;
      const std::size_t place = 8 * b + static_cast<std::size_t>(std::countr_zero(byte));
      const std::size_t i = ((place - j) << bits) | (pending & ((std::uint64_t{1} << bits) - 1));
      pending >>= bits;
      filled -= bits;
      if (i < least || i >= code.n) return wrong;
      use(j, i);
      least = i + 1;
    }
  }
  if (j != code.k) return wrong;
  if (pending != 0) return CodeError{CodeRule::padding};
  return std::nullopt;
}

}  // namespace gossamer::codec
