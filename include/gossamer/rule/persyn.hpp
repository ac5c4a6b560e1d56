// SPDX-License-Identifier: MIT
/// PerSyn: all nodes take the mean of their parameters every tau steps.
#pragma once

#include <gossamer/codec/codec.hpp>
#include <gossamer/rule/averaging_rule.hpp>
#include <gossamer/rule/detail/coded_average.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Periodic averaging, also known as local SGD:
///
///     every tau steps  x_m <- (1/M) sum over k of x_k, for all m
///
/// The mean is taken before the next step, with all messages that belong to it; training stands
/// still meanwhile. Momentum buffers stay local.
///
/// Invariant  sum of x; in code, with what the mean's code has left out, see `CodedAverage`.
/// Cost       2 (M - 1) vectors per tau steps over the group, through one node or, in `parts`,
///            evenly; every node waits for the slowest.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when tau or parts is 0, and when a peer turns out to use another number
///            of parts.
/// Source     "PerSyn" in Blot et al., arXiv:1804.01852. Compare at p = 1 / tau.
class PerSyn : public AveragingRule<detail::CodedAverage> {
 public:
  explicit PerSyn(std::uint64_t tau) : tau_(tau) {
    if (tau == 0) throw ConfigError("PerSyn: tau must be at least 1, got 0");
  }

  /// Into how many pieces the parameters are cut, each reduced by another node; >= 1, on all nodes
  /// the same. 1 is right within one process, the number of nodes on a network: see `AllReduce`.
  PerSyn& chunks(std::uint32_t parts) {
    average_.cut(parts, "PerSyn");
    return *this;
  }
  /// Models and means are sent as codes of differences to the last mean, with error feedback both
  /// ways; the first one is in full. In one chunk; all nodes need the same.
  PerSyn& codec(codec::AnyCodec codec) {
    average_.set_codec(std::move(codec), "PerSyn");
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "persyn"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(tau ", tau_, ", chunks ", average_.chunks(), average_.agreement(),
                    ")");
  }

  bool may_step(RuleContext& context) override {
    const bool due = context.step() % tau_ == 0 && context.step() / tau_ > averaged_;
    if (due && !average_.waiting()) {
      average_.contribute(context, context.step() / tau_, context.snapshot());
      take(context);
    }
    return !average_.waiting();
  }
  void checkpoint(Archive& archive) override {
    archive("averaged", averaged_);
    average_.checkpoint(archive);
  }

 private:
  /// Puts the mean in place as soon as it is there.
  void take(RuleContext& context) override {
    if (average_.waiting() || average_.round() <= averaged_) return;
    context.model().flat().copy_from(average_.result());
    average_.end(context);
    context.model().on_merged();
    averaged_ = average_.round();
  }

  std::uint64_t tau_;
  std::uint64_t averaged_ = 0;  // the last round whose mean is in place
};

}  // namespace gossamer::rule
