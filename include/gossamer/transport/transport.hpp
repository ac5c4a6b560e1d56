// SPDX-License-Identifier: MIT
/// The contract that all transports share, as a concept, and one that holds any of them.
#pragma once

#include <gossamer/transport/health.hpp>
#include <gossamer/transport/message.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace gossamer::transport {

/// Time since the transport began. Virtual under the simulator, hence no `std::chrono` clock.
using Time = std::chrono::nanoseconds;

// One concept per operation, so that `check_transport` can name the one that is missing.
namespace has {
template <class T>
concept self = requires(const T& t) {
  { t.self() } -> std::same_as<PeerId>;
};
template <class T>
concept peers = requires(const T& t) {
  { t.peers() } -> std::same_as<std::span<const PeerId>>;
};
template <class T>
concept set_model_layout = requires(T& t, const std::string& model, const model::Flat& shape) {
  { t.set_model_layout(model, shape) } -> std::same_as<void>;
};
template <class T>
concept send = requires(T& t, Message m) {
  { t.send(std::move(m)) } -> std::same_as<void>;
};
template <class T>
concept poll = requires(T& t) {
  { t.poll() } -> std::same_as<std::optional<Event>>;
};
template <class T>
concept wait = requires(T& t, Time deadline) {
  { t.wait(deadline) } -> std::same_as<bool>;
};
template <class T>
concept wake = requires(T& t) {
  { t.wake() } -> std::same_as<void>;
};
template <class T>
concept now = requires(const T& t) {
  { t.now() } -> std::same_as<Time>;
};
template <class T>
concept publish = requires(T& t, const Counters& status) {
  { t.publish(status) } -> std::same_as<void>;
};
template <class T>
concept status = requires(const T& t, PeerId peer) {
  { t.counters(peer) } -> std::same_as<Counters>;
};
template <class T>
concept totals = requires(const T& t) {
  { t.work_done() } -> std::same_as<WorkDone>;
};
template <class T>
concept finish = requires(T& t) {
  { t.finish() } -> std::same_as<void>;
};
template <class T>
concept settled = requires(T& t) {
  { t.settled() } -> std::same_as<bool>;
};
template <class T>
concept close = requires(T& t, Reason reason) {
  { t.close(reason) } -> std::same_as<void>;
};
}  // namespace has

/// One node's end of a transport.
///
/// Promise: every message is delivered exactly once, or comes back to its sender as `Returned`, or
/// is lost with a peer that is lost. `PeerLeft` comes before the messages which that peer returns.
/// Queues are bounded: what a slow peer has no room for comes back at once.
///
/// `self()`        this node's number.
/// `peers()`       the others that may be chosen, ascending: joined, not finished, not gone.
///                 Changes only when `poll()` returns PeerJoined or PeerLeft, which makes the old
///                 span invalid.
/// `set_model_layout(s, f)`  says what model this node has (`Layout::description()`) and what its payloads
///                 look like, before anything is sent; throws ConfigError, naming both sides, if a
///                 peer has another.
/// `send(m)`       never blocks on a peer, never throws for a lost one.
/// `poll()`        the next event, or nothing; never blocks.
/// `wait(t)`       blocks until `poll()` has an event (true), or `wake()` was called or the time is
///                 t (false). Call it, as `settled()`, only when all polled events are dealt with.
/// `wake()`        makes a running or the next `wait()` return. The one operation for any thread.
/// `now()`         time since the transport began.
/// `publish(s)`    lets the others know, some time; `counters(p)` is what is known of p.
/// `work_done()`      work done by everybody, as far as known.
/// `speed(p)`      optional: bytes per second to p, as measured; 0: not yet.
/// `finish()`      this node starts no more exchanges, but still answers; the others see PeerLeft.
/// `settled()`     true once every live peer has finished and nothing is under way to anybody: from
///                 then on no event comes.
/// `close(r)`      leaves; what was not polled goes back to its senders. SwitchAfter only `self()`,
///                 `now()`, `counters()` and `work_done()` may be called.
template <class T>
concept Transport = has::self<T> && has::peers<T> && has::set_model_layout<T> && has::send<T> &&
    has::poll<T> && has::wait<T> && has::wake<T> && has::now<T> && has::publish<T> &&
    has::status<T> && has::totals<T> && has::finish<T> && has::settled<T> && has::close<T>;

