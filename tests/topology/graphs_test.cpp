// SPDX-License-Identifier: MIT
/// Every graph against its definition, for few members and many, and when they come and go.
#include <gossamer/error.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/preferential_attachment.hpp>
#include <gossamer/topology/random_regular.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/sequence.hpp>
#include <gossamer/topology/small_world.hpp>
#include <gossamer/topology/torus.hpp>
#include <gossamer/topology/trees.hpp>
#include <gossamer/topology/uniform.hpp>

#include <tests/support.hpp>
#include <tests/topology/choice_context.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
using gossamer::topology::Graph;
using gossamer::topology::Neighbourhoods;
using gossamer::topology::Place;
using tests::ChoiceContext;
using tests::message_of;
namespace topology = gossamer::topology;

const std::vector<Place> sizes = {1, 2, 3, 5, 8, 16};

std::vector<Place> neighbours(const Graph& graph, Place place, Place members,
                              std::uint64_t step = 0) {
  std::vector<Place> out{99};  // what was there before does not matter
  graph.neighbours(place, members, step, out);
  return out;
}

Neighbourhoods all(const Graph& graph, Place members, std::uint64_t step = 0) {
  Neighbourhoods whole;
  for (Place place = 0; place < members; ++place) {
    whole.push_back(neighbours(graph, place, members, step));
  }
  return whole;
}

/// The neighbours by a definition: `linked(i, j)` says whether i sends to j.
Neighbourhoods by(Place members, const std::function<bool(Place, Place)>& linked) {
  Neighbourhoods whole(members);
  for (Place i = 0; i < members; ++i) {
    for (Place j = 0; j < members; ++j) {
      if (i != j && linked(i, j)) whole[i].push_back(j);
    }
  }
  return whole;
}

bool is_symmetric(const Neighbourhoods& graph) {
  for (Place i = 0; i < graph.size(); ++i) {
    for (const Place j : graph[i]) {
      if (std::count(graph[j].begin(), graph[j].end(), i) != 1) return false;
    }
  }
  return true;
}

std::size_t edges(const Neighbourhoods& graph) {
  std::size_t ends = 0;
  for (const auto& neighbours : graph) ends += neighbours.size();
  return ends / 2;
}

TEST_CASE("The neighbours in each graph are those of its definition", "[topology]") {
  for (const Place m : sizes) {
    CAPTURE(m);
    const auto apart = [m](Place i, Place j) { return (j + m - i) % m; };
    CHECK(all(topology::Ring(), m) == by(m, [&](Place i, Place j) { return apart(i, j) == 1; }));
    CHECK(all(topology::Ring(topology::Ring::Way::both), m) ==
          by(m, [&](Place i, Place j) { return apart(i, j) == 1 || apart(j, i) == 1; }));
    CHECK(all(topology::Path(), m) ==
          by(m, [](Place i, Place j) { return i + 1 == j || j + 1 == i; }));
    CHECK(all(topology::Star(), m) == by(m, [](Place i, Place j) { return i == 0 || j == 0; }));
    CHECK(all(topology::BinaryTree(), m) == by(m, [](Place i, Place j) {
            return j == 2 * i + 1 || j == 2 * i + 2 || i == 2 * j + 1 || i == 2 * j + 2;
          }));
    CHECK(all(topology::Complete(), m) == by(m, [](Place, Place) { return true; }));
    CHECK(all(topology::Exponential(), m) == by(m, [&](Place i, Place j) {
            const Place hop = apart(i, j);
            return hop == 1 || hop == 2 || hop == 4 || hop == 8;
          }));
    CHECK(all(topology::Hypercube(), m) == by(m, [](Place i, Place j) {
            const Place digits = i ^ j;
            return digits == 1 || digits == 2 || digits == 4 || digits == 8;
          }));
    const Place rows = m == 8 ? 2 : m == 16 ? 4 : 1;
    CHECK(topology::Torus::rows_of(m) == rows);
    const Place columns = m / rows;
    CHECK(all(topology::Torus(), m) == by(m, [&](Place i, Place j) {
            const auto next = [](Place a, Place b, Place of) {
              return (a + 1) % of == b || (b + 1) % of == a;
            };
            const bool same_row = i / columns == j / columns;
            const bool same_column = i % columns == j % columns;
            return (same_row && next(i % columns, j % columns, columns)) ||
                   (same_column && next(i / columns, j / columns, rows));
          }));
  }
  CHECK(topology::Torus::rows_of(12) == 3);
  CHECK(topology::Torus::rows_of(36) == 6);
  CHECK(topology::Torus::rows_of(4294967291U) == 1);  // prime
}

