// SPDX-License-Identifier: MIT
/// The hooks that every way of meeting is made of; their neutral defaults; a holder of any rule.
#pragma once

#include <gossamer/node/archive.hpp>
#include <gossamer/rule/scope.hpp>

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
///     after_step     scope.step() counts this step
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
  [[nodiscard]] bool needs_halves() const { return false; }
  /// All nodes take the same number of steps, since each waits for all others.
  [[nodiscard]] bool lockstep() const { return false; }
  /// Models meet by `rule::merge` and in no other way, so a model may have a merge of its own.
  [[nodiscard]] bool uses_merge() const { return false; }

  bool may_step(Scope&) { return true; }
  void before_step(Scope&) {}
  void after_gradient(Scope&) {}
  bool may_apply(Scope&) { return true; }
  void before_apply(Scope&) {}
  void after_step(Scope&) {}
  void on_messages(Scope&, std::span<const Message>) {}
  void on_returned(Scope&, const Message&) {}
  void on_peer_joined(Scope&, PeerId) {}
  void on_peer_left(Scope&, const PeerLeft&) {}
  void on_leave(Scope&) {}
  void on_replaced(Scope&) {}
  void checkpoint(Archive&) {}
};

namespace has {
template <class T>
concept name = requires(const T& r) {
  { r.name() } -> std::convertible_to<std::string>;
};
template <class T>
concept needs_halves = requires(const T& r) {
  { r.needs_halves() } -> std::same_as<bool>;
};
template <class T>
concept lockstep = requires(const T& r) {
  { r.lockstep() } -> std::same_as<bool>;
};
template <class T>
concept uses_merge = requires(const T& r) {
  { r.uses_merge() } -> std::same_as<bool>;
};
template <class T>
concept may_step = requires(T& r, Scope& s) {
  { r.may_step(s) } -> std::same_as<bool>;
};
template <class T>
concept before_step = requires(T& r, Scope& s) {
  r.before_step(s);
};
template <class T>
concept after_gradient = requires(T& r, Scope& s) {
  r.after_gradient(s);
};
template <class T>
concept may_apply = requires(T& r, Scope& s) {
  { r.may_apply(s) } -> std::same_as<bool>;
};
template <class T>
concept before_apply = requires(T& r, Scope& s) {
  r.before_apply(s);
};
template <class T>
concept after_step = requires(T& r, Scope& s) {
  r.after_step(s);
};
template <class T>
concept on_messages = requires(T& r, Scope& s, std::span<const Message> messages) {
  r.on_messages(s, messages);
};
template <class T>
concept on_returned = requires(T& r, Scope& s, const Message& m) {
  r.on_returned(s, m);
};
template <class T>
concept on_peer_joined = requires(T& r, Scope& s, PeerId peer) {
  r.on_peer_joined(s, peer);
};
template <class T>
concept on_peer_left = requires(T& r, Scope& s, const PeerLeft& gone) {
  r.on_peer_left(s, gone);
};
template <class T>
concept on_leave = requires(T& r, Scope& s) {
  r.on_leave(s);
};
template <class T>
concept on_replaced = requires(T& r, Scope& s) {
  r.on_replaced(s);
};
template <class T>
concept checkpoint = requires(T& r, Archive& archive) {
  r.checkpoint(archive);
};
}  // namespace has

/// A way for models to meet. Derive from `Neutral` and give it a `name()`.
template <class T>
concept Rule = std::copy_constructible<T> && has::name<T> && has::needs_halves<T> &&
    has::lockstep<T> && has::uses_merge<T> && has::may_step<T> && has::before_step<T> &&
    has::after_gradient<T> && has::may_apply<T> && has::before_apply<T> && has::after_step<T> &&
    has::on_messages<T> && has::on_returned<T> && has::on_peer_joined<T> && has::on_peer_left<T> &&
    has::on_leave<T> && has::on_replaced<T> && has::checkpoint<T>;

