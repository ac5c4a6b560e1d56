// SPDX-License-Identifier: MIT
/// When each node of a simulated group has its turn, and what it does then.
#pragma once

#include <gossamer/simulation/detail/node_slots.hpp>
#include <gossamer/node/workers.hpp>

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
/// an event. Turns, faults and the end of a budget's time are events of the world, whose `value`
/// and `ticket` say whose turn it is, in which life.
template <class Node, class Rules>
class StepScheduler {
 public:
  using Members = NodeSlots<Node, Rules>;
  using Membership = typename Members::Membership;
  using Role = typename Membership::Role;
  using Time = transport::Time;
  enum Tag : std::uint32_t { tag_turn, tag_fault, tag_alarm, tag_probe };

  StepScheduler(const SimulatedGroupOptions& options, Members& members)
      : options_(options),
        members_(members),
        world_(members.world()),
        observer_(options.observer().get()) {
    world_.on_ready = [this](PeerId id) { wake(id); };
    if (observer_ == nullptr) return;
    world_.on_send = [this](const transport::Message& message) {
      observer_->on_sent(world_.now(), message);
    };
    world_.on_poll = [this](PeerId id, const transport::Event& event) {
      if (const auto* got = std::get_if<transport::Delivered>(&event)) {
        delivered_ += got->message.weight;
      }
      observer_->on_polled(world_.now(), id, event);
    };
  }
  StepScheduler(const StepScheduler&) = delete;
  StepScheduler& operator=(const StepScheduler&) = delete;
  ~StepScheduler() {
    world_.on_ready = nullptr;
    world_.on_send = nullptr;
    world_.on_poll = nullptr;
  }

  /// All nodes train, until the budget is spent.
  void begin(const StopCondition& budget) {
    budget_ = over_all(budget);
    begin_ = last_turn_ = world_.now();
    stopping_ = false;
    training_ = 0;
    for (PeerId id = 0; id < members_.size(); ++id) {
      Membership& member = members_[id];
      if (!member.is_live() || member.role == Role::leaves) continue;
      member.node->clear_stop();
      start(id);
    }
    if (budget.duration().count() > 0) plan(begin_ + budget.duration(), tag_alarm, 0, 0);
  }
  void start(PeerId id) {
    members_[id].role = Role::trains;
    ++training_;
    wake(id);
  }
  void pause(Membership& member) {
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
    const Membership& member = members_[id];
    if (!member.is_live() || member.planned) return;
    // Whoever would join or leave tries again after a pause, should all that it says come back.
    const bool insists = member.role == Role::leaves || member.node->is_joining();
    const Time pause = insists ? options_.world().resend_after() : Time(0);
    plan_turn(id, std::max(world_.now() + pause, member.thaws));
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
    Membership& member = members_[value];
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
  [[nodiscard]] StopCondition over_all(StopCondition budget) const {
    if (budget.steps() == 0 || !options_.world().peers_of()) return budget;
    const std::uint64_t samples =
        budget.steps() * options_.world().nodes() * options_.node().samples_per_step();
    if (budget.samples() == 0 || samples < budget.samples()) budget.samples(samples);
    return budget.steps(0);
  }

  void plan_turn(PeerId id, Time when) {
    members_[id].planned = true;
    plan(when, tag_turn, id, members_[id].ticket);
  }

  void have_turn(PeerId id, Membership& member) {
    if (std::exchange(member.works, false) && observer_ != nullptr) {
      observer_->on_step_end(world_.now(), id);
    }
    // It counts as planned until its turn is over: what comes back meanwhile is no reason for
    // another one.
    world_.release(id);
    member.waits = false;
    last_turn_ = world_.now();
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
    } else if (world_.has_event(id)) {
      wake(id);
    }
  }

