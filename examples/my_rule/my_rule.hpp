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
    const auto loss = [&](gossamer::PeerId node) { return context.counters(node).mean_loss(1); };
    gossamer::rule::MergeAccumulator merge(context);
    for (const Message& message : messages) {
      const double own = loss(context.self());
      if (own > 0 && message.payload) merge.add(*message.payload, own / (own + loss(message.from)));
    }
    merge.done();
  }

 private:
  gossamer::schedule::Bernoulli when_;
  gossamer::topology::Uniform whom_;
};
