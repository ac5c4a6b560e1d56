// SPDX-License-Identifier: MIT
/// Gossiping SGD: average with a random peer's model, which need not average with yours.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/one_request.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/topology/uniform.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Gossiping SGD, pull:
///
///     i   asks j,  x_i <- (1 - beta) x_i + beta x_j
///
/// Invariant  none. The mean of the nodes is conserved in expectation (uniform peers), not surely:
///            it moves by beta (x_j - x_i) / M.
/// Cost       two messages per exchange, one of them empty; one copy, one pass.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability or beta is outside [0, 1].
/// Source     Jin, Yuan, Iandola, Keutzer, "How to scale distributed deep learning?", 2016,
///            arXiv:1611.04581. Written from memory of the paper: fidelity to it is not claimed.
/// Differs    x_j arrives between two steps of i, not at once; one request in flight per node.
class GossipingPull : public Rule {
 public:
  explicit GossipingPull(double probability = 1, double beta = 0.5)
      : GossipingPull(schedule::Bernoulli(probability), topology::Uniform{}, beta) {}
  explicit GossipingPull(schedule::Any when, topology::Any whom = topology::Uniform{},
                         double beta = 0.5)
      : when_(std::move(when)), whom_(std::move(whom)), beta_(beta) {
    if (!(beta >= 0 && beta <= 1)) {
      throw ConfigError(c10::str("GossipingPull: beta must lie in [0, 1], got ", beta));
    }
  }

  [[nodiscard]] std::string name() const override { return "gossiping_pull"; }

  void after_step(RuleContext& context) override {
    if (!when_(context) || request_.open()) return;
    const auto peer = whom_(context);
    if (peer) request_.ask(context, {.to = *peer, .kind = request, .payload = {}});
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    MergeAccumulator mix(context);
    for (const Message& message : messages) {
      if (message.kind != answer) continue;
      if (message.payload) mix.add(*message.payload, beta_);
      request_.end(message.from, message.round);
    }
    mix.done();
    model::Snapshot copy;  // one for all who ask
    for (const Message& message : messages) {
      if (message.kind != request) continue;
      if (!copy) copy = context.snapshot();
      context.send({.to = message.from, .kind = answer, .round = message.round, .payload = copy});
    }
  }
  void on_returned(RuleContext&, const Message& message) override {
    if (message.kind == request) request_.end(message.to, message.round);
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override { request_.on_peer_left(gone); }

 private:
  enum Kind : std::uint32_t { answer = 0, request = 1 };

  schedule::Any when_;
  topology::Any whom_;
  double beta_;
  OneRequest request_;
};

/// Gossiping SGD, push:
///
///     i   sends x_i to j
///     j   x_j <- (x_j + sum over r in R of x_r) / (1 + |R|),  before its next step,
///
/// where R is what has come since j's last step.
///
/// Invariant  none: who receives moves, who sends does not.
/// Cost       one vector per exchange; one copy, one pass.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability is outside [0, 1]; nothing after construction.
/// Source     as the pull form, and as that one from memory.
/// Differs    no push while `NodeOptions::max_in_flight` earlier ones have not arrived.
class GossipingPush : public Rule {
 public:
  explicit GossipingPush(double probability = 1)
      : GossipingPush(schedule::Bernoulli(probability)) {}
  explicit GossipingPush(schedule::Any when, topology::Any whom = topology::Uniform{})
      : when_(std::move(when)), whom_(std::move(whom)) {}

  [[nodiscard]] std::string name() const override { return "gossiping_push"; }

  void before_step(RuleContext&) override { received_ = 0; }
  void after_step(RuleContext& context) override {
    if (!when_(context) || !context.may_send()) return;
    const auto peer = whom_(context);
    if (peer) context.send({.to = *peer, .payload = context.snapshot()});
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    MergeAccumulator mix(context);
    for (const Message& message : messages) {
      if (!message.payload) continue;
      ++received_;
      mix.add(*message.payload,
              1 / (static_cast<double>(received_) + 1));  // the mean of all so far
    }
    mix.done();
  }

 private:
  schedule::Any when_;
  topology::Any whom_;
  std::uint64_t received_ = 0;  // since the last step
};

}  // namespace gossamer::rule
