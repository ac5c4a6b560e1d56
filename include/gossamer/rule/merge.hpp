// SPDX-License-Identifier: MIT
/// The weighted average by which sum-weight rules merge.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/context.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace gossamer::rule {

/// Mixes vectors into a node's parameters, one after the other, in one pass over memory for up to
/// 16 of them.
class MergeAccumulator {
 public:
  explicit MergeAccumulator(RuleContext& context) : context_(context) {}

  /// x <- x + t (other - x), at `done()` at the latest; until then `other` must live.
  void add(const model::Flat& other, double t) {
    shares_[used_++] = {&other, t};
    met_ = true;
    if (used_ == shares_.size()) flush();
  }
  /// Call it after the last one: the model learns that it has met others.
  void done() {
    flush();
    if (std::exchange(met_, false)) context_.model().on_merged();
  }

 private:
  void flush() {
    if (used_ > 0) model::mix(context_.model().flat(), std::span(shares_).first(used_));
    used_ = 0;
  }

  RuleContext& context_;
  std::array<model::Share, 16> shares_;
  std::size_t used_ = 0;
  bool met_ = false;
};

/// For each message (x', a') in turn: x <- (a x + a' x') / (a + a'), a <- a + a'. Messages without
/// weight change nothing; of one without parameters the weight is kept. A model that has a merge of
/// its own (`model::Tensors::merge`) is asked to take x' in instead.
inline void merge(RuleContext& context, std::span<const Message> messages) {
  MergeAccumulator mix(context);
  bool met = false;
  for (const Message& message : messages) {
    if (!(message.weight > 0)) continue;
    const double own = context.weight();
    context.weight() += message.weight;
    if (!message.payload) continue;
    if (context.model().has_merge()) {
      context.model().merge(own, *message.payload, message.weight);
      met = true;
    } else {
      mix.add(*message.payload, message.weight / context.weight());
    }
  }
  mix.done();
  if (met) context.model().on_merged();
}

/// A message that carries the given part of this node's weight, and its parameters.
inline Message split(RuleContext& context, PeerId to, double part, std::uint32_t kind = 0) {
  const double moved = context.weight() * part;
  context.weight() -= moved;
  return {.to = to, .kind = kind, .weight = moved, .payload = context.snapshot()};
}

/// Takes in the weight of messages whose parameters are somebody else's business.
inline void take_weights(RuleContext& context, std::span<const Message> messages) {
  for (const Message& message : messages) context.weight() += message.weight;
}

}  // namespace gossamer::rule
