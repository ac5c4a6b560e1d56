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
/// round, so the weights of GoSGD stay equal. Where each sends with probability p, some get
/// nothing: (M + 1 - p) / (2 - p) effective nodes are left (`observe::effective_nodes`), which is
/// what uniform peers leave, (M + 1) / 2, for small p. And nodes at different steps use different
/// permutations: where steps take different times this is hardly better than uniform peers, and
/// `OnePeerExponential` is, whose senders per node are few and regular.
///
/// Peers that come and go: the permutation is one of the places of who is there; while nodes differ
/// in whom they know, so do their permutations.
/// Cost     O(members) per choice.
/// Source   the circles are drawn as by Sattolo, "An algorithm to generate a random cyclic
///          permutation", Information Processing Letters 22, 1986.
class Permutation {
 public:
  explicit Permutation(std::uint64_t seed = 0) : seed_(seed) {}

  std::optional<PeerId> operator()(PeerContext& context) const {
    const Members members(context);
    if (members.size() < 2) return std::nullopt;
    order_.resize(members.size());
    std::iota(order_.begin(), order_.end(), Place{0});
    Generator random(seed_, stream + context.step());
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
