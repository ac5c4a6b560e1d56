// SPDX-License-Identifier: MIT
/// The local step of push-sum: the model has the de-biased parameters, the gradient belongs to the
/// numerator.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/context.hpp>

#include <cmath>
#include <cstdint>

namespace gossamer::rule {

/// With numerator s = w z and weight w, whose mean over the nodes is 1, a step s <- s - e is
/// z <- z - e / w. So after the user's step z -> z', the model gets z + (z' - z) / w. No copy is
/// kept, and nothing done, while w is 1. Averaged buffers are not divided.
///
/// A node's weight in Gossamer is w / M, so that the total is 1. M counts those who were there at
/// the node's first hook and those who have come since, without those who left in order (they
/// handed their weight over; who is lost takes his along).
class DebiasedStep {
 public:
  /// At the beginning of every hook; does something in the first one.
  void start(const RuleContext& context) {
    if (members_ == 0) members_ = context.peers().size() + 1;
  }
  /// `context.peers()` knows of the change already.
  void on_peer_joined(const RuleContext& context) {
    members_ > 0 ? void(++members_) : start(context);
  }
  void on_peer_left(const RuleContext& context, const PeerLeft& gone) {
    if (members_ == 0) members_ = context.peers().size() + 2;
    if (gone.reason == Reason::left && members_ > 1) --members_;
  }

  /// Before the step, with the weight that belongs to what the model has.
  void begin(RuleContext& context, double weight) {
    const double w = weight * static_cast<double>(members_);
    before_ = {};
    if (!(w > 0) || std::abs(w - 1) < 1e-9) return;
    w_ = w;
    before_ = context.snapshot();
  }

  /// After it.
  void end(RuleContext& context) {
    if (!before_) return;
    const model::FlatModel& model = context.model();
    model.copy_buffers(before_.writable(), model.flat());
    model::mix(model.flat(), *before_, 1 - 1 / w_);
    before_ = {};
  }

  /// There is no step after all.
  void forget() { before_ = {}; }

  /// M, the number by which a weight is multiplied.
  [[nodiscard]] std::uint64_t members() const noexcept { return members_; }

  template <class Archive>
  void checkpoint(Archive& archive) {
    archive("members", members_);
  }

 private:
  std::uint64_t members_ = 0;
  double w_ = 1;
  model::Snapshot before_;
};

}  // namespace gossamer::rule