  /// Returns when the next turn is, if it does not depend on others.
  std::optional<Time> turn(PeerId id, Membership& member) {
    Node& node = *member.node;
    if (member.wants_leave && member.role != Role::leaves) {
      pause(member);
      member.role = Role::leaves;
      if (observer_ != nullptr) observer_->on_leaving(world_.now(), id);
      node.request_leave();
      node.begin_finish();
    }
    if (member.role != Role::trains) {
      take_in(id, node, [&] { return node.settle(); });
      if (member.role != Role::leaves || try_to_leave(id, member)) return std::nullopt;
      return world_.now() + options_.world().resend_after();
    }
    const Progress progress = take_in(id, node, [&] { return node.prepare(budget_, begin_); });
    if (progress == Progress::stepped) return step(id, member);
    if (progress == Progress::paused) {
      pause(member);
      if (!node.engine().rule().is_synchronous()) wake_waiting();
      if (observer_ != nullptr) observer_->on_rest(world_.now(), id);
      return std::nullopt;
    }
    member.waits = true;
    if (!std::exchange(member.listed, true)) waiting_.push_back(id);
    watch(id, member);
    if (observer_ != nullptr) {
      using Wait = SimulatedObserver::Wait;
      observer_->on_wait(world_.now(), id, node.is_joining() ? Wait::first_weight : Wait::others);
    }
    return std::nullopt;
  }

  /// Lets the node take in what has come, and says what it was.
  template <class TakeIn>
  auto take_in(PeerId id, const Node& node, TakeIn take_in_now) {
    if (observer_ == nullptr) return take_in_now();
    const std::uint64_t before = node.counters().messages_merged;
    delivered_ = 0;
    const auto result = take_in_now();
    const std::uint64_t merged = node.counters().messages_merged - before;
    if (merged > 0) observer_->on_merged(world_.now(), id, merged, delivered_);
    observer_->on_weight(world_.now(), id, node.weight());
    return result;
  }

  /// A step, or half of one. Returns when its time is over.
  Time step(PeerId id, Membership& member) {
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
    if (observer_ != nullptr) observer_->on_step(world_.now(), id, disk, compute);
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
  void watch(PeerId id, Membership& member) {
    if (std::exchange(member.watched, true)) return;
    plan(world_.now() + options_.world().dead_after() / 2, tag_probe, id, member.ticket);
  }
  void ask_around(PeerId id, Membership& member) {
    member.watched = false;
    if (!member.waits) return;
    world_.probe(id);
    watch(id, member);
  }

  /// A leaver goes when all that it had is known to be somebody else's.
  bool try_to_leave(PeerId id, Membership& member) {
    if (member.node->weight() > 0 || world_.unconfirmed(id) > 0 || world_.has_event(id) ||
        !world_.is_in_touch(id)) {
      return false;
    }
    member.node->engine().transport().close(transport::Reason::left);
    member.node->end_finish();
    member.node.reset();
    if (observer_ != nullptr) {
      observer_->on_life_end(world_.now(), id, SimulatedObserver::End::left);
    }
    return true;
  }

  /// Called in the handler of the error. The others stop.
  void fail(PeerId id, const std::exception& error) {
    Membership& member = members_[id];
    pause(member);
    member.failed = true;
    if (!error_) {
      error_ = std::current_exception();
      failed_node_ = id;
    }
    member.node->fail(error);
    if (observer_ != nullptr) {
      observer_->on_life_end(world_.now(), id, SimulatedObserver::End::failed);
    }
    stop();
  }

  const SimulatedGroupOptions& options_;
  Members& members_;
  typename Members::World& world_;
  SimulatedObserver* observer_;
  double delivered_ = 0;  // weight, in this turn
  StopCondition budget_;
  Time begin_{0};
  std::size_t training_ = 0;
  std::vector<PeerId> waiting_;  // and perhaps some who do not any more
  std::size_t due_ = 0;          // events of the group's own that are planned, but for probes
  Time last_turn_{0};
  std::atomic<bool> stopping_{false};
  std::exception_ptr error_;
  std::size_t failed_node_ = 0;
};

}  // namespace gossamer
