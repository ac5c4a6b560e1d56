// SPDX-License-Identifier: MIT
/// A group of nodes in a simulated world: the sibling of ThreadGroup, under a virtual clock.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/node/compute_cost.hpp>
#include <gossamer/node/faults.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/transport/simulated.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer {

/// Options of a simulated group.
struct SimulatedGroupOptions {
  explicit SimulatedGroupOptions(std::size_t nodes = 1) : world_(nodes) {}

  /// The number of nodes and the network between them.
  TORCH_ARG(transport::SimulatedOptions, world);
  /// Options of each node; its seed is the whole simulation's.
  TORCH_ARG(NodeOptions, node) = {};
  /// How long each step takes, of every node, unless `cost_of` is set.
  TORCH_ARG(cost::Any, cost) = cost::Constant(std::chrono::milliseconds(10));
  /// How long each step of a node takes; asked once per life.
  TORCH_ARG(std::function<cost::Any(PeerId)>, cost_of) = nullptr;
  /// What is going to happen.
  TORCH_ARG(std::vector<PlannedFault>, plan) = {};
  /// How long, at most, a run waits at its end for what is under way.
  TORCH_ARG(transport::Time, settle_limit) = std::chrono::seconds(30);
  /// Asked now and then; true stops the group.
  TORCH_ARG(std::function<bool()>, stop_when) = nullptr;
};

/// Nodes on the simulated transport, in one thread. All start from node 0's parameters and with
/// equal weights; what they compute is computed truly, at the moment of the event.
///
///     gossamer::SimulatedGroup<MyNode> group(SimulatedGroupOptions(8), rule::GoSgd(0.02));
///     group.run(Budget().samples(500'000));
///     group.elapsed();  // virtual
///
/// Before a step a node takes in what has arrived, and its answers leave at once; what it sends
/// after computing leaves when the step's time is over, and what arrives meanwhile waits until
/// then. One seed gives one run, to the bit. Threads: one, but `stop()`, which any may call.
template <class Node, class Rules = transport::DeliveryRules>
class SimulatedGroup {
 public:
  using World = transport::SimulatedWorld<Rules>;
  using Ctx = typename Node::Context;
  using Factory = std::function<std::unique_ptr<Node>(Ctx)>;

  /// `make` makes every node, newcomers too. Throws what it throws, and ConfigError.
  SimulatedGroup(const SimulatedGroupOptions& options, const rule::AnyRule& rule, Factory make)
      : options_(seeded(options)),
        rule_(rule),
        make_(std::move(make)),
        world_(World::make(options_.world())) {
    const std::size_t nodes = world_->size();
    for (PeerId id = 0; id < nodes; ++id)
      begin_life(id, world_->endpoint(id), 1.0 / static_cast<double>(nodes));
    const at::NoGradGuard no_grad;
    for (auto& member : members_) {
      if (member != members_.front()) {
        member->node->parameters().flat().copy_from(members_.front()->node->parameters().flat());
      }
    }
    for (std::uint32_t i = 0; i < options_.plan().size(); ++i) {
      plan(options_.plan()[i].when, tag_fault, i, 0);
    }
    world_->on_event = [this](std::uint32_t tag, std::uint32_t value, std::uint32_t ticket) {
      happen(tag, value, ticket);
    };
    world_->on_ready = [this](PeerId id) { wake(id); };
  }
  SimulatedGroup(const SimulatedGroupOptions& options,
                 const rule::AnyRule& rule) requires std::constructible_from<Node, Ctx>
      : SimulatedGroup(options, rule,
                       [](Ctx context) { return std::make_unique<Node>(std::move(context)); }) {}
  SimulatedGroup(const SimulatedGroup&) = delete;
  SimulatedGroup& operator=(const SimulatedGroup&) = delete;

  /// Trains until the budget is spent, somebody stops it, or a node fails; then lets every message
  /// land, or `settle_limit` pass. Can be called again and goes on. Throws NodeError, the original
  /// nested, if a hook threw, and std::runtime_error if all wait and nothing can happen any more.
  void run_until(const Budget& budget) {
    begin(budget);
    go_on();
  }
  /// What `begin()` began, until `enough()` is true, asked after each event, or as `run_until` to
  /// its end. Nodes are whole between two events and may be looked at, but messages are under way;
  /// `go_on` again, or look and leave it. Returns whether the end is reached.
  bool go_on(const std::function<bool()>& enough = nullptr) {
    while (is_training()) {
      if (!step() || is_stuck()) {
        throw std::runtime_error(
            "SimulatedGroup: every node waits for others, and nothing comes, after " +
            std::to_string(elapsed().count()) + " virtual seconds");
      }
      if (world_->events() % 256 == 0 && options_.stop_when() && options_.stop_when()()) stop();
      if (enough && is_training() && enough()) return false;
    }
    settle();
    if (error_) rethrow_as_node_error(failed_node_, std::exchange(error_, nullptr));
    return true;
  }
  /// `run_until`, then the end: the nodes' `on_stop()` hooks.
  void run(const Budget& budget) {
    run_until(budget);
    finish();
  }
  void finish() {
    for (auto& member : members_) {
      if (member->node && !member->failed) member->node->end_finish();
    }
  }
  /// Asks all nodes to stop before their next step. Any thread.
  void stop() { stopping_ = true; }

