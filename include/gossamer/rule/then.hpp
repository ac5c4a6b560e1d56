// SPDX-License-Identifier: MIT
/// One rule for the first steps, another one for the rest.
#pragma once

#include <gossamer/rule/channel.hpp>
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
class Then : public Neutral {
 public:
  Then(AnyRule first, std::uint64_t steps, AnyRule second)
      : name_(first.name() + "_then_" + second.name()),
        parts_{std::move(first), std::move(second)},
        steps_(steps) {}

  /// What a combination is called, in records and checkpoints.
  Then& name(std::string name) {
    name_ = std::move(name);
    return *this;
  }

  [[nodiscard]] std::string name() const { return name_; }
  [[nodiscard]] bool needs_halves() const {
    return parts_[0].needs_halves() || parts_[1].needs_halves();
  }
  [[nodiscard]] bool lockstep() const { return parts_[0].lockstep() || parts_[1].lockstep(); }

  bool may_step(Scope& scope) {
    const bool at_the_change = scope.step() == steps_ && steps_ > 0;
    if (at_the_change) {  // the first rule ends what it has begun
      Channel first(scope, 0);
      if (!parts_[0].may_step(first)) return false;
    }
    return in_turn(scope, scope.step(), [](AnyRule& r, Scope& s) { return r.may_step(s); });
  }
  void before_step(Scope& scope) {
    in_turn(scope, scope.step(), [](AnyRule& r, Scope& s) { r.before_step(s); });
  }
  void after_gradient(Scope& scope) {
    in_turn(scope, scope.step(), [](AnyRule& r, Scope& s) { r.after_gradient(s); });
  }
  bool may_apply(Scope& scope) {
    return in_turn(scope, scope.step(), [](AnyRule& r, Scope& s) { return r.may_apply(s); });
  }
  void before_apply(Scope& scope) {
    in_turn(scope, scope.step(), [](AnyRule& r, Scope& s) { r.before_apply(s); });
  }
  void after_step(Scope& scope) {
    in_turn(scope, scope.step() - 1, [](AnyRule& r, Scope& s) { r.after_step(s); });
  }
  void on_messages(Scope& scope, std::span<const Message> messages) {
    both(scope, [messages](AnyRule& r, Scope& s, std::uint32_t part) {
      const auto own = Channel::unmarked(messages, part);
      if (!own.empty()) r.on_messages(s, own);
    });
  }
  void on_returned(Scope& scope, const Message& message) {
    Channel channel(scope, Channel::part_of(message));
    parts_[Channel::part_of(message)].on_returned(channel, Channel::unmarked(message));
  }
  void on_peer_joined(Scope& scope, PeerId peer) {
    both(scope, [peer](AnyRule& r, Scope& s, std::uint32_t) { r.on_peer_joined(s, peer); });
  }
  void on_peer_left(Scope& scope, const PeerLeft& gone) {
    both(scope, [&gone](AnyRule& r, Scope& s, std::uint32_t) { r.on_peer_left(s, gone); });
  }
  void on_leave(Scope& scope) {
    in_turn(scope, scope.step(), [](AnyRule& r, Scope& s) { r.on_leave(s); });
  }
  void on_replaced(Scope& scope) {
    both(scope, [](AnyRule& r, Scope& s, std::uint32_t) { r.on_replaced(s); });
  }
  void checkpoint(Archive& archive) {
    archive.within("first", [&] { parts_[0].checkpoint(archive); });
    archive.within("second", [&] { parts_[1].checkpoint(archive); });
  }

 private:
  /// Calls the rule of the step after `done` steps.
  template <class Hook>
  std::invoke_result_t<Hook, AnyRule&, Scope&> in_turn(Scope& scope, std::uint64_t done,
                                                       Hook hook) {
    const std::uint32_t part = done < steps_ ? 0 : 1;
    Channel channel(scope, part);
    return hook(parts_[part], channel);
  }
  template <class Hook>
  void both(Scope& scope, Hook hook) {
    for (const std::uint32_t part : {0U, 1U}) {
      Channel channel(scope, part);
      hook(parts_[part], channel, part);
    }
  }

  std::string name_;
  AnyRule parts_[2];
  std::uint64_t steps_;
};

}  // namespace gossamer::rule
