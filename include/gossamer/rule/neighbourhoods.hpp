// SPDX-License-Identifier: MIT
/// Who sends to whom in a round, for the rules that go by rounds.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/topology/graph.hpp>
#include <gossamer/topology/two_way.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// The peers next to a node in a round, ascending.
struct Neighbourhood {
  std::vector<PeerId> to;
  std::vector<PeerId> from;
};

/// Any `topology::Graph`, seen from one node by rounds: round k is the graph's turn k, however many
/// steps its turns last as a topology. The live nodes, in the order of their numbers, are the
/// graph's places, as the node sees them; so when peers come and go, the others move up and the
/// graph stays what it is. All nodes must be given the same graph.
///
/// Cost      who sends to this place is asked once per number of members and turn.
/// Threads   copies share the graph, of which only const functions of their arguments are called:
///           distinct objects: safe; one object from two threads: unsafe.
class Neighbourhoods {
 public:
  template <std::derived_from<topology::Graph> T>
  Neighbourhoods(T graph)  // NOLINT(google-explicit-constructor): a converting holder
      : graph_(std::make_shared<T>(std::move(graph))) {}
  /// One that was made by name (`topology::graph_from_text`); not null. `is_two_way`: among the
  /// nodes that there will be its edges are known to go both ways.
  Neighbourhoods(
      std::shared_ptr<const topology::Graph> graph,  // NOLINT(google-explicit-constructor)
      bool is_two_way = false)
      : graph_(std::move(graph)), is_two_way_(is_two_way) {}

  /// Throws ConfigError if the graph names a place that is none.
  const Neighbourhood& around(const RuleContext& context, std::uint64_t round) {
    const auto peers = context.peers();
    if (!std::equal(peers.begin(), peers.end(), peers_.begin(), peers_.end())) {
      peers_.assign(peers.begin(), peers.end());
      known_.clear();
    }
    const topology::Members members(context);
    const std::uint64_t turn = round % graph_->period(members.size());
    const auto [known, fresh] = known_.try_emplace(turn);
    if (fresh) known->second = find(members, turn);
    return known->second;
  }

  [[nodiscard]] const topology::Graph& graph() const noexcept { return *graph_; }

  /// For rules that need it: throws ConfigError, which begins with the rule's name, if an edge
  /// among `looked_at` places goes one way, unless more is known.
  void require_two_way(const char* rule) const {
    if (is_two_way_ || topology::is_two_way(*graph_, looked_at)) return;
    throw ConfigError(c10::str(rule, ": needs a graph whose edges go both ways; among ", looked_at,
                               " places some go one way"));
  }

  /// The same text for graphs whose edges among `looked_at` places are the same, in each of the
  /// first turns.
  [[nodiscard]] std::string agreement() const {
    constexpr std::uint64_t most_turns = 64;
    std::uint64_t sum = 0xcbf29ce484222325U;  // FNV-1a
    std::vector<topology::Place> out;
    for (std::uint64_t turn = 0; turn < std::min(graph_->period(looked_at), most_turns); ++turn) {
      for (topology::Place place = 0; place < looked_at; ++place) {
        graph_->neighbours(place, looked_at, turn, out);
        out.push_back(looked_at);  // the end of a row
        for (const topology::Place to : out) sum = (sum ^ to) * 0x100000001b3U;
      }
    }
    std::ostringstream text;
    text << "graph " << std::hex << sum;
    return text.str();
  }

 private:
  static constexpr topology::Place looked_at = 8;

  [[nodiscard]] Neighbourhood find(const topology::Members& members, std::uint64_t turn) const {
    std::vector<topology::Place> places;
    const auto ids = [&] {
      std::vector<PeerId> result;
      for (const topology::Place place : places) {
        if (place >= members.size()) {
          throw ConfigError(c10::str("graph: a neighbour must be one of ", members.size(),
                                     " places, got place ", place));
        }
        result.push_back(members[place]);
      }
      return result;
    };
    Neighbourhood result;
    graph_->neighbours(members.place(), members.size(), turn, places);
    result.to = ids();
    graph_->sources(members.place(), members.size(), turn, places);
    result.from = ids();
    return result;
  }

  std::shared_ptr<const topology::Graph> graph_;
  bool is_two_way_ = false;
  std::vector<PeerId> peers_;
  std::map<std::uint64_t, Neighbourhood> known_;  // by turn, for these peers
};

}  // namespace gossamer::rule
