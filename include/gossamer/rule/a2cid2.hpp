// SPDX-License-Identifier: MIT
/// A2CiD2: pairs average, and a continuous momentum makes gossip on a poor graph faster.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/detail/continuous_momentum.hpp>
#include <gossamer/rule/elastic_exchange.hpp>
#include <gossamer/rule/neighbourhoods.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/rule/sub_rule_context.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/spectrum.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// The two numbers of A2CiD2 that depend on the graph.
struct A2Cid2Constants {
  double eta = 0;            ///< of the flow between x and x~, per unit of time
  double alpha_tilde = 0.5;  ///< strength of x~'s side of an exchange; x's is 1/2

  /// eta = 1 / (2 sqrt(chi1 chi2)), alpha~ = sqrt(chi1 / chi2) / 2; those of plain averaging for a
  /// graph that is not in one piece.
  static A2Cid2Constants of(const topology::Resistance& graph) {
    if (!std::isfinite(graph.chi1)) return {};
    return {1 / (2 * std::sqrt(graph.chi1 * graph.chi2)), std::sqrt(graph.chi1 / graph.chi2) / 2};
  }
  /// Where a node takes part in one exchange per unit of time; of a graph that changes, those of
  /// its turns together. Throws ConfigError if the graph has a direction. Cost  O(members^3).
  static A2Cid2Constants of(const topology::Graph& graph, topology::Place members) {
    if (members < 2) return {};
    at::Tensor all = topology::adjacency(graph, members);
    const std::uint64_t turns = std::min<std::uint64_t>(graph.period(members), 64);
    for (std::uint64_t turn = 1; turn < turns; ++turn) {
      all.add_(topology::adjacency(graph, members, turn));
    }
    return of(topology::resistance(all));
  }
};

/// Each node has a second vector x~, at first x. Between its events, during a time D, both flow
/// towards each other; then the event, on what that has made of them:
///
///     flow      t = (1 - exp(-2 eta D)) / 2,  (x, x~) <- ((1 - t) x + t x~, (1 - t) x~ + t x)
///     step      x <- x + e,  x~ <- x~ + e     with e what the node's step did, momentum and all
///     exchange  m = x_i - x_j,  x_i <- x_i - m / 2,  x~_i <- x~_i - alpha~ m,  and j the opposite
///
/// An exchange is an `ElasticExchange` with a neighbour, drawn at random, after a step: m is made
/// of the mixed x that i sent and the mixed x of j, and both sides add the very same numbers,
/// alpha~ being the answerer's.
///
/// The unit of time is one step of the node: its own count (`Clock::steps`), or the transport's
/// clock by a sliding mean of its steps' durations (`Clock::time`). eta is that of the graph, times
/// the exchanges per step in which this node takes part: those so far, unless `rate` is set.
///
/// Invariant  an exchange keeps sum of x and sum of x~, answers under way counted as -d and
///            -2 alpha~ d with d = m / 2; the flow keeps x + x~ of each node. So the sum of x + x~
///            is where the group began plus all steps, at any time; it fails as that of `AdPsgd`.
/// Cost       as `AdPsgd`; a vector of memory and two while a step or a message is handled.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability is outside [0, 1], for a rate that is negative, and
///            for a graph with a direction, when it is made or in a hook.
/// Source     Nabli, Belilovsky, Oyallon, "A2CiD2: Accelerating asynchronous communication in
///            decentralized deep learning", NeurIPS 2023, arXiv:2306.08289, and the authors' code,
///            read for the order of events; the paper's tables were not at hand.
/// Differs    there a coordinator pairs nodes that wait for each other, and x is sent before it is
///            mixed, so that the two m's are not opposite. Here nobody waits: who waits for an
///            answer answers one request, and refuses the next. The gradient is that at the mixed
///            x. For graphs of very many nodes give `constants`.
class A2Cid2 : public Rule {
 public:
  enum class Clock { steps, time };

  explicit A2Cid2(double probability = 1,
                  Neighbourhoods graph = topology::Ring(topology::Ring::Way::both))
      : A2Cid2(schedule::Bernoulli(probability), std::move(graph)) {}
  explicit A2Cid2(schedule::Any when,
                  Neighbourhoods graph = topology::Ring(topology::Ring::Way::both))
      : when_(std::move(when)), graph_(std::move(graph)) {
    graph_.require_two_way("A2Cid2");
  }

