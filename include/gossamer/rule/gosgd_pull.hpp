// SPDX-License-Identifier: MIT
/// GoSGD's pull form: ask a peer for half of its weight.
#pragma once

#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/one_request.hpp>

#include <utility>

namespace gossamer::rule {

/// GoSGD by pulling: the initiator reads the other's model instead of pushing its own.
///
///     initiator i  asks j
///     j            a_j <- a_j / 2,  answer = (x_j, a_j)
///     i            x_i <- (a_i x_i + a_j x_j) / (a_i + a_j),  a_i <- a_i + a_j
///
/// The same mixing matrix as a push from j to i, hence the same invariant and, with uniform peers,
/// the same law for p -> 0.
///
/// Invariant  sum of a, and sum of a x, over nodes and messages in flight.
/// Cost       two messages per exchange, one of them empty; the rest as GoSGD.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability is outside [0, 1]; nothing after construction.
/// Source     Picard et al., GoSGD slides, 18 March 2017 (pull form).
/// Differs    the slides read x_j in shared memory, at once; here j answers between two of its
///            steps. One request in flight per initiator: while it waits for an answer it trains on
///            and asks nobody else.
class GoSgdPull : public Rule {
 public:
  explicit GoSgdPull(double probability = 0.02) : GoSgdPull(schedule::Bernoulli(probability)) {}
  explicit GoSgdPull(schedule::Any when, topology::Any whom = topology::Uniform{})
      : when_(std::move(when)), whom_(std::move(whom)) {}

  [[nodiscard]] std::string name() const override { return "gosgd_pull"; }
  [[nodiscard]] bool merges_by_weighted_average() const override { return true; }

  void after_step(RuleContext& context) override {
    if (!when_(context) || request_.open()) return;
    const auto peer = whom_(context);
    if (peer) request_.ask(context, {.to = *peer, .kind = request, .payload = {}});
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    merge(context, messages);  // requests have no weight
    model::Snapshot copy;      // one for all: an answer does not change the parameters
    for (const Message& message : messages) {
      if (message.kind == request) {
        if (!copy) copy = context.snapshot();
        context.weight() /= 2;
        context.send({.to = message.from,
                      .kind = answer,
                      .round = message.round,
                      .weight = context.weight(),
                      .payload = copy});
      } else {
        request_.end(message.from, message.round);
      }
    }
  }

  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == request) {
      request_.end(message.to, message.round);
    } else {
      merge(context, {&message, 1});
    }
  }

  void on_peer_left(RuleContext&, const PeerLeft& gone) override { request_.on_peer_left(gone); }

 private:
  enum Kind : std::uint32_t { answer = 0, request = 1 };

  schedule::Any when_;
  topology::Any whom_;
  OneRequest request_;
};

}  // namespace gossamer::rule
