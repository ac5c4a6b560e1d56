// SPDX-License-Identifier: MIT
/// What can be done with a group of nodes, wherever they run.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/node/stop_condition.hpp>
#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/stopwatch.hpp>
#include <gossamer/peers.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gossamer {

/// A group of nodes: all of them in this process (`ThreadGroup`, `SimulatedGroup`), or the one that
/// lives here of many (`TcpGroup`, `MpiGroup`). A program that is written for this class runs on
/// every transport.
///
///     void train(gossamer::Group<MyNode>& group) {
///       group.run_until(StopCondition().samples(500'000));
///       evaluate(group.mean());
///       group.finish();
///     }
///
/// Between two runs no node runs, and those that live here may be looked at.
///
/// Threads  for the thread that made it, but for `stop()` and `totals()`, which any may call.
/// Throws   NodeError from `run_until`, `run_for`, `run` and `finish`, the original nested, if a
///          node's hook threw: the other nodes are then stopped and whole.
template <class NodeType>
class Group {
 public:
  using Node = NodeType;

  Group() = default;
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  virtual ~Group() = default;

  /// Trains until the condition holds, somebody stops it, or a node fails; then lets what is in
  /// flight land. Can be called again and goes on.
  virtual void run_until(const StopCondition& until) = 0;
  /// Trains towards the condition, and returns when so many samples are reached or the condition
  /// holds, so that models can be looked at on the way. Nodes come to rest, as after `run_until`;
  /// but under a virtual clock they do not notice, as long as the next call has the same condition:
  /// messages are under way, and the run is the same to the bit, however often it is looked at.
  virtual void run_towards(const StopCondition& until, std::uint64_t samples) {
    StopCondition nearer = until;
    run_until(nearer.samples(std::min(samples, until.samples().value_or(samples))));
  }
  /// The same with limits that count from now.
  void run_for(const StopCondition& more) {
    const auto running = std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed());
    run_until(more.from(totals(), nodes(), running));
  }
  /// `run_until`, then `finish`.
  void run(const StopCondition& until) {
    run_until(until);
    finish();
  }
  /// The end: the nodes answer others until those have finished, and their `on_stop()` is called.
  virtual void finish() = 0;
  /// Asks the nodes that live here to stop before their next step. Any thread.
  virtual void stop() = 0;

  /// How many nodes live here, or have lived; `operator[]` takes numbers below.
  [[nodiscard]] virtual std::size_t size() const = 0;
  /// Whether that node is there, and has not failed.
  [[nodiscard]] virtual bool is_live(std::size_t i) const = 0;
  /// The node, which must be there.
  [[nodiscard]] virtual Node& operator[](std::size_t i) = 0;
  [[nodiscard]] virtual const Node& operator[](std::size_t i) const = 0;
  /// The live nodes that live here, by number.
  [[nodiscard]] std::vector<Node*> live() { return live_of<Node>(*this); }
  [[nodiscard]] std::vector<const Node*> live() const { return live_of<const Node>(*this); }

  /// How many nodes the whole group began with.
  [[nodiscard]] virtual std::size_t nodes() const = 0;
  /// The counters of a node that lives here, also while it runs. Any thread.
  [[nodiscard]] virtual Counters counters(std::size_t i) const = 0;
  /// The counters of all nodes, added up, as far as they are known here. Any thread.
  [[nodiscard]] virtual Counters totals() const = 0;
  /// Time spent in `run_until`, all calls together, on the transport's clock.
  [[nodiscard]] virtual std::chrono::duration<double> elapsed() const = 0;
  /// Weight of all nodes and of all messages: 1. Nothing where only a part of it can be seen from
  /// here.
  [[nodiscard]] virtual std::optional<double> weight_of_all() const = 0;
  /// Weight that a node here could hand to nobody as it left, and that is lost. After `finish`.
  [[nodiscard]] virtual double weight_lost() const { return 0; }

  /// The plain mean of the models of all live nodes, wherever they run: the result that the papers
  /// evaluate. Where nodes run in several processes, all of them must call it, before they finish,
  /// and each gets the same bits; it waits for the others, and throws std::runtime_error if they do
  /// not come in time.
  [[nodiscard]] virtual model::Flat mean() { return observe::mean(replicas()); }
  /// The live nodes that live here, with their weights.
  [[nodiscard]] std::vector<observe::Replica> replicas() const {
    std::vector<observe::Replica> all;
    for (const Node* node : live()) all.push_back({&node->parameters(), node->weight()});
    return all;
  }

  /// What can be seen of the group. Between runs.
  [[nodiscard]] observe::GroupState state() const {
    observe::GroupState state = seen();
    for (const Node* node : live()) {
      state.nodes.push_back({node->id(), node->counters(), pool_of(*node)});
      state.nodes.back().counters.weight = node->weight();
    }
    state.weight_of_all = weight_of_all();
    return state;
  }
  /// Tells the callbacks what an evaluation has found of the models. Between runs.
  void evaluated(const observe::Callback::Evaluation& found) const {
    if (callback() != nullptr) callback()->on_evaluation(now(), found, state());
  }
  /// Tells them that a checkpoint is complete; `save_checkpoint` calls it.
  void checkpoint_saved(const std::string& path) const {
    if (callback() != nullptr) callback()->on_checkpoint(now(), path);
  }

  /// Whether no message is under way, so that a checkpoint can be made. After `run_until`, unless
  /// a part of a simulated network is out of reach.
  [[nodiscard]] virtual bool is_at_rest() const { return true; }
  /// Saves or restores the nodes that live here. Between runs; for what is kept see each group.
  /// Throws CheckpointError.
  virtual void checkpoint(Archive& archive) = 0;

 protected:
  /// Who is told what happens; null: nobody is.
  [[nodiscard]] virtual observe::Callback* callback() const = 0;
  /// On the transport's clock. Any thread.
  [[nodiscard]] virtual std::chrono::nanoseconds now() const = 0;
  [[nodiscard]] virtual bool is_virtual() const { return false; }
  /// Of nodes in other processes. Any thread.
  [[nodiscard]] virtual std::shared_ptr<const observe::Connections> connections() const {
    return nullptr;
  }

  void tell_begin() const {
    if (callback() != nullptr) callback()->on_run_begin(now(), state());
  }
  /// If there is somebody to be told.
  void tell_tick() const {
    observe::GroupState state = seen();
    for (std::size_t i = 0; i < size(); ++i) {
      if (!is_live(i)) continue;
      const Node& node = (*this)[i];
      state.nodes.push_back({node.id(), counters(i), pool_of(node)});
    }
    callback()->on_tick(now(), state);
  }
  void tell_end() const {
    if (callback() != nullptr) callback()->on_run_end(now(), state());
  }
  /// The same function, which tells of the tick first.
  [[nodiscard]] std::function<void()> told(std::function<void()> on_tick) const {
    if (callback() == nullptr) return on_tick;
    return [this, on_tick = std::move(on_tick)] {
      tell_tick();
      if (on_tick) on_tick();
    };
  }

  /// Wall time spent in runs.
  observe::Stopwatch wall_;

 private:
  template <class AnyNode, class Self>
  static std::vector<AnyNode*> live_of(Self& group) {
    std::vector<AnyNode*> all;
    for (std::size_t i = 0; i < group.size(); ++i) {
      if (group.is_live(i)) all.push_back(&group[i]);
    }
    return all;
  }
  /// Any thread.
  static observe::PoolState pool_of(const Node& node) {
    const model::SnapshotPool& pool = node.engine().pool();
    return {pool.made(), pool.out()};
  }
  /// What can be seen while nodes run, too.
  [[nodiscard]] observe::GroupState seen() const {
    observe::GroupState state;
    state.totals = totals();
    state.elapsed = elapsed();
    state.is_virtual = is_virtual();
    state.wall = wall_.elapsed();
    state.connections = connections();
    return state;
  }
};

}  // namespace gossamer
