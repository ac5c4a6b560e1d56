// SPDX-License-Identifier: MIT
/// What a run tells whoever watches it, on every transport.
#pragma once

#include <gossamer/peers.hpp>
#include <gossamer/transport/message.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::observe {

struct GroupState;  // observe/group_state.hpp

/// Is told what happens to the nodes that run here. Derive it, override what you want to know, and
/// give it to a group's options, with `.callback(...)`, as often as there are some. `now` is the
/// time of the transport, virtual under the simulator, where all is told in the order of that time.
///
/// It only looks on: a simulated run is the same with it and without, to the bit.
/// Cost     where nobody listens, a comparison for each of these.
/// Threads  of nodes, steps and messages: the node's own, and nodes in several threads call it at
///          the same time; of the run: the thread that owns the group, also while nodes run. Under
///          the simulator there is one thread.
/// Throws   nothing of nodes, steps and messages, where an exception would count as one of the
///          node; one of the run ends it, and comes out of the group's function.
class Callback {
 public:
  using Time = std::chrono::nanoseconds;

  /// What a node waits for.
  enum class Wait { others, first_weight };
  /// How a node ends: without a word, in order, or by an exception in one of its hooks.
  enum class End { crashed, left, failed };
  /// A number that was measured, or a count. One that is not finite is not known.
  using Value = std::variant<double, std::uint64_t>;
  /// What an evaluation found of the models, by name: {"test_accuracy", 0.71}, say.
  using Evaluation = std::vector<std::pair<std::string, Value>>;

  Callback() = default;
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  virtual ~Callback() = default;

  /// Calls `look` with each of those that this one is made of; see `CallbackPair`.
  virtual void visit(const std::function<void(Callback&)>& look) { look(*this); }

  // Nodes.

  /// Incarnation 1, 2, ... of the node begins: with weight if it is a member from the start, else
  /// without.
  virtual void on_start(Time /*now*/, PeerId /*node*/, std::uint64_t /*incarnation*/,
                        double /*weight*/) {}
  virtual void on_end(Time /*now*/, PeerId /*node*/, End /*how*/) {}
  /// The node begins to hand its weight over, to leave.
  virtual void on_leaving(Time /*now*/, PeerId /*node*/) {}
  /// The node knows of a peer that may be chosen from now on, or is not to be chosen any more.
  virtual void on_peer_joined(Time /*now*/, PeerId /*node*/, PeerId /*peer*/) {}
  virtual void on_peer_left(Time /*now*/, PeerId /*node*/, const transport::PeerLeft& /*gone*/) {}

  // Steps.

  /// The node begins a step.
  virtual void on_step(Time /*now*/, PeerId /*node*/) {}
  /// It has taken it; the counters count it.
  virtual void on_step_end(Time /*now*/, PeerId /*node*/, const Counters& /*counters*/) {}
  virtual void on_wait(Time /*now*/, PeerId /*node*/, Wait /*what*/) {}
  /// The node has trained enough, or a stop was asked for.
  virtual void on_rest(Time /*now*/, PeerId /*node*/) {}

  // Messages.

  /// A message leaves its node.
  virtual void on_send(Time /*now*/, const transport::Message& /*message*/) {}
  /// The node has a message for it in its hands.
  virtual void on_deliver(Time /*now*/, const transport::Message& /*message*/) {}
  /// And one of its own that comes back.
  virtual void on_return(Time /*now*/, const transport::Returned& /*returned*/) {}
  /// The node has merged so many messages; `weight` came with all that it has just taken in.
  virtual void on_merge(Time /*now*/, PeerId /*node*/, std::uint64_t /*messages*/,
                        double /*weight*/) {}
  /// The node's own weight, after it has taken in what had come.
  virtual void on_weight(Time /*now*/, PeerId /*node*/, double /*weight*/) {}

  // The run.

  virtual void on_run_begin(Time /*now*/, const GroupState& /*state*/) {}
  /// Every `tick` of the wall clock while the group runs.
  virtual void on_tick(Time /*now*/, const GroupState& /*state*/) {}
  /// The end of a run: all has landed that could. Another one may follow.
  virtual void on_run_end(Time /*now*/, const GroupState& /*state*/) {}
  /// `Group::evaluated` was called.
  virtual void on_evaluation(Time /*now*/, const Evaluation& /*found*/,
                             const GroupState& /*state*/) {}
  /// A checkpoint of the nodes that live here is complete.
  virtual void on_checkpoint(Time /*now*/, const std::string& /*path*/) {}
};

}  // namespace gossamer::observe
