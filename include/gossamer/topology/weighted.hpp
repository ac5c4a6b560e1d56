// SPDX-License-Identifier: MIT
/// Some peers more often than others: the near, the fast, the healthy.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/topology/graph.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// How much a peer counts in a choice, >= 0; nothing if that is not known.
using Weight = std::function<std::optional<double>(const PeerContext&, PeerId)>;

/// Draws a peer with a probability proportional to its weight, among all or among the neighbours
/// in a graph. Peers of unknown weight count as the mean of the others; if nobody has any weight,
/// all count the same. What comes and goes follows `context.peers()`, or the graph.
/// Cost     asks for the weight of each candidate at each choice.
class Weighted {
 public:
  explicit Weighted(Weight weight)
      : weight_(std::move(weight)), among_([](PeerContext& context) { return context.peers(); }) {}
  template <std::derived_from<Graph> G>
  Weighted(Weight weight, G graph)
      : weight_(std::move(weight)), among_([graph = std::move(graph)](PeerContext& context) {
          return graph.targets(context);
        }) {}

  std::optional<PeerId> operator()(PeerContext& context) const {
    const std::span<const PeerId> peers = among_(context);
    if (peers.empty()) return std::nullopt;
    double sum = 0;
    std::size_t known = 0;
    weights_.clear();
    for (const PeerId peer : peers) {
      const auto weight = weight_(context, peer);
      weights_.push_back(weight.value_or(unknown));
      if (!weight) continue;
      sum += *weight;
      ++known;
    }
    const double mean = known > 0 ? sum / static_cast<double>(known) : 1;
    sum += mean * static_cast<double>(peers.size() - known);
    if (!(sum > 0 && std::isfinite(sum))) {
      return peers[context.generator().below(static_cast<std::uint32_t>(peers.size()))];
    }
    double rest = context.generator().uniform() * sum;
    std::size_t last = 0;
    for (std::size_t i = 0; i < peers.size(); ++i) {
      const double weight = weights_[i] == unknown ? mean : weights_[i];
      if (weight > 0) last = i;  // rounding may leave a little over
      rest -= weight;
      if (rest < 0) break;
    }
    return peers[last];
  }

 private:
  static constexpr double unknown = -1;

  Weight weight_;
  std::function<std::span<const PeerId>(PeerContext&)> among_;
  mutable std::vector<double> weights_;
};

/// Near peers more often: distance(this node, peer) to the power of -`exponent`. Distances are in
/// any unit, above 0; a peer at no distance, or whose distance is not a number, is left out.
/// Throws ConfigError unless `exponent` is at least 0.
inline Weight by_distance(std::function<double(PeerId, PeerId)> distance, double exponent = 1) {
  if (!(exponent >= 0)) {
    throw ConfigError(c10::str("by_distance: exponent must be at least 0, got ", exponent));
  }
  return [distance = std::move(distance), exponent](const PeerContext& context, PeerId peer) {
    const double far = distance(context.self(), peer);
    return std::optional<double>(far > 0 ? std::pow(far, -exponent) : 0);
  };
}

/// Peers over fast links more often: as the bytes per second that were measured, of whom nothing
/// was sent to yet as the mean of the others. Transports that do not measure (threads, which have
/// no links) make all equal.
inline Weight by_speed() {
  return [](const PeerContext& context, PeerId peer) -> std::optional<double> {
    const double speed = context.health(peer).bytes_per_second;
    if (speed > 0) return speed;
    return std::nullopt;
  };
}

/// Healthy peers more often: (1 + messages that arrived) / (2 + messages sent) of the last ones to
/// that peer, the rule of succession. A peer to whom nothing was sent counts 1/2, one whose
/// messages all come back (its queue is full, or it is out of reach) at least 1/66: it is tried
/// again.
inline Weight by_health() {
  return [](const PeerContext& context, PeerId peer) {
    const PeerHealth health = context.health(peer);
    const auto sent = static_cast<double>(health.sent);
    const double arrived = std::max(0.0, sent - static_cast<double>(health.returned));
    return std::optional<double>((1 + arrived) / (2 + sent));
  };
}

}  // namespace gossamer::topology
