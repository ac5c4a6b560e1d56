// SPDX-License-Identifier: MIT
/// Names for topologies, graphs and schedules: every one that is listed is made, and wrong ones are
/// refused.
#include <gossamer/error.hpp>
#include <gossamer/schedule/registry.hpp>
#include <gossamer/topology/graphml.hpp>
#include <gossamer/topology/registry.hpp>

#include <tests/support.hpp>
#include <tests/topology/choice_context.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using tests::ChoiceContext;
using tests::message_of;
namespace schedule = gossamer::schedule;
namespace topology = gossamer::topology;

/// Files of graphs, and a value for each parameter that an entry may have.
struct Texts {
  Texts() {
    std::ofstream(edges) << "0 1\n1 2\n2 3\n";
    std::ofstream(graphml) << "<graphml><graph edgedefault=\"directed\"><node id=\"a\"/>"
                              "<node id=\"b\"/><node id=\"c\"/><edge source=\"a\" target=\"b\"/>"
                              "<edge source=\"b\" target=\"c\"/><edge source=\"c\" target=\"a\"/>"
                              "</graph></graphml>";
  }

  [[nodiscard]] std::string of(const gossamer::NamedUsage& usage) const {
    std::map<std::string, std::string> values = {
        {"N", "2"},    {"DEGREE", "3"},     {"NEAR", "2"}, {"REWIRED", "0.1"}, {"LINKS", "1"},
        {"TAU", "10"}, {"EXPONENT", "1.5"}, {"RATE", "2"}, {"BYTES", "1e6"}};
    values["FILE"] = usage.name() == "edges" ? edges : graphml;
    std::string text(usage.name());
    std::istringstream words(
        std::string(usage.text.substr(std::min(usage.text.size(), text.size() + 1))));
    char separator = ':';
    for (std::string word; std::getline(words, word, ','); separator = ',') {
      REQUIRE(values.count(word) == 1);
      text += separator + values[word];
    }
    return text;
  }

  tests::TemporaryFolder folder;
  std::string edges = (folder.path() / "edges").string();
  std::string graphml = (folder.path() / "graphml").string();
};

std::vector<topology::Entry> table_with_graphml() {
  std::vector<topology::Entry> all = topology::known();
  all.push_back(topology::graphml_entry());
  return all;
}

}  // namespace

TEST_CASE("Every topology that is known can be named, and chooses a peer", "[topology][registry]") {
  const Texts texts;
  const auto table = table_with_graphml();
  for (const topology::Entry& entry : table) {
    CAPTURE(entry.usage.text);
    CHECK_FALSE(entry.description.empty());
    ChoiceContext context(1, 4);
    const auto peer = topology::from_text(texts.of(entry.usage), {}, table)(context);
    REQUIRE(peer);
    CHECK(*peer != 1);
    CHECK(*peer < 4);
  }
  CHECK(table.size() == 23);
}

TEST_CASE("A graph by name has the edges of the topology of that name", "[topology][registry]") {
  const Texts texts;
  const auto table = table_with_graphml();
  std::vector<std::string> without_edges;
  for (const topology::Entry& entry : table) {
    CAPTURE(entry.usage.text);
    const topology::Made made = topology::make(texts.of(entry.usage), {}, table);
    if (made.graph == nullptr) {
      without_edges.emplace_back(entry.usage.name());
      continue;
    }
    std::vector<topology::Place> out;
    made.graph->neighbours(2, 8, 0, out);
    CHECK_FALSE(out.empty());
    ChoiceContext context(2, 8);
    const auto peer = made.choose(context);
    REQUIRE(peer);
    CHECK(std::count(out.begin(), out.end(), *peer) == 1);
  }
  CHECK(without_edges == std::vector<std::string>{"uniform", "two_choices", "permutation", "near",
                                                  "fast", "healthy"});
  CHECK(message_of<ConfigError>([] { (void)topology::graph_from_text("uniform"); }) ==
        "graph must have edges, got the topology uniform, which chooses among all");
}

