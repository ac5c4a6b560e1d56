// SPDX-License-Identifier: MIT
/// What can be seen of a group of nodes, wherever they run.
#pragma once

#include <gossamer/peers.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

namespace gossamer::observe {

struct Connections;  // observe/connections.hpp

/// Copies of its model that a node has made to send: so many models of memory are held, and of
/// these, so many are on their way, or kept by peers in the same process.
struct PoolState {
  std::size_t made = 0;
  std::size_t in_use = 0;
};

/// A group at one moment. Made by `Group::state()`, and by the group for its callbacks.
struct GroupState {
  /// One that lives here.
  struct Node {
    PeerId id = 0;
    Counters counters;                             ///< its weight, too
    std::optional<PoolState> pool = std::nullopt;  ///< of a node in a group
  };
  /// The live ones that live here, by number.
  std::vector<Node> nodes;
  /// Of all nodes, as far as they are known here.
  Counters totals;
  /// `Group::weight_of_all`, between two runs.
  std::optional<double> weight_of_all;
  /// Training time on the group's own clock, and whether that is a virtual one.
  std::chrono::duration<double> elapsed{0};
  bool is_virtual = false;
  /// Training time that has passed here.
  std::chrono::duration<double> wall{0};
  /// Of nodes in other processes; null if all live here.
  std::shared_ptr<const Connections> connections;
};

}  // namespace gossamer::observe
