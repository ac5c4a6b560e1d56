// SPDX-License-Identifier: MIT
/// Round a ring.
#pragma once

#include <gossamer/topology/graph.hpp>

#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// The live peer with the next higher number; after the highest, the lowest. With `Way::both` the
/// one before, too. A peer that goes is skipped: its neighbours become each other's.
class Ring final : public Graph {
 public:
  enum class Way { next, both };

  explicit Ring(Way way = Way::next) : way_(way) {}

  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    out.assign({(place + 1) % members});
    if (way_ == Way::both) out.push_back((place + members - 1) % members);
    tidy(place, out);
  }

 private:
  Way way_;
};

}  // namespace gossamer::topology
