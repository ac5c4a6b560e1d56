// SPDX-License-Identifier: MIT
/// A group of nodes in a simulated world: the sibling of ThreadGroup, under a virtual clock.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/node/group.hpp>
#include <gossamer/simulation/detail/fault_player.hpp>
#include <gossamer/simulation/detail/node_slots.hpp>
#include <gossamer/simulation/detail/step_scheduler.hpp>
#include <gossamer/simulation/group_options.hpp>
#include <gossamer/simulation/transport.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace gossamer {

/// Nodes on the simulated transport, in one thread. All start from node 0's parameters and with
/// equal weights; what they compute is computed truly, at the moment of the event.
///
///     gossamer::SimulatedGroup<MyNode> group(SimulatedGroupOptions(8), rule::GoSgd(0.02));
///     group.run(StopCondition().samples(500'000));
///     group.elapsed();  // virtual
///
/// Before a step a node takes in what has arrived, and its answers leave at once; what it sends
/// after computing leaves when the step's time is over, and what arrives meanwhile waits until
/// then. One seed gives one run, to the bit. Threads: one, but `stop()`, which any may call.
///
///     members   who is there           turns   what each node does, and when
///     faults    what a plan does       group   runs, looks, saves
template <class Node>
class SimulatedGroup final : public Group<Node> {
 public:
  using World = transport::SimulatedWorld;
  using Factory = std::function<std::unique_ptr<Node>(Context)>;

  /// `make` makes every node, newcomers too. Throws what it throws, and ConfigError.
  SimulatedGroup(const SimulatedGroupOptions& options, const rule::AnyRule& rule, Factory make)
      : options_(seeded(options)), members_(options_, rule, std::move(make)) {
    members_.world().on_event = [this](std::uint32_t tag, std::uint32_t value,
                                       std::uint32_t ticket) {
      if (turns_.happen(tag, value, ticket)) faults_.happen(value);
    };
    announce();
  }
  SimulatedGroup(const SimulatedGroupOptions& options,
                 const rule::AnyRule& rule) requires std::constructible_from<Node, Context>
      : SimulatedGroup(options, rule,
                       [](Context context) { return std::make_unique<Node>(std::move(context)); }) {
  }
  ~SimulatedGroup() override { world().on_event = nullptr; }

  /// Trains until the budget is spent, somebody stops it, or a node fails; then lets every message
  /// land, or `settle_limit` pass. Can be called again and goes on. Throws NodeError, the original
  /// nested, if a hook threw, and std::runtime_error if all wait and nothing can happen any more.
  void run_until(const StopCondition& until) override {
    const observe::Stopwatch::Stretch stretch(this->wall_);
    begin(until);
    go_on();
  }
  void run_towards(const StopCondition& until, std::uint64_t samples) override {
    const observe::Stopwatch::Stretch stretch(this->wall_);
    if (!is_training()) begin(until);
    const bool stops_there = until.samples() && samples >= *until.samples();
    go_on([&] { return !stops_there && world().work_done().samples >= samples; });
  }
  [[nodiscard]] bool is_at_rest() const override { return world().is_calm(); }
  /// What `begin()` began, until `enough()` is true, asked after each event, or as `run_until` to
  /// its end. Nodes are whole between two events and may be looked at, but messages are under way;
  /// `go_on` again, or look and leave it. Returns whether the end is reached.
  bool go_on(const std::function<bool()>& enough = nullptr) {
    while (is_training()) {
      if (!step() || turns_.is_stuck()) {
        throw std::runtime_error(
            "SimulatedGroup: every node waits for others, and nothing comes, after " +
            std::to_string(elapsed().count()) + " virtual seconds");
      }
      if (world().events() % 256 == 0 && options_.stop_when() && options_.stop_when()()) stop();
      if (ticks_) tick();
      if (enough && is_training() && enough()) return false;
    }
    settle();
    this->tell_end();
    turns_.rethrow();
    return true;
  }
  /// The nodes' `on_stop()` hooks.
  void finish() override {
    for (std::size_t i = 0; i < size(); ++i) {
      if (members_[i].is_live()) members_[i].node->end_finish();
    }
  }
  /// Asks all nodes to stop before their next step. Any thread.
  void stop() override { turns_.stop(); }

  // A run event by event, for those who want to look between them.

  void begin(const StopCondition& until) {
    this->tell_begin();
    turns_.begin(until);
  }
  [[nodiscard]] bool is_training() const { return turns_.is_training(); }
  /// Lets one event happen; false if there is none.
  bool step() {
    turns_.obey();
    const bool any = world().step(transport::Time::max());
    if (any && on_step) on_step();
    return any;
  }
  /// Called after each event of a run.
  std::function<void()> on_step;
  /// Called before a node dies, with the node as it was.
  std::function<void(const Node&)> on_crash;
  /// Lets what is under way land.
  void settle() {
    const transport::Time limit = world().now() + options_.settle_limit();
    while (!(world().is_calm() && !members_.anybody_joins()) && world().now() < limit && step()) {
    }
  }

