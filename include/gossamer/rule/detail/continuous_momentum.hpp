// SPDX-License-Identifier: MIT
/// A2CiD2's second vector x~, and its flow towards x and back in time.
#pragma once

#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>

namespace gossamer::rule::detail {

/// Time is counted in steps of the node, by their number or by the transport's clock. Averaged
/// buffers of x~ are those of x. Threads: as a rule.
class ContinuousMomentum {
 public:
  bool by_clock = false;       ///< time goes by the transport's clock
  std::optional<double> rate;  ///< exchanges per step; else those so far are counted

  /// x~ is x at first. False while the node has no model yet, or none any more.
  bool start(RuleContext& context) {
    if (context.weight() == 0) return false;
    if (!vector_.exists()) reset(context);
    return true;
  }
  /// Also of a node that goes, and has no weight any more.
  [[nodiscard]] bool exists() const { return vector_.exists(); }
  void reset(RuleContext& context) {
    vector_.get(context).copy_from(context.model().flat());
    last_step_ = context.step();
    last_time_ = context.now();
  }
  [[nodiscard]] const model::Flat& vector(RuleContext& context) {
    start(context);
    return vector_.exists() ? vector_.get(context) : context.model().flat();
  }

  /// Lets x and x~ flow until now, with eta per exchange.
  void flow(RuleContext& context, double eta) {
    const std::chrono::duration<double> seconds =
        context.now() - last_time_.value_or(context.now());
    double passed = static_cast<double>(context.step() - std::min(last_step_, context.step()));
    if (by_clock) passed = step_ > 0 ? std::max(0.0, seconds.count()) / step_ : 0;
    last_step_ = context.step();
    last_time_ = context.now();
    const double measured = static_cast<double>(exchanges_) / static_cast<double>(steps_ + 1);
    const double t = -std::expm1(-2 * eta * rate.value_or(measured) * passed) / 2;
    if (!(t > 0)) return;
    const model::Flat& x = context.model().flat();
    const model::Flat& tilde = vector_.get(context);
    const model::Snapshot d = context.blank();
    context.model().copy_buffers(tilde, x);
    model::difference(*d, tilde, x, t);
    model::add(x, *d);
    model::add(tilde, *d, -1);
  }
  void begin_step(RuleContext& context) { before_ = context.snapshot(); }
  /// What the step has done to x is done to x~.
  void end_step(RuleContext& context) {
    ++steps_;
    const std::chrono::duration<double> took = context.since_last_step();
    step_ = step_ > 0 ? (step_ + took.count()) / 2 : took.count();
    if (!before_) return;  // of a loop that is not the library's, the first
    model::difference(before_.writable(), context.model().flat(), *before_);
    add(context, *before_, 1);
    before_ = {};
  }
  void count_exchange() noexcept { ++exchanges_; }

  /// x~ <- x~ + part d.
  void add(RuleContext& context, const model::Flat& d, double part) {
    model::add(vector_.get(context), d, part);
    context.model().copy_buffers(vector_.get(context), context.model().flat());
  }

  void checkpoint(Archive& archive) {
    vector_.checkpoint(archive, "momentum");
    archive("steps", steps_);
    archive("exchanges", exchanges_);
    archive("last_step", last_step_);
    archive("seconds_per_step", step_);
  }

 private:
  KeptFlat vector_;
  model::Snapshot before_;  // x, while a step is under way
  std::uint64_t steps_ = 0;
  std::uint64_t exchanges_ = 0;
  std::uint64_t last_step_ = 0;                        // until when x and x~ have flowed
  std::optional<std::chrono::nanoseconds> last_time_;  // none after a restart: clocks differ
  double step_ = 0;                                    // seconds that one takes, a sliding mean
};

}  // namespace gossamer::rule::detail
