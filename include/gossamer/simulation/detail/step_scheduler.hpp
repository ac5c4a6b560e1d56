// SPDX-License-Identifier: MIT
/// When each node of a simulated group has its turn, and what it does then.
#pragma once

#include <gossamer/node/workers.hpp>
#include <gossamer/simulation/detail/node_slots.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer {

/// The turns of a `SimulatedGroup`, which is made of it; users do not need it.
///
/// A node that trains has its next turn when its step's time is over; one that waits, when it has
/// an event. Turns, faults and the end of a condition's time are events of the world, whose `value`
/// and `ticket` say whose turn it is, in which incarnation.
template <class Node>
class StepScheduler {
 public:
  using Members = NodeSlots<Node>;
  using Slot = typename Members::Slot;
  using Role = typename Slot::Role;
  using Time = transport::Time;
  enum Tag : std::uint32_t { tag_turn, tag_fault, tag_alarm, tag_probe };

  StepScheduler(const SimulatedGroupOptions& options, Members& members)
      : options_(options),
        members_(members),
        world_(members.world()),
        callback_(options.node().callback().get()),
        simulation_(options.simulation_callbacks()) {
    world_.on_ready = [this](PeerId id) { wake(id); };
    if (callback_ == nullptr) return;
    world_.on_send = [this](const transport::Message& message) {
      callback_->on_send(world_.now(), message);
    };
    world_.on_poll = [this](PeerId id, const transport::Event& event) { tell(id, event); };
  }
  StepScheduler(const StepScheduler&) = delete;
  StepScheduler& operator=(const StepScheduler&) = delete;
  ~StepScheduler() {
    world_.on_ready = nullptr;
    world_.on_send = nullptr;
    world_.on_poll = nullptr;
  }

  /// All nodes train, until the condition holds.
  void begin(const StopCondition& until) {
    until_ = over_all(until);
    last_turn_ = world_.now();
    stopping_ = false;
    training_ = 0;
    for (PeerId id = 0; id < members_.size(); ++id) {
      Slot& member = members_[id];
      if (!member.is_live() || member.role == Role::leaves) continue;
      member.node->clear_stop();
      start(id);
    }
    if (until.duration()) plan(std::max(*until.duration(), world_.now()), tag_alarm, 0, 0);
  }
  void start(PeerId id) {
    members_[id].role = Role::trains;
    ++training_;
    wake(id);
  }
  void pause(Slot& member) {
    if (member.role == Role::trains) --training_;
    member.role = Role::idle;
  }
  [[nodiscard]] bool is_training() const { return training_ > 0; }

  /// Asks all nodes to stop before their next step. Any thread.
  void stop() { stopping_ = true; }
  /// Tells the nodes, if they are to stop.
  void obey() {
    if (!stopping_.exchange(false)) return;
    for (PeerId id = 0; id < members_.size(); ++id) {
      if (members_[id].node) members_[id].node->request_stop();
      wake(id);
    }
  }
  /// Plans a turn for a node that has none planned.
  void wake(PeerId id) {
    const Slot& member = members_[id];
    if (!member.is_live() || member.planned) return;
    // Whoever would join or leave tries again after a pause, should all that it says come back.
    const bool insists = member.role == Role::leaves || member.node->is_joining();
    wake_after(id, insists ? options_.world().resend_after() : Time(0));
  }

  void plan(Time when, Tag tag, std::uint32_t value, std::uint32_t ticket) {
    if (tag != tag_probe) ++due_;
    world_.plan(when, tag, value, ticket);
  }
  /// The world has forgotten what was planned.
  void forget_plans() { due_ = 0; }
  /// What was planned happens. True for a fault, which is not this room's.
  bool happen(std::uint32_t tag, std::uint32_t value, std::uint32_t ticket) {
    if (tag != tag_probe) --due_;
    if (tag == tag_fault) return true;
    if (tag == tag_alarm) {
      for (PeerId id = 0; id < members_.size(); ++id) wake(id);
      return false;
    }
    Slot& member = members_[value];
    if (member.ticket != ticket || !member.is_live()) return false;
    if (tag == tag_probe) {
      ask_around(value, member);
    } else if (world_.now() < member.thaws) {
      plan_turn(value, member.thaws);
    } else {
      have_turn(value, member);
    }
    return false;
  }

