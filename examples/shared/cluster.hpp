// SPDX-License-Identifier: MIT
/// A group of nodes of any kind, wherever its messages travel: as threads of this process, or under
/// a virtual clock.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/simulation/trace.hpp>
#include <gossamer/transport/message.hpp>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// How far to train.
struct Stretch {
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t images = no_limit;  ///< over all nodes, since the beginning
  /// Where the nodes are to stand still with no message under way, >= images. A simulated cluster
  /// may be looked at before that without disturbing it.
  std::uint64_t rest_at = no_limit;
  double seconds = 0;  ///< on the cluster's clock, since the beginning; 0: no limit
};

/// What is done with a group. `totals()` may be called from any thread, the rest
/// from the one that made it.
template <class Node>
class Cluster {
 public:
  virtual ~Cluster() = default;

  /// Trains. Throws NodeError.
  virtual void train(const Stretch& stretch) = 0;
  virtual void finish() = 0;
  /// Puts the trace in place, if there is one; after all else. Throws std::runtime_error.
  virtual void close_trace() {}

  /// The nodes that are there, by number.
  [[nodiscard]] virtual std::vector<Node*> nodes() = 0;
  /// The same with their weights.
  [[nodiscard]] virtual std::vector<gossamer::observe::Replica> members() const = 0;
  [[nodiscard]] virtual gossamer::Counters totals() const = 0;
  [[nodiscard]] virtual double total_weight() const = 0;
  /// Seconds of training that have passed here.
  [[nodiscard]] virtual double wall_seconds() const = 0;
  /// Seconds on a simulated cluster's clock.
  [[nodiscard]] virtual std::optional<double> virtual_seconds() const { return std::nullopt; }
  /// Those by which training is limited.
  [[nodiscard]] double seconds() const { return virtual_seconds().value_or(wall_seconds()); }

  /// Whether all is at rest, so that a checkpoint can be made.
  [[nodiscard]] virtual bool is_calm() const { return true; }
  virtual void checkpoint(gossamer::Archive& archive) = 0;

  /// What is known of nodes in other processes: one object each; null if there are none.
  [[nodiscard]] virtual nlohmann::ordered_json peers() const { return nullptr; }
  /// How often connections were refused, broken, and so on; null if there are none.
  [[nodiscard]] virtual nlohmann::ordered_json connections() const { return nullptr; }
  /// The same in a few words, and where this process can be reached; empty if there are none.
  [[nodiscard]] virtual std::string network() const { return {}; }
  [[nodiscard]] virtual std::string address() const { return {}; }
};

/// How nodes are made.
template <class Node>
using MakeNode = std::function<std::unique_ptr<Node>(gossamer::Context)>;

namespace detail {

/// What both kinds do alike.
template <class Node, class Group>
class ClusterOf : public Cluster<Node> {
 public:
  template <class GroupOptions>
  ClusterOf(const GroupOptions& options, const gossamer::rule::AnyRule& rule, MakeNode<Node> make)
      : group_(options, rule, std::move(make)) {}

  void finish() override { group_.finish(); }
  std::vector<gossamer::observe::Replica> members() const override { return group_.replicas(); }
  gossamer::Counters totals() const override { return group_.totals(); }
  double total_weight() const override { return group_.total_weight(); }
  void checkpoint(gossamer::Archive& archive) override { group_.checkpoint(archive); }

 protected:
  static gossamer::StopCondition budget_of(std::uint64_t images, double seconds_left) {
    gossamer::StopCondition budget;
    if (images != Stretch::no_limit) budget.samples(images);
    if (seconds_left > 0) budget.duration(gossamer::transport::seconds(seconds_left));
    return budget;
  }

  Group group_;
};

}  // namespace detail

/// Nodes as threads of this process.
template <class Node>
class ThreadCluster final : public detail::ClusterOf<Node, gossamer::ThreadGroup<Node>> {
 public:
  using detail::ClusterOf<Node, gossamer::ThreadGroup<Node>>::ClusterOf;

  void train(const Stretch& stretch) override {
    const double left = stretch.seconds > 0 ? std::max(1e-9, stretch.seconds - wall_seconds()) : 0;
    this->group_.run_until(this->budget_of(stretch.images, left));
  }
  std::vector<Node*> nodes() override {
    std::vector<Node*> all;
    for (std::size_t i = 0; i < this->group_.size(); ++i) all.push_back(&this->group_[i]);
    return all;
  }
  double wall_seconds() const override { return this->group_.elapsed().count(); }
};

/// Nodes in one thread, under a virtual clock. Computes with one of LibTorch's own threads: the
/// same bits on any number of cores.
template <class Node>
class SimulatedCluster final : public detail::ClusterOf<Node, gossamer::SimulatedGroup<Node>> {
 public:
  using Trace = std::shared_ptr<gossamer::observe::SimulatedTrace>;

  /// `on_tick` is called about every 200 ms (of the wall clock) while it trains.
  SimulatedCluster(gossamer::SimulatedGroupOptions options, const gossamer::rule::AnyRule& rule,
                   MakeNode<Node> make, std::function<void()> on_tick, Trace trace = nullptr)
      : detail::ClusterOf<Node, gossamer::SimulatedGroup<Node>>(options.callback(trace), rule,
                                                                std::move(make)),
        on_tick_(std::move(on_tick)),
        trace_(std::move(trace)) {
    at::set_num_threads(1);
  }

  void train(const Stretch& stretch) override {
    auto& group = this->group_;
    if (!group.is_training()) {
      const double left =
          stretch.seconds > 0 ? std::max(1e-9, stretch.seconds - this->seconds()) : 0;
      group.begin(this->budget_of(stretch.rest_at, left));
    }
    Clock::time_point tick = Clock::now();
    const auto enough = [&] {
      if (Clock::now() - tick > std::chrono::milliseconds(200)) {
        count(tick);
        on_tick_();
      }
      return stretch.images < stretch.rest_at &&
             group.world().work_done().samples >= stretch.images;
    };
    group.go_on(enough);
    count(tick);
  }
  void close_trace() override {
    if (trace_) trace_->close();
  }
  std::vector<Node*> nodes() override {
    std::vector<Node*> all;
    for (gossamer::PeerId id = 0; id < this->group_.size(); ++id) {
      if (this->group_.is_live(id)) all.push_back(&this->group_[id]);
    }
    return all;
  }
  double wall_seconds() const override { return wall_; }
  std::optional<double> virtual_seconds() const override { return this->group_.elapsed().count(); }
  bool is_calm() const override { return this->group_.world().is_calm(); }
  void checkpoint(gossamer::Archive& archive) override {
    this->group_.checkpoint(archive);
    archive("wall_seconds", wall_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  void count(Clock::time_point& since) {
    const Clock::time_point now = Clock::now();
    wall_ += std::chrono::duration<double>(now - since).count();
    since = now;
  }

  std::function<void()> on_tick_;
  Trace trace_;
  double wall_ = 0;
};

}  // namespace examples
