// SPDX-License-Identifier: MIT
/// A grid whose edges are joined.
#pragma once

#include <gossamer/topology/graph.hpp>

#include <cstdint>
#include <vector>

namespace gossamer::topology {

/// The four neighbours in a grid of r rows and m / r columns, filled row by row, whose opposite
/// edges are joined. Each number of members has its own grid: r is the largest divisor of m that is
/// not above the square root of m, so a prime number of members makes a ring.
class Torus final : public Graph {
 public:
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    const Place rows = rows_of(members);
    const Place columns = members / rows;
    const Place row = place / columns;
    const Place column = place % columns;
    out.assign({row * columns + (column + 1) % columns,
                row * columns + (column + columns - 1) % columns,
                (row + 1) % rows * columns + column, (row + rows - 1) % rows * columns + column});
    tidy(place, out);
  }

  /// The number of rows for so many members.
  [[nodiscard]] static Place rows_of(Place members) {
    Place rows = 1;
    for (Place r = 2; r <= members / r; ++r) {
      if (members % r == 0) rows = r;
    }
    return rows;
  }
};

}  // namespace gossamer::topology
