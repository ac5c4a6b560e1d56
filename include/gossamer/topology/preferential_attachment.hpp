// SPDX-License-Identifier: MIT
/// Who has many neighbours gets more: a few hubs, and many with few.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/random_graph.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// The first `links` + 1 places know each other; each further one links to `links` different
/// earlier ones, chosen with probabilities that are as their numbers of neighbours.
/// Throws   ConfigError for `links` = 0.
/// Source   Barabasi, Albert, "Emergence of scaling in random networks", Science 286, 1999.
/// Differs  the paper leaves open how the first places are linked; ours know each other.
class PreferentialAttachment final : public RandomGraph {
 public:
  explicit PreferentialAttachment(std::uint32_t links, std::uint64_t seed = 0)
      : RandomGraph(seed), links_(links) {
    if (links == 0) throw ConfigError("PreferentialAttachment: needs at least 1 link, got 0");
  }

 private:
  void draw(Neighbourhoods& graph, Generator& random) const override {
    std::vector<Place> ends;  // each place as often as it has neighbours
    std::vector<Place> chosen;
    for (Place place = 1; place < graph.size(); ++place) {
      chosen.clear();
      if (place <= links_) {
        for (Place other = 0; other < place; ++other) chosen.push_back(other);
      }
      while (chosen.size() < std::min(place, links_)) {
        const Place other = ends[random.below(static_cast<std::uint32_t>(ends.size()))];
        if (std::find(chosen.begin(), chosen.end(), other) == chosen.end()) chosen.push_back(other);
      }
      for (const Place other : chosen) {
        link(graph, place, other);
        ends.push_back(place);
        ends.push_back(other);
      }
    }
  }

  std::uint32_t links_;
};

}  // namespace gossamer::topology
