// SPDX-License-Identifier: MIT
/// What can happen to a simulated cluster, as a plan.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/simulation/options.hpp>

#include <variant>
#include <vector>

namespace gossamer {

/// The kinds of things that happen to nodes and to the network between them.
namespace fault {

/// The node's steps take `factor` times as long from now on; 1 undoes it.
struct Straggle {
  PeerId node = 0;
  double factor = 1;
};
/// The node's process stands still for a while; frames wait for it.
struct Pause {
  PeerId node = 0;
  transport::Time length{0};
};
/// The node writes a checkpoint, and its disk is slow: its next step takes that much longer, while
/// its network goes on.
struct SlowDisk {
  PeerId node = 0;
  transport::Time length{0};
};
/// The node is gone, without a word. Its weight goes with it.
struct Crash {
  PeerId node = 0;
};
/// A node that is gone begins a new incarnation: without weight, until a member gives it half of
/// its own.
struct Restart {
  PeerId node = 0;
};
/// A node that never was before, with the next free number.
struct Join {};
/// The node hands its weight over and goes.
struct Leave {
  PeerId node = 0;
};
/// These nodes can only talk to each other, and the others to the others.
struct Partition {
  std::vector<PeerId> nodes;
};
/// All links and all parts are one network again.
struct Heal {};
/// No frame passes between two nodes.
struct Cut {
  PeerId a = 0;
  PeerId b = 0;
};
/// The link that was cut is there again.
struct Reconnect {
  PeerId a = 0;
  PeerId b = 0;
};
/// From now on the network loses, doubles and delays frames like this.
struct Noise {
  transport::SimulatedNoise noise;
};

}  // namespace fault

/// Anything that can happen by plan.
using Fault = std::variant<fault::Straggle, fault::Pause, fault::SlowDisk, fault::Crash,
                           fault::Restart, fault::Join, fault::Leave, fault::Partition, fault::Heal,
                           fault::Cut, fault::Reconnect, fault::Noise>;

namespace fault {

/// Whether the fault is one of the network, and lasts.
inline bool changes_network(const Fault& what) {
  return std::holds_alternative<Partition>(what) || std::holds_alternative<Heal>(what) ||
         std::holds_alternative<Cut>(what) || std::holds_alternative<Reconnect>(what) ||
         std::holds_alternative<Noise>(what);
}

}  // namespace fault

/// A fault and its time. What makes no sense when its time has come (a crash of a node that is
/// gone, a restart of one that runs) is left out.
struct PlannedFault {
  transport::Time when{0};
  Fault what;
};

}  // namespace gossamer
