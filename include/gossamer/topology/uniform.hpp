// SPDX-License-Identifier: MIT
/// Everybody else, with equal probability.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/topology/topology.hpp>

#include <cstdint>

namespace gossamer::topology {

/// A peer drawn uniformly; never the node itself, so that a schedule's rate is the true rate of
/// exchange. GoSGD's choice (arXiv:1804.01852), which draws from all M nodes.
struct Uniform {
  std::optional<PeerId> operator()(PeerContext& context) const {
    const auto peers = context.peers();
    if (peers.empty()) return std::nullopt;
    return peers[context.generator().below(static_cast<std::uint32_t>(peers.size()))];
  }
};

}  // namespace gossamer::topology
