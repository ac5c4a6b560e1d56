// SPDX-License-Identifier: MIT
/// A graph given edge by edge, by hand or in a text file.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/topology/random_graph.hpp>

#include <algorithm>
#include <charconv>
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

  explicit EdgeList(const std::vector<Edge>& edges, Edges ways = Edges::both_ways)
      : EdgeList(edges, ways, "EdgeList") {}
  /// For readers: `where` begins the sentences that say what is wrong.
  EdgeList(const std::vector<Edge>& edges, Edges ways, const std::string& where) {
    if (edges.empty()) throw ConfigError(where + ": a graph needs at least one edge, got none");
    PeerId highest = 0;
    for (const auto& [from, to] : edges) highest = std::max({highest, from, to});
    if (highest >= most_nodes) {
      throw ConfigError(where + ": node numbers must be below " + std::to_string(most_nodes) +
                        ", got " + std::to_string(highest));
    }
    Neighbourhoods out(highest + 1);
    Neighbourhoods in(highest + 1);
    for (const auto& [from, to] : edges) {
      if (from == to) {
        throw ConfigError(where + ": node " + std::to_string(from) + " is its own neighbour");
      }
      out[from].push_back(to);
      in[to].push_back(from);
      if (ways == Edges::one_way) continue;
      out[to].push_back(from);
      in[from].push_back(to);
    }
    require_one_piece(out, where, "cannot be reached from");
    require_one_piece(in, where, "does not lead to");
    for (PeerId id = 0; id <= highest; ++id) tidy(id, out[id]);
    edges_ = std::make_shared<const Neighbourhoods>(std::move(out));
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
  static void require_one_piece(const Neighbourhoods& graph, const std::string& where,
                                const char* what) {
    if (const auto lost = unreached(graph)) {
      throw ConfigError(where + ": the graph is not in one piece: node " + std::to_string(*lost) +
                        " " + what + " node 0");
    }
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

/// Reads a list of edges from text: one edge a line, as two node numbers from 0 with spaces or tabs
/// between them; what follows a '#' is a comment. Repetitions do not count.
/// Throws ConfigError, which names `where` (the file, say), the line, and what it should be.
inline EdgeList parse_edge_list(std::string_view text, const std::string& where,
                                Edges ways = Edges::both_ways) {
  constexpr std::string_view blank = " \t\r";
  std::vector<EdgeList::Edge> edges;
  for (std::size_t line = 1; !text.empty(); ++line) {
    std::string_view rest = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), rest.size() + 1));
    rest = rest.substr(0, rest.find('#'));
    const auto refuse = [&](std::string_view got) {
      throw ConfigError(where + ":" + std::to_string(line) + ": must be two node numbers below " +
                        std::to_string(EdgeList::most_nodes) + ", got '" + std::string(got) + "'");
    };
    std::vector<PeerId> numbers;
    while (rest.find_first_not_of(blank) != std::string_view::npos) {
      rest.remove_prefix(rest.find_first_not_of(blank));
      const std::string_view word = rest.substr(0, rest.find_first_of(blank));
      rest.remove_prefix(word.size());
      PeerId number = 0;
      const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
      if (error != std::errc() || end != word.data() + word.size() ||
          number >= EdgeList::most_nodes) {
        refuse(word);
      }
      numbers.push_back(number);
    }
    if (numbers.empty()) continue;
    if (numbers.size() != 2) refuse(std::to_string(numbers.size()) + " numbers");
    if (numbers[0] == numbers[1]) {
      throw ConfigError(where + ":" + std::to_string(line) + ": node " +
                        std::to_string(numbers[0]) + " is its own neighbour");
    }
    edges.emplace_back(numbers[0], numbers[1]);
  }
  return {edges, ways, where};
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
inline EdgeList read_edge_list(const std::filesystem::path& path, Edges ways = Edges::both_ways) {
  return parse_edge_list(read_graph_file(path), path.string(), ways);
}

}  // namespace gossamer::topology
