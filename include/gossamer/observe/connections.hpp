// SPDX-License-Identifier: MIT
/// What a node in a process of its own knows of the others.
#pragma once

#include <gossamer/transport/membership/peer_view.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::observe {

/// Where others find this node, what became of connections, and every peer that was ever heard of.
struct Connections {
  std::string address;
  std::vector<std::pair<const char*, std::uint64_t>> counts;
  std::vector<transport::PeerView> peers;
};

/// One word for where a peer is.
inline const char* state_of(const transport::PeerView& peer) {
  using transport::wire::Presence;
  if (peer.presence == Presence::left) return "left";
  if (peer.presence == Presence::lost) return "lost";
  return peer.connected ? "connected" : "not connected";
}

}  // namespace gossamer::observe
