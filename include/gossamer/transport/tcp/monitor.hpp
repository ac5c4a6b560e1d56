// SPDX-License-Identifier: MIT
/// The member of a node on TCP, which the node's thread and the endpoint's share.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/wire/delivery.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// A mutex around a `Membership`, and a condition that is notified when there is news. What the
/// node's thread changes makes `carry()` called, once until the endpoint's thread asks for its
/// `tasks()`.
///
/// Threads  any, for all members but `unlocked()`; they are let in one at a time.
class TcpMonitor {
 public:
  /// `carry` has the endpoint's thread ask for its tasks; it is called with the mutex.
  TcpMonitor(MembershipOptions options, std::function<void()> carry)
      : carry_(std::move(carry)), member_(std::move(options)) {}

  [[nodiscard]] Time now() const { return std::chrono::steady_clock::now() - begin_; }
  /// The member as it is, for what never changes.
  [[nodiscard]] const Membership& unlocked() const { return member_; }

  // For the node's thread.

  /// Calls `f(member)`, alone, and then has written what there is to say.
  template <class F>
  auto with(F f) {
    const std::lock_guard lock(mutex_);
    struct AtEnd {
      TcpMonitor& monitor;
      ~AtEnd() { monitor.kick(); }
    } at_end{*this};
    return f(member_);
  }
  /// Until `done(member)`, or the time is `deadline`; looks after each change. What it was.
  template <class Done>
  bool wait_until(Time deadline, Done done) {
    std::unique_lock lock(mutex_);
    ++watchers_;
    const bool is_done = wait_until(lock, deadline, [&] { return done(member_); });
    --watchers_;
    return is_done;
  }
  /// Until there is an event (true), or `wake()` was called or the time is `deadline`.
  bool wait(Time deadline) {
    bool any = false;
    std::unique_lock lock(mutex_);
    wait_until(lock, deadline, [&] {
      any = member_.has_event() || member_.has_ended();
      return std::exchange(woken_, false) || any;
    });
    return any;
  }
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

  /// The shape of payloads; before anything is sent or received.
  void shape(const model::Flat& shape) {
    const std::lock_guard lock(mutex_);
    pool_.emplace(shape);
    model_bytes_ = shape.bytes();
  }
  /// Whether the farewell is over; after `Membership::close()`.
  [[nodiscard]] bool is_gone() const { return gone_; }
  /// A number that changes whenever bytes of messages move, or a message comes further.
  [[nodiscard]] std::uint64_t progress() const {
    const std::lock_guard lock(mutex_);
    return moved_ + member_.progress();
  }
  /// All members that were ever heard of.
  [[nodiscard]] std::vector<PeerView> view() const {
    const std::lock_guard lock(mutex_);
    std::vector<PeerView> all;
    for (MembershipView& one : member_.view()) {
      const auto at = traffic_.find(one.peer);
      all.push_back({std::move(one), at != traffic_.end() ? at->second : Traffic{}});
    }
    return all;
  }

  // For the endpoint's thread.

  /// Calls `f(member)`, alone. What there is to say then, `tasks()` says.
  template <class F>
  auto locked(F f) const {
    const std::lock_guard lock(mutex_);
    return f(member_);
  }
  template <class F>
  auto locked(F f) {
    const std::lock_guard lock(mutex_);
    return f(member_);
  }

  /// What the endpoint is to do.
  struct Tasks {
    std::vector<LineId> speakers;       ///< lines on which there may be something to say
    std::vector<DialAttempt> dials;     ///< addresses to dial
    std::vector<MembershipNote> notes;  ///< lines of the log
  };
  /// After whatever happened: the tasks since it was asked last; those who wait are notified.
  Tasks tasks(bool may_dial, bool has_connections) {
    kicked_ = false;
    Tasks tasks;
    const std::lock_guard lock(mutex_);
    if (!going_ && member_.may_go()) {
      going_ = true;
      member_.go();
    }
    tasks.speakers = member_.speakers();
    if (may_dial && !going_) tasks.dials = member_.dials(now());
    tasks.notes = member_.notes();
    const bool settled = member_.is_settled();
    if (settled && !settled_) woken_ = true;
    settled_ = settled;
    if (going_ && !has_connections) gone_ = true;
    const bool is_news = woken_ || member_.has_event() || member_.has_ended();
    if (watchers_ > 0 || is_news) changed_.notify_all();
    return tasks;
  }
  /// Nothing is carried any more: the node's next call ends with that error, and nobody waits for
  /// the farewell.
  void fail(const std::string& why) {
    const std::lock_guard lock(mutex_);
    member_.fail(why);
    gone_ = true;
    woken_ = true;
    changed_.notify_all();
  }

  /// Bytes of messages have moved.
  void move() { ++moved_; }
  /// Counts what has passed between the node and a peer; for unauthenticated peers, of whom there
  /// may be any number, nothing.
  void count(const std::optional<PeerId>& peer, const Traffic& traffic) {
    if (!peer) return;
    const std::lock_guard lock(mutex_);
    if (member_.is_listed(*peer)) traffic_[*peer] += traffic;
  }
  /// How long the content of a message may be.
  [[nodiscard]] std::uint64_t most_payload() const { return wire::most_payload(model_bytes_); }
  /// A place for a payload; empty before `shape()`. Memory is got without the lock, which
  /// heartbeats need.
  [[nodiscard]] model::Snapshot take_snapshot() {
    std::optional<model::SnapshotPool> pool;
    {
      const std::lock_guard lock(mutex_);
      pool = pool_;
    }
    return pool ? pool->take() : model::Snapshot();
  }

 private:
  template <class Done>
  bool wait_until(std::unique_lock<std::mutex>& lock, Time deadline, Done done) {
    kick();
    const Time latest = now() + std::chrono::hours(24 * 365);  // further would overflow
    return changed_.wait_until(lock, begin_ + std::min(deadline, latest), done);
  }
  void kick() {
    if (member_.has_speakers() && !kicked_.exchange(true)) carry_();
  }

  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::function<void()> carry_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Membership member_;
  bool woken_ = false;
  int watchers_ = 0;  // who wait for something else than an event
  bool settled_ = false;
  bool going_ = false;
  std::optional<model::SnapshotPool> pool_;
  std::map<PeerId, Traffic> traffic_;
  std::atomic<std::uint64_t> model_bytes_{0};
  std::atomic<std::uint64_t> moved_{0};
  std::atomic<bool> kicked_{false};
  std::atomic<bool> gone_{false};
};

}  // namespace gossamer::transport
