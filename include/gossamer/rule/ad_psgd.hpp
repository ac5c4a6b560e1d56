// SPDX-License-Identifier: MIT
/// AD-PSGD: two nodes average their models while both keep training.
#pragma once

#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/one_request.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/topology/uniform.hpp>

#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Asynchronous decentralized parallel SGD: pairs average, nobody else waits.
///
///     active i   sends x_i, and trains on
///     passive j  d = (x_j - x_i) / 2,  x_j <- x_j - d,  answers d
///     active i   x_i <- x_i + d, to whatever x_i is by then
///
/// An answer that comes back is added again where it was taken away, so the exchange has not been.
///
/// Invariant  sum of x, where an answer under way counts as d. It fails by d, and only then, when a
///            node is lost after it was given the answer and before it took it in, or after it gave
///            one that is lost with it: then what it took along is not what it had.
/// Cost       two vectors per exchange; one copy, two passes at j and one at i. Nobody waits.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability is outside [0, 1]; nothing after construction.
/// Source     Lian, Zhang, Zhang, Liu, "Asynchronous decentralized parallel stochastic gradient
///            descent", ICML 2018, arXiv:1710.06952, Algorithm 1.
/// Differs    the paper averages at one moment, also while a gradient is computed; here a node
///            averages between its steps. One request in flight per node. A node that is asked
///            while it waits for an answer averages twice from one x_i, and may overshoot; where
///            that matters, take a topology in which some only ask and the others are only asked,
///            as the paper's bipartite graph (there it prevents deadlock, which cannot happen
///            here).
class AdPsgd : public Neutral {
 public:
  /// The paper's form: as often as possible.
  explicit AdPsgd(double probability = 1) : AdPsgd(schedule::Bernoulli(probability)) {}
  explicit AdPsgd(schedule::Any when, topology::Any whom = topology::Uniform{})
      : when_(std::move(when)), whom_(std::move(whom)) {}

  [[nodiscard]] std::string name() const { return "ad_psgd"; }

  void after_step(Scope& scope) {
    if (!when_(scope) || request_.open() || !scope.has_room()) return;
    const auto peer = whom_(scope);
    if (peer) {
      request_.ask(scope, {.to = *peer, .kind = request, .payload = scope.snapshot()});
    }
  }

  void on_messages(Scope& scope, std::span<const Message> messages) {
    const model::Flat& x = scope.model().flat();
    for (const Message& message : messages) {
      if (inherit(scope, message)) continue;
      if (message.kind == request) {
        model::Snapshot half = scope.blank();
        model::difference(half.writable(), x, *message.payload, 0.5);
        model::add(x, *half, -1);
        scope.send({.to = message.from, .kind = answer, .payload = std::move(half)});
      } else {
        model::add(x, *message.payload);
        request_.end(message.from);
      }
      scope.model().met();
    }
  }

  void on_returned(Scope& scope, const Message& message) {
    if (inherit(scope, message)) return;
    if (message.kind == request) {
      request_.end(message.to);
    } else {
      model::add(scope.model().flat(), *message.payload);
    }
  }
  void on_peer_left(Scope&, const PeerLeft& gone) { request_.on_peer_left(gone); }
  void on_leave(Scope& scope) { bequeath(scope, answer); }

  /// How kinds of messages are called: what a test or a record wants to know.
  enum Kind : std::uint32_t { answer = 0, request = 1 };

 private:
  schedule::Any when_;
  topology::Any whom_;
  OneRequest request_;
};

}  // namespace gossamer::rule
