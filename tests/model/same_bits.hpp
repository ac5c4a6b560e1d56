// SPDX-License-Identifier: MIT
/// Whether two flat vectors are the same, to the bit.
#pragma once

#include <gossamer/model/flat.hpp>

#include <cstddef>
#include <cstring>

namespace tests {

/// Of as many segments; distinguishes -0 from 0, and one NaN from another.
inline bool same_bits(const gossamer::model::Flat& a, const gossamer::model::Flat& b) {
  for (std::size_t s = 0; s < a.segments().size(); ++s) {
    const auto& one = a.segments()[s];
    const auto& other = b.segments()[s];
    if (one.nbytes() != other.nbytes() ||
        std::memcmp(one.data_ptr(), other.data_ptr(), one.nbytes()) != 0) {
      return false;
    }
  }
  return true;
}

}  // namespace tests
