// SPDX-License-Identifier: MIT
/// Topologies that choose by more than who is there: by weight, by permutation, by distance, by how
/// messages have fared.
#include <gossamer/error.hpp>
#include <gossamer/topology/permutation.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/two_choices.hpp>
#include <gossamer/topology/weighted.hpp>

#include <tests/support.hpp>
#include <tests/topology/choice_context.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
using tests::ChoiceContext;
using tests::message_of;
namespace rule = gossamer::rule;
namespace topology = gossamer::topology;

constexpr int draws = 4000;

/// How often each node is chosen.
std::vector<int> counts(const topology::Any& whom, ChoiceContext& context, std::size_t nodes) {
  std::vector<int> counts(nodes);
  for (int k = 0; k < draws; ++k) ++counts[whom(context).value()];
  return counts;
}

/// Pearson's statistic against these shares; those of share 0 must never be chosen.
double chi_square(const std::vector<int>& counts, const std::vector<double>& shares) {
  double sum = 0;
  double all = 0;
  for (const double share : shares) all += share;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (shares[i] == 0) {
      REQUIRE(counts[i] == 0);
      continue;
    }
    const double expected = draws * shares[i] / all;
    sum += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return sum;
}

// With up to 4 degrees of freedom, a statistic above 23.5 has a probability below 1e-4.
constexpr double limit = 23.5;

TEST_CASE("Of two different peers the lighter one is chosen", "[topology]") {
  const topology::TwoChoices whom;
  ChoiceContext context(0, 5);
  context.weights = {{1, 0.4}, {2, 0.3}, {3, 0.2}, {4, 0.1}};
  // Of 6 pairs of peers, 3 have the lightest, 2 more the second, 1 the third.
  CHECK(chi_square(counts(whom, context, 5), {0, 0, 1, 2, 3}) < limit);
  CHECK(chi_square(counts(topology::TwoChoices(3), context, 5), {0, 0, 0, 1, 3}) < limit);
  CHECK(chi_square(counts(topology::TwoChoices(9), context, 5), {0, 0, 0, 0, 1}) == 0);
  CHECK(chi_square(counts(topology::TwoChoices(1), context, 5), {0, 1, 1, 1, 1}) < limit);
  context.weights.clear();  // nothing is known
  CHECK(chi_square(counts(whom, context, 5), {0, 1, 1, 1, 1}) < limit);
  context.members = {0, 3};
  CHECK(whom(context) == 3);
  context.members = {0};
  CHECK(!whom(context));
  CHECK(message_of<ConfigError>([] { topology::TwoChoices(0); }) ==
        "TwoChoices: needs at least 1 choice, got 0");
}

TEST_CASE("In a permutation everybody sends once and gets once, and nobody is alone",
          "[topology]") {
  const topology::Permutation whom(tests::seed);
  for (const std::uint32_t m : {2U, 3U, 5U, 8U, 16U}) {
    std::set<std::vector<PeerId>> seen;
    for (std::uint64_t step = 0; step < 50; ++step) {
      CAPTURE(m, step);
      std::vector<PeerId> map;
      for (PeerId id = 0; id < m; ++id) {
        ChoiceContext context(id, m);
        context.steps = step;
        map.push_back(whom(context).value());
      }
      CHECK(std::set<PeerId>(map.begin(), map.end()).size() == m);
      PeerId at = 0;  // one circle through all
      for (PeerId k = 1; k < m; ++k) {
        at = map[at];
        REQUIRE(at != 0);
      }
      CHECK(map[at] == 0);
      seen.insert(map);
    }
    // (m - 1)! circles.
    if (m == 2) CHECK(seen.size() == 1);
    if (m == 3) CHECK(seen.size() == 2);
    if (m >= 8) CHECK(seen.size() > 45);
  }
  ChoiceContext alone(3, std::vector<PeerId>{3});
  CHECK(!whom(alone));
  // Another seed, another permutation; numbers do not matter, only who is there.
  ChoiceContext context(4, {1, 4, 6, 9, 11, 12, 20, 31});
  ChoiceContext places(1, 8);
  std::size_t equal = 0;
  for (context.steps = 0; context.steps < 40; ++context.steps) {
    places.steps = context.steps;
    CHECK(whom(context) == context.members[*whom(places)]);
    equal += topology::Permutation(1)(context) == topology::Permutation(2)(context) ? 1 : 0;
  }
  CHECK(equal < 20);
}

