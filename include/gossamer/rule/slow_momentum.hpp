// SPDX-License-Identifier: MIT
/// SlowMo: any rule, and every tau steps an exact average with momentum of its own.
#pragma once

#include <gossamer/codec/codec.hpp>
#include <gossamer/error.hpp>
#include <gossamer/model/mix.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/detail/coded_average.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/rule/sub_rule_context.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Slow momentum around a base rule. After every tau steps, with x_0 where they began and eta the
/// learning rate,
///
///     x_tau <- mean of all nodes' x    (each node's own with `exact_average(false)`)
///
///     u     <- beta u + (x_0 - x_tau) / eta
///
///     x     <- x_0 - alpha eta u       where the next tau steps begin
///
/// Special cases, to the bit: alpha = 1, beta = 0 around `None` is `PerSyn` (local SGD); one node
/// and beta = 0 is Lookahead. beta > 0 around `None` is BMUF.
///
/// The base optimizer's buffers: kept, unless the node resets them in `on_restart()`, which is
/// called after each outer step that is more than a mean (alpha = 1, beta = 0); averaged, if the
/// model lists them among its buffers
/// (`model::Buffers::average`). Buffers of the model take the mean and no momentum.
///
/// Invariant  all x are equal after an outer step, if they were at the start. The base rule's
///            weights stay as they are, and what it has under way arrives afterwards.
/// Cost       2 (M - 1) vectors per tau steps over the group, and a wait for the slowest (none
///            without the exact average); two vectors of memory, two more and some passes at an
///            outer step.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when tau is 0, alpha is not above 0, or beta is outside [0, 1).
/// Source     Wang, Tantia, Ballas, Rabbat, "SlowMo: improving communication-efficient distributed
///            SGD with slow momentum", ICLR 2020, arXiv:1910.00643, Algorithm 1.
/// Differs    keeps eta u, so that eta matters where it changes only: see `learning_rate()`. A
///            newcomer begins without slow momentum, and differs from the others by what of theirs
///            is left (beta^k after k outer steps). In somebody's own loop (`Gossip`) the first
///            stretch begins after the first step.
class SlowMo : public Rule {
 public:
  /// The paper's defaults; it has tau = 12 for local SGD and 48 for SGP, beta from 0.4 to 0.8.
  explicit SlowMo(AnyRule base, std::uint64_t tau = 12, double alpha = 1, double beta = 0.5)
      : base_(std::move(base)), tau_(tau), alpha_(alpha), beta_(beta) {
    if (tau == 0) throw ConfigError("SlowMo: tau must be at least 1, got 0");
    if (!(alpha > 0)) throw ConfigError(c10::str("SlowMo: alpha must be above 0, got ", alpha));
    if (!(beta >= 0 && beta < 1)) {
      throw ConfigError(c10::str("SlowMo: beta must lie in [0, 1), got ", beta));
    }
    name_ = "slowmo(" + base_->name() + ")";
  }

