// SPDX-License-Identifier: MIT
/// How many bytes per second a simulated device's way to the network carries, as time goes on.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/transport/transport.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// A rate that is constant between moments. What carries bytes at that rate stands still while it
/// is 0, and goes on with the rest when it is not.
///
/// Cost     of `finish`: O(pieces that are crossed).
/// Threads  one object from two threads: unsafe, since laws draw what they need when they need it.
class RateLaw {
 public:
  /// A rate, and until when.
  struct Piece {
    double bytes_per_second = 0;
    Time until = Time::max();  ///< later than what was asked for
  };

  virtual ~RateLaw() = default;
  /// The rate at a time >= 0, and until when it is that.
  [[nodiscard]] virtual Piece at(Time time) = 0;

  /// When the last of `bytes` has passed, if they begin at `start`; at most 31 years later.
  [[nodiscard]] Time finish(Time start, double bytes) {
    const Time end = start + longest;
    while (start < end) {
      const Piece piece = at(start);
      const Time until = std::min(piece.until, end);
      const double takes = bytes / piece.bytes_per_second * 1e9;  // infinite, or no number, at 0
      if (takes <= static_cast<double>((until - start).count())) {
        return start + Time(static_cast<Time::rep>(std::ceil(takes)));
      }
      bytes = std::max(0.0, bytes - piece.bytes_per_second * seconds_of(until - start));
      start = until;
    }
    return end;
  }
  /// What passes between two times: the integral of the rate.
  [[nodiscard]] double bytes_between(Time from, Time to) {
    double bytes = 0;
    while (from < to) {
      const Piece piece = at(from);
      const Time until = std::min(piece.until, to);
      bytes += piece.bytes_per_second * seconds_of(until - from);
      from = until;
    }
    return bytes;
  }

 protected:
  static constexpr Time longest = std::chrono::seconds(1'000'000'000);
  static double seconds_of(Time time) { return std::chrono::duration<double>(time).count(); }
};

/// Always the same; > 0.
class ConstantRate final : public RateLaw {
 public:
  explicit ConstantRate(double bytes_per_second) : rate_(bytes_per_second) {
    if (!(rate_ > 0 && std::isfinite(rate_))) {
      throw ConfigError(
          c10::str("ConstantRate: bytes per second must be positive, got ", bytes_per_second));
    }
  }
  [[nodiscard]] Piece at(Time /*time*/) override { return {rate_, Time::max()}; }

 private:
  double rate_;
};

/// One line of a trace of bandwidth: what is there from `second` on.
struct RatePoint {
  double second = 0;
  double bytes_per_second = 0;
};

/// A measured rate, from its beginning again at its end. The last point lasts as long as the one
/// before it.
class TracedRate final : public RateLaw {
 public:
  /// `offset` is where in the trace time 0 is. Throws ConfigError unless there are two points or
  /// more, their times ascend, all rates are >= 0 and one of them is > 0.
  explicit TracedRate(const std::vector<RatePoint>& points, Time offset = Time(0))
      : points_(std::make_shared<const std::vector<Span>>(spans_of(points))),
        period_(points_->back().end),
        offset_(offset) {}

  [[nodiscard]] Piece at(Time time) override {
    const Time place = (time + offset_) % period_;
    const auto span = std::upper_bound(points_->begin(), points_->end(), place,
                                       [](Time x, const Span& one) { return x < one.end; });
    return {span->bytes_per_second, time + (span->end - place)};
  }
  /// The same trace with time 0 elsewhere in it.
  [[nodiscard]] std::shared_ptr<RateLaw> from(Time offset) const {
    auto other = std::make_shared<TracedRate>(*this);
    other->offset_ = offset;
    return other;
  }

 private:
  struct Span {
    Time end;
    double bytes_per_second;
  };

