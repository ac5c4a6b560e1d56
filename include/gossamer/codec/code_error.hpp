// SPDX-License-Identifier: MIT
/// Why bytes are not a code.
#pragma once

#include <cstdint>
#include <string>

namespace gossamer::codec {

/// What a code must obey. In the comments, n is the value that is refused.
enum class CodeRule {
  length,   ///< n bytes are as many as the codec writes for that many numbers
  scale,    ///< scales are zero or positive, normal bfloat16 up to a limit; n are a scale's bits
  level,    ///< there is no level n
  index,    ///< the indices increase and lie within the vector
  number,   ///< numbers are finite; n are the bits of one that is not, or 0
  padding,  ///< bits that mean nothing are zero
};

/// What a code breaks, and with which value.
struct CodeError {
  CodeRule rule = CodeRule::length;
  std::uint64_t value = 0;
  std::uint64_t limit = 0;  ///< what would have been right, or the most

  [[nodiscard]] std::string text() const {
    const std::string n = std::to_string(value);
    const std::string most = std::to_string(limit);
    switch (rule) {
      case CodeRule::length:
        return "a code has " + n + " bytes, for this vector and codec it must have " + most;
      case CodeRule::scale:
        return "a code has a scale that is negative, not normal or too large, its bits are " + n;
      case CodeRule::level:
        return "a code has a level beyond the last one, which is " + most;
      case CodeRule::index:
        return "a code has indices that do not increase or lie outside of the vector of " + most;
      case CodeRule::number:
        return "a code has a number that is not finite";
      case CodeRule::padding:
        return "a code has padding that is not zero";
    }
    return "unknown";
  }
};

}  // namespace gossamer::codec
