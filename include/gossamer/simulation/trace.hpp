// SPDX-License-Identifier: MIT
/// Draws a simulated run: a lane per node, with what it does and what it says to whom.
#pragma once

#include <gossamer/observe/chrome_trace.hpp>
#include <gossamer/observe/node_lane.hpp>
#include <gossamer/observe/open_flows.hpp>
#include <gossamer/simulation/callback.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::observe {

/// A trace of a `SimulatedGroup`'s run in virtual time, to be opened in Perfetto:
///
///     auto trace = std::make_shared<observe::SimulatedTrace>("trace.json");
///     SimulatedGroup<MyNode> group(SimulatedGroupOptions(8).callback(trace), rule::GoSgd(0.02));
///     group.run(StopCondition().samples(500'000));
///     trace->close();
///
/// Each incarnation of a node has a lane. Its slices say what the node does:
///
///     compute    a step; cut short if the node dies      wait    for others
///     disk       a checkpoint, before the step           join    for its first weight
///     paused     its process stands still                leave   until all that it had is others'
///
/// and, of no length, since they take no virtual time, what it does in between: `send`, `merge` (of
/// all that it takes in at once), `receive` (messages that only ask), `returned`. An arrow leads
/// from each `send` to where the message ended; there is none where it was lost. Faults are marks,
/// and each node's weight is a counter. A resumed run's trace begins where that run does.
///
/// Cost     600 bytes per message and 120 per step, on the disk.
/// Threads  the group's.
/// Throws   std::runtime_error, from the constructor and from `close()` only, that names the file,
///          the operation and the system's reason. Without `close()` there is no file.
class SimulatedTrace final : public SimulationCallback {
 public:
  explicit SimulatedTrace(const std::filesystem::path& path) : trace_(path) {
    node_lane::name_groups(trace_);
  }

  /// Ends all lanes and puts the file in place. The last call.
  void close() {
    drop_received();
    for (Incarnation& one : incarnations_) end_activity(one, now_);
    trace_.close();
  }

  void on_start(Time now, PeerId node, std::uint64_t number, double weight) override {
    pass(now);
    Incarnation& one = incarnation_of(node);
    one = {};
    one.number = number;
    one.begin = now;
    one.weight = weight;
    if (!(weight > 0)) node_lane::mark_start(trace_, lane(node).thread, now, number, weight);
  }
  void on_end(Time now, PeerId node, End how) override {
    pass(now);
    drop_received();
    const ChromeTrace::Lane on = lane(node);
    end_activity(incarnation_of(node), now);
    node_lane::mark_end(trace_, on.thread, now, how);
    show_weight(node, 0);
    incarnation_of(node) = {};
  }
  void on_restored(Time now) override {
    pass(now);
    incarnations_.clear();
  }

  void on_cost(Time now, PeerId node, Time disk, Time compute) override {
    Incarnation& one = begin(now, node, Activity::step);
    one.disk_end = now + disk;
    one.due = now + disk + compute;
  }
  void on_step_end(Time now, PeerId node, const Counters&) override {
    begin(now, node, Activity::none);
  }
  void on_wait(Time now, PeerId node, Wait what) override {
    begin(now, node, what == Wait::others ? Activity::wait : Activity::join);
  }
  void on_rest(Time now, PeerId node) override { begin(now, node, Activity::none); }
  void on_leaving(Time now, PeerId node) override { begin(now, node, Activity::leave); }

  void on_merge(Time now, PeerId node, std::uint64_t messages, double weight) override {
    pass(now);
    if (received_.empty()) take(now, node);
    draw_received("merge", {{"messages", messages}, {"weight", weight}});
  }
  void on_weight(Time now, PeerId node, double weight) override {
    pass(now);
    drop_received();
    show_weight(node, weight);
  }