  // What can be seen.

  [[nodiscard]] World& world() noexcept { return members_.world(); }
  [[nodiscard]] const World& world() const noexcept { return members_.world(); }
  /// How many numbers there are; some nodes may be gone.
  [[nodiscard]] std::size_t size() const override { return members_.size(); }
  [[nodiscard]] std::size_t nodes() const override { return options_.world().nodes(); }
  [[nodiscard]] bool is_live(std::size_t i) const override { return members_[i].is_live(); }
  [[nodiscard]] Node& operator[](std::size_t i) override { return *members_[i].node; }
  [[nodiscard]] const Node& operator[](std::size_t i) const override { return *members_[i].node; }
  [[nodiscard]] Counters counters(std::size_t i) const override {
    return world().counters(static_cast<PeerId>(i));
  }
  [[nodiscard]] Counters totals() const override {
    Counters sum;
    for (std::size_t i = 0; i < size(); ++i) sum += counters(i);
    return sum;
  }
  /// Virtual time since the beginning.
  [[nodiscard]] std::chrono::duration<double> elapsed() const override { return world().now(); }
  [[nodiscard]] std::optional<double> weight_of_all() const override { return total_weight(); }
  /// What gossip conserves.
  [[nodiscard]] model::Flat weighted_mean() const {
    return observe::weighted_mean(this->replicas());
  }

  /// Weight of all nodes and of all that is under way, by the ledgers of those who run, and of what
  /// went with the others: 1, at any time. O(links).
  [[nodiscard]] double total_weight() const { return total_weight(world().books()); }
  /// The same for whoever has just read the world's books.
  [[nodiscard]] double total_weight(const transport::WeightAudit& books) const {
    return members_.total_weight(books);
  }

  /// Saves the group at the end of a run, or restores one that was just made with the same options.
  /// What is not kept: the sessions between the nodes, which open again, and what they know of
  /// nodes that are gone, which they find out again; so a resumed run is as likely as the one that
  /// was cut off, but not the same to the bit. Throws CheckpointError, also when messages are under
  /// way (`world().is_calm()` is false), as behind a partition.
  void checkpoint(Archive& archive) override {
    if (!archive.loading() && !world().is_calm()) {
      throw CheckpointError("checkpoint: messages are under way in the simulated network");
    }
    std::uint64_t size = members_.size();
    archive("nodes", size);
    transport::Time::rep now = world().now().count();
    archive("now", now);
    double gone = total_weight();
    for (const observe::Replica& member : this->replicas()) gone -= member.weight;
    archive("gone", gone);
    faults_.checkpoint(archive);
    if (archive.loading()) {
      members_.prepare_to_restore(size, gone);
      world().restart(transport::Time(now));
      turns_.forget_plans();
      faults_.resume(transport::Time(now));
    }
    for (PeerId id = 0; id < size; ++id) {
      archive.within(std::to_string(id), [&] { members_.checkpoint(archive, id); });
    }
    if (archive.loading()) {
      for (SimulationCallback* one : options_.simulation_callbacks()) {
        one->on_restored(world().now());
      }
      announce();
    }
    double seconds = this->wall_.elapsed().count();
    if (!archive.loading() || archive.has("wall_seconds")) archive("wall_seconds", seconds);
    this->wall_.set(std::chrono::duration<double>(seconds));
  }

  /// Does to the cluster, now, what a plan would do later.
  void apply(const Fault& what) { faults_.apply(what); }

 protected:
  [[nodiscard]] observe::Callback* callback() const override {
    return options_.node().callback().get();
  }
  [[nodiscard]] transport::Time now() const override { return world().now(); }
  [[nodiscard]] bool is_virtual() const override { return true; }

 private:
  /// By the wall clock, since it is for people.
  void tick() {
    const auto now = std::chrono::steady_clock::now();
    if (now - ticked_ < options_.tick()) return;
    ticked_ = now;
    ticks_();
  }
  static SimulatedGroupOptions seeded(SimulatedGroupOptions options) {
    options.world(transport::SimulatedOptions(options.world()).seed(options.node().seed()));
    return options;
  }
  /// Tells the callback who is there.
  void announce() {
    if (callback() == nullptr) return;
    for (PeerId id = 0; id < size(); ++id) {
      if (!is_live(id)) continue;
      callback()->on_start(world().now(), id, world().incarnation(id), members_[id].node->weight());
    }
  }

  SimulatedGroupOptions options_;
  std::chrono::steady_clock::time_point ticked_ = std::chrono::steady_clock::now();
  std::function<void()> ticks_ = this->told(options_.on_tick());
  NodeSlots<Node> members_;
  StepScheduler<Node> turns_{options_, members_};
  FaultPlayer<Node> faults_{options_, members_, turns_, on_crash};
};

}  // namespace gossamer
