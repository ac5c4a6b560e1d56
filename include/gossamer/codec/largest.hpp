// SPDX-License-Identifier: MIT
/// The k largest magnitudes of a vector, found by counting.
#pragma once

#include <gossamer/codec/kernels.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace gossamer::codec {

/// The k largest numbers of a vector: those whose magnitude's upper 21 bits are above a key, and of
/// those that equal it the first few. So a number that is left out is at most 2^-13 larger, by
/// relation, than one that is kept, which is less than bfloat16 can tell.
class Largest {
 public:
  /// 1 <= k <= v.size(). Nothing if a number is not finite. Two passes over v.
  static std::optional<Largest> of(std::span<const float> v, std::size_t k) {
    constexpr std::uint32_t first_infinite = kernels::detail::infinity >> 20U;
    std::uint32_t coarse[2][1U << 11U] = {};  // two, so that equal neighbours do not wait
    for (std::size_t i = 0; i < v.size(); ++i) ++coarse[i % 2][magnitude(v[i]) >> 20U];
    for (std::size_t b = 0; b < 1U << 11U; ++b) coarse[0][b] += coarse[1][b];
    for (std::uint32_t b = first_infinite; b < 1U << 11U; ++b) {
      if (coarse[0][b] > 0) return std::nullopt;
    }
    const std::uint32_t upper = place_of(coarse[0], first_infinite, k);
    std::uint32_t fine[1U << 10U] = {};
    each_reaching(v, upper << 20U, [&fine, upper](std::size_t, float x) {
      const std::uint32_t bits = magnitude(x);
      if (bits >> 20U == upper) ++fine[(bits >> 10U) & 1023U];
    });
    const std::uint32_t lower = place_of(fine, 1U << 10U, k);
    return Largest(v, upper << 10U | lower, k);
  }

  /// Calls use(i, v[i]) for each of them, in order.
  template <class Use>
  void each(Use use) const {
    std::size_t equal = equal_;
    each_reaching(v_, key_ << 10U, [&](std::size_t i, float x) {
      if (magnitude(x) >> 10U == key_ && equal-- == 0) {
        equal = 0;
        return;
      }
      use(i, x);
    });
  }

 private:
  Largest(std::span<const float> v, std::uint32_t key, std::size_t equal)
      : v_(v), key_(key), equal_(equal) {}

  static std::uint32_t magnitude(float x) {
    return std::bit_cast<std::uint32_t>(x) & ~kernels::detail::sign_bit;
  }
  /// The bucket of the k-th largest; k becomes its rank therein.
  static std::uint32_t place_of(const std::uint32_t* counts, std::uint32_t buckets,
                                std::size_t& k) {
    std::uint32_t b = buckets - 1;
    for (; b > 0 && counts[b] < k; --b) k -= counts[b];
    return b;
  }
  /// Calls use(i, v[i]) for each number whose magnitude's bits are at least `bits`.
  template <class Use>
  static void each_reaching(std::span<const float> v, std::uint32_t bits, Use use) {
    std::size_t i = 0;
    for (; i + kernels::block <= v.size(); i += kernels::block) {
      const kernels::Reaching reaching(v.data() + i, bits);
      std::size_t begin = i;
      for (std::uint32_t word : reaching.words) {
        for (; word != 0; word &= word - 1) {
          const std::size_t at = begin + static_cast<std::size_t>(std::countr_zero(word));
          use(at, v[at]);
        }
        begin += 32;
      }
    }
    for (; i < v.size(); ++i) {
      if (magnitude(v[i]) >= bits) use(i, v[i]);
    }
  }

  std::span<const float> v_;
  std::uint32_t key_;
  std::size_t equal_;
};

}  // namespace gossamer::codec
