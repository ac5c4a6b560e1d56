// SPDX-License-Identifier: MIT
/// What viewers are shown of a group: gathered from callbacks.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/connections.hpp>
#include <gossamer/observe/consensus_estimate.hpp>
#include <gossamer/observe/curve.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/watch_view.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::observe {

/// Keeps of a group what a viewer wants to see: its nodes and what each does, whom messages went
/// to, curves, and what has happened to nodes. Of peers in other processes it knows what they let
/// this one know, and how long it has not changed.
///
/// Memory   bounded: the last messages and events, a curve's points (`Curve`), a line per node.
/// Cost     a lock for each step, wait, message and merge; a copy of the group's state every tick.
/// Threads  any may ask; a lock is held while the state is copied, not while it is written down.
class WatchState : public Callback {
 public:
  static constexpr std::size_t most_messages = 1024;
  static constexpr std::size_t most_events = 200;
  static constexpr std::size_t most_curves = 24;

  using About = std::vector<std::pair<std::string, std::string>>;
  /// `about`: the rule and its options, and whatever else a viewer wants to know of the run.
  /// `estimate`, if there is one, is told by the group itself.
  explicit WatchState(About about = {}, std::shared_ptr<const ConsensusEstimate> estimate = nullptr)
      : about_(std::move(about)), estimate_(std::move(estimate)) {}

  void on_start(Time now, PeerId node, std::uint64_t incarnation, double weight) override {
    const std::lock_guard lock(mutex_);
    if (incarnation > 1) {
      happened(now, node, "returned");
    } else if (weight == 0) {
      happened(now, node, "joined");
    } else {
      standing_[node] = "started";  // all of them do: no event
    }
    enter(now, node, Doing::rest);
  }
  void on_end(Time now, PeerId node, End how) override {
    const std::lock_guard lock(mutex_);
    const char* what = how == End::crashed ? "crashed" : "failed";
    happened(now, node, how == End::left ? "left" : what);
    enter(now, node, Doing::gone);
  }
  void on_leaving(Time now, PeerId node) override {
    const std::lock_guard lock(mutex_);
    happened(now, node, "leaving");
  }
  void on_peer_joined(Time now, PeerId, PeerId peer) override {
    const std::lock_guard lock(mutex_);
    const auto known = standing_.find(peer);
    if (known == standing_.end()) return happened(now, peer, "joined");
    const std::string& last = known->second;
    if (last == "suspected" || last == "lost" || last == "left") happened(now, peer, "returned");
  }
  void on_peer_left(Time now, PeerId, const transport::PeerLeft& gone) override {
    const std::lock_guard lock(mutex_);
    const auto known = standing_.find(gone.peer);
    const bool is_over =
        known != standing_.end() &&
        (known->second == "crashed" || known->second == "failed" || known->second == "lost");
    if (is_over) return;
    const char* otherwise = gone.reason == transport::Reason::left ? "left" : "finished";
    happened(now, gone.peer, gone.reason == transport::Reason::lost ? "suspected" : otherwise);
  }

  void on_step(Time now, PeerId node) override { locked_enter(now, node, Doing::compute); }
  void on_step_end(Time now, PeerId node, const Counters&) override {
    locked_enter(now, node, Doing::exchange);
  }
  void on_wait(Time now, PeerId node, Wait) override { locked_enter(now, node, Doing::wait); }
  void on_rest(Time now, PeerId node) override { locked_enter(now, node, Doing::rest); }
  void on_send(Time, const transport::Message& message) override {
    const std::lock_guard lock(mutex_);
    messages_.push_back({message.from, message.to, message.bytes()});
    if (messages_.size() > most_messages) messages_.pop_front();
  }

  void on_run_begin(Time now, const GroupState& state) override { keep(now, state, true); }
  void on_tick(Time now, const GroupState& state) override { keep(now, state, is_running()); }
  void on_run_end(Time now, const GroupState& state) override { keep(now, state, false); }
  void on_evaluation(Time now, const Evaluation& found, const GroupState& state) override {
    keep(now, state, is_running());
    const std::lock_guard lock(mutex_);
    for (const auto& [name, value] : found) {
      if (curves_.size() >= most_curves && !curves_.contains(name)) continue;
      const double number = std::visit([](auto one) { return static_cast<double>(one); }, value);
      Curve& curve = curves_[name];
      if (curve.wants()) curve.add(state.elapsed.count(), number);
    }
  }

