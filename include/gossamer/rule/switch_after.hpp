// SPDX-License-Identifier: MIT
/// One rule for the first steps, another one for the rest.
#pragma once

#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/rule/sub_rule_context.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace gossamer::rule {

/// The first `steps` steps of each node by one rule, those after it by another. Messages of either
/// rule are always its own, so nodes that change at different times understand each other.
///
/// Invariant  what both conserve.
/// Cost       that of the one whose turn it is.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     nothing of its own.
/// Differs    if one of them acts between gradient and apply, steps are in halves throughout; then
///            a rule that merges by weight may do so between them.
class SwitchAfter : public Rule {
 public:
  SwitchAfter(AnyRule first, std::uint64_t steps, AnyRule second)
      : name_(first->name() + "_then_" + second->name()),
        sub_rules_{std::move(first), std::move(second)},
        steps_(steps) {}

  /// What a combination is called, in records and checkpoints.
  SwitchAfter& name(std::string name) {
    name_ = std::move(name);
    return *this;
  }

  [[nodiscard]] std::string name() const override { return name_; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name_, "(", sub_rules_[0]->agreement(), " for ", steps_, " steps, then ",
                    sub_rules_[1]->agreement(), ")");
  }
  [[nodiscard]] bool needs_gradient_hook() const override {
    return sub_rules_[0]->needs_gradient_hook() || sub_rules_[1]->needs_gradient_hook();
  }
  [[nodiscard]] bool is_synchronous() const override {
    return sub_rules_[0]->is_synchronous() || sub_rules_[1]->is_synchronous();
  }

  [[nodiscard]] bool weight_follows_model() const override {
    return sub_rules_[0]->weight_follows_model() || sub_rules_[1]->weight_follows_model();
  }

  bool may_step(RuleContext& context) override {
    const bool at_the_change = context.step() == steps_ && steps_ > 0;
    if (at_the_change) {  // the first rule ends what it has begun
      SubRuleContext first(context, 0);
      if (!sub_rules_[0]->may_step(first)) return false;
    }
    return in_turn(context, context.step(), [](Rule& r, RuleContext& s) { return r.may_step(s); });
  }
  void before_step(RuleContext& context) override {
    in_turn(context, context.step(), [](Rule& r, RuleContext& s) { r.before_step(s); });
  }
  void after_gradient(RuleContext& context) override {
    in_turn(context, context.step(), [](Rule& r, RuleContext& s) { r.after_gradient(s); });
  }
  bool may_apply(RuleContext& context) override {
    return in_turn(context, context.step(), [](Rule& r, RuleContext& s) { return r.may_apply(s); });
  }
  void before_apply(RuleContext& context) override {
    in_turn(context, context.step(), [](Rule& r, RuleContext& s) { r.before_apply(s); });
  }
  void after_step(RuleContext& context) override {
    in_turn(context, context.step() - 1, [](Rule& r, RuleContext& s) { r.after_step(s); });
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    both(context, [this, messages](Rule& r, RuleContext& s, std::uint32_t which) {
      const auto own = SubRuleContext::unmarked(messages, which);
      if (own.empty()) return;
      if (weight_follows_model() && !r.weight_follows_model()) take_weights(s, own);
      r.on_messages(s, own);
    });
  }
  void on_returned(RuleContext& context, const Message& message) override {
    const std::uint32_t which = SubRuleContext::sub_rule_of(message);
    SubRuleContext sub_context(context, which);
    if (weight_follows_model() && !sub_rules_[which]->weight_follows_model()) {
      take_weights(context, {&message, 1});
    }
    sub_rules_[which]->on_returned(sub_context, SubRuleContext::unmarked(message));
  }
  void on_peer_joined(RuleContext& context, PeerId peer) override {
    both(context, [peer](Rule& r, RuleContext& s, std::uint32_t) { r.on_peer_joined(s, peer); });
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    both(context, [&gone](Rule& r, RuleContext& s, std::uint32_t) { r.on_peer_left(s, gone); });
  }
  void on_leave(RuleContext& context) override {
    in_turn(context, context.step(), [](Rule& r, RuleContext& s) { r.on_leave(s); });
  }
  void on_replaced(RuleContext& context) override {
    both(context, [](Rule& r, RuleContext& s, std::uint32_t) { r.on_replaced(s); });
  }
  void checkpoint(Archive& archive) override {
    archive.within("first", [&] { sub_rules_[0]->checkpoint(archive); });
    archive.within("second", [&] { sub_rules_[1]->checkpoint(archive); });
  }

 private:
  /// Calls the rule of the step after `done` steps.
  template <class Hook>
  std::invoke_result_t<Hook, Rule&, RuleContext&> in_turn(RuleContext& context, std::uint64_t done,
                                                          Hook hook) {
    const std::uint32_t which = done < steps_ ? 0 : 1;
    SubRuleContext sub_context(context, which);
    return hook(*sub_rules_[which], sub_context);
  }
  template <class Hook>
  void both(RuleContext& context, Hook hook) {
    for (const std::uint32_t which : {0U, 1U}) {
      SubRuleContext sub_context(context, which);
      hook(*sub_rules_[which], sub_context, which);
    }
  }

  std::string name_;
  AnyRule sub_rules_[2];
  std::uint64_t steps_;
};

}  // namespace gossamer::rule
