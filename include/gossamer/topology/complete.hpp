// SPDX-License-Identifier: MIT
/// Everybody knows everybody, as a graph.
#pragma once

#include <gossamer/topology/graph.hpp>

#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// All others. As a topology the same as `Uniform`, which does not list them; for rules that send
/// to all neighbours, and for the analysis.
class Complete final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.clear();
    for (Place other = 0; other < members; ++other) {
      if (other != place) out.push_back(other);
    }
  }
};

}  // namespace gossamer::topology