/// Says which operation a would-be transport lacks.
template <class T>
consteval void check_transport() {
  static_assert(has::self<T>, "Transport needs: PeerId self() const");
  static_assert(has::peers<T>, "Transport needs: std::span<const PeerId> peers() const");
  static_assert(
      has::set_model_layout<T>,
      "Transport needs: void set_model_layout(const std::string& model, const model::Flat& shape)");
  static_assert(has::send<T>, "Transport needs: void send(Message message)");
  static_assert(has::poll<T>, "Transport needs: std::optional<Event> poll()");
  static_assert(has::wait<T>, "Transport needs: bool wait(Time deadline)");
  static_assert(has::wake<T>, "Transport needs: void wake()");
  static_assert(has::now<T>, "Transport needs: Time now() const");
  static_assert(has::publish<T>, "Transport needs: void publish(const Counters& status)");
  static_assert(has::status<T>, "Transport needs: Counters counters(PeerId peer) const");
  static_assert(has::totals<T>, "Transport needs: WorkDone work_done() const");
  static_assert(has::finish<T>, "Transport needs: void finish()");
  static_assert(has::settled<T>, "Transport needs: bool settled()");
  static_assert(has::close<T>, "Transport needs: void close(Reason reason)");
}

/// Holds any transport, so that one user's class runs on all of them. A virtual call per operation
/// is nothing beside a model.
class AnyTransport {
 public:
  template <class T>
  requires(!std::same_as<std::remove_cvref_t<T>, AnyTransport>)
      AnyTransport(T transport)  // NOLINT(google-explicit-constructor): a converting holder
      : held_(std::make_unique<Held<T>>(std::move(transport))) {
    check_transport<T>();
  }

  [[nodiscard]] PeerId self() const { return held_->self(); }
  [[nodiscard]] std::span<const PeerId> peers() const { return held_->peers(); }
  void set_model_layout(const std::string& model, const model::Flat& shape) {
    held_->set_model_layout(model, shape);
  }
  void send(Message message) { held_->send(std::move(message)); }
  std::optional<Event> poll() { return held_->poll(); }
  bool wait(Time deadline) { return held_->wait(deadline); }
  void wake() { held_->wake(); }
  [[nodiscard]] Time now() const { return held_->now(); }
  void publish(const Counters& status) { held_->publish(status); }
  [[nodiscard]] Counters counters(PeerId peer) const { return held_->counters(peer); }
  [[nodiscard]] double speed(PeerId peer) const { return held_->speed(peer); }
  [[nodiscard]] WorkDone work_done() const { return held_->work_done(); }
  void finish() { held_->finish(); }
  bool settled() { return held_->settled(); }
  void close(Reason reason) { held_->close(reason); }

 private:
  struct Interface {
    virtual ~Interface() = default;
    [[nodiscard]] virtual PeerId self() const = 0;
    [[nodiscard]] virtual std::span<const PeerId> peers() const = 0;
    virtual void set_model_layout(const std::string& model, const model::Flat& shape) = 0;
    virtual void send(Message message) = 0;
    virtual std::optional<Event> poll() = 0;
    virtual bool wait(Time deadline) = 0;
    virtual void wake() = 0;
    [[nodiscard]] virtual Time now() const = 0;
    virtual void publish(const Counters& status) = 0;
    [[nodiscard]] virtual Counters counters(PeerId peer) const = 0;
    [[nodiscard]] virtual double speed(PeerId peer) const = 0;
    [[nodiscard]] virtual WorkDone work_done() const = 0;
    virtual void finish() = 0;
    virtual bool settled() = 0;
    virtual void close(Reason reason) = 0;
  };

  template <class T>
  struct Held final : Interface {
    explicit Held(T transport) : t(std::move(transport)) {}
    [[nodiscard]] PeerId self() const override { return t.self(); }
    [[nodiscard]] std::span<const PeerId> peers() const override { return t.peers(); }
    void set_model_layout(const std::string& model, const model::Flat& shape) override {
      t.set_model_layout(model, shape);
    }
    void send(Message message) override { t.send(std::move(message)); }
    std::optional<Event> poll() override { return t.poll(); }
    bool wait(Time deadline) override { return t.wait(deadline); }
    void wake() override { t.wake(); }
    [[nodiscard]] Time now() const override { return t.now(); }
    void publish(const Counters& status) override { t.publish(status); }
    [[nodiscard]] Counters counters(PeerId peer) const override { return t.counters(peer); }
    [[nodiscard]] double speed(PeerId peer) const override { return measured_speed(t, peer); }
    [[nodiscard]] WorkDone work_done() const override { return t.work_done(); }
    void finish() override { t.finish(); }
    bool settled() override { return t.settled(); }
    void close(Reason reason) override { t.close(reason); }
    T t;
  };

  std::unique_ptr<Interface> held_;
};

}  // namespace gossamer::transport
