// SPDX-License-Identifier: MIT
/// Who can meet whom and when, a graph whose edges walk, and the times of gradients and exchanges.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/topology/random_regular.hpp>
#include <gossamer/topology/registry.hpp>
#include <gossamer/topology/spectrum.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace dadao {

using gossamer::Generator;
using gossamer::topology::Place;

/// A random regular graph, at first; in each turn one end of one edge walks on along another edge.
/// It stays in one piece. After 64 turns it is the first again.
/// Threads  one object from two threads: unsafe, since it remembers the turns.
class EdgeWalk final : public gossamer::topology::Graph {
 public:
  static constexpr std::uint64_t turns = 64;

  explicit EdgeWalk(std::uint32_t degree, std::uint64_t seed = 0)
      : first_(degree, seed), seed_(seed) {}

  [[nodiscard]] std::uint64_t period(Place /*members*/) const override { return turns; }
  void neighbours(Place place, Place members, std::uint64_t turn,
                  std::vector<Place>& out) const override {
    if (walk_.empty() || walk_[0].size() != members) draw(members);
    out = walk_[turn][place];
  }
  void sources(Place place, Place members, std::uint64_t turn,
               std::vector<Place>& out) const override {
    neighbours(place, members, turn, out);
  }

 private:
  using Neighbourhoods = gossamer::topology::Neighbourhoods;

  void draw(Place members) const {
    Generator random(seed_, (std::uint64_t{5} << 48U) + members);
    walk_ = {first_.whole(members)};
    while (walk_.size() < turns) walk_.push_back(moved(walk_.back(), random));
  }
  /// The edge from a to b leads to a neighbour of b then. The same graph if there is no room.
  static Neighbourhoods moved(const Neighbourhoods& graph, Generator& random) {
    const auto one_of = [&](const std::vector<Place>& places) {
      return places[random.below(static_cast<std::uint32_t>(places.size()))];
    };
    for (int attempt = 0; attempt < 1000; ++attempt) {
      const Place a = random.below(static_cast<std::uint32_t>(graph.size()));
      const Place b = one_of(graph[a]);
      const Place c = one_of(graph[b]);
      if (c == a || std::count(graph[a].begin(), graph[a].end(), c) > 0) continue;
      Neighbourhoods next = graph;
      std::erase(next[a], b);
      std::erase(next[b], a);
      next[a].insert(std::upper_bound(next[a].begin(), next[a].end(), c), c);
      next[c].insert(std::upper_bound(next[c].begin(), next[c].end(), a), a);
      if (!gossamer::topology::unreached(next)) return next;
    }
    return graph;
  }

  gossamer::topology::RandomRegular first_;
  std::uint64_t seed_;
  mutable std::vector<Neighbourhoods> walk_;
};

/// Those of the library and `EdgeWalk`.
inline std::vector<gossamer::topology::Entry> graphs() {
  auto all = gossamer::topology::known();
  all.push_back({{"walk:DEGREE"},
                 "a random graph of that degree, of which one edge walks per turn",
                 "",
                 [](const gossamer::NamedParameters& p,
                    const gossamer::topology::RegistryOptions& o) -> gossamer::topology::Made {
                   return EdgeWalk(p.count(0), o.seed());
                 }});
  return all;
}

/// A graph, which may change after each `turn` of time, and how often its nodes call each other so
/// that DADAO's theory holds: `rate` times, on average, a node takes part in an exchange while each
/// node takes one gradient.
///
///     rate = sqrt(2 chi1 chi2)    with those of `topology::resistance` at a rate of 1,
///                                 the largest that any turn has
///
/// At that rate chi1 is chi1 / rate, and the product of the two is 1/2.
/// Throws ConfigError for a graph that has a direction, or that is not in one piece in some turn.
class Network {
 public:
  Network(const gossamer::topology::Graph& graph, Place nodes, double turn) : turn_(turn) {
    const std::uint64_t turns = graph.period(nodes);
    for (std::uint64_t t = 0; t < turns; ++t) {
      const auto chi =
          gossamer::topology::resistance(gossamer::topology::adjacency(graph, nodes, t));
      if (!std::isfinite(chi.chi1)) {
        throw gossamer::ConfigError(
            c10::str("Network: needs a graph that is always in one piece; turn ", t, " of ", turns,
                     " is not, among ", nodes, " nodes"));
      }
      worst_.chi1 = std::max(worst_.chi1, chi.chi1);
      worst_.chi2 = std::max(worst_.chi2, chi.chi2);
      near_.emplace_back(nodes);
      for (Place i = 0; i < nodes; ++i) graph.neighbours(i, nodes, t, near_.back()[i]);
    }
  }

  /// At a rate of 1.
  [[nodiscard]] const gossamer::topology::Resistance& chi() const noexcept { return worst_; }
  [[nodiscard]] double rate() const noexcept { return std::sqrt(2 * worst_.chi1 * worst_.chi2); }
  /// At `rate()`: what `Constants::of` wants.
  [[nodiscard]] double chi1() const noexcept { return worst_.chi1 / rate(); }
  [[nodiscard]] std::size_t nodes() const noexcept { return near_[0].size(); }
  [[nodiscard]] const std::vector<Place>& neighbours(std::size_t node, double time) const {
    return near_[static_cast<std::uint64_t>(time / turn_) % near_.size()][node];
  }

 private:
  double turn_;
  gossamer::topology::Resistance worst_;
  std::vector<gossamer::topology::Neighbourhoods> near_;  // by turns
};

/// A gradient of node i, or an exchange of i with j.
struct Event {
  double time = 0;
  std::size_t i = 0;
  std::optional<std::size_t> j;
};

/// Gradients and exchanges as Poisson processes that know nothing of each other: each node takes a
/// gradient at rate 1, and wakes up at half the network's rate to call a neighbour.
class Events {
 public:
  Events(const Network& network, std::uint64_t seed) : network_(network), random_(seed, 2) {}

  [[nodiscard]] Event next() {
    const double nodes = static_cast<double>(network_.nodes());
    const double calls = network_.rate() / 2;
    time_ -= std::log1p(-random_.uniform()) / (nodes * (1 + calls));
    Event event{time_, random_.below(static_cast<std::uint32_t>(nodes)), std::nullopt};
    if (random_.uniform() * (1 + calls) < 1) return event;
    const auto& near = network_.neighbours(event.i, time_);
    event.j = near[random_.below(static_cast<std::uint32_t>(near.size()))];
    return event;
  }

 private:
  const Network& network_;
  Generator random_;
  double time_ = 0;
};

}  // namespace dadao