  // A run event by event, for those who want to look between them.

  void begin(const Budget& budget) {
    budget_ = over_all(budget);
    begin_ = last_turn_ = world_->now();
    stopping_ = false;
    training_ = 0;
    for (PeerId id = 0; id < members_.size(); ++id) {
      Member& member = *members_[id];
      if (!member.node || member.failed || member.role == Role::leaves) continue;
      member.node->clear_stop();
      start(id);
    }
    if (budget.duration().count() > 0) plan(begin_ + budget.duration(), tag_alarm, 0, 0);
  }
  [[nodiscard]] bool is_training() const { return training_ > 0; }
  /// Lets one event happen; false if there is none.
  bool step() {
    if (stopping_.exchange(false)) {
      for (PeerId id = 0; id < members_.size(); ++id) {
        if (members_[id]->node) members_[id]->node->request_stop();
        wake(id);
      }
    }
    const bool any = world_->step(transport::Time::max());
    if (any && on_step) on_step();
    return any;
  }
  /// Called after each event of a run.
  std::function<void()> on_step;
  /// Called before a node dies, with the node as it was.
  std::function<void(const Node&)> on_crash;
  /// Lets what is under way land.
  void settle() {
    const transport::Time limit = world_->now() + options_.settle_limit();
    while (!(world_->is_calm() && !anybody_joins()) && world_->now() < limit && step()) {
    }
  }

  // What can be seen.

  [[nodiscard]] World& world() noexcept { return *world_; }
  [[nodiscard]] const World& world() const noexcept { return *world_; }
  /// How many numbers there are; some nodes may be gone.
  [[nodiscard]] std::size_t size() const noexcept { return members_.size(); }
  [[nodiscard]] bool is_live(PeerId id) const {
    return members_[id]->node && !members_[id]->failed;
  }
  [[nodiscard]] Node& operator[](std::size_t i) { return *members_[i]->node; }
  [[nodiscard]] const Node& operator[](std::size_t i) const { return *members_[i]->node; }
  [[nodiscard]] transport::Status status(std::size_t i) const {
    return world_->status(static_cast<PeerId>(i));
  }
  [[nodiscard]] transport::Status totals() const {
    transport::Status sum;
    for (std::size_t i = 0; i < members_.size(); ++i) sum += status(i);
    return sum;
  }
  /// Virtual time since the beginning.
  [[nodiscard]] std::chrono::duration<double> elapsed() const { return world_->now(); }
  /// The live nodes with their weights.
  [[nodiscard]] std::vector<observe::Member> members() const {
    std::vector<observe::Member> all;
    for (const auto& member : members_) {
      if (member->node && !member->failed) {
        all.push_back({&member->node->parameters(), member->node->weight()});
      }
    }
    return all;
  }
  [[nodiscard]] model::Flat mean() const { return observe::mean(members()); }
  [[nodiscard]] model::Flat weighted_mean() const { return observe::weighted_mean(members()); }

  /// Weight of all nodes and of all that is under way, by the ledgers of those who run, and of what
  /// went with the others: 1, at any time. O(links).
  [[nodiscard]] double total_weight() const { return total_weight(world_->books()); }
  /// The same for whoever has just read the world's books.
  [[nodiscard]] double total_weight(const transport::SimulatedBooks& books) const {
    double total = gone_ + books.in_hand + books.on_the_way + books.with_the_gone;
    for (PeerId id = 0; id < members_.size(); ++id) {
      if (members_[id]->node && world_->is_running(id)) total += members_[id]->node->weight();
    }
    for (const Life& life : lives_) {
      if (!world_->is_running(life.id) || world_->life(life.id) != life.number) total += life.start;
    }
    return total;
  }

