// SPDX-License-Identifier: MIT
/// Random matchings of all live nodes, which no message is needed to agree on.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/topology/members.hpp>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::rule::detail {

/// With whom this node is paired in a matching that is drawn from (seed, number), uniformly among
/// all: the same on all nodes that know of the same peers. Nobody, for the one that is left over.
/// Cost  O(members).
inline std::optional<PeerId> partner_in(const RuleContext& context, std::uint64_t seed,
                                        std::uint64_t number) {
  constexpr std::uint64_t stream = std::uint64_t{6} << 48U;  // far from those of the nodes
  const topology::Members members(context);
  std::vector<topology::Place> order(members.size());
  std::iota(order.begin(), order.end(), topology::Place{0});
  Generator random(seed, stream + number);
  std::size_t own = 0;
  for (topology::Place last = members.size(); last > 0; --last) {
    std::swap(order[last - 1], order[random.below(last)]);
    if (order[last - 1] == members.place()) own = last - 1;
  }
  const std::size_t other = own ^ 1U;
  if (other >= order.size()) return std::nullopt;
  return members[order[other]];
}

}  // namespace gossamer::rule::detail
