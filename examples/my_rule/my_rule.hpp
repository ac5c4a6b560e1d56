// SPDX-License-Identifier: MIT
/// A rule of one's own, as a tutorial: a node listens the more to a peer the better that one does.
#pragma once

#include <gossamer/gossamer.hpp>

#include <span>
#include <string>

/// After a step, with some probability, a node i pushes its parameters to a random peer j, who goes
/// towards them by its own part of both nodes' losses l, which are not negative:
///
///     x_j <- x_j + l_j / (l_i + l_j) (x_i - x_j)
///
/// Invariant  equal nodes stay equal, and x stays within what nodes had; the sum is not conserved.
/// Cost       one vector per push; one pass over x at the receiver. Nobody waits.
class Listen : public gossamer::rule::Rule {  // hooks that are not written here do nothing
 public:
  using RuleContext = gossamer::rule::RuleContext;
  using Message = gossamer::rule::Message;

  explicit Listen(double probability) : when_(probability) {}

  std::string name() const override { return "listen"; }

  void after_step(RuleContext& context) override {
    if (!when_(context) || !context.may_send()) return;
    if (const auto peer = whom_(context))
      context.send({.to = *peer, .payload = context.snapshot()});
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    gossamer::rule::MergeAccumulator mix(context);
    for (const Message& message : messages) {
      if (gossamer::rule::inherit(context, message)) continue;
      const double own = loss(context, context.self());
      const double other = loss(context, message.from);
      if (own > 0) mix.add(*message.payload, own / (own + other));
    }
    mix.done();
  }

  // The weight is each node's share of the group, which a leaver hands over. What this rule sends
  // has none, so nothing is lost if it comes back.
  void on_leave(RuleContext& context) override { gossamer::rule::bequeath(context, 0); }
  void on_returned(RuleContext& context, const Message& m) override {
    gossamer::rule::inherit(context, m);
  }

 private:
  /// A node's mean training loss, as far as it is known here.
  static double loss(const RuleContext& context, gossamer::PeerId peer) {
    const auto status = context.counters(peer);
    return status.steps > 0 ? status.loss_sum / static_cast<double>(status.steps) : 1;
  }

  gossamer::schedule::Bernoulli when_;
  gossamer::topology::Uniform whom_;
};
