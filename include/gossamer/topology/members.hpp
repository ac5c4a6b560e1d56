// SPDX-License-Identifier: MIT
/// Everybody who is there now, this node included, one place each.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/peers.hpp>

#include <algorithm>
#include <cstdint>
#include <span>

namespace gossamer::topology {

/// A place in a graph: 0, ..., m - 1 for m members, in ascending order of their numbers. When one
/// goes, those above it move down by one; a newcomer takes its place among them.
using Place = std::uint32_t;

/// The members of a group as a node knows them; valid as long as `context.peers()` is.
class Members {
 public:
  explicit Members(const PeerContext& context) : peers_(context.peers()), self_(context.self()) {
    place_ =
        static_cast<Place>(std::lower_bound(peers_.begin(), peers_.end(), self_) - peers_.begin());
  }

  [[nodiscard]] Place size() const noexcept { return static_cast<Place>(peers_.size() + 1); }
  /// This node's place.
  [[nodiscard]] Place place() const noexcept { return place_; }
  /// Who has that place.
  [[nodiscard]] PeerId operator[](Place place) const {
    if (place == place_) return self_;
    return peers_[place < place_ ? place : place - 1];
  }

 private:
  std::span<const PeerId> peers_;
  PeerId self_;
  Place place_;
};

}  // namespace gossamer::topology
