// SPDX-License-Identifier: MIT
/// A graph given edge by edge, by hand or in a text file.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/detail/edge_list_reader.hpp>
#include <gossamer/topology/random_graph.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// Whether an edge leads one way or both.
enum class Edges { both_ways, one_way };

/// A graph of the nodes 0, ..., n - 1, where n - 1 is the highest number in the list.
///
/// Unlike other graphs it is one of numbers, not of places. Peers that come and go: one that is not
/// there is passed over, so that those who lead to it lead to those to whom it leads; a node with a
/// number k from n upwards, of whom the list does not know, is a neighbour of the node k mod n.
///
/// Throws ConfigError if the list is empty, has a node that is its own neighbour, or is not in one
/// piece (for one-way edges: if not everybody can be reached from everybody).
class EdgeList final : public Graph {
 public:
  using Edge = std::pair<PeerId, PeerId>;

  explicit EdgeList(const std::vector<Edge>& edges, Edges ways = Edges::both_ways) {
    PeerId highest = 0;
    for (const auto& [from, to] : edges) {
      highest = std::max({highest, from, to});
      if (from == to) {
        throw ConfigError("EdgeList: node " + std::to_string(from) + " is its own neighbour");
      }
    }
    if (highest >= most_nodes) {
      throw ConfigError("EdgeList: node numbers must be below " + std::to_string(most_nodes) +
                        ", got " + std::to_string(highest));
    }
    build(edges, ways, highest + 1, "EdgeList", [](PeerId id) { return std::to_string(id); });
  }
  /// For readers: of the nodes 0, ..., `names.size()` - 1, which the sentences that say what is
  /// wrong call by these names, and which begin with `where`.
  EdgeList(const std::vector<Edge>& edges, Edges ways, const std::vector<std::string>& names,
           const std::string& where) {
    build(edges, ways, names.size(), where, [&](PeerId id) { return names[id]; });
  }

  static constexpr PeerId most_nodes = 1'000'000;

  /// How many nodes the list has.
  [[nodiscard]] std::size_t size() const { return edges_->size(); }

  /// As if the nodes that are there were 0, ..., members - 1.
  void neighbours(Place place, Place members, std::uint64_t /*turn*/,
                  std::vector<Place>& out) const override {
    std::vector<PeerId> all(members);
    for (PeerId id = 0; id < members; ++id) all[id] = id;
    find(place, all, out);
  }

  [[nodiscard]] std::span<const PeerId> targets(const PeerContext& context) const override {
    const auto peers = context.peers();
    if (self_ != context.self() ||
        !std::equal(peers.begin(), peers.end(), peers_.begin(), peers_.end())) {
      self_ = context.self();
      peers_.assign(peers.begin(), peers.end());
      find(*self_, peers, found_);
    }
    return found_;
  }

 private:
  template <class NameOf>
  void build(const std::vector<Edge>& edges, Edges ways, std::size_t nodes,
             const std::string& where, const NameOf& name_of) {
    if (edges.empty()) throw ConfigError(where + ": a graph needs at least one edge, got none");
    Neighbourhoods out(nodes);
    Neighbourhoods in(nodes);
    for (const auto& [from, to] : edges) {
      out[from].push_back(to);
      in[to].push_back(from);
      if (ways == Edges::one_way) continue;
      out[to].push_back(from);
      in[from].push_back(to);
    }
    const auto require_one_piece = [&](const Neighbourhoods& graph, const char* what) {
      if (const auto lost = unreached(graph)) {
        throw ConfigError(where + ": the graph is not in one piece: node " + name_of(*lost) + what +
                          name_of(0));
      }
    };
    require_one_piece(out, " cannot be reached from node ");
    require_one_piece(in, " does not lead to node ");
    for (PeerId id = 0; id < nodes; ++id) tidy(id, out[id]);
    edges_ = std::make_shared<const Neighbourhoods>(std::move(out));
  }

  /// Those who are `there` and to whom `self` leads, directly or past others who are not.
  void find(PeerId self, std::span<const PeerId> there, std::vector<PeerId>& out) const {
    const auto nodes = static_cast<PeerId>(size());
    const auto newcomers = std::lower_bound(there.begin(), there.end(), nodes);
    std::vector<bool> seen(nodes);
    std::vector<PeerId> open;
    out.clear();
    const auto meet = [&](PeerId other) {
      if (seen[other]) return;
      seen[other] = true;
      (std::binary_search(there.begin(), newcomers, other) ? out : open).push_back(other);
    };
    if (self < nodes) {
      seen[self] = true;
      open.push_back(self);
    } else {
      meet(self % nodes);
    }
    while (!open.empty()) {
      const PeerId here = open.back();
      open.pop_back();
      for (const PeerId next : (*edges_)[here]) meet(next);
      for (auto one = newcomers; one != there.end(); ++one) {
        if (*one % nodes == here) out.push_back(*one);
      }
    }
    tidy(self, out);
  }

  std::shared_ptr<const Neighbourhoods> edges_;
  mutable std::optional<PeerId> self_;
  mutable std::vector<PeerId> peers_;
  mutable std::vector<PeerId> found_;
};

/// Reads a list of edges from text, as people and programs write them: one edge a line, its two
/// node numbers first. Between them blanks and tabs, commas or semicolons; '#' and '%' begin
/// comments; a weight and a time may follow, or what NetworkX writes in braces.
///
///     a header     names the columns: source and target, from and to, ... (spreadsheets, Gephi)
///     SNAP         "# Nodes: 4 Edges: 5" is checked, "# Directed graph" is meant
///     KONECT       "% sym" or "% asym", and its counts, likewise
///     MatrixMarket "%%MatrixMarket matrix coordinate FIELD SYMMETRY": entry (i, j) is an edge
///
/// Numbers may begin anywhere and have gaps: the lowest is node 0, the next one node 1, ... Edges
/// go as `ways` says, else as the file says, else both ways. Repetitions and edges of a node to
/// itself add nothing; weights, times and other columns are passed over, since all neighbours of a
/// node are equal.
/// Errors   ConfigError, which names `where` (the file, say), the line, what it should be, and
///          nodes as the file does: what is not understood, counts that are not those said, a graph
///          that is not in one piece, bytes that are packed.
/// Threads  safe.
inline EdgeList parse_edge_list(std::string_view text, const std::string& where,
                                std::optional<Edges> ways = std::nullopt) {
  const auto file = detail::EdgeListReader(text, where, EdgeList::most_nodes).read();
  std::vector<EdgeList::Edge> edges;
  for (const auto& [from, to, one_way] : file.edges) {
    edges.emplace_back(from, to);
    const Edges own = one_way.value_or(false) ? Edges::one_way : Edges::both_ways;
    if (ways.value_or(own) == Edges::both_ways) edges.emplace_back(to, from);
  }
  return {edges, Edges::one_way, file.names, where};
}

/// The whole of a file; ConfigError if it cannot be read.
inline std::string read_graph_file(const std::filesystem::path& path) {
  std::ifstream in;
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) in.open(path, std::ios::binary);
  std::string text;
  if (in.is_open()) text.assign(std::istreambuf_iterator<char>(in), {});
  if (!in.is_open() || !in) {
    throw ConfigError("graph file " + path.string() + ": cannot be read");
  }
  return text;
}

/// Reads a list of edges from a file.
inline EdgeList read_edge_list(const std::filesystem::path& path,
                               std::optional<Edges> ways = std::nullopt) {
  return parse_edge_list(read_graph_file(path), path.string(), ways);
}

}  // namespace gossamer::topology