  /// All of it. Times are seconds, those of events from the first that was told; `age`: since a
  /// peer's numbers have changed, or since this process was told of its own nodes.
  [[nodiscard]] WatchView view() const {
    Snapshot seen = snapshot();
    WatchView view;
    view.about = about_;
    view.running = seen.running;
    if (seen.state) {
      const GroupState& group = *seen.state;
      view.group = WatchView::Group{group.elapsed.count(), group.wall.count(), group.is_virtual,
                                    seconds(Clock::now() - seen.told), group.totals};
      view.group->consensus = estimate_of(group);
      add_nodes(view, seen);
    }
    add_messages(view, seen);
    view.curves = std::move(seen.curves);
    view.events = std::move(seen.events);
    return view;
  }
  /// The same as JSON.
  [[nodiscard]] std::string json() const { return json_of(view()); }

 private:
  using Clock = std::chrono::steady_clock;

  enum class Doing : std::size_t { compute, exchange, wait, rest, gone };
  static constexpr std::array<const char*, 5> words{"compute", "exchange", "wait", "rest", "gone"};

  /// What a node that lives here does, since when, and for how long it has done each.
  struct Lane {
    Doing doing = Doing::rest;
    Time since{0};
    std::array<Time, words.size()> spent{};
  };
  struct Sent {
    PeerId from;
    PeerId to;
    std::size_t bytes;
  };
  /// When a peer's numbers changed last.
  struct Seen {
    std::uint64_t steps = 0;
    std::uint64_t messages = 0;
    Clock::time_point when;
  };
  struct Snapshot {
    std::shared_ptr<const GroupState> state;
    Clock::time_point told;
    Time now{0};
    bool running = false;
    std::unordered_map<PeerId, Lane> lanes;
    std::map<PeerId, Seen> peers;
    std::deque<Sent> messages;
    std::map<std::string, Curve> curves;
    std::deque<WatchView::Event> events;
    std::map<PeerId, std::string> standing;
  };

  static double seconds(std::chrono::nanoseconds time) {
    return static_cast<double>(time.count()) / 1e9;
  }

  // Under the lock.

  void enter(Time now, PeerId node, Doing doing) {
    if (!begin_) begin_ = now;
    Lane& lane = lanes_.try_emplace(node, Lane{Doing::rest, now, {}}).first->second;
    if (now > lane.since) lane.spent[static_cast<std::size_t>(lane.doing)] += now - lane.since;
    lane.doing = doing;
    lane.since = now;
  }
  /// All nodes of a process tell of the same thing: it is kept once.
  void happened(Time now, PeerId node, const char* what) {
    std::string& standing = standing_[node];
    if (standing == what) return;
    standing = what;
    if (!begin_) begin_ = now;
    events_.push_back({seconds(now - *begin_), node, what});
    if (events_.size() > most_events) events_.pop_front();
  }
  void look_at(Time now, const transport::PeerView& peer) {
    Seen& seen = peers_[peer.peer];
    const std::uint64_t messages = peer.status.messages_sent + peer.status.messages_merged;
    if (seen.when == Clock::time_point() || seen.steps != peer.status.steps ||
        seen.messages != messages) {
      seen = {peer.status.steps, messages, Clock::now()};
    }
    const std::string state = state_of(peer);
    if (state == "lost") happened(now, peer.peer, "lost");
  }

  void locked_enter(Time now, PeerId node, Doing doing) {
    const std::lock_guard lock(mutex_);
    enter(now, node, doing);
  }
  [[nodiscard]] bool is_running() const {
    const std::lock_guard lock(mutex_);
    return running_;
  }

  void add_point(const char* name, const GroupState& state, double value) {
    Curve& curve = curves_[name];
    if (curve.wants()) curve.add(state.elapsed.count(), value);
  }

  void keep(Time now, const GroupState& state, bool running) {
    auto copy = std::make_shared<const GroupState>(state);
    const auto found = estimate_ ? estimate_->of(state) : std::nullopt;
    const std::lock_guard lock(mutex_);
    state_.swap(copy);
    told_ = Clock::now();
    now_ = now;
    running_ = running;
    if (state.connections) {
      for (const auto& peer : state.connections->peers) look_at(now, peer);
    }
    const Counters& all = state.totals;
    if (all.steps <= loss_from_.steps) return;
    if (found) add_point("consensus_estimate", state, found->error);
    Curve& loss = curves_["train_loss"];
    if (!loss.wants()) return;
    loss.add(state.elapsed.count(), (all.loss_sum - loss_from_.loss_sum) /
                                        static_cast<double>(all.steps - loss_from_.steps));
    loss_from_ = all;
  }

