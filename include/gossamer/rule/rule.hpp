// SPDX-License-Identifier: MIT
/// The hooks that every way of meeting is made of; their neutral defaults; a holder of any rule.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/rule/context.hpp>

#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace gossamer::rule {

/// The neutral rule to derive from: a rule writes only the hooks that it needs (no `virtual`, no
/// `override`: the derived one is found by name).
///
/// One step of a node, in order:
///
///     may_step       false = a synchronous rule waits for others; asked again after each message
///     before_step
///       gradient     (the user's)
///     after_gradient
///     may_apply      false = wait
///     before_apply
///       apply        (the user's)
///     after_step     context.step() counts this step
///
/// and between steps, never during one:
///
///     on_messages      all that arrived since the last time, at least one, in order of arrival
///     on_returned      a message of ours that was not delivered, and never will be
///     on_peer_joined
///     on_peer_left     finished (it still answers), left or lost
///     on_leave         this node goes while others go on: hand the weight over
///     on_replaced      a rule around this one has put other parameters in place
///     checkpoint       save or restore the rule's own state
///
/// Threads: all hooks of one rule object are called by one thread at a time.
struct Neutral {
  /// The rule acts between gradient and apply, so the node must have these halves.
  [[nodiscard]] bool needs_gradient_hook() const { return false; }
  /// All nodes take the same number of steps, since each waits for all others.
  [[nodiscard]] bool is_synchronous() const { return false; }
  /// Models meet by `rule::merge` and in no other way, so a model may have a merge of its own.
  [[nodiscard]] bool merges_by_weighted_average() const { return false; }

  bool may_step(RuleContext&) { return true; }
  void before_step(RuleContext&) {}
  void after_gradient(RuleContext&) {}
  bool may_apply(RuleContext&) { return true; }
  void before_apply(RuleContext&) {}
  void after_step(RuleContext&) {}
  void on_messages(RuleContext&, std::span<const Message>) {}
  void on_returned(RuleContext&, const Message&) {}
  void on_peer_joined(RuleContext&, PeerId) {}
  void on_peer_left(RuleContext&, const PeerLeft&) {}
  void on_leave(RuleContext&) {}
  void on_replaced(RuleContext&) {}
  void checkpoint(Archive&) {}
};

namespace has {
template <class T>
concept name = requires(const T& r) {
  { r.name() } -> std::convertible_to<std::string>;
};
template <class T>
concept needs_gradient_hook = requires(const T& r) {
  { r.needs_gradient_hook() } -> std::same_as<bool>;
};
template <class T>
concept is_synchronous = requires(const T& r) {
  { r.is_synchronous() } -> std::same_as<bool>;
};
template <class T>
concept merges_by_weighted_average = requires(const T& r) {
  { r.merges_by_weighted_average() } -> std::same_as<bool>;
};
template <class T>
concept may_step = requires(T& r, RuleContext& s) {
  { r.may_step(s) } -> std::same_as<bool>;
};
template <class T>
concept before_step = requires(T& r, RuleContext& s) {
  r.before_step(s);
};
template <class T>
concept after_gradient = requires(T& r, RuleContext& s) {
  r.after_gradient(s);
};
template <class T>
concept may_apply = requires(T& r, RuleContext& s) {
  { r.may_apply(s) } -> std::same_as<bool>;
};
template <class T>
concept before_apply = requires(T& r, RuleContext& s) {
  r.before_apply(s);
};
template <class T>
concept after_step = requires(T& r, RuleContext& s) {
  r.after_step(s);
};
template <class T>
concept on_messages = requires(T& r, RuleContext& s, std::span<const Message> messages) {
  r.on_messages(s, messages);
};
template <class T>
concept on_returned = requires(T& r, RuleContext& s, const Message& m) {
  r.on_returned(s, m);
};
template <class T>
concept on_peer_joined = requires(T& r, RuleContext& s, PeerId peer) {
  r.on_peer_joined(s, peer);
};
template <class T>
concept on_peer_left = requires(T& r, RuleContext& s, const PeerLeft& gone) {
  r.on_peer_left(s, gone);
};
template <class T>
concept on_leave = requires(T& r, RuleContext& s) {
  r.on_leave(s);
};
template <class T>
concept on_replaced = requires(T& r, RuleContext& s) {
  r.on_replaced(s);
};
template <class T>
concept checkpoint = requires(T& r, Archive& archive) {
  r.checkpoint(archive);
};
}  // namespace has