  void on_send(Time now, const transport::Message& message) override {
    pass(now);
    const ChromeTrace::Lane on = lane(message.from);
    trace_.slice(on, "send", now, Time(0),
                 {{"to", std::uint64_t{message.to}},
                  {"kind", std::uint64_t{message.kind}},
                  {"bytes", std::uint64_t{message.bytes()}},
                  {"weight", message.weight}});
    trace_.flow_begin(on, "message", flows_.open(message), now);
  }
  void on_deliver(Time now, const transport::Message& message) override {
    pass(now);
    take(now, message.to);
    received_.push_back(flows_.close(message, false));
  }
  void on_return(Time now, const transport::Returned& back) override {
    pass(now);
    const ChromeTrace::Lane on = lane(back.message.from);
    trace_.slice(on, "returned", now, Time(0),
                 {{"from", std::uint64_t{back.message.to}},
                  {"weight", back.message.weight},
                  {"reason", transport::to_string(back.reason)}});
    end_flow(on, flows_.close(back.message, true), now);
  }
  void on_peer_joined(Time now, PeerId, PeerId) override { pass(now); }
  void on_peer_left(Time now, PeerId, const transport::PeerLeft&) override { pass(now); }

  void on_fault(Time now, const Fault& what) override {
    pass(now);
    std::visit([&](const auto& one) { mark(now, one); }, what);
  }
  void on_run_end(Time now, const GroupState&) override { pass(now); }

 private:
  static constexpr std::uint32_t nodes = node_lane::nodes;  // the process
  static constexpr std::uint32_t network = 1;               // the thread; those of nodes follow

  enum class Activity { none, step, wait, join, leave };

  struct Incarnation {
    std::uint32_t thread = 0;  // 0: nothing was drawn yet
    std::uint64_t number = 1;
    Time begin{0};
    double weight = 0;
    Activity activity = Activity::none;
    Time since{0};
    Time disk_end{0};  // of a step
    Time due{0};
    Time paused{0};  // its last pause that is not drawn,
    Time thaws{0};   // if this is later
  };

  void pass(Time now) { now_ = std::max(now_, now); }
  Incarnation& incarnation_of(PeerId node) {
    if (node >= incarnations_.size()) incarnations_.resize(node + std::size_t{1});
    return incarnations_[node];
  }
  /// The lane of the node's incarnation, which has one from now on.
  ChromeTrace::Lane lane(PeerId node) {
    Incarnation& one = incarnation_of(node);
    if (one.thread == 0) {
      one.thread = ++threads_;
      node_lane::name_node(trace_, one.thread, node, one.number);
      node_lane::show_weight(trace_, node, one.begin, one.weight);
    }
    return {nodes, one.thread};
  }
  void show_weight(PeerId node, double weight) {
    if (weight == incarnation_of(node).weight) return;
    lane(node);
    incarnation_of(node).weight = weight;
    node_lane::show_weight(trace_, node, now_, weight);
  }

  /// The node does something else now, or still the same.
  Incarnation& begin(Time now, PeerId node, Activity activity) {
    pass(now);
    Incarnation& one = incarnation_of(node);
    if (activity != Activity::none) lane(node);
    if (activity == one.activity && activity != Activity::step) return one;
    end_activity(one, now);
    one.activity = activity;
    one.since = now;
    return one;
  }
  /// Draws what the node did until now.
  void end_activity(Incarnation& one, Time now) {
    const bool steps = one.activity == Activity::step;
    const Time disk_end = steps ? std::min(one.disk_end, now) : now;
    const Time due = steps ? std::min(one.due, now) : now;
    if (steps) {
      piece(one, "disk", one.since, disk_end);
      piece(one, "compute", disk_end, due);
    } else if (one.activity != Activity::none) {
      constexpr std::array<const char*, 5> names{"", "", "wait", "join", "leave"};
      piece(one, names.at(static_cast<std::size_t>(one.activity)), one.since, now);
    }
    // A pause lies within other slices, or after them.
    const Time thawed = std::min(one.thaws, now);
    piece(one, "paused", one.paused, std::min(thawed, disk_end));
    piece(one, "paused", std::max(one.paused, disk_end), std::min(thawed, due));
    piece(one, "paused", std::max(one.paused, due), thawed);
    one.paused = std::max(one.paused, thawed);
    one.activity = Activity::none;
  }
  void piece(const Incarnation& one, const char* name, Time begin, Time end) {
    if (begin < end) trace_.slice({nodes, one.thread}, name, begin, end - begin);
  }