/// Says which hook a would-be rule lacks.
template <class T>
consteval void check_rule() {
  static_assert(std::copy_constructible<T>, "Rule needs: a copy constructor (one copy per node)");
  static_assert(has::name<T>, "Rule needs: std::string name() const");
  static_assert(has::needs_halves<T>, "Rule needs: bool needs_halves() const");
  static_assert(has::lockstep<T>, "Rule needs: bool lockstep() const");
  static_assert(has::uses_merge<T>, "Rule needs: bool uses_merge() const");
  static_assert(has::may_step<T>, "Rule needs: bool may_step(Scope& scope)");
  static_assert(has::before_step<T>, "Rule needs: void before_step(Scope& scope)");
  static_assert(has::after_gradient<T>, "Rule needs: void after_gradient(Scope& scope)");
  static_assert(has::may_apply<T>, "Rule needs: bool may_apply(Scope& scope)");
  static_assert(has::before_apply<T>, "Rule needs: void before_apply(Scope& scope)");
  static_assert(has::after_step<T>, "Rule needs: void after_step(Scope& scope)");
  static_assert(has::on_messages<T>,
                "Rule needs: void on_messages(Scope& scope, std::span<const Message> messages)");
  static_assert(has::on_returned<T>,
                "Rule needs: void on_returned(Scope& scope, const Message& message)");
  static_assert(has::on_peer_joined<T>,
                "Rule needs: void on_peer_joined(Scope& scope, PeerId peer)");
  static_assert(has::on_peer_left<T>,
                "Rule needs: void on_peer_left(Scope& scope, const PeerLeft& gone)");
  static_assert(has::on_leave<T>, "Rule needs: void on_leave(Scope& scope)");
  static_assert(has::on_replaced<T>, "Rule needs: void on_replaced(Scope& scope)");
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
  [[nodiscard]] bool needs_halves() const { return held_->needs_halves(); }
  [[nodiscard]] bool lockstep() const { return held_->lockstep(); }
  [[nodiscard]] bool uses_merge() const { return held_->uses_merge(); }
  bool may_step(Scope& scope) { return held_->may_step(scope); }
  void before_step(Scope& scope) { held_->before_step(scope); }
  void after_gradient(Scope& scope) { held_->after_gradient(scope); }
  bool may_apply(Scope& scope) { return held_->may_apply(scope); }
  void before_apply(Scope& scope) { held_->before_apply(scope); }
  void after_step(Scope& scope) { held_->after_step(scope); }
  void on_messages(Scope& scope, std::span<const Message> messages) {
    held_->on_messages(scope, messages);
  }
  void on_returned(Scope& scope, const Message& message) { held_->on_returned(scope, message); }
  void on_peer_joined(Scope& scope, PeerId peer) { held_->on_peer_joined(scope, peer); }
  void on_peer_left(Scope& scope, const PeerLeft& gone) { held_->on_peer_left(scope, gone); }
  void on_leave(Scope& scope) { held_->on_leave(scope); }
  void on_replaced(Scope& scope) { held_->on_replaced(scope); }
  void checkpoint(Archive& archive) { held_->checkpoint(archive); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    [[nodiscard]] virtual std::unique_ptr<Interface> copy() const = 0;
    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual bool needs_halves() const = 0;
    [[nodiscard]] virtual bool lockstep() const = 0;
    [[nodiscard]] virtual bool uses_merge() const = 0;
    virtual bool may_step(Scope& scope) = 0;
    virtual void before_step(Scope& scope) = 0;
    virtual void after_gradient(Scope& scope) = 0;
    virtual bool may_apply(Scope& scope) = 0;
    virtual void before_apply(Scope& scope) = 0;
    virtual void after_step(Scope& scope) = 0;
    virtual void on_messages(Scope& scope, std::span<const Message> messages) = 0;
    virtual void on_returned(Scope& scope, const Message& message) = 0;
    virtual void on_peer_joined(Scope& scope, PeerId peer) = 0;
    virtual void on_peer_left(Scope& scope, const PeerLeft& gone) = 0;
    virtual void on_leave(Scope& scope) = 0;
    virtual void on_replaced(Scope& scope) = 0;
    virtual void checkpoint(Archive& archive) = 0;
  };

  template <class T>
  struct Held final : Interface {
    explicit Held(T rule) : r(std::move(rule)) {}
    [[nodiscard]] std::unique_ptr<Interface> copy() const override {
      return std::make_unique<Held>(r);
    }
    [[nodiscard]] std::string name() const override { return r.name(); }
    [[nodiscard]] bool needs_halves() const override { return r.needs_halves(); }
    [[nodiscard]] bool lockstep() const override { return r.lockstep(); }
    [[nodiscard]] bool uses_merge() const override { return r.uses_merge(); }
    bool may_step(Scope& scope) override { return r.may_step(scope); }
    void before_step(Scope& scope) override { r.before_step(scope); }
    void after_gradient(Scope& scope) override { r.after_gradient(scope); }
    bool may_apply(Scope& scope) override { return r.may_apply(scope); }
    void before_apply(Scope& scope) override { r.before_apply(scope); }
    void after_step(Scope& scope) override { r.after_step(scope); }
    void on_messages(Scope& scope, std::span<const Message> messages) override {
      r.on_messages(scope, messages);
    }
    void on_returned(Scope& scope, const Message& message) override {
      r.on_returned(scope, message);
    }
    void on_peer_joined(Scope& scope, PeerId peer) override { r.on_peer_joined(scope, peer); }
    void on_peer_left(Scope& scope, const PeerLeft& gone) override { r.on_peer_left(scope, gone); }
    void on_leave(Scope& scope) override { r.on_leave(scope); }
    void on_replaced(Scope& scope) override { r.on_replaced(scope); }
    void checkpoint(Archive& archive) override { r.checkpoint(archive); }
    T r;
  };

  std::unique_ptr<Interface> held_;
};

}  // namespace gossamer::rule