TEST_CASE("The one-peer exponential graph takes its hops in turns", "[topology]") {
  const topology::OnePeerExponential graph;
  const std::vector<std::uint64_t> periods = {1, 1, 2, 3, 3, 4};
  for (std::size_t k = 0; k < sizes.size(); ++k) {
    const Place m = sizes[k];
    CAPTURE(m);
    REQUIRE(graph.period(m) == periods[k]);
    std::set<Place> hops;
    for (std::uint64_t step = 0; step < graph.period(m); ++step) {
      const Place hop = static_cast<Place>(1U << step) % m;
      CHECK(all(graph, m, step) == by(m, [&](Place i, Place j) { return (j + m - i) % m == hop; }));
      hops.insert(hop);
    }
    // All together they are the static graph.
    if (m > 1) CHECK(hops.size() == neighbours(topology::Exponential(), 0, m).size());
  }
  CHECK(graph.period(17) == 5);
}

TEST_CASE("The n-peer exponential graph sends to n places at distances of powers of n + 1",
          "[topology]") {
  const topology::NPeerExponential two(2);
  CHECK(two.period(1) == 1);
  CHECK(two.period(3) == 1);
  CHECK(two.period(4) == 2);  // log3(3) = 1
  CHECK(two.period(16) == 3);
  CHECK(neighbours(two, 5, 16, 0) == std::vector<Place>{6, 7});
  CHECK(neighbours(two, 5, 16, 1) == std::vector<Place>{8, 11});
  CHECK(neighbours(two, 5, 16, 2) == std::vector<Place>{7, 14});  // 5 + 9, 5 + 18
  CHECK(neighbours(two, 0, 2, 0) == std::vector<Place>{1});
  CHECK(neighbours(two, 0, 1, 0).empty());
  CHECK(message_of<ConfigError>([] { topology::NPeerExponential(0); }) ==
        "NPeerExponential: needs at least 1 peer, got 0");
}

TEST_CASE("The bipartite exponential graph makes pairs of one odd and one even place",
          "[topology]") {
  const topology::BipartiteExponential graph;
  for (Place m = 1; m <= 17; ++m) {
    CAPTURE(m);
    std::set<std::pair<Place, Place>> met;
    for (std::uint64_t step = 0; step < graph.period(m); ++step) {
      CAPTURE(step);
      const auto pairs = all(graph, m, step);
      REQUIRE(is_symmetric(pairs));
      Place alone = 0;
      for (Place i = 0; i < m; ++i) {
        REQUIRE(pairs[i].size() <= 1);
        alone += pairs[i].empty() ? 1 : 0;
        if (pairs[i].empty()) continue;
        met.insert({i, pairs[i].front()});
        if (m % 2 == 0) REQUIRE((i + pairs[i].front()) % 2 == 1);
      }
      REQUIRE(alone == m % 2);
    }
    // Nobody is left out in the long run, and all are in one piece.
    Neighbourhoods union_of_all(m);
    for (const auto& [i, j] : met) union_of_all[i].push_back(j);
    CHECK(!topology::unreached(union_of_all));
  }
  // 1, -1, 3, -3, 5, -5, 9, -9 from an odd place of 16.
  std::vector<Place> partners;
  for (std::uint64_t step = 0; step < 8; ++step) {
    partners.push_back(neighbours(graph, 3, 16, step).front());
  }
  CHECK(partners == std::vector<Place>{4, 2, 6, 0, 8, 14, 12, 10});
  CHECK(graph.period(16) == 8);
}

