// SPDX-License-Identifier: MIT
/// How models meet: the class to derive from, and a value that holds any such rule.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/rule/context.hpp>

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// How models meet. Derive, give it a name, and override the hooks that you need; the others do
/// nothing. A rule is a value: each node has a copy of the one that its group was given.
///
/// One step of a node, in order:
///
///     may_step       false = a synchronous rule waits for others; asked again after each message
///     before_step
///       gradient     (the user's; gradients_ready, if that says what is done)
///     after_gradient
///     may_apply      false = wait
///     before_apply
///       apply        (the user's)
///     after_step     context.step() counts this step
///
/// and between steps, never during one:
///
///     on_messages      all that arrived since the last time, at least one, in order of arrival
///     on_returned      a message of ours that was not delivered, and never will be; not one whose
///                      payload was given up while its peer was gone: the node takes its weight,
///                      and on_peer_left has told the rest
///     on_peer_joined
///     on_peer_left     finished (it still answers), left or lost
///     on_leave         this node goes while others go on: settle what is open with them
///     on_replaced      a rule around this one has put other parameters in place
///     checkpoint       save or restore the rule's own state
///
/// Joining and leaving are the engine's: it moves weight and model of a node that comes or goes,
/// and no rule can forget to. `on_leave` is for what a rule has open besides.
///
/// Threads: all hooks of one rule object are called by one thread at a time.
class Rule {
 public:
  virtual ~Rule() = default;

  /// As records, checkpoints and messages to the user call it.
  [[nodiscard]] virtual std::string name() const = 0;
  /// What the rules of all nodes must have in common: the name, with the numbers that must be equal
  /// for nodes to understand each other or not to wait for ever. Nodes that say different things do
  /// not meet. Numbers that each node may choose for itself (how often it pushes) are not in it.
  [[nodiscard]] virtual std::string agreement() const { return name(); }
  /// The rule acts between gradient and apply, so the node must have these halves.
  [[nodiscard]] virtual bool needs_gradient_hook() const { return false; }
  /// All nodes take the same number of steps, since each waits for all others.
  [[nodiscard]] virtual bool is_synchronous() const { return false; }
  /// Models meet by `rule::merge` and in no other way, so a model may have a merge of its own.
  [[nodiscard]] virtual bool merges_by_weighted_average() const { return false; }

  /// A weight belongs to the parameters that it came with, so that of a node that leaves is merged
  /// with its model. Else a weight is a node's share of the group and no factor of its model: it
  /// moves when nodes come and go only, and the engine takes care of it.
  [[nodiscard]] virtual bool weight_follows_model() const { return merges_by_weighted_average(); }

  /// Bytes of one of its messages: the whole model, if it does not say otherwise.
  [[nodiscard]] virtual std::size_t message_bytes(const model::FlatModel& model) const {
    return model.flat().bytes() + Message::header_bytes;
  }

  virtual bool may_step(RuleContext& /*context*/) { return true; }
  virtual void before_step(RuleContext& /*context*/) {}
  /// While the user computes gradients: those of these slots of the model's layout are final. True
  /// if the rule exchanges them already: then `on_messages` may come before `after_gradient`, and
  /// leaves the model alone.
  virtual bool gradients_ready(RuleContext& /*context*/, std::span<const std::size_t> /*slots*/) {
    return false;
  }
  virtual void after_gradient(RuleContext& /*context*/) {}
  virtual bool may_apply(RuleContext& /*context*/) { return true; }
  virtual void before_apply(RuleContext& /*context*/) {}
  virtual void after_step(RuleContext& /*context*/) {}
  virtual void on_messages(RuleContext& /*context*/, std::span<const Message> /*messages*/) {}
  virtual void on_returned(RuleContext& /*context*/, const Message& /*message*/) {}
  virtual void on_peer_joined(RuleContext& /*context*/, PeerId /*peer*/) {}
  virtual void on_peer_left(RuleContext& /*context*/, const PeerLeft& /*gone*/) {}
  virtual void on_leave(RuleContext& /*context*/) {}
  virtual void on_replaced(RuleContext& /*context*/) {}
  virtual void checkpoint(Archive& /*archive*/) {}

 protected:
  Rule() = default;
  Rule(const Rule&) = default;
  Rule(Rule&&) = default;
  Rule& operator=(const Rule&) = default;
  Rule& operator=(Rule&&) = default;
};

/// Holds a rule of any kind, as a value: copying it copies the rule, so that one prototype serves
/// all nodes. Never empty, but after a move.
class AnyRule {
 public:
  template <std::derived_from<Rule> Held>
  AnyRule(Held rule)  // NOLINT(google-explicit-constructor): so that users write rule::GoSgd(0.1)
      : rule_(std::make_unique<Held>(std::move(rule))), copy_([](const Rule& held) {
          return std::unique_ptr<Rule>(std::make_unique<Held>(static_cast<const Held&>(held)));
        }) {}
  AnyRule(const AnyRule& other) : rule_(other.copy_(*other.rule_)), copy_(other.copy_) {}
  AnyRule(AnyRule&&) noexcept = default;
  AnyRule& operator=(AnyRule other) noexcept {
    std::swap(rule_, other.rule_);
    std::swap(copy_, other.copy_);
    return *this;
  }
  ~AnyRule() = default;

  [[nodiscard]] Rule& operator*() noexcept { return *rule_; }
  [[nodiscard]] const Rule& operator*() const noexcept { return *rule_; }
  [[nodiscard]] Rule* operator->() noexcept { return rule_.get(); }
  [[nodiscard]] const Rule* operator->() const noexcept { return rule_.get(); }

 private:
  std::unique_ptr<Rule> rule_;
  std::unique_ptr<Rule> (*copy_)(const Rule&);
};

}  // namespace gossamer::rule
