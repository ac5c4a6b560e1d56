// SPDX-License-Identifier: MIT
/// A simulated device that slows down when it has computed for a while.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/simulation/compute_cost.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <utility>

namespace gossamer::cost {

/// Another cost, `factor` times as long after `after` of computing: what a phone without a fan
/// does. The time before counts, not the wall's: a device that waits for others stays cool, but
/// does not cool down. A node that restarts begins cold.
class Throttled {
 public:
  /// Throws ConfigError unless after >= 0 and factor >= 1.
  Throttled(Any cost, Time after, double factor)
      : cost_(std::move(cost)), after_(after), factor_(factor) {
    if (after.count() < 0 || !(factor >= 1 && factor <= 1e6)) {
      throw ConfigError(
          c10::str("cost::Throttled: needs a time of at least 0 ns and a factor in "
                   "[1, 1e6], got ",
                   after.count(), " ns and ", factor));
    }
  }
  Time operator()(Generator& random) {
    const Time time = cost_(random);
    if (computed_ < after_) {
      computed_ += time;
      return time;
    }
    constexpr double longest = 1e18;  // as of `LogNormal`
    return Time(
        static_cast<Time::rep>(std::min(static_cast<double>(time.count()) * factor_, longest)));
  }

 private:
  Any cost_;
  Time after_;
  double factor_;
  Time computed_{0};  // until it is hot
};

}  // namespace gossamer::cost
