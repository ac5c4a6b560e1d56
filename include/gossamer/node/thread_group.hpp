// SPDX-License-Identifier: MIT
/// A group of nodes in this process, one thread each: made, run, paused, stopped and looked at as
/// one.
#pragma once

#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/group.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/transport/threads.hpp>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
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
/// the thread that owns the group. `stop()` and `counters()` may be called from any thread, any
/// time.
template <class Node>
class ThreadGroup final : public Group<Node> {
 public:
  /// Makes the nodes, in order, in the calling thread; `make` is called with each one's context and
  /// returns `std::unique_ptr<Node>`. Throws what it throws, and ConfigError for models that
  /// differ.
  template <class Factory>
  ThreadGroup(const GroupOptions& options, const rule::AnyRule& rule, Factory make)
      : options_(options),
        workers_(GroupOptions(options).on_tick(this->told(options.on_tick()))),
        hub_(transport::ThreadHub::make(options.nodes(), options.mailbox_capacity())),
        failed_(options.nodes()) {
    const double weight = 1 / static_cast<double>(options.nodes());
    for (PeerId id = 0; id < options.nodes(); ++id) {
      nodes_.push_back(make(Context{hub_->endpoint(id), rule, options.node(), weight}));
    }
    const at::NoGradGuard no_grad;
    for (auto& node : nodes_) {
      node->engine().adopt();  // a constructor may have loaded a model
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

  void run_until(const StopCondition& until) override {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (!failed_[i]) nodes_[i]->clear_stop();
    }
    const auto before = std::chrono::duration_cast<transport::Time>(elapsed());
    const auto work = [&](std::size_t i) {
      if (!failed_[i]) nodes_[i]->run_until(until, before);
      // Those who only serve the others may rest, too, and do not know it yet.
      for (auto& node : nodes_) node->engine().transport().wake();
    };
    const auto failed = [&](std::size_t i, const std::exception& error) {
      fail(i, error);
      stop();
    };
    this->tell_begin();
    Workers::End end;
    {
      const observe::Stopwatch::Stretch stretch(this->wall_);
      end = workers_.run(work, failed, [this] { stop(); });
    }
    const std::exception_ptr late = settle();
    this->tell_end();
    if (end.error) rethrow_as_node_error(end.failed, end.error);
    if (late) std::rethrow_exception(late);
  }

  /// Calls each node's `on_stop()`, whatever the others' do.
  void finish() override {
    each_whole_node([](Node& node) { node.end_finish(); });
  }

  void stop() override {
    for (auto& node : nodes_) node->request_stop();
  }

  [[nodiscard]] std::size_t size() const override { return nodes_.size(); }
  [[nodiscard]] std::size_t nodes() const override { return nodes_.size(); }
  [[nodiscard]] bool is_live(std::size_t i) const override { return !failed_[i]; }
  [[nodiscard]] Node& operator[](std::size_t i) override { return *nodes_[i]; }
  [[nodiscard]] const Node& operator[](std::size_t i) const override { return *nodes_[i]; }
  [[nodiscard]] Counters counters(std::size_t i) const override {
    return hub_->counters(static_cast<PeerId>(i));
  }
  [[nodiscard]] Counters totals() const override {
    Counters sum;
    for (std::size_t i = 0; i < nodes_.size(); ++i) sum += counters(i);
    return sum;
  }
  [[nodiscard]] std::chrono::duration<double> elapsed() const override {
    return this->wall_.elapsed();
  }

  /// Weight of all nodes, failed ones too, and of messages under way: 1. Between runs.
  [[nodiscard]] double total_weight() const {
    double weight = hub_->weight_in_flight() + hub_->weight_lost();
    for (const auto& node : nodes_) weight += node->weight();
    return weight;
  }
  [[nodiscard]] std::optional<double> weight_of_all() const override { return total_weight(); }
  /// What gossip conserves. Between runs.
  [[nodiscard]] model::Flat weighted_mean() const {
    return observe::weighted_mean(this->replicas());
  }

  /// Saves or restores all nodes. Between runs.
  void checkpoint(Archive& archive) override {
    std::uint64_t nodes = nodes_.size();
    archive("nodes", nodes);
    if (nodes != nodes_.size()) {
      throw CheckpointError("checkpoint: of a group of " + std::to_string(nodes) +
                            " nodes, this one has " + std::to_string(nodes_.size()));
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      archive.within(std::to_string(i), [&] { nodes_[i]->checkpoint(archive); });
    }
    double seconds = elapsed().count();
    archive("elapsed", seconds);
    this->wall_.set(std::chrono::duration<double>(seconds));
  }

 protected:
  [[nodiscard]] observe::Callback* callback() const override {
    return options_.node().callback().get();
  }
  [[nodiscard]] transport::Time now() const override {
    return nodes_.front()->engine().transport().now();
  }

 private:
  void fail(std::size_t i, const std::exception& error) {
    failed_[i] = true;
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

  /// Lets all that is under way land. Returns the first error.
  std::exception_ptr settle() {
    std::exception_ptr error;
    do {
      try {
        each_whole_node([](Node& node) { node.settle(); });
      } catch (const NodeError&) {
        if (!error) error = std::current_exception();
      }
    } while (hub_->queued() > 0);
    return error;
  }

  GroupOptions options_;
  Workers workers_;
  std::shared_ptr<transport::ThreadHub> hub_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::atomic<bool>> failed_;
};

}  // namespace gossamer
