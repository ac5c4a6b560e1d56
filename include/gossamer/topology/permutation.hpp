// SPDX-License-Identifier: MIT
/// Everybody sends to another one, and nobody gets two messages.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/topology/members.hpp>
#include <gossamer/topology/topology.hpp>

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// At step t a permutation of the members is drawn from (seed, t), the same on all nodes, uniformly
/// among those that are one circle; each sends to whom it maps it. No message is needed to agree.
///
/// In a group that sends in step (`schedule::Every`) everybody sends one message and gets one per
/// round, so the weights of GoSGD stay as even as can be: exactly equal where each message is
/// merged before the next round. Each other schedule or step takes some of that away: a node at
/// another step uses another permutation, and a node that does not send at a step leaves another
/// one without a message.
///
/// Peers that come and go: the permutation is one of the places of who is there; while nodes differ
/// in whom they know, so do their permutations.
/// Cost     O(members) per choice.
/// Source   the circles are drawn as by Sattolo, "An algorithm to generate a random cyclic
///          permutation", Information Processing Letters 22, 1986.
class Permutation {
 public:
  explicit Permutation(std::uint64_t seed = 0) : seed_(seed) {}

  std::optional<PeerId> operator()(rule::Scope& scope) const {
    const Members members(scope);
    if (members.size() < 2) return std::nullopt;
    order_.resize(members.size());
    std::iota(order_.begin(), order_.end(), Place{0});
    Generator random(seed_, stream + scope.step());
    for (Place last = members.size() - 1; last > 0; --last) {
      std::swap(order_[last], order_[random.below(last)]);
    }
    return members[order_[members.place()]];
  }

 private:
  /// Of the seed; far from those of the nodes.
  static constexpr std::uint64_t stream = std::uint64_t{5} << 48U;

  std::uint64_t seed_;
  mutable std::vector<Place> order_;
};

}  // namespace gossamer::topology