/// A way for models to meet. Derive from `Neutral` and give it a `name()`.
template <class T>
concept Rule = std::copy_constructible<T> && has::name<T> && has::needs_gradient_hook<T> &&
    has::is_synchronous<T> && has::merges_by_weighted_average<T> && has::may_step<T> && has::before_step<T> &&
    has::after_gradient<T> && has::may_apply<T> && has::before_apply<T> && has::after_step<T> &&
    has::on_messages<T> && has::on_returned<T> && has::on_peer_joined<T> && has::on_peer_left<T> &&
    has::on_leave<T> && has::on_replaced<T> && has::checkpoint<T>;

/// Says which hook a would-be rule lacks.
template <class T>
consteval void check_rule() {
  static_assert(std::copy_constructible<T>, "Rule needs: a copy constructor (one copy per node)");
  static_assert(has::name<T>, "Rule needs: std::string name() const");
  static_assert(has::needs_gradient_hook<T>, "Rule needs: bool needs_gradient_hook() const");
  static_assert(has::is_synchronous<T>, "Rule needs: bool is_synchronous() const");
  static_assert(has::merges_by_weighted_average<T>, "Rule needs: bool merges_by_weighted_average() const");
  static_assert(has::may_step<T>, "Rule needs: bool may_step(RuleContext& context)");
  static_assert(has::before_step<T>, "Rule needs: void before_step(RuleContext& context)");
  static_assert(has::after_gradient<T>, "Rule needs: void after_gradient(RuleContext& context)");
  static_assert(has::may_apply<T>, "Rule needs: bool may_apply(RuleContext& context)");
  static_assert(has::before_apply<T>, "Rule needs: void before_apply(RuleContext& context)");
  static_assert(has::after_step<T>, "Rule needs: void after_step(RuleContext& context)");
  static_assert(has::on_messages<T>,
                "Rule needs: void on_messages(RuleContext& context, std::span<const Message> messages)");
  static_assert(has::on_returned<T>,
                "Rule needs: void on_returned(RuleContext& context, const Message& message)");
  static_assert(has::on_peer_joined<T>,
                "Rule needs: void on_peer_joined(RuleContext& context, PeerId peer)");
  static_assert(has::on_peer_left<T>,
                "Rule needs: void on_peer_left(RuleContext& context, const PeerLeft& gone)");
  static_assert(has::on_leave<T>, "Rule needs: void on_leave(RuleContext& context)");
  static_assert(has::on_replaced<T>, "Rule needs: void on_replaced(RuleContext& context)");
  static_assert(has::checkpoint<T>, "Rule needs: void checkpoint(Archive& archive)");
}

