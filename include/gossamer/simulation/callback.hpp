// SPDX-License-Identifier: MIT
/// What a simulated group tells beyond what every group does.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/simulation/faults.hpp>

namespace gossamer {

/// A callback that is also told what only a simulation knows. Given to `NodeOptions::callback`, as
/// any other.
///
/// A node's turn comes as: `on_step_end` if it was at work, `on_send` for what it has to say, what
/// has come (`on_deliver`, `on_return`, `on_peer_joined`, `on_peer_left`), `on_merge`, `on_weight`;
/// then `on_step` and `on_cost`, `on_wait`, or `on_rest`. A node that waits or rests may have many
/// turns until it goes on.
class SimulationCallback : public observe::Callback {
 public:
  /// The step that has just begun takes `disk` for a checkpoint on a slow disk, then `compute`.
  virtual void on_cost(Time /*now*/, PeerId /*node*/, Time /*disk*/, Time /*compute*/) {}
  /// A fault has happened; not one that made no sense. A crash's victim has had its `on_end`, a
  /// newcomer its `on_start`.
  virtual void on_fault(Time /*now*/, const Fault& /*what*/) {}
  /// The group goes on from a checkpoint: what was told of nodes is void, and is told anew of those
  /// that go on.
  virtual void on_restored(Time /*now*/) {}
};

}  // namespace gossamer
