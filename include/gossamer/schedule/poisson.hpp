// SPDX-License-Identifier: MIT
/// At random times, so many per second on average.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/schedule/schedule.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cmath>

namespace gossamer::schedule {

/// A Poisson process on the transport's clock: it is time if at least one of its events fell into
/// the time since the last step, so with probability 1 - exp(-rate dt). Fast and slow nodes then
/// exchange equally often. Several events within one step are one exchange, so a rate near or above
/// the steps per second is not reached.
/// Throws ConfigError unless the rate, in exchanges per second and node, is finite and above 0.
class Poisson {
 public:
  explicit Poisson(double rate) : rate_(rate) {
    if (!(rate > 0 && std::isfinite(rate))) {
      throw ConfigError(c10::str("Poisson: rate must be finite and above 0, got ", rate));
    }
  }
  bool operator()(PeerContext& context) const {
    const std::chrono::duration<double> passed = context.since_last_step();
    return context.generator().uniform() < -std::expm1(-rate_ * passed.count());
  }

 private:
  double rate_;
};

}  // namespace gossamer::schedule
