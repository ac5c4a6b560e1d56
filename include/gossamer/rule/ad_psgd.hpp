// SPDX-License-Identifier: MIT
/// AD-PSGD: two nodes average their models while both keep training.
#pragma once

#include <gossamer/rule/elastic_exchange.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/topology/uniform.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Asynchronous decentralized parallel SGD: pairs average, nobody else waits. An `ElasticExchange`
/// of strength 1/2, after a step:
///
///     active i   sends x_i, and trains on
///     passive j  d = (x_i - x_j) / 2,  x_j <- x_j + d,  answers d
///     active i   x_i <- x_i - d, to whatever x_i is by then
///
/// An answer that comes back is taken away again where it was added, so the exchange has not been.
///
/// Invariant  sum of x, where an answer under way counts as -d. It fails by d, and only then, when
///            a node is lost after it was given the answer and before it took it in, or after it
///            gave one that is lost with it: then what it took along is not what it had.
/// Cost       two vectors per exchange; one copy, one pass at j and one at i. Nobody waits.
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
class AdPsgd : public Rule {
 public:
  /// The paper's form: as often as possible.
  explicit AdPsgd(double probability = 1) : AdPsgd(schedule::Bernoulli(probability)) {}
  explicit AdPsgd(schedule::Any when, topology::Any whom = topology::Uniform{})
      : when_(std::move(when)), whom_(std::move(whom)) {}

  /// Messages are codes of differences, see `ElasticExchange`. All nodes need the same.
  AdPsgd& codec(codec::AnyCodec codec) {
    exchange_ = ElasticExchange(std::move(codec));
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "ad_psgd"; }
  [[nodiscard]] std::string agreement() const override { return name() + exchange_.agreement(); }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return exchange_.message_bytes(model);
  }

  void after_step(RuleContext& context) override {
    if (!when_(context) || exchange_.waiting() || !context.may_send()) return;
    if (const auto peer = whom_(context)) exchange_.ask(context, *peer);
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      if (message.kind != ElasticExchange::request) {
        exchange_.on_reply(context, message);
      } else if (context.weight() > 0 && exchange_.has_model(message)) {
        exchange_.reply(context, {&message, 1}, 0.5);
      } else {  // this node has no model yet, or goes; or it asks with none
        exchange_.refuse(context, message);
      }
    }
  }

  void on_returned(RuleContext& context, const Message& message) override {
    exchange_.on_returned(context, message);
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override { exchange_.on_peer_left(gone); }

 private:
  schedule::Any when_;
  topology::Any whom_;
  ElasticExchange exchange_;
};

}  // namespace gossamer::rule
