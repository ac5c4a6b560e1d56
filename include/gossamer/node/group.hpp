// SPDX-License-Identifier: MIT
/// What can be done with a group of nodes, wherever they run.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/node/stop_condition.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/peers.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
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

  /// How many nodes the whole group began with.
  [[nodiscard]] virtual std::size_t nodes() const = 0;
  /// The counters of all nodes, added up, as far as they are known here. Any thread.
  [[nodiscard]] virtual Counters totals() const = 0;
  /// Time spent in `run_until`, all calls together, on the transport's clock.
  [[nodiscard]] virtual std::chrono::duration<double> elapsed() const = 0;
  /// Weight of all nodes and of all messages: 1. Nothing where only a part of it can be seen from
  /// here.
  [[nodiscard]] virtual std::optional<double> weight_of_all() const = 0;

  /// The plain mean of the models of all live nodes, wherever they run: the result that the papers
  /// evaluate. Where nodes run in several processes, all of them must call it, before they finish,
  /// and each gets the same bits; it waits for the others, and throws std::runtime_error if they do
  /// not come in time.
  [[nodiscard]] virtual model::Flat mean() { return observe::mean(living()); }
  /// The live nodes that live here, with their weights.
  [[nodiscard]] std::vector<observe::Replica> replicas() const {
    std::vector<observe::Replica> all;
    for (std::size_t i = 0; i < size(); ++i) {
      if (is_live(i)) all.push_back({&(*this)[i].parameters(), (*this)[i].weight()});
    }
    return all;
  }
  /// The same. Throws std::runtime_error if there are none: all may have crashed.
  [[nodiscard]] std::vector<observe::Replica> living() const {
    auto all = replicas();
    if (all.empty()) throw std::runtime_error("Group: no node is left that has a model");
    return all;
  }

  /// Whether no message is under way, so that a checkpoint can be made. After `run_until`, unless
  /// a part of a simulated network is out of reach.
  [[nodiscard]] virtual bool is_at_rest() const { return true; }
  /// Saves or restores the nodes that live here. Between runs; for what is kept see each group.
  /// Throws CheckpointError.
  virtual void checkpoint(Archive& archive) = 0;
};

}  // namespace gossamer
