// SPDX-License-Identifier: MIT
/// The lightest of a few random peers: gossip whose weights stay even.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/topology/topology.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace gossamer::topology {

/// Draws `choices` different peers uniformly, two if not said, and takes the one with the lowest
/// weight (alpha), the first drawn among equals.
///
/// Why: under GoSGD a gradient counts as much as the weight of its node, so the model averages over
/// 1 / S nodes (`observe::effective_nodes`), where S is the sum of the squared shares of the
/// weight, and not over all. Uniform peers get their messages by chance, some several at a time and
/// some none for long; two choices send them where they are missed. It costs no message: what
/// `RuleContext::counters` knows of a peer's weight comes with what is sent anyway.
///
/// How much, where each push is merged before the next one: a push from i to j adds
/// w_i w_j - w_i^2 / 2 to S. With uniform j that is (1 - S) / (M (M - 1)) - S / (2 M) in the mean,
/// 0 at S = 2 / (M + 1): (M + 1) / 2 effective nodes, 4.5 of 8. For two choices we have no formula;
/// in simulation they leave 6 to 6.7 of 8 and 24 to 26 of 32. With p exchanges a step some are on
/// their way at any time, and the gain is smaller: 6.1 of 8 at p = 0.1, 5.6 at p = 0.4 where
/// uniform peers leave 4.9, and less than theirs at p = 1.
///
/// Stale weights mislead several nodes to the same light peer. Up to half of the time between two
/// exchanges of a node most of the gain is left; at twice that time uniform peers are as good, and
/// then better; the lightest of all peers is far worse still. With threads a peer's weight is that
/// after its last step; in the simulator it is the present one, unless
/// `SimulatedOptions::status_delay` is set; over a network it is as old as the last word from that
/// peer. A weight that is not known at all is 0, so that a newcomer gets some soon.
///
/// What it is worth in accuracy (README, "All rules"): little among equal machines, 2.7 points on
/// CIFAR-10 where one of 8 is four times slower.
///
/// Throws   ConfigError for `choices` = 0.
/// Source   ours; the idea of the two choices: Azar, Broder, Karlin, Upfal, "Balanced allocations",
///          SIAM Journal on Computing 29, 1999; with old information: Mitzenmacher, "How useful is
///          old information?", IEEE Transactions on Parallel and Distributed Systems 11, 2000.
class TwoChoices {
 public:
  explicit TwoChoices(std::size_t choices = 2) : choices_(choices) {
    if (choices == 0) throw ConfigError("TwoChoices: needs at least 1 choice, got 0");
  }

  std::optional<PeerId> operator()(PeerContext& context) const {
    const auto peers = context.peers();
    const std::size_t draws = std::min(choices_, peers.size());
    std::optional<PeerId> lightest;
    double least = std::numeric_limits<double>::infinity();
    drawn_.clear();
    while (drawn_.size() < draws) {
      const auto at = context.generator().below(static_cast<std::uint32_t>(peers.size()));
      if (std::find(drawn_.begin(), drawn_.end(), at) != drawn_.end()) continue;
      drawn_.push_back(at);
      const double weight = context.counters(peers[at]).weight;
      if (lightest && !(weight < least)) continue;
      lightest = peers[at];
      least = weight;
    }
    return lightest;
  }

 private:
  std::size_t choices_;
  mutable std::vector<std::uint32_t> drawn_;
};

}  // namespace gossamer::topology
