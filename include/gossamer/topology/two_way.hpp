// SPDX-License-Identifier: MIT
/// Whether the edges of a graph go both ways, as some rules need.
#pragma once

#include <gossamer/topology/graph.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// Whether each edge goes both ways, in each turn, among so many members; at most 64 turns are
/// looked at. Cost  O(edges) memory per turn.
inline bool is_two_way(const Graph& graph, Place members) {
  std::vector<std::pair<Place, Place>> edges;
  std::vector<Place> out;
  const std::uint64_t turns = std::min<std::uint64_t>(graph.period(members), 64);
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    edges.clear();
    for (Place from = 0; from < members; ++from) {
      graph.neighbours(from, members, turn, out);
      for (const Place to : out) edges.emplace_back(from, to);
    }
    for (const auto& [from, to] : edges) {  // ascending, since neighbours are
      if (!std::binary_search(edges.begin(), edges.end(), std::pair(to, from))) return false;
    }
  }
  return true;
}

}  // namespace gossamer::topology