  /// Saves the group at the end of a run, or restores one that was just made with the same options.
  /// What is not kept: the sessions between the nodes, which open again, and what they know of
  /// nodes that are gone, which they find out again; so a resumed run is as likely as the one that
  /// was cut off, but not the same to the bit. Throws CheckpointError, also when messages are under
  /// way (`world().is_calm()` is false), as behind a partition.
  void checkpoint(Archive& archive) {
    if (!archive.loading() && !world_->is_calm()) {
      throw CheckpointError("checkpoint: messages are under way in the simulated network");
    }
    std::uint64_t size = members_.size();
    archive("nodes", size);
    transport::Time::rep now = world_->now().count();
    archive("now", now);
    double gone = total_weight();
    for (const observe::Member& member : members()) gone -= member.weight;
    archive("gone", gone);
    archive("choices", random_);
    if (archive.loading()) set_stage(size, transport::Time(now), gone);
    for (PeerId id = 0; id < size; ++id) {
      archive.within(std::to_string(id), [&] { checkpoint(archive, id); });
    }
  }

  /// Does to the cluster, now, what a plan would do later.
  void apply(const Fault& what) {
    std::visit([this](const auto& one) { this->inflict(one); }, what);
  }

 private:
  enum Tag : std::uint32_t { tag_turn, tag_fault, tag_alarm, tag_probe };
  enum class Role { idle, trains, leaves };

  struct Member {
    std::unique_ptr<Node> node;
    Generator random;
    cost::Any cost;
    std::uint64_t costs = 0;  // drawn so far
    double slowness = 1;
    std::uint32_t ticket = 0;  // of the life
    Role role = Role::idle;
    bool planned = false;  // its next turn is among the events
    bool halfway = false;  // of a step in two halves
    bool waits = false;    // for others
    bool listed = false;   // among those who wait
    bool watched = false;  // and is going to ask whether they are there
    bool wants_leave = false;
    bool failed = false;
    transport::Time thaws{0};
    transport::Time busy{0};  // with its disk, beside the next step
  };
  struct Life {
    PeerId id;
    std::uint64_t number;
    double start;
  };

  /// Streams of the seed that belong to the costs of computing.
  static constexpr std::uint64_t cost_stream = std::uint64_t{2} << 48U;
  static constexpr std::uint64_t group_stream = std::uint64_t{3} << 48U;

  static SimulatedGroupOptions seeded(SimulatedGroupOptions options) {
    options.world(transport::SimulatedOptions(options.world()).seed(options.node().seed()));
    return options;
  }

  void begin_life(PeerId id, typename World::Endpoint endpoint, double weight) {
    if (id == members_.size()) members_.push_back(std::make_unique<Member>());
    auto fresh = std::make_unique<Member>();
    fresh->ticket = members_[id]->ticket + 1;
    fresh->random =
        Generator(options_.node().seed(), cost_stream + id + (std::uint64_t{fresh->ticket} << 32U));
    fresh->cost = options_.cost_of() ? options_.cost_of()(id) : options_.cost();
    members_[id] = std::move(fresh);
    lives_.push_back({id, world_->life(id), weight});
    members_[id]->node = make_(Ctx{std::move(endpoint), rule_, options_.node(), weight});
  }

  // Restoring.

  /// The clock, the nodes that joined, and the network as the plan has left it.
  void set_stage(std::size_t size, transport::Time now, double gone) {
    while (members_.size() < size) {
      const auto id = static_cast<PeerId>(members_.size());
      begin_life(id, world_->join(id, live_nodes()), 0);
    }
    world_->restart(now);
    due_ = 0;
    for (std::uint32_t i = 0; i < options_.plan().size(); ++i) {
      const PlannedFault& fault = options_.plan()[i];
      if (fault.when > now) {
        plan(fault.when, tag_fault, i, 0);
      } else if (fault::changes_network(fault.what)) {
        apply(fault.what);
      }
    }
    lives_.clear();
    gone_ = gone;
  }

  void checkpoint(Archive& archive, PeerId id) {
    Member& member = *members_[id];
    bool is_here = is_live(id);
    archive("is_here", is_here);
    archive("slowness", member.slowness);
    archive("costs", member.costs);
    transport::Status status = world_->status(id);
    archive.within("status", [&] { status.checkpoint(archive); });
    if (!is_here && archive.loading()) {
      member.node->engine().transport().publish(status);
      world_->crash(id);
      member.node.reset();
    }
    if (is_here) member.node->checkpoint(archive);
    if (!archive.loading()) return;
    for (std::uint64_t i = 0; i < member.costs; ++i) member.cost(member.random);
    if (is_here) lives_.push_back({id, world_->life(id), member.node->weight()});
  }

