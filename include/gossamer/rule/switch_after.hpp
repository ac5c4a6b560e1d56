// SPDX-License-Identifier: MIT
/// One rule for the first steps, another one for the rest.
#pragma once

#include <gossamer/rule/sub_rule_context.hpp>
#include <gossamer/rule/rule.hpp>

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
/// a
///            rule that merges by weight may do so between them.
class SwitchAfter : public Neutral {
 public:
  SwitchAfter(AnyRule first, std::uint64_t steps, AnyRule second)
      : name_(first.name() + "_then_" + second.name()),
        parts_{std::move(first), std::move(second)},
        steps_(steps) {}

  /// What a combination is called, in records and checkpoints.
  SwitchAfter& name(std::string name) {
    name_ = std::move(name);
    return *this;
  }

  [[nodiscard]] std::string name() const { return name_; }
  [[nodiscard]] bool needs_gradient_hook() const {
    return parts_[0].needs_gradient_hook() || parts_[1].needs_gradient_hook();
  }
  [[nodiscard]] bool is_synchronous() const { return parts_[0].is_synchronous() || parts_[1].is_synchronous(); }

  bool may_step(RuleContext& context) {
    const bool at_the_change = context.step() == steps_ && steps_ > 0;
    if (at_the_change) {  // the first rule ends what it has begun
      Channel first(context, 0);
      if (!parts_[0].may_step(first)) return false;
    }
    return in_turn(context, context.step(), [](AnyRule& r, RuleContext& s) { return r.may_step(s); });
  }
  void before_step(RuleContext& context) {
    in_turn(context, context.step(), [](AnyRule& r, RuleContext& s) { r.before_step(s); });
  }
  void after_gradient(RuleContext& context) {
    in_turn(context, context.step(), [](AnyRule& r, RuleContext& s) { r.after_gradient(s); });
  }
  bool may_apply(RuleContext& context) {
    return in_turn(context, context.step(), [](AnyRule& r, RuleContext& s) { return r.may_apply(s); });
  }
  void before_apply(RuleContext& context) {
    in_turn(context, context.step(), [](AnyRule& r, RuleContext& s) { r.before_apply(s); });
  }
  void after_step(RuleContext& context) {
    in_turn(context, context.step() - 1, [](AnyRule& r, RuleContext& s) { r.after_step(s); });
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) {
    both(context, [messages](AnyRule& r, RuleContext& s, std::uint32_t part) {
      const auto own = Channel::unmarked(messages, part);
      if (!own.empty()) r.on_messages(s, own);
    });
  }
  void on_returned(RuleContext& context, const Message& message) {
    Channel channel(context, Channel::part_of(message));
    parts_[Channel::part_of(message)].on_returned(channel, Channel::unmarked(message));
  }
  void on_peer_joined(RuleContext& context, PeerId peer) {
    both(context, [peer](AnyRule& r, RuleContext& s, std::uint32_t) { r.on_peer_joined(s, peer); });
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) {
    both(context, [&gone](AnyRule& r, RuleContext& s, std::uint32_t) { r.on_peer_left(s, gone); });
  }
  void on_leave(RuleContext& context) {
    in_turn(context, context.step(), [](AnyRule& r, RuleContext& s) { r.on_leave(s); });
  }
  void on_replaced(RuleContext& context) {
    both(context, [](AnyRule& r, RuleContext& s, std::uint32_t) { r.on_replaced(s); });
  }
  void checkpoint(Archive& archive) {
    archive.within("first", [&] { parts_[0].checkpoint(archive); });
    archive.within("second", [&] { parts_[1].checkpoint(archive); });
  }

 private:
  /// Calls the rule of the step after `done` steps.
  template <class Hook>
  std::invoke_result_t<Hook, AnyRule&, RuleContext&> in_turn(RuleContext& context, std::uint64_t done,
                                                       Hook hook) {
    const std::uint32_t part = done < steps_ ? 0 : 1;
    Channel channel(context, part);
    return hook(parts_[part], channel);
  }
  template <class Hook>
  void both(RuleContext& context, Hook hook) {
    for (const std::uint32_t part : {0U, 1U}) {
      Channel channel(context, part);
      hook(parts_[part], channel, part);
    }
  }

  std::string name_;
  AnyRule parts_[2];
  std::uint64_t steps_;
};

}  // namespace gossamer::rule
