// SPDX-License-Identifier: MIT
/// NoLoCo: local steps, and an outer momentum that random pairs share; nobody waits.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/mix.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/detail/random_pairs.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/one_request.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// What NoLoCo is told; the defaults are those of the authors' runs.
struct NoLoCoOptions {
  /// Local steps from one outer step to the next, >= 1.
  TORCH_ARG(std::uint64_t, tau) = 50;
  /// Momentum of the outer steps, in [0, 1).
  TORCH_ARG(double, alpha) = 0.5;
  /// Outer learning rate, > 0.
  TORCH_ARG(double, beta) = 0.7;
  /// How strongly the slow parameters of a pair pull at each other; 0: beta, as in the authors'
  /// code.
  TORCH_ARG(double, gamma) = 0;
  /// Of the pairs; the same on all nodes.
  TORCH_ARG(std::uint64_t, seed) = 0;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (tau_ == 0) throw ConfigError("NoLoCoOptions: tau must be at least 1, got 0");
    if (!(alpha_ >= 0 && alpha_ < 1)) {
      throw ConfigError(c10::str("NoLoCoOptions: alpha must lie in [0, 1), got ", alpha_));
    }
    if (!(beta_ > 0)) {
      throw ConfigError(c10::str("NoLoCoOptions: beta must be above 0, got ", beta_));
    }
    if (!(pull() > 0 && pull() < 2 * (1 + alpha_))) {  // else pairs run away from each other
      throw ConfigError(
          c10::str("NoLoCoOptions: gamma must lie in (0, 2 (1 + alpha)), got ", pull()));
    }
  }
  [[nodiscard]] double pull() const noexcept { return gamma_ == 0 ? beta_ : gamma_; }
};

/// Each node has slow parameters phi, at first x, and trains x from there. Every tau steps the
/// nodes are paired at random, the same pairs on all nodes without a message; with D = x - phi,
///
///     d    <- alpha d + beta (D_i + D_j) / 2 - gamma (phi_i - phi_j) / 2
///     phi  <- phi + d,   x <- phi
///
/// The lower one of a pair asks: it sends D + (gamma / beta) phi, which is x where gamma = beta;
/// the other makes its outer step with what it has at that moment, and answers with the same of its
/// own. The asker trains on, and makes its step, on what it had sent, when the answer comes: what
/// it has trained since stays in x. One request under way per node; a node that waits refuses
/// others.
///
/// Invariant  an exchange that is completed moves the sum of phi by alpha (sum of d) + beta (sum of
///            D) alone: its pulls are opposite. If the answer is lost or comes back, only the one
///            that was asked has made its step. Equal nodes that do not train stay equal.
/// Cost       one vector each way per pair and tau steps; some passes over x. Two vectors of
/// memory,
///            and one while a request is under way. The optimizer's buffers stay local.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError for options that cannot work; nothing after construction.
/// Source     Kolehmainen et al., "NoLoCo: No-all-reduce low communication training method for
///            large models", 2025, arXiv:2506.10911: the update as in the authors' code, the bound
///            of gamma derived here, for the difference of a pair (e <- (1 + alpha - gamma) e -
///            alpha e_before).
/// Differs    there both wait for each other, and activations go by random ways between replicas of
///            a pipeline. Averaged buffers take the mean of both.
class NoLoCo : public Rule {
 public:
  explicit NoLoCo(NoLoCoOptions options = {}) : options_((options.check(), options)) {}

  [[nodiscard]] std::string name() const override { return "noloco"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(alpha ", options_.alpha(), ", beta ", options_.beta(), ", gamma ",
                    options_.pull(), ")");
  }
  /// phi, for those who look on; x itself before the node has a model.
  [[nodiscard]] const model::Flat& slow(RuleContext& context) {
    return start(context) ? slow_.get(context) : context.model().flat();
  }