  /// Samples and steps of the group, for nodes that know only a few of it.
  [[nodiscard]] Budget over_all(Budget budget) const {
    if (budget.steps() == 0 || !options_.world().peers_of()) return budget;
    const std::uint64_t samples =
        budget.steps() * options_.world().nodes() * options_.node().samples_per_step();
    if (budget.samples() == 0 || samples < budget.samples()) budget.samples(samples);
    return budget.steps(0);
  }

  void start(PeerId id) {
    members_[id]->role = Role::trains;
    ++training_;
    wake(id);
  }
  void pause(Member& member) {
    if (member.role == Role::trains) --training_;
    member.role = Role::idle;
  }

  void plan(transport::Time when, Tag tag, std::uint32_t value, std::uint32_t ticket) {
    if (tag != tag_probe) ++due_;
    world_->plan(when, tag, value, ticket);
  }
  /// Every node waits for others, nothing is under way, and nothing else is going to happen; and
  /// those who wait have asked whether the others are there.
  [[nodiscard]] bool is_stuck() const {
    return due_ == 0 && world_->is_calm() &&
           world_->now() - last_turn_ > 2 * options_.world().dead_after();
  }

  /// Plans the node's next turn.
  void plan_turn(PeerId id, transport::Time when) {
    members_[id]->planned = true;
    plan(when, tag_turn, id, members_[id]->ticket);
  }
  void wake(PeerId id) {
    const Member& member = *members_[id];
    if (!member.node || member.failed || member.planned) return;
    // Whoever would join or leave tries again after a pause, should all that it says come back.
    const bool insists = member.role == Role::leaves || member.node->is_joining();
    const transport::Time pause = insists ? options_.world().resend_after() : transport::Time(0);
    plan_turn(id, std::max(world_->now() + pause, member.thaws));
  }

  void happen(std::uint32_t tag, std::uint32_t value, std::uint32_t ticket) {
    if (tag != tag_probe) --due_;
    if (tag == tag_fault) return apply(options_.plan()[value].what);
    if (tag == tag_alarm) {
      for (PeerId id = 0; id < members_.size(); ++id) wake(id);
      return;
    }
    Member& member = *members_[value];
    if (member.ticket != ticket || !member.node || member.failed) return;
    if (tag == tag_probe) {
      member.watched = false;
      if (member.waits) {
        world_->probe(value);
        watch(value, member);
      }
      return;
    }
    if (world_->now() < member.thaws) return plan_turn(value, member.thaws);
    // It counts as planned until its turn is over: what comes back meanwhile is no reason for
    // another one.
    world_->release(value);
    member.waits = false;
    last_turn_ = world_->now();
    std::optional<transport::Time> next;
    try {
      next = turn(value, member);
    } catch (const std::exception& error) {
      fail(value, error);
    }
    member.planned = false;
    if (!member.node || member.failed) return;
    world_->dealt_with(value);
    if (next) {
      plan_turn(value, *next);
    } else if (world_->has_event(value)) {
      wake(value);
    }
  }

  /// Returns when the next turn is, if it does not depend on others.
  std::optional<transport::Time> turn(PeerId id, Member& member) {
    Node& node = *member.node;
    if (member.wants_leave && member.role != Role::leaves) {
      pause(member);
      member.role = Role::leaves;
      node.request_leave();
      node.begin_finish();
    }
    if (member.role != Role::trains) {
      node.settle();
      if (member.role != Role::leaves || try_to_leave(id, member)) return std::nullopt;
      return world_->now() + options_.world().resend_after();
    }
    const Progress progress = node.prepare(budget_, begin_);
    if (progress == Progress::stepped) {
      const std::uint64_t steps = node.counters().steps;
      world_->hold(id);
      node.work();
      const bool second_half = std::exchange(member.halfway, node.counters().steps == steps);
      if (second_half) return world_->now();  // the first one has cost all
      ++member.costs;
      const auto cost = static_cast<double>(member.cost(member.random).count());
      return world_->now() + std::exchange(member.busy, transport::Time(0)) +
             transport::Time(static_cast<transport::Time::rep>(cost * member.slowness));
    }
    if (progress == Progress::paused) {
      pause(member);
      if (!rule_.lockstep()) wake_waiting();
    } else {
      member.waits = true;
      if (!std::exchange(member.listed, true)) waiting_.push_back(id);
      watch(id, member);
    }
    return std::nullopt;
  }

  /// Those who only serve the others may rest, too, and do not know it yet.
  void wake_waiting() {
    for (const PeerId id : std::exchange(waiting_, {})) {
      members_[id]->listed = false;
      if (members_[id]->waits) wake(id);
    }
  }

