// SPDX-License-Identifier: MIT
/// What a simulated group tells whoever watches it.
#pragma once

#include <gossamer/simulation/faults.hpp>
#include <gossamer/transport/message.hpp>
#include <gossamer/transport/transport.hpp>

#include <cstdint>

namespace gossamer {

/// Is told what happens in a `SimulatedGroup`, in the order of its virtual time `now`. Derive it,
/// override what you want to know, and give it to `SimulatedGroupOptions::observer`.
///
/// A node's turn comes as: `on_step_end` if it was at work, `on_sent` for what it has to say,
/// `on_polled` for what has come, `on_merged`, `on_weight`; then `on_step`, `on_wait`, or
/// `on_rest`. A node that waits or rests may have many turns until it goes on.
///
/// It only looks on: a run is the same with it and without, to the bit.
/// Cost     when there is none, a comparison for each of these.
/// Threads  the group's.
/// Throws   nothing: an exception from here would count as one of the node.
class SimulatedObserver {
 public:
  using Time = transport::Time;

  /// What a node waits for.
  enum class Wait { others, first_weight };
  /// How a life ends: without a word, in order, or by an exception in one of the node's hooks.
  enum class End { crashed, left, failed };

  virtual ~SimulatedObserver() = default;

  // Lives.

  /// Life 1, 2, ... of the node begins: with weight if it is a member from the start, else without.
  virtual void on_life(Time /*now*/, PeerId /*node*/, std::uint64_t /*life*/, double /*weight*/) {}
  virtual void on_life_end(Time /*now*/, PeerId /*node*/, End /*how*/) {}
  /// The group goes on from a checkpoint: what was told of lives is void, and is told anew of those
  /// that go on.
  virtual void on_restored(Time /*now*/) {}

  // Turns.

  /// The node begins a step, which takes `disk` for a checkpoint on a slow disk, then `compute`.
  virtual void on_step(Time /*now*/, PeerId /*node*/, Time /*disk*/, Time /*compute*/) {}
  /// The node's first turn after a step: when its time was over or, if the node was paused then,
  /// after the pause.
  virtual void on_step_end(Time /*now*/, PeerId /*node*/) {}
  virtual void on_wait(Time /*now*/, PeerId /*node*/, Wait /*what*/) {}
  /// The budget is spent, or a stop was asked for.
  virtual void on_rest(Time /*now*/, PeerId /*node*/) {}
  /// The node begins to hand its weight over, to leave.
  virtual void on_leaving(Time /*now*/, PeerId /*node*/) {}
  /// The node has merged messages; `weight` came with all that was delivered to it in this turn.
  virtual void on_merged(Time /*now*/, PeerId /*node*/, std::uint64_t /*messages*/,
                         double /*weight*/) {}
  /// The node's own weight, after it has taken in what had come.
  virtual void on_weight(Time /*now*/, PeerId /*node*/, double /*weight*/) {}

  // Messages.

  /// A message leaves its node.
  virtual void on_sent(Time /*now*/, const transport::Message& /*message*/) {}
  /// The node has an event in its hands: a message for it, one of its own that comes back, or news
  /// of a peer.
  virtual void on_polled(Time /*now*/, PeerId /*node*/, const transport::Event& /*event*/) {}

  // All.

  /// A fault has happened; not one that made no sense. A crash's victim has had its `on_life_end`,
  /// a newcomer its `on_life`.
  virtual void on_fault(Time /*now*/, const Fault& /*what*/) {}
  /// The end of a run: all has landed that could. Another one may follow.
  virtual void on_run_end(Time /*now*/) {}
};

}  // namespace gossamer
