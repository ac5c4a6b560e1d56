// SPDX-License-Identifier: MIT
/// A graph over the members that are there now, whatever it looks like.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/topology/members.hpp>
#include <gossamer/topology/topology.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace gossamer::topology {

/// A graph drawn anew for any number of members; as a topology, it chooses one of this node's
/// neighbours with equal probability. To write your own, derive it and write `neighbours`:
///
///     class Pairs final : public topology::Graph {  // 0 - 1, 2 - 3, ...
///       void neighbours(Place place, Place members, std::uint64_t, std::vector<Place>& out) const
///           override {
///         out.clear();
///         if ((place ^ 1U) < members) out.push_back(place ^ 1U);
///       }
///     };
///
/// Peers that come and go: the m members that are there take the places 0, ..., m - 1 in ascending
/// order of their numbers, and the graph is that of m places. So it stays what it is and in one
/// piece, but when one goes, others may get other neighbours. For a moment some nodes know of it
/// and some do not; whoever is chosen then is a peer all the same.
///
/// Cost     the neighbours are worked out once, and again when the members change or a turn is
/// over; no memory is allocated in steady state. Threads  distinct objects: safe; one object from
/// two threads: unsafe, since it remembers them.
class Graph {
 public:
  virtual ~Graph() = default;

  /// Writes to `out` the places to which `place` sends, ascending and without itself. `members` is
  /// above `place`, and `turn` below `period(members)`.
  virtual void neighbours(Place place, Place members, std::uint64_t turn,
                          std::vector<Place>& out) const = 0;

  /// After how many turns the graph is the same again; 1: it never changes.
  [[nodiscard]] virtual std::uint64_t period(Place /*members*/) const { return 1; }

  /// Writes to `out` the places that send to `place`, ascending: for rules that wait for them.
  /// Cost  that of everybody's neighbours, unless a graph knows better.
  virtual void sources(Place place, Place members, std::uint64_t turn,
                       std::vector<Place>& out) const {
    std::vector<Place> others;
    out.clear();
    for (Place from = 0; from < members; ++from) {
      neighbours(from, members, turn, others);
      if (std::find(others.begin(), others.end(), place) != others.end()) out.push_back(from);
    }
  }

  /// The peers to which this node sends in this turn; valid until the next call.
  [[nodiscard]] virtual std::span<const PeerId> targets(const PeerContext& context) const {
    const Members members(context);
    const std::uint64_t turn = context.step() / steps_per_turn_ % period(members.size());
    if (place_ != members.place() || members_ != members.size() || turn_ != turn) {
      neighbours(members.place(), members.size(), turn, places_);
      place_ = members.place();
      members_ = members.size();
      turn_ = turn;
    }
    ids_.clear();
    for (const Place place : places_) ids_.push_back(members[place]);
    return ids_;
  }

  std::optional<PeerId> operator()(PeerContext& context) const {
    const auto peers = targets(context);
    if (peers.empty()) return std::nullopt;
    if (peers.size() == 1) return peers.front();
    return peers[context.generator().below(static_cast<std::uint32_t>(peers.size()))];
  }

 protected:
  /// A graph that changes does so after every `steps_per_turn` steps of the node.
  explicit Graph(std::uint64_t steps_per_turn = 1) : steps_per_turn_(steps_per_turn) {
    if (steps_per_turn == 0) throw ConfigError("Graph: a turn must last at least 1 step, got 0");
  }
  Graph(const Graph&) = default;
  Graph(Graph&&) noexcept = default;
  Graph& operator=(const Graph&) = default;
  Graph& operator=(Graph&&) noexcept = default;

  /// Sorts, and drops repetitions and `place` itself.
  static void tidy(Place place, std::vector<Place>& out) {
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    std::erase(out, place);
  }

 private:
  static constexpr Place nobody = std::numeric_limits<Place>::max();

  std::uint64_t steps_per_turn_;
  mutable Place place_ = nobody;
  mutable Place members_ = 0;
  mutable std::uint64_t turn_ = 0;
  mutable std::vector<Place> places_;
  mutable std::vector<PeerId> ids_;
};

}  // namespace gossamer::topology
