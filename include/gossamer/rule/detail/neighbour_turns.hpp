// SPDX-License-Identifier: MIT
/// Whose turn it is, among neighbours that may change.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/rule/neighbourhoods.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

namespace gossamer::rule::detail {

/// A graph's edges, used both ways; of a node's neighbours, that one is next whose turn is longest
/// ago. If they stay the same, that is cyclic order, and on a hypercube dimension after dimension:
/// nodes that keep pace use the same one at a time, which mixes best. Threads: as a rule.
class NeighbourTurns {
 public:
  explicit NeighbourTurns(Neighbourhoods graph) : graph_(std::move(graph)) {}

  /// The neighbours in the graph's next turn, those first whose own is longest ago.
  std::vector<PeerId> next(const RuleContext& context) {
    const Neighbourhood& around = graph_.around(context, ++turn_);
    std::vector<PeerId> peers;
    std::set_union(around.to.begin(), around.to.end(), around.from.begin(), around.from.end(),
                   std::back_inserter(peers));
    const PeerId self = context.self();
    std::sort(peers.begin(), peers.end(), [&](PeerId a, PeerId b) {
      return std::pair(last_[a], a ^ self) < std::pair(last_[b], b ^ self);
    });
    return peers;
  }
  /// It is that one's turn.
  void take(PeerId peer) { last_[peer] = turn_; }
  void forget(PeerId peer) { last_.erase(peer); }

  [[nodiscard]] std::string agreement() const { return graph_.agreement(); }

  void checkpoint(Archive& archive) {
    std::vector<PeerId> peers;
    std::vector<std::uint64_t> turns;
    for (const auto& [peer, turn] : last_) {
      peers.push_back(peer);
      turns.push_back(turn);
    }
    archive("turn", turn_);
    archive("peers", peers);
    archive("turns", turns);
    last_.clear();
    const std::size_t count = std::min(peers.size(), turns.size());
    for (std::size_t i = 0; i < count; ++i) last_[peers[i]] = turns[i];
  }

 private:
  Neighbourhoods graph_;
  std::uint64_t turn_ = 0;
  std::map<PeerId, std::uint64_t> last_;
};

}  // namespace gossamer::rule::detail
