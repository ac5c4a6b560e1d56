// SPDX-License-Identifier: MIT
/// Graphs that are drawn by chance, the same by all nodes.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/topology/graph.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace gossamer::topology {

/// For each place its neighbours.
using Neighbourhoods = std::vector<std::vector<Place>>;

/// A place to which the first one does not lead, if there is one.
inline std::optional<Place> unreached(const Neighbourhoods& graph) {
  std::vector<bool> seen(graph.size());
  std::vector<Place> open{0};
  seen[0] = true;
  while (!open.empty()) {
    const Place place = open.back();
    open.pop_back();
    for (const Place next : graph[place]) {
      if (seen[next]) continue;
      seen[next] = true;
      open.push_back(next);
    }
  }
  const auto lost = std::find(seen.begin(), seen.end(), false);
  if (lost == seen.end()) return std::nullopt;
  return static_cast<Place>(lost - seen.begin());
}

/// A graph without direction drawn from a seed, the same on all nodes that have the seed and know
/// of the same number of members. Each number of members has a graph of its own: when a peer comes
/// or goes, all is drawn anew. Drawn again until it is in one piece, up to 1,000 times.
/// Cost   each node draws the whole graph whenever the members change.
class RandomGraph : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out = whole(members)[place];
  }

  void sources(Place place, Place members, std::uint64_t turn,
               std::vector<Place>& out) const override {
    neighbours(place, members, turn, out);
  }

  /// The neighbours of all places.
  [[nodiscard]] Neighbourhoods whole(Place members) const {
    Neighbourhoods graph;
    for (std::uint64_t attempt = 0; attempt < 1000; ++attempt) {
      Generator random(seed_, stream + (std::uint64_t{members} << 10U) + attempt);
      graph.assign(members, {});
      draw(graph, random);
      if (!unreached(graph)) break;
    }
    for (auto& neighbours : graph) std::sort(neighbours.begin(), neighbours.end());
    return graph;
  }

 protected:
  explicit RandomGraph(std::uint64_t seed) : seed_(seed) {}

  /// Adds the edges to `graph`, which has all places and none yet.
  virtual void draw(Neighbourhoods& graph, Generator& random) const = 0;

  static bool linked(const Neighbourhoods& graph, Place a, Place b) {
    return std::find(graph[a].begin(), graph[a].end(), b) != graph[a].end();
  }
  static void link(Neighbourhoods& graph, Place a, Place b) {
    graph[a].push_back(b);
    graph[b].push_back(a);
  }
  static void unlink(Neighbourhoods& graph, Place a, Place b) {
    std::erase(graph[a], b);
    std::erase(graph[b], a);
  }

 private:
  /// Of the seed; far from those of the nodes.
  static constexpr std::uint64_t stream = std::uint64_t{4} << 48U;

  std::uint64_t seed_;
};

}  // namespace gossamer::topology