  /// Every node waits for others, nothing is under way, and nothing else is going to happen; and
  /// those who wait have asked whether the others are there.
  [[nodiscard]] bool is_stuck() const {
    return due_ == 0 && world_.is_calm() &&
           world_.now() - last_turn_ > 2 * options_.world().dead_after();
  }
  /// Throws the first node's error as NodeError, if there is one.
  void rethrow() {
    if (error_) rethrow_as_node_error(failed_node_, std::exchange(error_, nullptr));
  }

 private:
  /// Samples and steps of the group, for nodes that know only a few of it.
  [[nodiscard]] StopCondition over_all(StopCondition until) const {
    if (!until.steps() || !options_.world().peers_of()) return until;
    const std::uint64_t samples =
        *until.steps() * options_.world().nodes() * options_.node().samples_per_step();
    until.samples(std::min(samples, until.samples().value_or(samples)));
    return until.steps(std::nullopt);
  }

  void wake_after(PeerId id, Time pause) {
    plan_turn(id, std::max(world_.now() + pause, members_[id].thaws));
  }
  void plan_turn(PeerId id, Time when) {
    members_[id].planned = true;
    plan(when, tag_turn, id, members_[id].ticket);
  }

  void have_turn(PeerId id, Slot& member) {
    if (std::exchange(member.works, false) && callback_ != nullptr) {
      callback_->on_step_end(world_.now(), id, member.node->counters());
    }
    // It counts as planned until its turn is over: what comes back meanwhile is no reason for
    // another one.
    world_.release(id);
    member.waits = false;
    last_turn_ = world_.now();
    const bool insists = std::exchange(member.turned, last_turn_) == last_turn_;
    std::optional<Time> next;
    try {
      next = turn(id, member);
    } catch (const std::exception& error) {
      fail(id, error);
    }
    member.planned = false;
    if (!member.is_live()) return;
    world_.dealt_with(id);
    if (next) {
      plan_turn(id, *next);
    } else if (world_.has_event(id) && insists) {
      // What it says comes back at once, and it says it again: there is room when others have had
      // their turn, and no time passes until then.
      wake_after(id, options_.world().resend_after());
    } else if (world_.has_event(id)) {
      wake(id);
    }
  }

  /// Returns when the next turn is, if it does not depend on others.
  std::optional<Time> turn(PeerId id, Slot& member) {
    Node& node = *member.node;
    if (member.wants_leave && member.role != Role::leaves) {
      pause(member);
      member.role = Role::leaves;
      if (callback_ != nullptr) callback_->on_leaving(world_.now(), id);
      node.request_leave();
      node.begin_finish();
    }
    if (member.role != Role::trains) {
      take_in(id, node, [&] { return node.settle(); });
      if (member.role != Role::leaves || try_to_leave(id, member)) return std::nullopt;
      return world_.now() + options_.world().resend_after();
    }
    const Progress progress = take_in(id, node, [&] { return node.prepare(until_, Time(0)); });
    if (progress == Progress::stepped) return step(id, member);
    if (progress == Progress::paused) {
      pause(member);
      if (!node.engine().rule().is_synchronous()) wake_waiting();
      if (callback_ != nullptr) callback_->on_rest(world_.now(), id);
      return std::nullopt;
    }
    member.waits = true;
    if (!std::exchange(member.listed, true)) waiting_.push_back(id);
    watch(id, member);
    if (callback_ != nullptr) {
      using Wait = observe::Callback::Wait;
      callback_->on_wait(world_.now(), id, node.is_joining() ? Wait::first_weight : Wait::others);
    }
    return std::nullopt;
  }

  /// Lets the node take in what has come, and says what it was.
  template <class TakeIn>
  auto take_in(PeerId id, const Node& node, TakeIn take_in_now) {
    if (callback_ == nullptr) return take_in_now();
    const std::uint64_t before = node.counters().messages_merged;
    delivered_ = 0;
    const auto result = take_in_now();
    const std::uint64_t merged = node.counters().messages_merged - before;
    if (merged > 0) callback_->on_merge(world_.now(), id, merged, delivered_);
    callback_->on_weight(world_.now(), id, node.weight());
    return result;
  }

