// SPDX-License-Identifier: MIT
/// A group of nodes in this process, one thread each: made, run, paused, stopped and looked at as
/// one.
#pragma once

#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/transport/threads.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

/// Nodes on the threads transport. All start from node 0's parameters and with equal weights.
///
///     gossamer::ThreadGroup<MyNode> group(GroupOptions(8), rule::GoSgd(0.02));
///     group.run(StopCondition().samples(500'000));
///     group.mean();
///
/// Between two runs no node is running, every message has landed, and all may be looked at, from
/// the thread that owns the group. `stop()` and `counters()` may be called from any thread, any time.
template <class Node>
class ThreadGroup {
 public:
  /// Makes the nodes, in order, in the calling thread; `make` is called with each one's context and
  /// returns `std::unique_ptr<Node>`. Throws what it throws, and ConfigError for models that
  /// differ.
  template <class Factory>
  ThreadGroup(const GroupOptions& options, const rule::AnyRule& rule, Factory make)
      : workers_(options),
        hub_(transport::ThreadHub::make(options.nodes(), options.mailbox_capacity())),
        failed_(options.nodes(), 0) {
    const double weight = 1 / static_cast<double>(options.nodes());
    for (PeerId id = 0; id < options.nodes(); ++id) {
      nodes_.push_back(make(Context{hub_->endpoint(id), rule, options.node(), weight}));
    }
    const at::NoGradGuard no_grad;
    for (auto& node : nodes_) {
      if (node != nodes_.front()) {
        node->parameters().flat().copy_from(nodes_.front()->parameters().flat());
      }
    }
  }

  /// The same for nodes that need nothing but their context.
  ThreadGroup(const GroupOptions& options,
              const rule::AnyRule& rule) requires std::constructible_from<Node, Context>
      : ThreadGroup(options, rule,
                    [](Context context) { return std::make_unique<Node>(std::move(context)); }) {}

  /// Trains until the budget is spent, somebody stops it, or a node fails; then lets every message
  /// land. Can be called again and goes on. Throws NodeError, the original nested, if a hook threw:
  /// the other nodes are then stopped and whole, and their weights and the failed node's add up.
  void run_until(const StopCondition& budget) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!failed_[i]) nodes_[i]->clear_stop();
    }
    const auto work = [&](std::size_t i) {
      if (!failed_[i]) nodes_[i]->run_until(budget);
      // Those who only serve the others may rest, too, and do not know it yet.
      for (auto& node : nodes_) node->engine().transport().wake();
    };
    const auto failed = [&](std::size_t i, const std::exception& error) {
      fail(i, error);
      stop();
    };
    const auto begin = std::chrono::steady_clock::now();
    const Workers::End end = workers_.run(work, failed, [this] { stop(); });
    elapsed_ += std::chrono::steady_clock::now() - begin;
    settle();
    if (end.error) rethrow_as_node_error(end.failed, end.error);
  }

  /// `run_until`, then the end: the nodes' `on_stop()` hooks.
  void run(const StopCondition& budget) {
    run_until(budget);
    finish();
  }

  /// Calls each node's `on_stop()`, whatever the others' do. Throws NodeError, as `run_until`.
  void finish() {
    each_whole_node([](Node& node) { node.end_finish(); });
  }

  /// Asks all nodes to stop before their next step. Any thread.
  void stop() {
    for (auto& node : nodes_) node->request_stop();
  }

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] Node& operator[](std::size_t i) { return *nodes_[i]; }
  /// A node's counters, also while it is running. Any thread.
  [[nodiscard]] transport::Counters counters(std::size_t i) const {
    return hub_->counters(static_cast<PeerId>(i));
  }
  /// The counters of all nodes, added up. Any thread.
  [[nodiscard]] transport::Counters totals() const {
    transport::Counters sum;
    for (std::size_t i = 0; i < nodes_.size(); ++i) sum += status(i);
    return sum;
  }
  /// Time spent in `run_until`, all calls together.
  [[nodiscard]] std::chrono::duration<double> elapsed() const noexcept { return elapsed_; }

  /// The nodes that have not failed, with their weights. Between runs.
  [[nodiscard]] std::vector<observe::Replica> members() const {
    std::vector<observe::Replica> members;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!failed_[i]) members.push_back({&nodes_[i]->parameters(), nodes_[i]->weight()});
    }
    return members;
  }
  /// Weight of all nodes, failed ones too, and of messages under way: 1. Between runs.
  [[nodiscard]] double total_weight() const {
    double weight = hub_->weight_in_flight() + hub_->weight_lost();
    for (const auto& node : nodes_) weight += node->weight();
    return weight;
  }
  /// The plain mean of the nodes' models, and the weighted one. Between runs.
  [[nodiscard]] model::Flat mean() const { return observe::mean(members()); }
  [[nodiscard]] model::Flat weighted_mean() const { return observe::weighted_mean(members()); }

  /// Saves or restores all nodes. Between runs.
  void checkpoint(Archive& archive) {
    std::uint64_t nodes = nodes_.size();
    archive("nodes", nodes);
    if (nodes != nodes_.size()) {
      throw CheckpointError("checkpoint: of a group of " + std::to_string(nodes) +
                            " nodes, this one has " + std::to_string(nodes_.size()));
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      archive.within(std::to_string(i), [&] { nodes_[i]->checkpoint(archive); });
    }
    double seconds = elapsed_.count();
    archive("elapsed", seconds);
    elapsed_ = std::chrono::duration<double>(seconds);
  }

 private:
  void fail(std::size_t i, const std::exception& error) {
    failed_[i] = 1;
    nodes_[i]->fail(error);
  }

  /// Calls `action` for each node that has not failed, in this thread; throws the first error, as
  /// NodeError, when all have had their turn.
  template <class Action>
  void each_whole_node(Action action) {
    Workers::End end;
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (failed_[i]) continue;
      try {
        action(*nodes_[i]);
      } catch (const std::exception& error) {
        if (!end.error) end = {std::current_exception(), i};
        fail(i, error);
      }
    }
    if (end.error) rethrow_as_node_error(end.failed, end.error);
  }

  /// Lets all that is under way land.
  void settle() {
    std::exception_ptr error;
    do {
      try {
        each_whole_node([](Node& node) { node.settle(); });
      } catch (const NodeError&) {
        if (!error) error = std::current_exception();
      }
    } while (hub_->queued() > 0);
    if (error) std::rethrow_exception(error);
  }

  Workers workers_;
  std::shared_ptr<transport::ThreadHub> hub_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<char> failed_;  // one byte each: written by different threads
  std::chrono::duration<double> elapsed_{0};
};

}  // namespace gossamer
