// SPDX-License-Identifier: MIT
/// All topologies and graphs by name, for command lines, tests and bindings.
#pragma once

#include <gossamer/named.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/edge_list.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/permutation.hpp>
#include <gossamer/topology/preferential_attachment.hpp>
#include <gossamer/topology/random_regular.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/small_world.hpp>
#include <gossamer/topology/torus.hpp>
#include <gossamer/topology/trees.hpp>
#include <gossamer/topology/two_choices.hpp>
#include <gossamer/topology/two_way.hpp>
#include <gossamer/topology/uniform.hpp>
#include <gossamer/topology/weighted.hpp>

#include <torch/arg.h>

#include <concepts>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer::topology {

/// What a name may refer to besides its own parameters.
struct RegistryOptions {
  /// Of graphs that are drawn, and of permutations; the same on all nodes.
  TORCH_ARG(std::uint64_t, seed) = 0;
  /// How many steps a turn of a graph lasts that changes, >= 1: see `schedule::steps_per_turn`.
  TORCH_ARG(std::uint64_t, steps_per_turn) = 1;
};

/// What a name makes: a topology, whom to meet, and the same as a graph, if it is one.
struct Made {
  template <class T>
  Made(T topology)  // NOLINT(google-explicit-constructor): so that makers return what they make
      : choose(topology) {
    check_topology<T>();
    if constexpr (std::derived_from<T, Graph>) graph = std::make_shared<T>(std::move(topology));
  }

  Any choose;
  std::shared_ptr<const Graph> graph;  ///< null: it chooses among all, and has no edges
};

/// A topology that can be named.
struct Entry {
  NamedUsage usage;
  std::string_view description;
  std::string_view paper;
  Made (*make)(const NamedParameters&, const RegistryOptions&);
};

namespace detail {

using P = const NamedParameters&;
using O = const RegistryOptions&;
template <class T>
Made plain(P, O) {
  return T();
}
inline constexpr std::string_view stochastic_push = "arXiv:1811.10792";

/// In the order in which they are listed. A new topology is one header and a line here.
inline constexpr Entry topologies[] = {
    {{"uniform"}, "everybody else", "", plain<Uniform>},
    {{"two_choices"},
     "the lighter of two random peers",
     "after Azar et al., 1999",
     plain<TwoChoices>},
    {{"permutation"},
     "another permutation at each step, from the seed",
     "Sattolo, 1986",
     [](P, O o) -> Made { return Permutation(o.seed()); }},
    {{"complete"}, "everybody else, as a graph", "", plain<Complete>},
    {{"ring"}, "the next one", "", plain<Ring>},
    {{"two_way_ring"},
     "the next one or the one before",
     "",
     [](P, O) -> Made { return Ring(Ring::Way::both); }},
    {{"path"}, "the next one or the one before, without closing the ring", "", plain<Path>},
    {{"torus"}, "four neighbours in a grid", "", plain<Torus>},
    {{"star"}, "the lowest number, which meets everybody", "", plain<Star>},
    {{"tree"}, "parent and children of a binary tree", "", plain<BinaryTree>},
    {{"hypercube"}, "those whose number differs in one bit", "", plain<Hypercube>},
    {{"exponential"}, "1, 2, 4, ... places on", "arXiv:2110.13363", plain<Exponential>},
    {{"one_peer_exponential"},
     "1, then 2, then 4, ... places on",
     stochastic_push,
     [](P, O o) -> Made { return OnePeerExponential(o.steps_per_turn()); }},
    {{"n_peer_exponential:N"},
     "places on at powers of N + 1, in turns",
     stochastic_push,
     [](P p, O o) -> Made { return NPeerExponential(p.count(0), o.steps_per_turn()); }},
    {{"bipartite_exponential"},
     "pairs of an odd and an even one, in turns",
     stochastic_push,
     [](P, O o) -> Made { return BipartiteExponential(o.steps_per_turn()); }},
    {{"random_regular:DEGREE"},
     "DEGREE neighbours in a random graph, from the seed",
     "Steger, Wormald, 1999",
     [](P p, O o) -> Made { return RandomRegular(p.count(0), o.seed()); }},
    {{"small_world:NEAR,REWIRED"},
     "NEAR neighbours on a ring, a share of them rewired",
     "Watts, Strogatz, 1998",
     [](P p, O o) -> Made { return SmallWorld(p.count(0), p.number(1), o.seed()); }},
    {{"preferential:LINKS"},
     "a random graph in which old nodes become hubs",
     "Barabasi, Albert, 1999",
     [](P p, O o) -> Made { return PreferentialAttachment(p.count(0), o.seed()); }},
    {{"edges:FILE"},
     "neighbours in a list of edges: plain, CSV, SNAP, KONECT, MatrixMarket",
     "",
     [](P p, O) -> Made { return read_edge_list(p.text(0)); }},
    {{"near:EXPONENT"},
     "by distance between the numbers to the power of -EXPONENT",
     "",
     [](P p, O) -> Made {
       const auto distance = [](PeerId a, PeerId b) { return a < b ? b - a : a - b; };
       return Weighted(by_distance(distance, p.number(0)));
     }},
    {{"fast"},
     "by the measured speed of the links",
     "",
     [](P, O) -> Made { return Weighted(by_speed()); }},
    {{"healthy"},
     "by the share of messages that did not come back",
     "",
     [](P, O) -> Made { return Weighted(by_health()); }},
};

}  // namespace detail

/// All that need nothing but LibTorch. A program adds its own to the table that it gives to
/// `from_text`; `graphml_entry()` (topology/graphml.hpp) is one.
inline std::vector<Entry> known() {
  return {std::begin(detail::topologies), std::end(detail::topologies)};
}

/// What "NAME" or "NAME:PARAMETERS" spells in a table. Throws ConfigError for a name that is not
/// known, and lists those that are; for a parameter that is missing, too many, or out of range.
inline Made make(const std::string& text, const RegistryOptions& options = {},
                 const std::vector<Entry>& table = known()) {
  const Entry& entry = find_named(table, text, "topology");
  return entry.make(entry.usage.of(text), options);
}

/// The topology that a text spells, see `make`.
inline Any from_text(const std::string& text, const RegistryOptions& options = {},
                     const std::vector<Entry>& table = known()) {
  return make(text, options, table).choose;
}

/// The same as a graph. Throws ConfigError, too, if it is none.
inline std::shared_ptr<const Graph> graph_from_text(const std::string& text,
                                                    const RegistryOptions& options = {},
                                                    const std::vector<Entry>& table = known()) {
  auto graph = make(text, options, table).graph;
  if (graph == nullptr) {
    throw ConfigError("graph must have edges, got the topology " + text +
                      ", which chooses among all");
  }
  return graph;
}

}  // namespace gossamer::topology