/// Holds any rule; copying copies the rule, so that one prototype serves all nodes.
class AnyRule {
 public:
  template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, AnyRule>)
      AnyRule(T rule)  // NOLINT(google-explicit-constructor): a converting holder
      : held_(std::make_unique<Held<T>>(std::move(rule))) {
    check_rule<T>();
  }
  AnyRule(const AnyRule& other) : held_(other.held_->copy()) {}
  AnyRule(AnyRule&&) noexcept = default;
  AnyRule& operator=(AnyRule other) noexcept {
    held_ = std::move(other.held_);
    return *this;
  }
  ~AnyRule() = default;

  [[nodiscard]] std::string name() const { return held_->name(); }
  [[nodiscard]] bool needs_gradient_hook() const { return held_->needs_gradient_hook(); }
  [[nodiscard]] bool is_synchronous() const { return held_->is_synchronous(); }
  [[nodiscard]] bool merges_by_weighted_average() const { return held_->merges_by_weighted_average(); }
  bool may_step(RuleContext& context) { return held_->may_step(context); }
  void before_step(RuleContext& context) { held_->before_step(context); }
  void after_gradient(RuleContext& context) { held_->after_gradient(context); }
  bool may_apply(RuleContext& context) { return held_->may_apply(context); }
  void before_apply(RuleContext& context) { held_->before_apply(context); }
  void after_step(RuleContext& context) { held_->after_step(context); }
  void on_messages(RuleContext& context, std::span<const Message> messages) {
    held_->on_messages(context, messages);
  }
  void on_returned(RuleContext& context, const Message& message) { held_->on_returned(context, message); }
  void on_peer_joined(RuleContext& context, PeerId peer) { held_->on_peer_joined(context, peer); }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) { held_->on_peer_left(context, gone); }
  void on_leave(RuleContext& context) { held_->on_leave(context); }
  void on_replaced(RuleContext& context) { held_->on_replaced(context); }
  void checkpoint(Archive& archive) { held_->checkpoint(archive); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    [[nodiscard]] virtual std::unique_ptr<Interface> copy() const = 0;
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual bool needs_gradient_hook() const = 0;
    [[nodiscard]] virtual bool is_synchronous() const = 0;
    [[nodiscard]] virtual bool merges_by_weighted_average() const = 0;
    virtual bool may_step(RuleContext& context) = 0;
    virtual void before_step(RuleContext& context) = 0;
    virtual void after_gradient(RuleContext& context) = 0;
    virtual bool may_apply(RuleContext& context) = 0;
    virtual void before_apply(RuleContext& context) = 0;
    virtual void after_step(RuleContext& context) = 0;
    virtual void on_messages(RuleContext& context, std::span<const Message> messages) = 0;
    virtual void on_returned(RuleContext& context, const Message& message) = 0;
    virtual void on_peer_joined(RuleContext& context, PeerId peer) = 0;
    virtual void on_peer_left(RuleContext& context, const PeerLeft& gone) = 0;
    virtual void on_leave(RuleContext& context) = 0;
    virtual void on_replaced(RuleContext& context) = 0;
    virtual void checkpoint(Archive& archive) = 0;
  };

  template <class T>
  struct Held final : Interface {
    explicit Held(T rule) : r(std::move(rule)) {}
    [[nodiscard]] std::unique_ptr<Interface> copy() const override {
      return std::make_unique<Held>(r);
    }
    [[nodiscard]] std::string name() const override { return r.name(); }
    [[nodiscard]] bool needs_gradient_hook() const override { return r.needs_gradient_hook(); }
    [[nodiscard]] bool is_synchronous() const override { return r.is_synchronous(); }
    [[nodiscard]] bool merges_by_weighted_average() const override { return r.merges_by_weighted_average(); }
    bool may_step(RuleContext& context) override { return r.may_step(context); }
    void before_step(RuleContext& context) override { r.before_step(context); }
    void after_gradient(RuleContext& context) override { r.after_gradient(context); }
    bool may_apply(RuleContext& context) override { return r.may_apply(context); }
    void before_apply(RuleContext& context) override { r.before_apply(context); }
    void after_step(RuleContext& context) override { r.after_step(context); }
    void on_messages(RuleContext& context, std::span<const Message> messages) override {
      r.on_messages(context, messages);
    }
    void on_returned(RuleContext& context, const Message& message) override {
      r.on_returned(context, message);
    }
    void on_peer_joined(RuleContext& context, PeerId peer) override { r.on_peer_joined(context, peer); }
    void on_peer_left(RuleContext& context, const PeerLeft& gone) override { r.on_peer_left(context, gone); }
    void on_leave(RuleContext& context) override { r.on_leave(context); }
    void on_replaced(RuleContext& context) override { r.on_replaced(context); }
    void checkpoint(Archive& archive) override { r.checkpoint(archive); }
    T r;
  };

  std::unique_ptr<Interface> held_;
};

}  // namespace gossamer::rule
