// SPDX-License-Identifier: MIT
/// Numbers over time, in bounded memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gossamer::observe {

/// Points of a curve, of which only every second is kept, and then every fourth, ..., as there
/// would be too many. The first one always stays.
class Curve {
 public:
  /// A value at a time, in seconds.
  struct Point {
    double time;
    double value;
  };
  static constexpr std::size_t most = 400;

  /// Whether a point that comes now would be kept. Counts the call.
  [[nodiscard]] bool wants() { return offered_++ % stride_ == 0; }
  void add(double time, double value) {
    points_.push_back({time, value});
    if (points_.size() < most) return;
    for (std::size_t i = 0; i < most / 2; ++i) points_[i] = points_[2 * i];
    points_.resize(most / 2);
    stride_ *= 2;
  }
  [[nodiscard]] const std::vector<Point>& points() const { return points_; }

 private:
  std::vector<Point> points_;
  std::uint64_t stride_ = 1;
  std::uint64_t offered_ = 0;
};

}  // namespace gossamer::observe