TEST_CASE("It is known of which graphs the edges go both ways", "[topology][registry]") {
  const Texts texts;
  const auto is_two_way = [&](const std::string& text, topology::Place members) {
    return topology::is_two_way(*topology::graph_from_text(text, {}, table_with_graphml()),
                                members);
  };
  for (const char* text : {"two_way_ring", "path", "torus", "star", "tree", "hypercube", "complete",
                           "bipartite_exponential", "random_regular:3", "small_world:2,0.1"}) {
    CAPTURE(text);
    CHECK(is_two_way(text, 8));
    CHECK(is_two_way(text, 7));
  }
  CHECK(is_two_way("edges:" + texts.edges, 4));
  for (const char* text : {"ring", "exponential", "one_peer_exponential", "n_peer_exponential:2"}) {
    CAPTURE(text);
    CHECK_FALSE(is_two_way(text, 8));
  }
  CHECK(is_two_way("ring", 2));
  CHECK_FALSE(is_two_way("graphml:" + texts.graphml, 3));
}

TEST_CASE("Parameters of a topology reach it", "[topology][registry]") {
  ChoiceContext context(0, 16);
  context.steps = 30;
  CHECK(topology::from_text("one_peer_exponential")(context) == 4);  // 30 mod 4 = 2
  const auto turns =
      topology::RegistryOptions().steps_per_turn(schedule::steps_per_turn("every:10"));
  CHECK(topology::from_text("one_peer_exponential", turns)(context) == 8);  // 3 mod 4
  CHECK(topology::from_text("n_peer_exponential:20")(context) < 16);
}

TEST_CASE("A wrong topology is refused in one sentence", "[topology][registry]") {
  const auto refused = [](const std::string& text) {
    return message_of<ConfigError>([&] { (void)topology::from_text(text); });
  };
  CHECK_THAT(refused("moebius"),
             tests::contains("topology must be one of uniform, two_choices, ") &&
                 tests::contains("small_world:NEAR,REWIRED, ") && tests::contains(", got moebius"));
  CHECK_THAT(refused("graphml:a"), tests::contains(", got graphml:a"));  // the program's to add
  CHECK(refused("ring:3") == "ring: needs 0 parameters, got 1");
  CHECK(refused("small_world:4") == "small_world:NEAR,REWIRED: needs 2 parameters, got 1");
  CHECK(refused("random_regular:x") == "random_regular:DEGREE: must have a number, got x");
  CHECK(refused("random_regular:2.5") ==
        "random_regular:DEGREE: must have a whole number, got 2.5");
  CHECK(refused("random_regular:1") == "RandomRegular: degree must be at least 2, got 1");
  CHECK(refused("edges:nowhere") == "graph file nowhere: cannot be read");
}

TEST_CASE("Every schedule that is known can be named", "[schedule][registry]") {
  const Texts texts;
  for (const schedule::Entry& entry : schedule::known()) {
    CAPTURE(entry.usage.text);
    CHECK_FALSE(entry.description.empty());
    CHECK(schedule::from_text(texts.of(entry.usage)));
  }
  CHECK(schedule::known().size() == 4);
}

TEST_CASE("Parameters of a schedule reach it", "[schedule][registry]") {
  ChoiceContext context(0, 16);
  context.steps = 30;
  CHECK(schedule::from_text("every:10")(context));
  CHECK_FALSE(schedule::from_text("every:7")(context));
  CHECK(schedule::steps_per_turn("every:10") == 10);
  CHECK(schedule::steps_per_turn("bernoulli") == 1);
  CHECK(schedule::from_text("bernoulli", schedule::RegistryOptions().probability(1))(context));
  CHECK_FALSE(
      schedule::from_text("bernoulli", schedule::RegistryOptions().probability(0))(context));
  context.passed = std::chrono::hours(1);
  CHECK(schedule::from_text("poisson:1")(context));
  context.passed = std::chrono::hours(0);
  CHECK_FALSE(schedule::from_text("poisson:1")(context));
}

TEST_CASE("A wrong schedule is refused in one sentence", "[schedule][registry]") {
  const auto refused = [](const std::string& text) {
    return message_of<ConfigError>([&] { (void)schedule::from_text(text); });
  };
  CHECK(refused("noon") ==
        "schedule must be one of bernoulli, every:TAU, poisson:RATE, bandwidth:BYTES, got noon");
  CHECK(refused("poisson:0") == "Poisson: rate must be finite and above 0, got 0");
  CHECK(refused("every") == "every:TAU: needs 1 parameter, got 0");
  CHECK(message_of<ConfigError>([] { (void)schedule::steps_per_turn("every:0.5"); }) ==
        "every:TAU: must have a whole number, got 0.5");
}