  /// From now on, what is received is this node's.
  void take(Time now, PeerId node) {
    if (node != receiver_) drop_received();
    receiver_ = node;
    received_at_ = now;
  }
  /// What a node has in its hands, as one slice.
  void draw_received(const char* name, ChromeTrace::Arguments arguments) {
    const ChromeTrace::Lane on = lane(receiver_);
    trace_.slice(on, name, received_at_, Time(0), arguments);
    for (const std::uint64_t id : received_) end_flow(on, id, received_at_);
    received_.clear();
  }
  /// The same of what was not merged.
  void drop_received() {
    if (!received_.empty()) draw_received("receive", {});
  }
  void end_flow(ChromeTrace::Lane on, std::uint64_t id, Time when) {
    if (id > 0) trace_.flow_end(on, "message", id, when);
  }

  // Faults; a node's beginning and end are marked already, and a pause is drawn.

  void mark(Time now, const fault::Straggle& f) {
    trace_.instant(lane(f.node), "straggle", now, false, {{"factor", f.factor}});
  }
  void mark(Time now, const fault::Pause& f) {
    lane(f.node);
    Incarnation& one = incarnation_of(f.node);
    if (now > one.thaws) {
      piece(one, "paused", one.paused, one.thaws);
      one.paused = now;
    }
    one.thaws = std::max(one.thaws, now + f.length);
  }
  void mark(Time now, const fault::SlowDisk& f) { trace_.instant(lane(f.node), "slow disk", now); }
  void mark(Time, const fault::Crash&) {}
  void mark(Time, const fault::Restart&) {}
  void mark(Time, const fault::Join&) {}
  void mark(Time, const fault::Leave&) {}
  void mark(Time now, const fault::Partition& f) {
    std::string list;
    for (const PeerId id : f.nodes) list += (list.empty() ? "" : ", ") + std::to_string(id);
    mark_network(now, "partition", {{"nodes", list}});
  }
  void mark(Time now, const fault::Heal&) { mark_network(now, "heal", {}); }
  void mark(Time now, const fault::Cut& f) {
    mark_network(now, "cut", {{"a", std::uint64_t{f.a}}, {"b", std::uint64_t{f.b}}});
  }
  void mark(Time now, const fault::Reconnect& f) {
    mark_network(now, "restore", {{"a", std::uint64_t{f.a}}, {"b", std::uint64_t{f.b}}});
  }
  void mark(Time now, const fault::Noise& f) {
    mark_network(
        now, "noise",
        {{"loss", f.noise.loss}, {"duplicate", f.noise.duplicate}, {"reorder", f.noise.reorder}});
  }
  void mark_network(Time now, const char* name, ChromeTrace::Arguments arguments) {
    const ChromeTrace::Lane on{nodes, network};
    if (!std::exchange(network_is_named_, true)) trace_.name_lane(on, "network", 0);
    trace_.instant(on, name, now, true, arguments);
  }

  ChromeTrace trace_;
  OpenFlows flows_;
  std::vector<Incarnation> incarnations_;  // of each node, the one that goes on
  std::uint32_t threads_ = network;
  bool network_is_named_ = false;
  Time now_{0};
  // What the node whose turn it is has in its hands, by the arrows' numbers.
  PeerId receiver_ = 0;
  Time received_at_{0};
  std::vector<std::uint64_t> received_;
};

}  // namespace gossamer::observe