  void before_step(RuleContext& context) override { start(context); }
  void after_step(RuleContext& context) override {
    if (!start(context) || context.step() % options_.tau() != 0) return;
    if (request_.open() || !context.may_send()) return;
    const std::uint64_t round = context.step() / options_.tau();
    const auto partner = detail::partner_in(context, options_.seed(), round);
    if (!partner || *partner < context.self()) return;
    sent_ = offer(context);
    request_.ask(context, {.to = *partner, .kind = request, .payload = sent_});
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      if (message.kind == request) {
        serve(context, message);
      } else if (request_.asked() == message.from && request_.round() == message.round) {
        if (message.kind == answer && message.payload) {
          outer_step(context, *sent_, *message.payload);
        }
        end(message.from, message.round);
      }
    }
  }
  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == request) return end(message.to, message.round);
    if (message.kind == answer && is_live(context, message.to)) {
      context.send({.to = message.to, .kind = refusal, .round = message.round, .payload = {}});
    }
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override {
    request_.on_peer_left(gone, /*is_patient=*/false);
    if (!request_.open()) sent_ = {};
  }
  void on_replaced(RuleContext& context) override {
    slow_.get(context).copy_from(context.model().flat());
  }
  void checkpoint(Archive& archive) override {
    slow_.checkpoint(archive, "slow");
    momentum_.checkpoint(archive, "momentum");
  }

 private:
  enum Kind : std::uint32_t { request = 1, answer = 2, refusal = 3 };

  /// False while the node has no model yet, or none any more.
  bool start(RuleContext& context) {
    if (context.weight() == 0) return false;
    if (!slow_.exists()) on_replaced(context);
    return true;
  }
  void end(PeerId peer, std::uint64_t round) {
    request_.end(peer, round);
    if (!request_.open()) sent_ = {};
  }
  [[nodiscard]] double surplus() const { return options_.pull() / options_.beta() - 1; }

  /// D + (gamma / beta) phi.
  model::Snapshot offer(RuleContext& context) {
    model::Snapshot all = context.snapshot();
    if (surplus() != 0) model::add(all.writable(), slow_.get(context), surplus());
    context.model().copy_buffers(*all, context.model().flat());
    return all;
  }
  void serve(RuleContext& context, const Message& question) {
    Message reply{.to = question.from, .kind = refusal, .round = question.round, .payload = {}};
    if (start(context) && question.payload && !request_.open()) {
      reply.kind = answer;
      reply.payload = offer(context);
      outer_step(context, *reply.payload, *question.payload);
      context.model().flat().copy_from(slow_.get(context));  // it has not trained since
    }
    context.send(std::move(reply));
  }

  /// With what this node and the other one have offered.
  void outer_step(RuleContext& context, const model::Flat& own, const model::Flat& theirs) {
    const model::FlatModel& model = context.model();
    const model::Flat& slow = slow_.get(context);
    const model::Flat& momentum = momentum_.get(context);
    model::Snapshot mean = context.blank();
    mean.writable().copy_from(own);
    model::mix(*mean, theirs, 0.5);
    model.copy_buffers(slow, *mean);
    model::Snapshot change = context.blank();
    model::difference(change.writable(), slow, own);  // x loses what it had at the offer
    if (surplus() != 0) model::add(*change, slow, surplus());
    model::add(model.flat(), *change);
    model::difference(*change, *mean, slow, options_.beta());
    if (surplus() != 0) model::add(*change, slow, -surplus() * options_.beta());
    model::add(*change, momentum, options_.alpha());
    momentum.copy_from(*change);
    model::add(slow, momentum);
    model::add(model.flat(), momentum);
    model.copy_buffers(slow, *mean);
    model.copy_buffers(model.flat(), *mean);
    model.on_merged();
  }

  NoLoCoOptions options_;
  KeptFlat slow_;      // phi
  KeptFlat momentum_;  // d
  OneRequest request_;
  model::Snapshot sent_;  // what was offered, while the request is open
};

}  // namespace gossamer::rule
