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
class GoSgdPull : public Neutral {
 public:
  explicit GoSgdPull(double probability = 0.02) : GoSgdPull(schedule::Bernoulli(probability)) {}
  explicit GoSgdPull(schedule::Any when, topology::Any whom = topology::Uniform{})
      : when_(std::move(when)), whom_(std::move(whom)) {}

  [[nodiscard]] std::string name() const { return "gosgd_pull"; }
  [[nodiscard]] bool uses_merge() const { return true; }

  void after_step(Scope& scope) {
    if (!when_(scope) || request_.open()) return;
    const auto peer = whom_(scope);
    if (peer) request_.ask(scope, {.to = *peer, .kind = request, .payload = {}});
  }

  void on_messages(Scope& scope, std::span<const Message> messages) {
    merge(scope, messages);  // requests have no weight
    model::Snapshot copy;    // one for all: an answer does not change the parameters
    for (const Message& message : messages) {
      if (message.kind == request) {
        if (!copy) copy = scope.snapshot();
        scope.weight() /= 2;
        scope.send({.to = message.from,
                    .kind = answer,
                    .round = message.round,
                    .weight = scope.weight(),
                    .payload = copy});
      } else {
        request_.end(message.from, message.round);
      }
    }
  }

  void on_returned(Scope& scope, const Message& message) {
    if (message.kind == request) {
      request_.end(message.to, message.round);
    } else {
      merge(scope, {&message, 1});
    }
  }

  void on_peer_left(Scope&, const PeerLeft& gone) { request_.on_peer_left(gone); }

  void on_leave(Scope& scope) { bequeath(scope, answer); }

 private:
  enum Kind : std::uint32_t { answer = 0, request = 1 };

  schedule::Any when_;
  topology::Any whom_;
  OneRequest request_;
};

}  // namespace gossamer::rule