TEST_CASE("Each circle of a permutation is drawn equally often", "[topology]") {
  const topology::Permutation whom(tests::seed);
  ChoiceContext context(2, 5);
  std::vector<int> counts(5);
  for (context.steps = 0; context.steps < draws; ++context.steps) ++counts[whom(context).value()];
  CHECK(chi_square(counts, {1, 1, 0, 1, 1}) < limit);
}

TEST_CASE("Peers are drawn in proportion to their weights", "[topology]") {
  const topology::Weighted whom(
      [](const gossamer::PeerContext&, PeerId peer) { return std::optional<double>(peer); });
  ChoiceContext context(2, 5);
  CHECK(chi_square(counts(whom, context, 5), {0, 1, 0, 3, 4}) < limit);
  // Among the neighbours in a graph.
  const topology::Weighted near(
      [](const gossamer::PeerContext&, PeerId peer) { return std::optional<double>(peer); },
      topology::Ring(topology::Ring::Way::both));
  CHECK(chi_square(counts(near, context, 5), {0, 1, 0, 3, 0}) < limit);
  // Of unknown weight: as the mean of the others. Of no or endless weight, all: like each other.
  const topology::Weighted some(
      [](const gossamer::PeerContext&, PeerId peer) -> std::optional<double> {
        if (peer == 4) return std::nullopt;
        return peer;
      });
  CHECK(chi_square(counts(some, context, 5), {0, 1, 0, 3, 4.0 / 3}) < limit);
  for (const double same : {0.0, std::numeric_limits<double>::infinity()}) {
    const topology::Weighted none(
        [same](const gossamer::PeerContext&, PeerId) { return std::optional<double>(same); });
    CHECK(chi_square(counts(none, context, 5), {1, 1, 0, 1, 1}) < limit);
  }
  context.members = {2};
  CHECK(!whom(context));
}

TEST_CASE("Near peers are drawn by a power of their distance", "[topology]") {
  const auto along_a_line = [](PeerId a, PeerId b) { return a < b ? b - a : a - b; };
  ChoiceContext context(1, 5);
  CHECK(chi_square(counts(topology::Weighted(topology::by_distance(along_a_line)), context, 5),
                   {1, 0, 1, 1.0 / 2, 1.0 / 3}) < limit);
  CHECK(chi_square(counts(topology::Weighted(topology::by_distance(along_a_line, 2)), context, 5),
                   {1, 0, 1, 1.0 / 4, 1.0 / 9}) < limit);
  const auto some = [](PeerId, PeerId b) {
    return b == 3 ? std::nan("") : b == 0 ? 0.0 : static_cast<double>(b);
  };
  CHECK(chi_square(counts(topology::Weighted(topology::by_distance(some)), context, 5),
                   {0, 0, 1.0 / 2, 0, 1.0 / 4}) < limit);
  CHECK(message_of<ConfigError>([&] { topology::by_distance(along_a_line, -1); }) ==
        "by_distance: exponent must be at least 0, got -1");
}

TEST_CASE("Fast and healthy peers are drawn more often", "[topology]") {
  ChoiceContext context(0, 4);
  context.healths[1].bytes_per_second = 1e6;
  context.healths[2].bytes_per_second = 3e6;
  // Of the third nothing is known.
  CHECK(chi_square(counts(topology::Weighted(topology::by_speed()), context, 4), {0, 1, 3, 2}) <
        limit);
  ChoiceContext unmeasured(0, 4);
  CHECK(chi_square(counts(topology::Weighted(topology::by_speed()), unmeasured, 4), {0, 1, 1, 1}) <
        limit);
  context.healths[1] = {.sent = 18, .returned = 0};
  context.healths[2] = {.sent = 18, .returned = 17};
  CHECK(chi_square(counts(topology::Weighted(topology::by_health()), context, 4),
                   {0, 0.95, 0.1, 0.5}) < limit);
  context.healths[2] = {.sent = 2, .returned = 5};  // old ones are forgotten before they come back
  CHECK(topology::by_health()(context, 2) == 0.25);
}

TEST_CASE("The counts of a peer's health forget old times", "[transport]") {
  gossamer::PeerHealth health;
  for (int k = 0; k < 1000; ++k) {
    health.count_sent();
    health.count_returned();
  }
  CHECK(health.sent < gossamer::PeerHealth::window);
  CHECK(health.returned >= health.sent / 2);
  for (int k = 0; k < 500; ++k) health.count_sent();
  CHECK(health.sent >= gossamer::PeerHealth::window / 2);
  CHECK(health.returned == 0);
}

}  // namespace
