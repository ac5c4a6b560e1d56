// SPDX-License-Identifier: MIT
/// Elastic Gossip: two nodes pull at each other, and their sum stays what it was.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/elastic_exchange.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/topology/uniform.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Elastic Gossip: before a step, perhaps, ask a peer for a symmetric pull of strength alpha.
///
///     x_i <- x_i - eta g(x_i) - alpha (x_i - x_k)
///     x_k <- x_k              + alpha (x_i - x_k)
///
/// x_i is what i had before its step; it travels while the step is computed, and i's side is
/// applied after that step, or a later one if the answer comes late. alpha = 1/2 averages the pair.
///
/// Two who ask each other at once meet once: the request of the lower number counts. A node that
/// waits for an answer trains on, asks nobody else, and answers one request, with min(alpha, 1 -
/// alpha), and refuses others. Else it would be moved several times for one difference and could
/// overshoot; so what pulls make of x is a mean of what nodes had, at any rate of exchange.
///
/// Invariant  sum of x over nodes and answers under way (each counts as -d), up to rounding: also
///            when a node trains on, is lost or leaves between the two messages; see
///            `ElasticExchange` for who then has what. A leaver takes its x with it.
/// Cost       two messages per exchange, each with a vector: one copy of x, one pass over it at
///            either end.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when alpha is not inside (0, 1) or the probability not in [0, 1]; nothing
///            after construction.
/// Source     Pramod, "Elastic gossip: distributing neural network training using gossip-like
///            protocols", arXiv:1812.02407, and the author's code. alpha = 0.5 and probabilities
///            from 1/512 to 1/8 are used there.
/// Differs    the paper's groups are synchronous, and both sides of a pull are applied after a
///            step; here k applies its own at once, between two of its steps. There a node that is
///            chosen by several meets all of them with one x, which overshoots when alpha times
///            their number exceeds 1; here it meets them in turn, or refuses.
class ElasticGossip : public Rule {
  using Exchange = ElasticExchange;

 public:
  explicit ElasticGossip(double probability = 0.03125, double alpha = 0.5)
      : ElasticGossip(schedule::Bernoulli(probability), topology::Uniform{}, alpha) {}
  explicit ElasticGossip(schedule::Any when, topology::Any whom = topology::Uniform{},
                         double alpha = 0.5)
      : when_(std::move(when)), whom_(std::move(whom)), alpha_(alpha) {
    if (!(alpha > 0 && alpha < 1)) {
      throw ConfigError(c10::str("ElasticGossip: alpha must lie in (0, 1), got ", alpha));
    }
  }

  /// Messages are codes of differences, see `ElasticExchange`. All nodes need the same.
  ElasticGossip& codec(codec::AnyCodec codec) {
    exchange_ = Exchange(std::move(codec));
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "elastic_gossip"; }
  [[nodiscard]] std::string agreement() const override { return name() + exchange_.agreement(); }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return exchange_.message_bytes(model);
  }
  [[nodiscard]] double alpha() const noexcept { return alpha_; }

  bool may_step(RuleContext& context) override {
    if (once_(context) && when_(context) && !exchange_.waiting() && context.may_send()) {
      if (const auto peer = whom_(context)) exchange_.ask(context, *peer);
      has_met_ = false;
    }
    return true;
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      if (message.kind != Exchange::request) {
        exchange_.on_reply(context, message);
      } else if (const double alpha =
                     exchange_.has_model(message) ? strength_for(context, message.from) : 0;
                 alpha > 0) {
        exchange_.reply(context, {&message, 1}, alpha);
      } else {
        exchange_.refuse(context, message);
      }
    }
  }

  void on_returned(RuleContext& context, const Message& message) override {
    exchange_.on_returned(context, message);
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override { exchange_.on_peer_left(gone); }
  void checkpoint(Archive& archive) override { once_.checkpoint(archive); }

 private:
  /// How strongly this node and one that asks may pull at each other; 0: not now.
  double strength_for(RuleContext& context, PeerId asker) {
    // If both ask, the lower one's counts; one without weight has no model yet, or goes.
    if ((exchange_.asked() == asker && context.self() < asker) || context.weight() == 0) return 0;
    if (!exchange_.waiting()) return alpha_;
    return std::exchange(has_met_, true) ? 0 : std::min(alpha_, 1 - alpha_);
  }

  schedule::Any when_;
  topology::Any whom_;
  double alpha_;
  OncePerStep once_;
  bool has_met_ = false;  // answered somebody since it asked
  Exchange exchange_;
};

}  // namespace gossamer::rule
