// SPDX-License-Identifier: MIT
/// How codecs round.
#pragma once

#include <string>

namespace gossamer::codec {

/// Between two levels, which one is written.
enum class Rounding {
  nearest,    ///< the nearer one: the smallest error
  stochastic  ///< by chance, so that the mean is right: up to twice the error, no bias
};

/// How a codec's name says it.
inline std::string suffix(Rounding rounding) {
  return rounding == Rounding::stochastic ? ":stochastic" : "";
}

}  // namespace gossamer::codec
