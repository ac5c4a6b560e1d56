// SPDX-License-Identifier: MIT
/// A group of nodes by the name of its transport, and what a record says of it besides.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/simulation/trace.hpp>

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// How nodes are made.
template <class Node>
using MakeNode = std::function<std::unique_ptr<Node>(gossamer::Context)>;

/// What a group is made of, whatever its transport. `stop_when` is asked, and `on_tick` called,
/// now and then while it trains.
struct GroupPlan {
  gossamer::rule::AnyRule rule;
  gossamer::NodeOptions node;
  std::function<bool()> stop_when;
  std::function<void()> on_tick;
};

/// A group on any transport. The program is written against `gossamer::Group`; here is what belongs
/// to its record: time here and on the group's own clock, and peers in other processes.
template <class Node>
class GroupHandle {
 public:
  using Group = gossamer::Group<Node>;
  using Json = nlohmann::ordered_json;

  explicit GroupHandle(std::unique_ptr<Group> group) : group_(std::move(group)) {}

  Group& operator*() const { return *group_; }
  Group* operator->() const { return group_.get(); }

  /// Trains towards `until`, until `samples`, and counts the time.
  void train(const gossamer::StopCondition& until, std::uint64_t samples) {
    const auto begin = std::chrono::steady_clock::now();
    group_->run_towards(until, samples);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    if (is_virtual) wall_ += passed.count();
  }
  /// The nodes that live here and are there, by number.
  [[nodiscard]] std::vector<Node*> nodes() const {
    std::vector<Node*> all;
    for (std::size_t i = 0; i < group_->size(); ++i) {
      if (group_->is_live(i)) all.push_back(&(*group_)[i]);
    }
    return all;
  }

  /// Seconds of training on the group's clock, by which it is limited.
  [[nodiscard]] double seconds() const { return group_->elapsed().count(); }
  /// Those that have passed here.
  [[nodiscard]] double wall_seconds() const { return is_virtual ? wall_ : seconds(); }
  /// Both, for a record.
  [[nodiscard]] Json times() const {
    Json times = {{"wall_seconds", wall_seconds()}};
    if (is_virtual) times["virtual_seconds"] = seconds();
    return times;
  }
  /// The weight: of all, where all can be seen, else of the nodes here.
  [[nodiscard]] Json weights() const {
    if (const auto all = group_->weight_of_all()) return {{"total_weight", *all}};
    double here = 0;
    for (const Node* node : nodes()) here += node->weight();
    return {{"weight", here}};
  }

  /// Weight that a node here could hand to nobody as it left, and that is lost.
  std::function<double()> weight_lost = [] { return 0.0; };

  void checkpoint(gossamer::Archive& archive) {
    group_->checkpoint(archive);
    if (is_virtual) archive("wall_seconds", wall_);
  }

  bool is_virtual = false;  ///< the group's clock
  /// Puts a trace in place, if there is one; after all else.
  std::function<void()> close_trace = [] {};
  /// What is known of nodes in other processes: keys for a record, and a few words; unset if all
  /// nodes live here.
  std::function<Json()> peers = nullptr;
  std::function<std::string()> peers_in_words = nullptr;

 private:
  std::unique_ptr<Group> group_;
  double wall_ = 0;  // of a group with another clock
};

/// What was sent, for a record.
inline nlohmann::ordered_json messages_of(const gossamer::Counters& totals) {
  return {{"messages_sent", totals.messages_sent},
          {"messages_merged", totals.messages_merged},
          {"messages_returned", totals.messages_returned},
          {"bytes_sent", totals.bytes_sent}};
}

/// How far a run is that has trained on so many since `at_start`, in so many seconds, towards
/// `total`; for a line of progress.
inline gossamer::observe::ProgressState progress_of(const gossamer::Counters& totals,
                                                    std::uint64_t at_start, std::uint64_t total,
                                                    double seconds) {
  gossamer::observe::ProgressState state;
  state.done = totals.samples;
  state.total = total;
  state.seconds = seconds;
  state.speed = static_cast<double>(totals.samples - at_start) / std::max(seconds, 1e-9);
  state.messages = totals.messages_sent;
  state.consensus_error = -1;
  if (total == 0) return state;
  state.fraction = static_cast<double>(totals.samples) / static_cast<double>(total);
  state.left =
      static_cast<double>(total - std::min(total, totals.samples)) / std::max(state.speed, 1e-9);
  return state;
}

/// Nodes as threads of this process.
template <class Node>
GroupHandle<Node> make_thread_group(std::size_t nodes, const GroupPlan& plan, MakeNode<Node> make) {
  const auto options =
      gossamer::GroupOptions(nodes).node(plan.node).stop_when(plan.stop_when).on_tick(plan.on_tick);
  return GroupHandle<Node>(
      std::make_unique<gossamer::ThreadGroup<Node>>(options, plan.rule, std::move(make)));
}

/// Nodes in one thread, under a virtual clock, with a trace if a file is named. Computes with one
/// of LibTorch's own threads: the same bits on any number of cores.
template <class Node>
GroupHandle<Node> make_simulated_group(gossamer::SimulatedGroupOptions options,
                                       const GroupPlan& plan, MakeNode<Node> make,
                                       const std::string& trace_file = {}) {
  at::set_num_threads(1);
  options.node(plan.node).stop_when(plan.stop_when).on_tick(plan.on_tick);
  std::shared_ptr<gossamer::observe::SimulatedTrace> trace;
  if (!trace_file.empty()) {
    trace = std::make_shared<gossamer::observe::SimulatedTrace>(trace_file);
    options.callback(trace);
  }
  GroupHandle<Node> handle(
      std::make_unique<gossamer::SimulatedGroup<Node>>(options, plan.rule, std::move(make)));
  handle.is_virtual = true;
  if (trace) handle.close_trace = [trace] { trace->close(); };
  return handle;
}

}  // namespace examples
