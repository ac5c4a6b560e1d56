// SPDX-License-Identifier: MIT
/// Who sends to whom in a round, for the rules that go by rounds.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/scope.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// A directed graph over any number of members, which may change from round to round and comes
/// again after `period` rounds. A function of its arguments alone: all nodes must see one graph.
/// `neighbours` writes the places to which a place sends, without itself.
template <class T>
concept GraphLike = requires(const T& graph, std::uint32_t place, std::uint64_t step,
                             std::vector<std::uint32_t>& out) {
  graph.neighbours(place, place, step, out);
  { graph.period(place) } -> std::convertible_to<std::uint64_t>;
};

/// The peers next to a node in a round, ascending.
struct Neighbourhood {
  std::vector<PeerId> to;
  std::vector<PeerId> from;
};

/// Holds any graph, for one node of it. The live nodes, in the order of their numbers, are the
/// graph's places, as the node sees them; so when peers come and go, the others move up and the
/// graph stays what it is.
///
/// Cost      who sends to this place is searched for among all, once per number of members and
///           round of the period.
class Graph {
 public:
  template <GraphLike T>
  Graph(T graph)  // NOLINT(google-explicit-constructor): a converting holder
      : held_(std::make_shared<Held<T>>(std::move(graph))) {}

  /// Throws ConfigError if the graph names a place that is none.
  const Neighbourhood& around(const Scope& scope, std::uint64_t round) {
    const auto peers = scope.peers();
    if (!std::equal(peers.begin(), peers.end(), peers_.begin(), peers_.end())) {
      peers_.assign(peers.begin(), peers.end());
      known_.clear();
    }
    const auto members = static_cast<std::uint32_t>(peers.size() + 1);
    const std::uint64_t step = round % held_->period(members);
    const auto [known, fresh] = known_.try_emplace(step);
    if (fresh) known->second = find(scope.self(), members, step);
    return known->second;
  }

 private:
  struct Interface {
    virtual ~Interface() = default;
    virtual void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t step,
                            std::vector<std::uint32_t>& out) const = 0;
    [[nodiscard]] virtual std::uint64_t period(std::uint32_t members) const = 0;
  };
  template <class T>
  struct Held final : Interface {
    explicit Held(T graph) : g(std::move(graph)) {}
    void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t step,
                    std::vector<std::uint32_t>& out) const override {
      g.neighbours(place, members, step, out);
    }
    [[nodiscard]] std::uint64_t period(std::uint32_t members) const override {
      return g.period(members);
    }
    T g;
  };

  [[nodiscard]] Neighbourhood find(PeerId self, std::uint32_t members, std::uint64_t step) const {
    const auto own = static_cast<std::uint32_t>(
        std::lower_bound(peers_.begin(), peers_.end(), self) - peers_.begin());
    const auto id = [&](std::uint32_t place) { return peers_[place < own ? place : place - 1]; };
    Neighbourhood result;
    std::vector<std::uint32_t> out;
    for (std::uint32_t place = 0; place < members; ++place) {
      out.clear();
      held_->neighbours(place, members, step, out);
      std::sort(out.begin(), out.end());
      if (!out.empty() && out.back() >= members) {
        throw ConfigError(c10::str("graph: a neighbour must be one of ", members,
                                   " places, got place ", out.back()));
      }
      if (place != own) {
        if (std::binary_search(out.begin(), out.end(), own)) result.from.push_back(id(place));
        continue;
      }
      for (const std::uint32_t to : out) {
        if (to != own) result.to.push_back(id(to));
      }
    }
    return result;
  }

  std::shared_ptr<const Interface> held_;
  std::vector<PeerId> peers_;
  std::map<std::uint64_t, Neighbourhood> known_;  // by step, for these peers
};

/// The directed exponential graph with m peers of Stochastic Gradient Push (arXiv:1811.10792): in
/// round k each place sends to those at distance j (m + 1)^i ahead, j = 1 ... m, where i goes
/// through 0 ... floor(log_{m+1}(n - 1)), one after the other. With m = 1 and n = 2^L, any L rounds
/// give the exact average. Throws ConfigError when m is 0.
class ExponentialGraph {
 public:
  explicit ExponentialGraph(std::uint32_t peers = 1) : peers_(peers) {
    if (peers == 0) throw ConfigError("ExponentialGraph: needs at least 1 peer, got 0");
  }
  [[nodiscard]] std::uint64_t period(std::uint32_t members) const {
    std::uint64_t turns = 1;
    for (std::uint64_t power = base(); power < members; power *= base()) ++turns;
    return turns;
  }
  void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t step,
                  std::vector<std::uint32_t>& out) const {
    std::uint64_t power = 1;
    for (std::uint64_t i = 0; i < step; ++i) power *= base();
    for (std::uint64_t j = 1; j <= peers_ && j < members; ++j) {
      const auto to = static_cast<std::uint32_t>((place + j * power) % members);
      if (to != place && std::find(out.begin(), out.end(), to) == out.end()) out.push_back(to);
    }
  }

 private:
  [[nodiscard]] std::uint64_t base() const { return std::uint64_t{peers_} + 1; }
  std::uint32_t peers_;
};

/// The next one and the one before.
struct RingGraph {
  [[nodiscard]] std::uint64_t period(std::uint32_t /*members*/) const { return 1; }
  void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t /*step*/,
                  std::vector<std::uint32_t>& out) const {
    if (members > 1) out.push_back((place + 1) % members);
    if (members > 2) out.push_back((place + members - 1) % members);
  }
};

/// Everybody else.
struct CompleteGraph {
  [[nodiscard]] std::uint64_t period(std::uint32_t /*members*/) const { return 1; }
  void neighbours(std::uint32_t place, std::uint32_t members, std::uint64_t /*step*/,
                  std::vector<std::uint32_t>& out) const {
    for (std::uint32_t other = 0; other < members; ++other) {
      if (other != place) out.push_back(other);
    }
  }
};

}  // namespace gossamer::rule
