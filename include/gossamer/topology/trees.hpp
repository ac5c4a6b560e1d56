// SPDX-License-Identifier: MIT
/// Graphs without circles: a path, a star, a binary tree. One peer less, and they fall apart until
/// the others know of it; good for comparison, and where the network itself is such a tree.
#pragma once

#include <gossamer/topology/graph.hpp>

#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// One after the other: i and i + 1 are neighbours.
class Path final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.clear();
    if (place > 0) out.push_back(place - 1);
    if (place + 1 < members) out.push_back(place + 1);
  }
};

/// The lowest number is everybody's neighbour, and the only one. When it goes, the next lowest is.
class Star final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.clear();
    if (place > 0) {
      out.push_back(0);
      return;
    }
    for (Place leaf = 1; leaf < members; ++leaf) out.push_back(leaf);
  }
};

/// i is the parent of 2 i + 1 and 2 i + 2.
class BinaryTree final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.clear();
    if (place > 0) out.push_back((place - 1) / 2);
    for (std::uint64_t child = 2 * std::uint64_t{place} + 1;
         child <= 2 * std::uint64_t{place} + 2 && child < members; ++child) {
      out.push_back(static_cast<Place>(child));
    }
  }
};

}  // namespace gossamer::topology
