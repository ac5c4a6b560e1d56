// SPDX-License-Identifier: MIT
/// What a run tells whoever watches it, on every transport.
#pragma once

#include <gossamer/peers.hpp>
#include <gossamer/transport/message.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace gossamer::observe {

/// Is told what happens to the nodes that run here. Derive it, override what you want to know, and
/// give it to `NodeOptions::callback`. `now` is the time of the transport, virtual under the
/// simulator, where all is told in the order of that time.
///
/// It only looks on: a simulated run is the same with it and without, to the bit.
/// Cost     where nobody listens, a comparison for each of these.
/// Threads  the node's own; nodes in several threads that share one call it at the same time. Under
///          the simulator there is one thread.
/// Throws   nothing: an exception from here would count as one of the node.
class Callback {
 public:
  using Time = std::chrono::nanoseconds;

  /// What a node waits for.
  enum class Wait { others, first_weight };
  /// How a node ends: without a word, in order, or by an exception in one of its hooks.
  enum class End { crashed, left, failed };
  /// What an evaluation found of the group, or of the nodes that live here.
  struct Evaluation {
    std::string what;  ///< "test accuracy", say
    double value = 0;
    std::uint64_t samples = 0;  ///< that all had trained on by then
  };

  virtual ~Callback() = default;

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

  virtual void on_evaluation(Time /*now*/, const Evaluation& /*found*/) {}
  /// A checkpoint of the nodes that live here is complete.
  virtual void on_checkpoint(Time /*now*/, const std::string& /*path*/) {}
  /// The end of a run: all has landed that could. Another one may follow.
  virtual void on_run_end(Time /*now*/) {}
};

}  // namespace gossamer::observe