TEST_CASE("A random regular graph has one degree, is in one piece, and is the seed's",
          "[topology]") {
  for (const std::uint32_t degree : {2U, 3U, 4U, 7U}) {
    const topology::RandomRegular graph(degree, tests::seed);
    for (const Place m : {1U, 2U, 3U, 5U, 8U, 9U, 16U, 61U}) {
      CAPTURE(degree, m);
      const auto whole = graph.whole(m);
      CHECK(is_symmetric(whole));
      CHECK(!topology::unreached(whole));
      const std::size_t wanted = std::min(degree, m - 1);
      const bool odd = wanted * m % 2 == 1;
      for (Place i = 0; i < m; ++i) {
        CHECK(whole[i].size() == wanted - (odd && i + 1 == m ? 1 : 0));
        CHECK(whole[i] == neighbours(graph, i, m));
      }
      CHECK(whole == topology::RandomRegular(degree, tests::seed).whole(m));
    }
    CHECK(graph.whole(61) != topology::RandomRegular(degree, tests::seed + 1).whole(61));
  }
  CHECK(message_of<ConfigError>([] { topology::RandomRegular(1); }) ==
        "RandomRegular: degree must be at least 2, got 1");
}

TEST_CASE("Each edge is in a random regular graph equally often", "[topology]") {
  // 3-regular on 8 places: 12 of the 28 edges.
  Neighbourhoods counts(8, std::vector<Place>(8));
  constexpr int graphs = 2800;
  for (int k = 0; k < graphs; ++k) {
    const auto whole = topology::RandomRegular(3, static_cast<std::uint64_t>(k)).whole(8);
    for (Place i = 0; i < 8; ++i) {
      for (const Place j : whole[i]) ++counts[i][j];
    }
  }
  const double expected = graphs * 12.0 / 28;
  double chi_square = 0;
  for (Place i = 0; i < 8; ++i) {
    for (Place j = 0; j < i; ++j) {
      chi_square += (counts[i][j] - expected) * (counts[i][j] - expected) / expected;
    }
  }
  // 20 degrees of freedom (28 edges, 8 degrees fixed), times 1 - 12 / 28, as each graph draws
  // without putting back: mean 16 or so; 45 has a probability below 1e-4.
  CHECK(chi_square < 45);
}

TEST_CASE("A small world keeps its number of edges, and with nothing rewired is a ring",
          "[topology]") {
  for (const Place m : {1U, 2U, 3U, 5U, 8U, 16U, 40U}) {
    CAPTURE(m);
    const Place reach = std::min<Place>(4, m - 1) / 2;
    const auto near = [&](Place i, Place j) {
      const Place apart = std::min((j + m - i) % m, (i + m - j) % m);
      return apart <= reach || m == 2;
    };
    CHECK(topology::SmallWorld(4, 0).whole(m) == by(m, near));
    for (const double rewired : {0.2, 1.0}) {
      const auto whole = topology::SmallWorld(4, rewired, tests::seed).whole(m);
      CHECK(is_symmetric(whole));
      CHECK(!topology::unreached(whole));
      CHECK(edges(whole) == (m == 2 ? 1 : m * reach));
      CHECK(whole == topology::SmallWorld(4, rewired, tests::seed).whole(m));
    }
  }
  // About a fifth of 2,000 edges is not where it was.
  const auto whole = topology::SmallWorld(4, 0.2, tests::seed).whole(1000);
  std::size_t far = 0;
  for (Place i = 0; i < 1000; ++i) {
    for (const Place j : whole[i]) {
      const Place apart = std::min((j + 1000 - i) % 1000, (i + 1000 - j) % 1000);
      far += i < j && apart > 2 ? 1 : 0;
    }
  }
  CHECK(far > 340);  // 400 +- 18
  CHECK(far < 460);
  CHECK(message_of<ConfigError>([] { topology::SmallWorld(3, 0); }) ==
        "SmallWorld: near must be even and at least 2, got 3");
  CHECK(message_of<ConfigError>([] { topology::SmallWorld(2, 1.5); }) ==
        "SmallWorld: rewired must lie in [0, 1], got 1.5");
}