  A2Cid2& clock(Clock clock) {
    momentum_.by_clock = clock == Clock::time;
    return *this;
  }
  /// In how many exchanges per step a node takes part.
  A2Cid2& rate(double rate) {
    if (!(rate >= 0)) throw ConfigError(c10::str("A2Cid2: rate must be at least 0, got ", rate));
    momentum_.rate = rate;
    return *this;
  }
  /// In place of those of the graph.
  A2Cid2& constants(const A2Cid2Constants& constants) {
    constants_ = constants;
    is_given_ = true;
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "a2cid2"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(", graph_.agreement(), ")");
  }
  /// x~, for those who look on; x itself before the node has a model.
  [[nodiscard]] const model::Flat& momentum(RuleContext& context) {
    return momentum_.vector(context);
  }
  /// By how many times the payload of an answer the x~ of its receiver goes down: 2 alpha~.
  [[nodiscard]] static double strength(const Message& answer) {
    const auto factor = std::bit_cast<float>(static_cast<std::uint32_t>(answer.round >> 32U));
    return std::isfinite(factor) ? factor : 0;
  }

  void before_step(RuleContext& context) override {
    if (!momentum_.start(context)) return;
    flow(context);
    momentum_.begin_step(context);
  }
  void after_step(RuleContext& context) override {
    if (!momentum_.start(context)) return;
    momentum_.end_step(context);
    if (!when_(context) || exchange_.waiting() || !context.may_send()) return;
    const auto& near = graph_.around(context, context.step()).to;
    if (near.empty()) return;
    flow(context);
    const auto count = static_cast<std::uint32_t>(near.size());
    exchange_.ask(context, near[context.generator().below(count)]);
    has_met_ = false;
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      const bool has_model = momentum_.start(context);
      if (message.kind == ElasticExchange::request) {
        if (has_model && message.payload && is_free_for(context, message.from)) {
          answer(context, message);
        } else {
          exchange_.refuse(context, message);
        }
      } else if (message.kind == ElasticExchange::answer && message.payload && momentum_.exists()) {
        flow(context);
        exchange_.on_reply(context, message);
        momentum_.add(context, *message.payload, -strength(message));
        momentum_.count_exchange();
      } else {
        exchange_.on_reply(context, message);
      }
    }
  }
  void on_returned(RuleContext& context, const Message& message) override {
    const bool is_undone = message.kind == ElasticExchange::answer && message.payload;
    if (is_undone) flow(context);
    exchange_.on_returned(context, message);
    if (is_undone) momentum_.add(context, *message.payload, -strength(message));
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override { exchange_.on_peer_left(gone); }
  void on_replaced(RuleContext& context) override { momentum_.reset(context); }
  void checkpoint(Archive& archive) override { momentum_.checkpoint(archive); }

 private:
  /// Passes an answer on, writes alpha~ into it, and keeps it.
  class Answering final : public ForwardingContext {
   public:
    Answering(RuleContext& outer, double strength)
        : ForwardingContext(outer),
          bits_(std::bit_cast<std::uint32_t>(static_cast<float>(strength))) {}
    void send(Message message) override {
      message.round = (message.round & 0xffffffffU) | std::uint64_t{bits_} << 32U;
      sent = message;
      ForwardingContext::send(std::move(message));
    }
    Message sent;

   private:
    std::uint32_t bits_;
  };

  void flow(RuleContext& context) { momentum_.flow(context, constants_for(context).eta); }

  /// If both ask, the lower one's counts.
  bool is_free_for(const RuleContext& context, PeerId asker) {
    if (exchange_.asked() == asker && context.self() < asker) return false;
    return !exchange_.waiting() || !std::exchange(has_met_, true);
  }
  void answer(RuleContext& context, const Message& request) {
    flow(context);
    Answering answering(context, 2 * constants_for(context).alpha_tilde);
    exchange_.reply(answering, {&request, 1}, 0.5);
    momentum_.add(context, *answering.sent.payload, strength(answering.sent));
    momentum_.count_exchange();
  }

  const A2Cid2Constants& constants_for(const RuleContext& context) {
    const auto members = static_cast<topology::Place>(context.peers().size() + 1);
    if (!is_given_ && std::exchange(members_, members) != members) {
      constants_ = A2Cid2Constants::of(graph_.graph(), members);
    }
    return constants_;
  }

  schedule::Any when_;
  Neighbourhoods graph_;
  A2Cid2Constants constants_;
  bool is_given_ = false;
  topology::Place members_ = 0;  // of the constants
  ElasticExchange exchange_;
  bool has_met_ = false;  // answered somebody since it asked
  detail::ContinuousMomentum momentum_;
};

}  // namespace gossamer::rule
