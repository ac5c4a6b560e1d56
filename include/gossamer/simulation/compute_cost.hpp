// SPDX-License-Identifier: MIT
/// How long a simulated node's step takes.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/transport/transport.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::cost {

using transport::Time;

/// The time of the next step. It draws from the generator that it is given and from nothing else.
using Any = std::function<Time(Generator&)>;

/// Always the same; > 0.
class Constant {
 public:
  explicit Constant(Time each) : each_(each) {
    if (each.count() <= 0) {
      throw ConfigError("cost::Constant: a step must take more than 0 ns, got " +
                        std::to_string(each.count()));
    }
  }
  Time operator()(Generator&) const { return each_; }

 private:
  Time each_;
};

/// Log-normal: usually near the median, now and then much longer. The logarithm's standard
/// deviation is `sigma` in [0, 3]: at 3 a step in 370 takes 8,000 times the median or more.
/// Portable only as far as the C library's `exp`, `log` and `cos` are.
class LogNormal {
 public:
  static constexpr double most_sigma = 3;

  LogNormal(Time median, double sigma) : median_(median), sigma_(sigma) {
    if (median.count() <= 0 || !(sigma >= 0 && sigma <= most_sigma)) {
      throw ConfigError("cost::LogNormal: needs a median above 0 ns and a sigma in [0, 3], got " +
                        std::to_string(median.count()) + " ns and " + std::to_string(sigma));
    }
  }
  Time operator()(Generator& random) const {
    constexpr double two_pi = 6.283185307179586;
    const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
    const double normal = radius * std::cos(two_pi * random.uniform());
    const double time = static_cast<double>(median_.count()) * std::exp(sigma_ * normal);
    constexpr double longest = 1e18;  // 31 years: beyond it the clock overflows
    return Time(std::max<Time::rep>(1, static_cast<Time::rep>(std::min(time, longest))));
  }

 private:
  Time median_;
  double sigma_;
};

/// Measured times, one after the other and again from the beginning.
class Trace {
 public:
  explicit Trace(std::vector<Time> times) : times_(std::move(times)) {
    if (times_.empty()) throw ConfigError("cost::Trace: needs at least 1 time, got none");
    for (const Time time : times_) {
      if (time.count() <= 0) {
        throw ConfigError("cost::Trace: a step must take more than 0 ns, got " +
                          std::to_string(time.count()));
      }
    }
  }
  Time operator()(Generator&) { return times_[next_++ % times_.size()]; }

 private:
  std::vector<Time> times_;
  std::size_t next_ = 0;
};

}  // namespace gossamer::cost