TEST_CASE("Preferential attachment adds its links per place, and the old ones become hubs",
          "[topology]") {
  for (const std::uint32_t links : {1U, 2U, 3U}) {
    const topology::PreferentialAttachment graph(links, tests::seed);
    for (const Place m : sizes) {
      CAPTURE(links, m);
      const auto whole = graph.whole(m);
      CHECK(is_symmetric(whole));
      CHECK(!topology::unreached(whole));
      for (Place i = 0; i < m; ++i) {  // to earlier ones
        CHECK(std::count_if(whole[i].begin(), whole[i].end(), [i](Place j) { return j < i; }) ==
              std::min(i, links));
      }
    }
  }
  // The k-th place of m has about links * sqrt(m / k) neighbours: the first ones some ten times as
  // many as the typical one.
  const auto whole = topology::PreferentialAttachment(2, tests::seed).whole(1000);
  std::size_t first = 0;
  for (Place i = 0; i < 10; ++i) first += whole[i].size();
  CHECK(edges(whole) == 3 + 2 * 997);
  CHECK(first > 10 * 4 * 3);
  CHECK(message_of<ConfigError>([] { topology::PreferentialAttachment(0); }) ==
        "PreferentialAttachment: needs at least 1 link, got 0");
}

TEST_CASE("Only neighbours are chosen, and each equally often", "[topology]") {
  std::vector<std::pair<std::string, std::unique_ptr<Graph>>> graphs;
  graphs.emplace_back("ring", std::make_unique<topology::Ring>());
  graphs.emplace_back("torus", std::make_unique<topology::Torus>());
  graphs.emplace_back("star", std::make_unique<topology::Star>());
  graphs.emplace_back("tree", std::make_unique<topology::BinaryTree>());
  graphs.emplace_back("complete", std::make_unique<topology::Complete>());
  graphs.emplace_back("exponential", std::make_unique<topology::Exponential>());
  graphs.emplace_back("regular", std::make_unique<topology::RandomRegular>(4, tests::seed));
  graphs.emplace_back("small world", std::make_unique<topology::SmallWorld>(4, 0.3, tests::seed));
  for (const auto& [name, graph] : graphs) {
    for (const Place m : {1U, 2U, 8U, 16U}) {
      CAPTURE(name, m);
      for (const Place place : {Place{0}, m / 2}) {
        ChoiceContext context(place, m);
        const auto wanted = neighbours(*graph, place, m);
        std::vector<int> counts(m);
        constexpr int draws = 1000;
        for (int k = 0; k < draws; ++k) {
          const auto peer = (*graph)(context);
          REQUIRE(peer.has_value() == !wanted.empty());
          if (peer) ++counts[*peer];
        }
        double chi_square = 0;
        for (Place other = 0; other < m; ++other) {
          const bool is_neighbour = std::count(wanted.begin(), wanted.end(), other) == 1;
          const double expected = is_neighbour ? draws / static_cast<double>(wanted.size()) : 0;
          if (!is_neighbour) CHECK(counts[other] == 0);
          if (is_neighbour) {
            chi_square += (counts[other] - expected) * (counts[other] - expected) / expected;
          }
        }
        // Up to 15 degrees of freedom: 45 has a probability below 1e-4.
        CHECK(chi_square < 45);
      }
    }
  }
}

