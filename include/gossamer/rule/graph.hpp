// SPDX-License-Identifier: MIT
/// Who sends to whom in a round, for the rules that go by rounds.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/scope.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace gossamer::rule {

/// The places to which one place sends, and those from which it hears; ascending, without itself.
struct Neighbours {
  std::vector<std::size_t> to;
  std::vector<std::size_t> from;
};

/// The neighbours of `place` among `places` of them in a round. A function of its arguments alone:
/// all nodes must see one graph, in which q hears from p exactly when p sends to q.
using Graph = std::function<Neighbours(std::size_t place, std::size_t places, std::uint64_t round)>;

namespace detail {

/// Each place sends to those that are so far ahead of it, round the circle.
inline Neighbours circle(std::size_t place, std::size_t places, std::vector<std::size_t> hops) {
  Neighbours result;
  for (const std::size_t hop : hops) {
    const std::size_t ahead = hop % places;
    if (ahead == 0) continue;
    result.to.push_back((place + ahead) % places);
    result.from.push_back((place + places - ahead) % places);
  }
  for (std::vector<std::size_t>* one : {&result.to, &result.from}) {
    std::sort(one->begin(), one->end());
    one->erase(std::unique(one->begin(), one->end()), one->end());
  }
  return result;
}

}  // namespace detail

/// The directed exponential graph with m peers of Stochastic Gradient Push (arXiv:1811.10792): in
/// round k each place sends to those at distance j (m + 1)^i ahead, j = 1 ... m, where i goes
/// through 0 ... floor(log_{m+1}(n - 1)), one after the other. With m = 1 and n = 2^L, any L rounds
/// give the exact average. Throws ConfigError when m is 0.
class ExponentialGraph {
 public:
  explicit ExponentialGraph(std::size_t peers = 1) : peers_(peers) {
    if (peers == 0) throw ConfigError("ExponentialGraph: needs at least 1 peer, got 0");
  }
  Neighbours operator()(std::size_t place, std::size_t places, std::uint64_t round) const {
    std::vector<std::size_t> powers{1};
    while (powers.back() * (peers_ + 1) < places) powers.push_back(powers.back() * (peers_ + 1));
    std::vector<std::size_t> hops;
    for (std::size_t j = 1; j <= peers_; ++j) hops.push_back(j * powers[round % powers.size()]);
    return detail::circle(place, places, std::move(hops));
  }

 private:
  std::size_t peers_;
};

/// The next one and the one before, every round.
struct RingGraph {
  Neighbours operator()(std::size_t place, std::size_t places, std::uint64_t /*round*/) const {
    return detail::circle(place, places, {1, places - 1});
  }
};

/// The next one, every round.
struct DirectedRingGraph {
  Neighbours operator()(std::size_t place, std::size_t places, std::uint64_t /*round*/) const {
    return detail::circle(place, places, {1});
  }
};

/// Everybody else, every round.
struct CompleteGraph {
  Neighbours operator()(std::size_t place, std::size_t places, std::uint64_t /*round*/) const {
    std::vector<std::size_t> hops(places - 1);
    for (std::size_t i = 0; i < hops.size(); ++i) hops[i] = i + 1;
    return detail::circle(place, places, std::move(hops));
  }
};

/// The peers next to a node in a round.
struct Neighbourhood {
  std::vector<PeerId> to;
  std::vector<PeerId> from;
};

/// This node's neighbours: the live nodes, in the order of their numbers, are the graph's places.
inline Neighbourhood neighbourhood(const Scope& scope, const Graph& graph, std::uint64_t round) {
  const auto peers = scope.peers();
  const auto place = static_cast<std::size_t>(
      std::lower_bound(peers.begin(), peers.end(), scope.self()) - peers.begin());
  const Neighbours places = graph(place, peers.size() + 1, round);
  const auto ids = [&](const std::vector<std::size_t>& which) {
    std::vector<PeerId> result;
    for (const std::size_t at : which) {
      if (at > peers.size()) {
        throw ConfigError(c10::str("graph: a neighbour must be one of ", peers.size() + 1,
                                   " places, got place ", at));
      }
      if (at != place) result.push_back(peers[at < place ? at : at - 1]);
    }
    return result;
  };
  return {ids(places.to), ids(places.from)};
}

}  // namespace gossamer::rule
