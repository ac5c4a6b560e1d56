// SPDX-License-Identifier: MIT
/// The weighted average by which sum-weight rules merge.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/scope.hpp>

#include <array>
#include <cstddef>
#include <span>

namespace gossamer::rule {

/// For each message (x', a') in turn: x <- (a x + a' x') / (a + a'), a <- a + a'. One pass over the
/// parameters for up to 16 messages. Messages without weight change nothing. A model that has a
/// merge of its own (`model::Tensors::merge`) is asked to take x' in instead.
inline void merge(Scope& scope, std::span<const Message> messages) {
  std::array<model::Share, 16> shares;
  std::size_t used = 0;
  double weight = scope.weight();
  bool met = false;
  for (const Message& message : messages) {
    if (!(message.weight > 0) || !message.payload) continue;
    met = true;
    if (scope.model().has_merge()) {
      scope.model().merge(weight, *message.payload, message.weight);
      weight += message.weight;
      continue;
    }
    weight += message.weight;
    shares[used++] = {&*message.payload, message.weight / weight};
    if (used == shares.size()) {
      model::mix(scope.model().flat(), shares);
      used = 0;
    }
  }
  if (used > 0) model::mix(scope.model().flat(), std::span(shares).first(used));
  if (met) scope.model().met();
  scope.weight() = weight;
}

/// A message that carries the given part of this node's weight, and its parameters.
inline Message split(Scope& scope, PeerId to, double part, std::uint32_t kind = 0) {
  const double moved = scope.weight() * part;
  scope.weight() -= moved;
  return {.to = to, .kind = kind, .weight = moved, .payload = scope.snapshot()};
}

}  // namespace gossamer::rule