TEST_CASE("When members come and go, those who are there take the places in order", "[topology]") {
  const topology::Star star;
  ChoiceContext context(5, {2, 5, 7, 9});
  const auto targets = [&](const Graph& graph) {
    const auto peers = graph.targets(context);
    return std::vector<PeerId>(peers.begin(), peers.end());
  };
  CHECK(targets(star) == std::vector<PeerId>{2});
  std::erase(context.members, 2);
  CHECK(targets(star) == std::vector<PeerId>{7, 9});  // now it is the hub
  context.members = {0, 5, 7, 9};
  CHECK(targets(star) == std::vector<PeerId>{0});
  context.members = {5};
  CHECK(targets(star).empty());
  CHECK(!star(context));

  const topology::Ring ring;
  context.members = {2, 5, 7, 9};
  CHECK(targets(ring) == std::vector<PeerId>{7});
  std::erase(context.members, 7);
  CHECK(targets(ring) == std::vector<PeerId>{9});
  std::erase(context.members, 9);
  CHECK(targets(ring) == std::vector<PeerId>{2});

  // Same place, same number of members, others in them.
  context.members = {2, 5, 8};
  CHECK(targets(ring) == std::vector<PeerId>{8});

  // A graph drawn for the members that are there, whatever their numbers.
  const topology::RandomRegular regular(3, tests::seed);
  context.members = {1, 3, 4, 5, 10, 11, 12, 20};
  std::vector<PeerId> wanted;
  for (const Place place : neighbours(regular, 3, 8)) wanted.push_back(context.members[place]);
  CHECK(targets(regular) == wanted);
}

TEST_CASE("Those who send to a place are its sources", "[topology]") {
  std::vector<std::unique_ptr<Graph>> graphs;
  graphs.push_back(std::make_unique<topology::Ring>());
  graphs.push_back(std::make_unique<topology::BinaryTree>());
  graphs.push_back(std::make_unique<topology::NPeerExponential>(2));
  graphs.push_back(std::make_unique<topology::BipartiteExponential>());
  graphs.push_back(std::make_unique<topology::SmallWorld>(4, 0.3, tests::seed));
  for (std::size_t k = 0; k < graphs.size(); ++k) {
    for (const Place m : sizes) {
      for (std::uint64_t turn = 0; turn < graphs[k]->period(m); ++turn) {
        CAPTURE(k, m, turn);
        const auto whole = all(*graphs[k], m, turn);
        for (Place place = 0; place < m; ++place) {
          std::vector<Place> wanted;
          for (Place from = 0; from < m; ++from) {
            if (std::count(whole[from].begin(), whole[from].end(), place) == 1) {
              wanted.push_back(from);
            }
          }
          std::vector<Place> out{99};
          graphs[k]->sources(place, m, turn, out);
          CHECK(out == wanted);
        }
      }
    }
  }
}

TEST_CASE("A graph that changes with the step follows the node's own steps", "[topology]") {
  const topology::OnePeerExponential graph;
  ChoiceContext context(3, 8);
  std::vector<PeerId> chosen;
  for (context.steps = 0; context.steps < 6; ++context.steps) chosen.push_back(*graph(context));
  CHECK(chosen == std::vector<PeerId>{4, 5, 7, 4, 5, 7});

  // Every third step an exchange: without turns that last as long, it would be the same one always.
  const topology::OnePeerExponential slow(3);
  std::vector<PeerId> at_exchanges;
  for (context.steps = 3; context.steps < 15; context.steps += 3)
    at_exchanges.push_back(*slow(context));
  CHECK(at_exchanges == std::vector<PeerId>{5, 7, 4, 5});
  CHECK(message_of<ConfigError>([] { topology::BipartiteExponential(0); }) ==
        "Graph: a turn must last at least 1 step, got 0");
}

TEST_CASE("A sequence takes one topology after the other", "[topology]") {
  const topology::Sequence sequence({topology::Ring(), topology::Star(), topology::Uniform()}, 2);
  ChoiceContext context(3, 8);
  for (std::uint64_t round = 0; round < 2; ++round) {
    for (std::uint64_t step = 0; step < 4; ++step) {
      context.steps = 6 * round + step;
      CHECK(sequence(context) == (step < 2 ? 4 : 0));
    }
  }
  std::set<PeerId> seen;
  context.steps = 4;
  for (int k = 0; k < 100; ++k) seen.insert(*sequence(context));
  CHECK(seen.size() == 7);
  CHECK(message_of<ConfigError>([] { topology::Sequence({}); }) ==
        "Sequence: needs at least 1 topology, got none");
  CHECK(message_of<ConfigError>([] { topology::Sequence({topology::Ring()}, 0); }) ==
        "Sequence: steps must be at least 1, got 0");
}

}  // namespace