  void tell(PeerId id, const transport::Event& event) {
    const Time now = world_.now();
    if (const auto* got = std::get_if<transport::Delivered>(&event)) {
      delivered_ += got->message.weight;
      callback_->on_deliver(now, got->message);
    } else if (const auto* back = std::get_if<transport::Returned>(&event)) {
      callback_->on_return(now, *back);
    } else if (const auto* joined = std::get_if<transport::PeerJoined>(&event)) {
      callback_->on_peer_joined(now, id, joined->peer);
    } else if (const auto* gone = std::get_if<transport::PeerLeft>(&event)) {
      callback_->on_peer_left(now, id, *gone);
    }
  }
  void tell_step(PeerId id, Time disk, Time compute) {
    callback_->on_step(world_.now(), id);
    for (SimulationCallback* one : simulation_) one->on_cost(world_.now(), id, disk, compute);
  }

  /// A step, or half of one. Returns when its time is over.
  Time step(PeerId id, Slot& member) {
    Node& node = *member.node;
    const std::uint64_t steps = node.counters().steps;
    world_.hold(id);
    node.work();
    const bool second_half = std::exchange(member.halfway, node.counters().steps == steps);
    if (second_half) return world_.now();  // the first one has cost all
    ++member.costs;
    const auto cost = static_cast<double>(member.cost(member.random).count());
    const Time compute = Time(static_cast<Time::rep>(cost * member.slowness));
    const Time disk = std::exchange(member.busy, Time(0));
    member.works = true;
    if (callback_ != nullptr) tell_step(id, disk, compute);
    return world_.now() + disk + compute;
  }

  /// Those who only serve the others may rest, too, and do not know it yet.
  void wake_waiting() {
    for (const PeerId id : std::exchange(waiting_, {})) {
      members_[id].listed = false;
      if (members_[id].waits) wake(id);
    }
  }

  /// A node that waits asks from time to time whether those are there for whom it may be waiting.
  void watch(PeerId id, Slot& member) {
    if (std::exchange(member.watched, true)) return;
    plan(world_.now() + options_.world().dead_after() / 2, tag_probe, id, member.ticket);
  }
  void ask_around(PeerId id, Slot& member) {
    member.watched = false;
    if (!member.waits) return;
    world_.probe(id);
    watch(id, member);
  }

  /// A leaver goes when all that it had is known to be somebody else's.
  bool try_to_leave(PeerId id, Slot& member) {
    if (member.node->weight() > 0 || world_.unconfirmed(id) > 0 || world_.has_event(id) ||
        !world_.is_in_touch(id)) {
      return false;
    }
    member.node->engine().transport().close(transport::Reason::left);
    member.node->end_finish();
    member.node.reset();
    if (callback_ != nullptr) {
      callback_->on_end(world_.now(), id, observe::Callback::End::left);
    }
    return true;
  }

  /// Called in the handler of the error. The others stop.
  void fail(PeerId id, const std::exception& error) {
    Slot& member = members_[id];
    pause(member);
    member.failed = true;
    if (!error_) {
      error_ = std::current_exception();
      failed_node_ = id;
    }
    member.node->fail(error);
    if (callback_ != nullptr) {
      callback_->on_end(world_.now(), id, observe::Callback::End::failed);
    }
    stop();
  }

  const SimulatedGroupOptions& options_;
  Members& members_;
  transport::SimulatedWorld& world_;
  observe::Callback* callback_;
  std::vector<SimulationCallback*> simulation_;
  double delivered_ = 0;  // weight, in this turn
  StopCondition until_;
  std::size_t training_ = 0;
  std::vector<PeerId> waiting_;  // and perhaps some who do not any more
  std::size_t due_ = 0;          // events of the group's own that are planned, but for probes
  Time last_turn_{0};
  std::atomic<bool> stopping_{false};
  std::exception_ptr error_;
  std::size_t failed_node_ = 0;
};

}  // namespace gossamer
