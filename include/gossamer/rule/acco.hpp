// SPDX-License-Identifier: MIT
/// ACCO: gradients are summed while the next ones are computed, and the delay is made good.
#pragma once

#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/averaging_rule.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <string>

namespace gossamer::rule {

/// Accumulate while communicating. Rounds of a gradient each, two of which make an update:
///
///     odd    h = mean of g_m(x~), while the mean of the round before is under way; it comes:
///            x <- Opt(x, (h_before + that) / 2)
///     even   g = mean of g_m(x), while h is under way; h comes:  x~ <- Opt(x, h)
///
/// Opt is the user's `apply()`. x~ only stands in for the next x, to compute gradients at while the
/// sum is under way: before the update its step is taken back, x by this rule, and what the
/// optimizer knows (momentum, counts) by the node's `on_restart()`, which must put it back to what
/// it was before the last `apply()` (`optim::KeptState`; plain SGD has nothing to put back). Round
/// 1 has no mean to apply yet: its step is taken back at once.
///
/// Invariant  all x are equal, bit for bit, and all x~, as under `Sync`, if all apply alike.
/// Cost       the messages of `Sync`, of which a node waits for those of the round before; two
///            vectors, and the gradients while their mean is under way.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when parts is 0, and when a peer turns out to use another number.
/// Needs      `GradientNode`, whose optimizer can be put back as above.
/// Source     Nabli, Fournier, Erbacher, Serrano, Belilovsky, Oyallon, "ACCO: Accumulate while you
///            communicate for communication-overlapped sharded LLM training", NeurIPS 2025,
///            arXiv:2406.02613, as the authors' code has it; of the paper only the abstract was
///            read.
/// Differs    there the optimizer is sharded, and faster workers put more batches into a round;
///            here a node has one a round, and the mean goes over nodes. A node takes messages in
///            between steps only, so the second of an all-reduce's two hops is waited for. A
///            newcomer begins with the parameters that it is given, which may be an x~, and stays
///            off by that step. After an even number of steps a run ends with x~.
class Acco : public AveragingRule<AllReduce> {
 public:
  /// As `Sync::chunks`.
  Acco& chunks(std::uint32_t parts) {
    average_ = AllReduce(parts, "Acco");
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "acco"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(chunks ", average_.chunks(), ")");
  }
  [[nodiscard]] bool needs_gradient_hook() const override { return true; }

  void after_gradient(RuleContext& context) override {
    own_ = context.blank();
    context.model().copy_gradients_to(own_.writable());
  }
  bool may_apply(RuleContext&) override { return !average_.waiting(); }
  void before_apply(RuleContext& context) override {
    const std::uint64_t round = context.step() + 1;
    const bool updates = round % 2 == 1;
    const model::FlatModel& model = context.model();
    is_idle_ = halves_ != (updates ? 2 : 1);
    if (updates && !is_idle_) {
      take_back(context);
      for (const at::Tensor& segment : sum_.get(context).segments()) segment.mul_(0.5);
    } else {
      x_.get(context).copy_from(model.flat());
    }
    if (!is_idle_) model.set_gradients(sum_.get(context));
    if (updates) halves_ = 0;
    average_.contribute(context, round, own_);
    own_ = {};
    take(context);
  }
  void after_step(RuleContext& context) override {
    if (is_idle_) take_back(context);
  }
  void checkpoint(Archive& archive) override {
    x_.checkpoint(archive, "x");
    sum_.checkpoint(archive, "sum");
    archive("halves", halves_);
  }

 private:
  /// Adds up a mean that has come.
  void take(RuleContext& context) override {
    if (average_.waiting() || average_.round() <= added_) return;
    added_ = average_.round();
    if (added_ % 2 == 1) {
      sum_.get(context).copy_from(average_.result());
      halves_ = 1;
    } else if (halves_ == 1) {
      model::add(sum_.get(context), average_.result());
      halves_ = 2;
    }
  }
  /// Buffers, which no optimizer changes, stay as they are.
  void take_back(RuleContext& context) {
    const model::FlatModel& model = context.model();
    model.copy_buffers(x_.get(context), model.flat());
    model.flat().copy_from(x_.get(context));
    context.restarted();
  }

  model::Snapshot own_;       // this round's gradients, until the mean of those before has come
  KeptFlat x_;                // what x~ stands in for
  KeptFlat sum_;              // of the means that have come since the last update
  std::uint64_t halves_ = 0;  // how many
  std::uint64_t added_ = 0;   // the last round whose mean has come
  bool is_idle_ = false;      // there is nothing to apply in this round
};

}  // namespace gossamer::rule