  [[nodiscard]] Snapshot snapshot() const {
    const std::lock_guard lock(mutex_);
    return {state_, told_, now_, running_, lanes_, peers_, messages_, curves_, events_, standing_};
  }

  // As a viewer sees it.

  [[nodiscard]] std::optional<WatchView::Consensus> estimate_of(const GroupState& group) const {
    const auto found = estimate_ ? estimate_->of(group) : std::nullopt;
    if (!found) return std::nullopt;
    return WatchView::Consensus{found->error, found->standard_error, found->samples};
  }
  static void add_nodes(WatchView& view, const Snapshot& seen) {
    for (const GroupState::Node& node : seen.state->nodes) {
      WatchView::Node& shown = view.nodes.emplace_back();
      shown.id = node.id;
      shown.here = true;
      shown.counters = node.counters;
      const auto lane = seen.lanes.find(node.id);
      if (lane == seen.lanes.end()) continue;
      shown.state = words[static_cast<std::size_t>(lane->second.doing)];
      shown.spent = spent_of(lane->second, seen.now);
    }
    if (seen.state->connections) {
      for (const auto& peer : seen.state->connections->peers) add_peer(view, peer, seen);
      return;
    }
    for (const auto& [id, lane] : seen.lanes) {  // those that are no more
      if (lane.doing != Doing::gone) continue;
      const auto standing = seen.standing.find(id);
      WatchView::Node& shown = view.nodes.emplace_back();
      shown.id = id;
      shown.here = true;
      shown.state = standing != seen.standing.end() ? standing->second : "gone";
    }
  }
  static std::array<double, 4> spent_of(const Lane& lane, Time now) {
    std::array<double, 4> all{};
    for (std::size_t i = 0; i < all.size(); ++i) {
      Time spent = lane.spent[i];
      if (i == static_cast<std::size_t>(lane.doing) && now > lane.since) spent += now - lane.since;
      all[i] = seconds(spent);
    }
    return all;
  }
  static void add_peer(WatchView& view, const transport::PeerView& peer, const Snapshot& seen) {
    WatchView::Node& node = view.nodes.emplace_back();
    node.id = peer.peer;
    node.state = state_of(peer);
    const auto standing = seen.standing.find(peer.peer);
    if (standing != seen.standing.end() && peer.presence == transport::wire::Presence::live) {
      if (standing->second == "suspected") node.state = "suspected";
      if (standing->second == "finished") node.state = "finished";
    }
    node.address = peer.address;
    const auto when = seen.peers.find(peer.peer);
    if (when != seen.peers.end()) node.age = seconds(Clock::now() - when->second.when);
    node.round_trip = seconds(peer.round_trip);
    node.to_it = peer.traffic.bytes_sent;
    node.from_it = peer.traffic.bytes_received;
    node.counters = peer.status;
  }

  /// The last messages, added up by sender and receiver.
  static void add_messages(WatchView& view, const Snapshot& seen) {
    std::map<std::pair<PeerId, PeerId>, std::pair<std::uint64_t, std::uint64_t>> edges;
    for (const Sent& sent : seen.messages) {
      auto& [count, bytes] = edges[{sent.from, sent.to}];
      ++count;
      bytes += sent.bytes;
    }
    for (const auto& [ends, sum] : edges) {
      view.edges.push_back({ends.first, ends.second, sum.first, sum.second});
    }
  }

  const About about_;
  const std::shared_ptr<const ConsensusEstimate> estimate_;  // null: there is none
  mutable std::mutex mutex_;
  std::shared_ptr<const GroupState> state_;
  Clock::time_point told_;
  Time now_{0};
  std::optional<Time> begin_;  // the first that was told
  bool running_ = false;
  Counters loss_from_;  // where the last point of the loss ends
  std::unordered_map<PeerId, Lane> lanes_;
  std::map<PeerId, Seen> peers_;
  std::deque<Sent> messages_;
  std::map<std::string, Curve> curves_;
  std::deque<WatchView::Event> events_;
  std::map<PeerId, std::string> standing_;  // the last that happened to each
};

}  // namespace gossamer::observe