  static std::vector<Span> spans_of(const std::vector<RatePoint>& points) {
    if (points.size() < 2) {
      throw ConfigError(c10::str("TracedRate: needs at least 2 points, got ", points.size()));
    }
    std::vector<Span> spans;
    double most = 0;
    for (std::size_t i = 0; i < points.size(); ++i) {
      const RatePoint& one = points[i];
      const double next =
          i + 1 < points.size() ? points[i + 1].second : 2 * one.second - points[i - 1].second;
      if (!(next - one.second >= 1e-9 && next - points.front().second <= 1e9)) {
        throw ConfigError(c10::str("TracedRate: times must ascend, within 1e9 seconds, got ",
                                   one.second, " and then ", next));
      }
      if (!(one.bytes_per_second >= 0 && std::isfinite(one.bytes_per_second))) {
        throw ConfigError(c10::str("TracedRate: bytes per second must not be negative, got ",
                                   one.bytes_per_second));
      }
      most = std::max(most, one.bytes_per_second);
      const double end = std::round((next - points.front().second) * 1e9);
      spans.push_back({Time(static_cast<Time::rep>(end)), one.bytes_per_second});
    }
    if (!(most > 0)) throw ConfigError("TracedRate: a rate must be above 0, got none");
    return spans;
  }

  std::shared_ptr<const std::vector<Span>> points_;
  Time period_;
  Time offset_;
};

/// Something that is there and gone in turns, each for a time that is exponential: a Markov chain
/// of two states in continuous time. Gilbert, "Capacity of a burst-noise channel", Bell System
/// Technical Journal 1960, has the chain per digit; here it is of the link, not of digits. It
/// begins in equilibrium: there with probability mean_up / (mean_up + mean_down).
class TwoStates {
 public:
  /// Throws ConfigError unless both means are > 0.
  TwoStates(Time mean_up, Time mean_down, Generator random)
      : mean_{mean_down, mean_up}, random_(random) {
    if (mean_up.count() <= 0 || mean_down.count() <= 0) {
      throw ConfigError(c10::str("TwoStates: mean_up and mean_down must be positive, got ",
                                 mean_up.count(), " ns and ", mean_down.count(), " ns"));
    }
    const auto up = static_cast<double>(mean_up.count());
    begins_up_ = random_.uniform() < up / (up + static_cast<double>(mean_down.count()));
  }

  [[nodiscard]] bool is_up(Time time) {
    return stretch_of(time) % 2 == 0 ? begins_up_ : !begins_up_;
  }
  /// When it next changes, later than `time`.
  [[nodiscard]] Time next_change(Time time) { return ends_[stretch_of(time)]; }

 private:
  /// Which stretch a time is in; 16 bytes of memory for each that has been.
  std::size_t stretch_of(Time time) {
    while (ends_.empty() || ends_.back() <= time) {
      const bool up = ends_.size() % 2 == 0 ? begins_up_ : !begins_up_;
      const double drawn =
          -std::log(1 - random_.uniform()) * static_cast<double>(mean_[up].count());
      const auto length = std::max<Time::rep>(1, static_cast<Time::rep>(std::min(drawn, 1e18)));
      ends_.push_back((ends_.empty() ? Time(0) : ends_.back()) + Time(length));
    }
    return static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), time) -
                                    ends_.begin());
  }

  std::array<Time, 2> mean_;
  Generator random_;
  bool begins_up_ = true;
  std::vector<Time> ends_;
};

/// Another law while two states are up, and a share of it, in [0, 1], while they are down. Both
/// directions of a device may share the states.
class TwoStateRate final : public RateLaw {
 public:
  TwoStateRate(std::shared_ptr<RateLaw> law, std::shared_ptr<TwoStates> states,
               double when_down = 0)
      : law_(std::move(law)), states_(std::move(states)), when_down_(when_down) {
    if (!(when_down >= 0 && when_down <= 1)) {
      throw ConfigError(c10::str("TwoStateRate: when_down must lie in [0, 1], got ", when_down));
    }
  }
  [[nodiscard]] Piece at(Time time) override {
    Piece piece = law_->at(time);
    if (!states_->is_up(time)) piece.bytes_per_second *= when_down_;
    piece.until = std::min(piece.until, states_->next_change(time));
    return piece;
  }

 private:
  std::shared_ptr<RateLaw> law_;
  std::shared_ptr<TwoStates> states_;
  double when_down_;
};

}  // namespace gossamer::transport
