// SPDX-License-Identifier: MIT
/// GoSGD, the library's default way to meet: push half of your weight with a snapshot.
#pragma once

#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/topology/uniform.hpp>

#include <utility>

namespace gossamer::rule {

/// GoSGD: push half of the weight with a snapshot; merge by weighted average.
///
///     sender    a <- a / 2,  message = (x, a)
///     receiver  x <- (a x + a' x') / (a + a'),  a <- a + a'
///
/// Everything that has arrived is merged before the local step; the push comes after it. A message
/// that comes back is merged like any other, so its weight and its parameters are at home again.
///
/// Invariant  sum of a, and sum of a x, over nodes and messages in flight.
/// Cost       one copy of x per push, one pass over x per merge, one (d,) tensor per message.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability is outside [0, 1]; nothing after construction.
/// Source     Blot, Picard, Thome, Cord, "Distributed optimization for deep learning with gossip
///            exchange", Neurocomputing 2019, arXiv:1804.01852; Blot, Picard, Cord, Thome, "Gossip
///            training for deep learning", arXiv:1611.09726.
/// Differs    never pushes to itself, so `probability` is the true rate of exchange; any schedule
///            and topology in place of the papers' Bernoulli and uniform ones; no push while
///            `NodeOptions::max_in_flight` earlier ones are not merged.
class GoSgd : public Rule {
 public:
  /// The papers' form. They use probabilities of 0.01 to 0.4.
  explicit GoSgd(double probability = 0.02) : GoSgd(schedule::Bernoulli(probability)) {}
  explicit GoSgd(schedule::Any when, topology::Any whom = topology::Uniform{})
      : when_(std::move(when)), whom_(std::move(whom)) {}

  [[nodiscard]] std::string name() const override { return "gosgd"; }
  [[nodiscard]] bool merges_by_weighted_average() const override { return true; }

  void after_step(RuleContext& context) override {
    if (!when_(context) || !context.may_send()) return;
    if (const auto peer = whom_(context)) push(context, *peer);
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    merge(context, messages);
  }

  void on_returned(RuleContext& context, const Message& message) override {
    merge(context, {&message, 1});
  }

 protected:
  /// A push; `CodedPush` writes it in few bits.
  virtual void push(RuleContext& context, PeerId to) { context.send(split(context, to, 0.5)); }

 private:
  schedule::Any when_;
  topology::Any whom_;
};

}  // namespace gossamer::rule
