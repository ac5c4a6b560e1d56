// SPDX-License-Identifier: MIT
/// The next one round a ring.
#pragma once

#include <gossamer/topology/topology.hpp>

#include <algorithm>

namespace gossamer::topology {

/// The live peer with the next higher number; after the highest, the lowest. A peer that goes is
/// skipped: its neighbours become each other's.
struct Ring {
  std::optional<PeerId> operator()(rule::Scope& scope) const {
    const auto peers = scope.peers();
    if (peers.empty()) return std::nullopt;
    const auto next = std::upper_bound(peers.begin(), peers.end(), scope.self());
    return next != peers.end() ? *next : peers.front();
  }
};

}  // namespace gossamer::topology
