// SPDX-License-Identifier: MIT
/// One topology after the other.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/topology.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// A graph that changes with time, as a list: at step t the topology number floor(t / steps) mod n
/// of the n in it. The step is each node's own.
/// Throws ConfigError if the list is empty, or `steps` is 0.
class Sequence {
 public:
  explicit Sequence(std::vector<Any> topologies, std::uint64_t steps = 1)
      : topologies_(std::move(topologies)), steps_(steps) {
    if (topologies_.empty()) throw ConfigError("Sequence: needs at least 1 topology, got none");
    if (steps == 0) throw ConfigError("Sequence: steps must be at least 1, got 0");
  }

  std::optional<PeerId> operator()(PeerContext& context) const {
    return topologies_[context.step() / steps_ % topologies_.size()](context);
  }

 private:
  std::vector<Any> topologies_;
  std::uint64_t steps_;
};

}  // namespace gossamer::topology
