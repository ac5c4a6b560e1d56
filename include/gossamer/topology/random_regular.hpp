// SPDX-License-Identifier: MIT
/// A random graph in which all have equally many neighbours.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/random_graph.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// Each place has `degree` neighbours; nearly uniform among all such graphs. Its spectral gap stays
/// above a constant however many members there are.
///
/// With at most `degree` other members, everybody knows everybody. Where members times degree is
/// odd no such graph exists, and one place has a neighbour less.
/// Throws   ConfigError for a degree below 2: no such graph is in one piece.
/// Source   Steger, Wormald, "Generating random regular graphs quickly", Combinatorics, Probability
///          and Computing 8, 1999: free ends are joined by chance where that is allowed, and all
///          begins anew where nothing is.
class RandomRegular final : public RandomGraph {
 public:
  explicit RandomRegular(std::uint32_t degree, std::uint64_t seed = 0)
      : RandomGraph(seed), degree_(degree) {
    if (degree < 2) {
      throw ConfigError("RandomRegular: degree must be at least 2, got " + std::to_string(degree));
    }
  }

 private:
  void draw(Neighbourhoods& graph, Generator& random) const override {
    const auto members = static_cast<Place>(graph.size());
    if (members <= degree_ + 1) {
      for (Place b = 1; b < members; ++b) {
        for (Place a = 0; a < b; ++a) link(graph, a, b);
      }
      return;
    }
    while (!join_all(graph, random)) graph.assign(members, {});
  }

  bool join_all(Neighbourhoods& graph, Generator& random) const {
    std::vector<Place> ends;  // free ones, by the place to which they belong
    for (Place place = 0; place < graph.size(); ++place) ends.insert(ends.end(), degree_, place);
    if (ends.size() % 2 == 1) ends.pop_back();
    while (!ends.empty()) {
      const auto any = [&] { return random.below(static_cast<std::uint32_t>(ends.size())); };
      std::uint32_t first = any();
      std::uint32_t second = any();
      if (!fits(graph, ends[first], ends[second])) {
        // A few ends that are left may not fit at all.
        if (ends.size() <= std::size_t{degree_} * degree_ && !any_fits(graph, ends)) return false;
        continue;
      }
      link(graph, ends[first], ends[second]);
      if (first < second) std::swap(first, second);
      for (const std::uint32_t used : {first, second}) {
        ends[used] = ends.back();
        ends.pop_back();
      }
    }
    return true;
  }

  static bool fits(const Neighbourhoods& graph, Place a, Place b) {
    return a != b && !linked(graph, a, b);
  }
  static bool any_fits(const Neighbourhoods& graph, const std::vector<Place>& ends) {
    for (std::size_t i = 0; i < ends.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (fits(graph, ends[i], ends[j])) return true;
      }
    }
    return false;
  }

  std::uint32_t degree_;
};

}  // namespace gossamer::topology
