// SPDX-License-Identifier: MIT
/// Which of n images (or points) are a node's own.
#pragma once

#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace examples {

/// The indices of one node's part of n images: node, node + nodes, node + 2 nodes, ... The parts of
/// all nodes are disjoint, cover all images, and differ by at most one in size.
/// @throws gossamer::ConfigError unless n >= 0 and node < nodes.
[[nodiscard]] inline std::vector<std::int64_t> shard(std::int64_t n, std::size_t node,
                                                     std::size_t nodes) {
  if (n < 0) throw gossamer::ConfigError(c10::str("shard: n must be at least 0, got ", n));
  if (node >= nodes) {
    throw gossamer::ConfigError(c10::str("shard: node must lie in [0, ", nodes, "), got ", node));
  }
  std::vector<std::int64_t> indices;
  for (auto i = static_cast<std::int64_t>(node); i < n; i += static_cast<std::int64_t>(nodes)) {
    indices.push_back(i);
  }
  return indices;
}

/// One node's part of n images when a share of them, in [0, 1], evenly spread, is given to every
/// node, and the others are dealt out as by `shard`; ascending.
/// @throws gossamer::ConfigError unless n >= 0, node < nodes and the share lies in [0, 1].
[[nodiscard]] inline std::vector<std::int64_t> overlapping_shard(std::int64_t n, std::size_t node,
                                                                 std::size_t nodes, double share) {
  if (!(share >= 0 && share <= 1)) {
    throw gossamer::ConfigError(
        c10::str("overlapping_shard: share must lie in [0, 1], got ", share));
  }
  // Image i is common if a whole number lies in (i share, (i + 1) share].
  const auto common = [share](std::int64_t i) {
    return std::floor(static_cast<double>(i + 1) * share) >
           std::floor(static_cast<double>(i) * share);
  };
  std::vector<std::int64_t> indices;
  std::vector<std::int64_t> others;
  for (std::int64_t i = 0; i < n; ++i) (common(i) ? indices : others).push_back(i);
  for (const auto place :
       shard(n < 0 ? n : static_cast<std::int64_t>(others.size()), node, nodes)) {
    indices.push_back(others[static_cast<std::size_t>(place)]);
  }
  std::sort(indices.begin(), indices.end());
  return indices;
}

/// 0, 1, ..., n - 1: every node sees all images.
[[nodiscard]] inline std::vector<std::int64_t> all(std::int64_t n) { return shard(n, 0, 1); }

}  // namespace examples