  /// A node that waits asks from time to time whether those are there for whom it may be waiting.
  void watch(PeerId id, Member& member) {
    if (std::exchange(member.watched, true)) return;
    plan(world_->now() + options_.world().dead_after() / 2, tag_probe, id, member.ticket);
  }

  /// A leaver goes when all that it had is known to be somebody else's.
  bool try_to_leave(PeerId id, Member& member) {
    if (member.node->weight() > 0 || world_->unconfirmed(id) > 0 || world_->has_event(id) ||
        !world_->is_in_touch(id)) {
      return false;
    }
    member.node->engine().transport().close(transport::Reason::left);
    member.node->end_finish();
    member.node.reset();
    return true;
  }

  void fail(PeerId id, const std::exception& error) {
    Member& member = *members_[id];
    pause(member);
    member.failed = true;
    if (!error_) {
      error_ = std::current_exception();
      failed_node_ = id;
    }
    member.node->fail(error);
    stop();
  }

  [[nodiscard]] std::vector<PeerId> live_nodes() const {
    std::vector<PeerId> live;
    for (PeerId id = 0; id < members_.size(); ++id) {
      if (is_live(id) && world_->is_live(id)) live.push_back(id);
    }
    return live;
  }
  [[nodiscard]] bool anybody_joins() const {
    return std::any_of(members_.begin(), members_.end(), [](const auto& member) {
      return member->node && !member->failed && member->node->is_joining();
    });
  }

  // The faults.

  [[nodiscard]] bool has(PeerId id) const { return id < members_.size() && is_live(id); }

  void inflict(const fault::Straggle& f) {
    if (has(f.node)) members_[f.node]->slowness = f.factor;
  }
  void inflict(const fault::Pause& f) {
    if (!has(f.node)) return;
    members_[f.node]->thaws = std::max(members_[f.node]->thaws, world_->now() + f.length);
    world_->freeze(f.node, members_[f.node]->thaws);
  }
  void inflict(const fault::SlowDisk& f) {
    if (has(f.node)) members_[f.node]->busy += f.length;
  }
  void inflict(const fault::Crash& f) {
    if (f.node >= members_.size() || !world_->is_running(f.node)) return;
    Member& member = *members_[f.node];
    if (member.node && on_crash) on_crash(*member.node);
    pause(member);
    world_->crash(f.node);
    member.node.reset();
  }
  void inflict(const fault::Restart& f) {
    if (f.node < members_.size() && !world_->is_running(f.node)) join(f.node);
  }
  void inflict(const fault::Join&) { join(static_cast<PeerId>(members_.size())); }
  void inflict(const fault::Leave& f) {
    if (!has(f.node) || live_nodes().size() < 2) return;
    members_[f.node]->wants_leave = true;
    wake(f.node);
  }
  void inflict(const fault::Partition& f) {
    for (const PeerId id : f.nodes) {
      if (id < members_.size()) world_->partition(id, 1);
    }
  }
  void inflict(const fault::Heal&) { world_->heal(); }
  void inflict(const fault::Cut& f) {
    if (f.a != f.b && std::max(f.a, f.b) < world_->size()) world_->cut(f.a, f.b);
  }
  void inflict(const fault::Restore& f) {
    if (f.a != f.b && std::max(f.a, f.b) < world_->size()) world_->cut(f.a, f.b, false);
  }
  void inflict(const fault::Noise& f) { world_->noise() = f.noise; }

  void join(PeerId id) {
    const std::vector<PeerId> live = live_nodes();
    if (live.empty()) return;
    const bool trains = training_ > 0;
    begin_life(id, world_->join(id, live), 0);
    const PeerId contact = live[random_.below(static_cast<std::uint32_t>(live.size()))];
    members_[id]->node->join(contact);
    if (trains) {
      start(id);
    } else {
      wake(id);
    }
  }

  SimulatedGroupOptions options_;
  rule::AnyRule rule_;
  Factory make_;
  std::shared_ptr<World> world_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<Life> lives_;
  double gone_ = 0;  // weight that was gone when the group was restored
  Generator random_{options_.node().seed(), group_stream};
  Budget budget_;
  transport::Time begin_{0};
  std::size_t training_ = 0;
  std::vector<PeerId> waiting_;  // and perhaps some who do not any more
  std::size_t due_ = 0;          // events of the group's own that are planned, but for probes
  transport::Time last_turn_{0};
  std::atomic<bool> stopping_{false};
  std::exception_ptr error_;
  std::size_t failed_node_ = 0;
};

}  // namespace gossamer