  /// False: each node goes on from its own parameters, and nobody waits for it.
  SlowMo& exact_average(bool yes) {
    averages_ = yes;
    return *this;
  }
  /// The averages are sent in code, as `PerSyn`'s; the base has messages of its own.
  SlowMo& codec(codec::AnyCodec codec) {
    average_.set_codec(std::move(codec), "SlowMo");
    return *this;
  }
  /// The learning rate of the tau steps that end with step number `step`; constant if not set.
  SlowMo& learning_rate(std::function<double(std::uint64_t step)> eta) {
    eta_ = std::move(eta);
    return *this;
  }
  /// What a combination is called, in records and checkpoints.
  SlowMo& name(std::string name) {
    name_ = std::move(name);
    return *this;
  }

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name_, "(", base_->agreement(), ", tau ", tau_, ", alpha ", alpha_, ", beta ",
                    beta_, averages_ ? average_.agreement() : ", no average", ")");
  }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return base_->message_bytes(model);
  }
  [[nodiscard]] bool needs_gradient_hook() const override { return base_->needs_gradient_hook(); }
  [[nodiscard]] bool is_synchronous() const override {
    return averages_ || base_->is_synchronous();
  }
  [[nodiscard]] bool weight_follows_model() const override { return base_->weight_follows_model(); }

  bool may_step(RuleContext& context) override {
    start(context);
    if (!average_.waiting()) {
      SubRuleContext base(context, 0);
      if (!base_->may_step(base)) return false;
      const std::uint64_t round = context.step() / tau_;
      if (context.step() % tau_ == 0 && round > done_) {
        if (averages_) {
          SubRuleContext own(context, 1);
          average_.contribute(own, round, context.snapshot());
          take(context);
        } else {
          outer_step(context, context.model().flat(), round);
        }
      }
    }
    return !average_.waiting();
  }
  void before_step(RuleContext& context) override {
    SubRuleContext base(context, 0);
    base_->before_step(base);
  }
  void after_gradient(RuleContext& context) override {
    SubRuleContext base(context, 0);
    base_->after_gradient(base);
  }
  bool may_apply(RuleContext& context) override {
    SubRuleContext base(context, 0);
    return base_->may_apply(base);
  }
  void before_apply(RuleContext& context) override {
    SubRuleContext base(context, 0);
    base_->before_apply(base);
  }
  void after_step(RuleContext& context) override {
    start(context);
    SubRuleContext base(context, 0);
    base_->after_step(base);
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    start(context);
    if (const auto theirs = SubRuleContext::unmarked(messages, 0); !theirs.empty()) {
      SubRuleContext base(context, 0);
      base_->on_messages(base, theirs);
    }
    const auto own = SubRuleContext::unmarked(messages, 1);
    if (own.empty()) return;
    if (base_->weight_follows_model()) take_weights(context, own);
    SubRuleContext sub_context(context, 1);
    average_.on_messages(sub_context, own);
    take(context);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    SubRuleContext sub_context(context, SubRuleContext::sub_rule_of(message));
    if (SubRuleContext::sub_rule_of(message) == 0) {
      base_->on_returned(sub_context, SubRuleContext::unmarked(message));
    } else {
      if (base_->weight_follows_model()) take_weights(context, {&message, 1});
      average_.on_returned(sub_context, SubRuleContext::unmarked(message));
      take(context);
    }
  }
  void on_peer_joined(RuleContext& context, PeerId peer) override {
    SubRuleContext base(context, 0);
    base_->on_peer_joined(base, peer);
    SubRuleContext own(context, 1);
    average_.on_peer_joined(own, peer);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    SubRuleContext base(context, 0);
    base_->on_peer_left(base, gone);
    SubRuleContext own(context, 1);
    average_.on_peer_left(own, gone);
    take(context);
  }
  void on_leave(RuleContext& context) override {
    SubRuleContext base(context, 0);
    base_->on_leave(base);
  }
  void on_replaced(RuleContext& context) override {
    SubRuleContext base(context, 0);
    base_->on_replaced(base);
  }
  void checkpoint(Archive& archive) override {
    archive.within("base", [&] { base_->checkpoint(archive); });
    archive("done", done_);
    archive("last_eta", last_eta_);
    average_.checkpoint(archive);
    begin_.checkpoint(archive, "begin");
    momentum_.checkpoint(archive, "momentum");
  }

 private:
  /// Where the first tau steps begin; a newcomer has no parameters before it has weight.
  void start(RuleContext& context) {
    if (!begin_.exists() && context.weight() > 0)
      begin_.get(context).copy_from(context.model().flat());
  }

  /// Goes on from the mean as soon as it is there.
  void take(RuleContext& context) {
    if (average_.waiting() || average_.round() <= done_) return;
    outer_step(context, average_.result(), average_.round());
  }

  void outer_step(RuleContext& context, const model::Flat& mean, std::uint64_t round) {
    const model::FlatModel& model = context.model();
    const model::Flat& begin = begin_.get(context);
    model::Snapshot next = context.blank();
    next.writable().copy_from(begin);
    model::mix(*next, mean, alpha_);
    if (beta_ > 0) {
      const double eta = eta_ ? eta_(context.step()) : 1;
      const double kept = last_eta_ > 0 ? beta_ * eta / last_eta_ : 0;
      last_eta_ = eta;
      const model::Flat& momentum = momentum_.get(context);  // eta u
      model::add(*next, momentum, -alpha_ * kept);
      model::Snapshot way = context.blank();
      model::difference(way.writable(), begin, mean);
      model::add(*way, momentum, kept);
      momentum.copy_from(*way);
    }
    model.copy_buffers(*next, mean);
    model.flat().copy_from(*next);
    begin.copy_from(*next);
    if (averages_) average_.end(context);
    done_ = round;
    on_replaced(context);
    model.on_merged();
    if (alpha_ != 1 || beta_ > 0) context.restarted();
  }

  AnyRule base_;
  std::uint64_t tau_;
  double alpha_;
  double beta_;
  bool averages_ = true;
  std::function<double(std::uint64_t)> eta_;
  std::string name_;

  std::uint64_t done_ = 0;  // the last outer step
  double last_eta_ = 0;
  KeptFlat begin_;
  KeptFlat momentum_;
  detail::CodedAverage average_;
};

}  // namespace gossamer::rule
