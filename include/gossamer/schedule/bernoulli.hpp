// SPDX-License-Identifier: MIT
/// With a fixed probability after each step.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/schedule/schedule.hpp>

#include <c10/util/StringUtil.h>

namespace gossamer::schedule {

/// After each step with probability p, independently: GoSGD's S ~ B(p).
/// Throws ConfigError unless p lies in [0, 1].
class Bernoulli {
 public:
  explicit Bernoulli(double probability) : probability_(probability) {
    if (!(probability >= 0 && probability <= 1)) {
      throw ConfigError(c10::str("Bernoulli: probability must lie in [0, 1], got ", probability));
    }
  }
  bool operator()(PeerContext& context) const {
    return context.generator().uniform() < probability_;
  }

 private:
  double probability_;
};

}  // namespace gossamer::schedule
