// SPDX-License-Identifier: MIT
/// A ring of near neighbours with some far ones.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/random_graph.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstdint>

namespace gossamer::topology {

/// Each place begins with the `near` / 2 next ones on either side of a ring; then each edge, going
/// round, keeps its lower end and gets another upper one with probability `rewired`, drawn from
/// those that are not yet neighbours.
///
/// `near` is at most the number of others, rounded down to an even one; two members are neighbours.
/// Throws   ConfigError unless `near` is even and at least 2 and `rewired` lies in [0, 1].
/// Source   Watts, Strogatz, "Collective dynamics of 'small-world' networks", Nature 393, 1998.
/// Differs  drawn again until it is in one piece.
class SmallWorld final : public RandomGraph {
 public:
  SmallWorld(std::uint32_t near, double rewired, std::uint64_t seed = 0)
      : RandomGraph(seed), near_(near), rewired_(rewired) {
    if (near < 2 || near % 2 == 1) {
      throw ConfigError(c10::str("SmallWorld: near must be even and at least 2, got ", near));
    }
    if (!(rewired >= 0 && rewired <= 1)) {
      throw ConfigError(c10::str("SmallWorld: rewired must lie in [0, 1], got ", rewired));
    }
  }

 private:
  void draw(Neighbourhoods& graph, Generator& random) const override {
    const auto members = static_cast<Place>(graph.size());
    if (members == 2) return link(graph, 0, 1);
    const Place reach = std::min(near_, members - 1) / 2;
    for (Place distance = 1; distance <= reach; ++distance) {
      for (Place a = 0; a < members; ++a) link(graph, a, (a + distance) % members);
    }
    for (Place distance = 1; distance <= reach; ++distance) {
      for (Place a = 0; a < members; ++a) {
        if (!(random.uniform() < rewired_) || graph[a].size() + 1 >= members) continue;
        Place b = random.below(members);
        while (b == a || linked(graph, a, b)) b = random.below(members);
        unlink(graph, a, (a + distance) % members);
        link(graph, a, b);
      }
    }
  }

  std::uint32_t near_;
  double rewired_;
};

}  // namespace gossamer::topology
