// SPDX-License-Identifier: MIT
/// The example's names for topologies and schedules.
#include <cifar10/meetings.hpp>
#include <gossamer/error.hpp>

#include <tests/support.hpp>
#include <tests/topology/choice_context.hpp>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace {

using cifar10::make_schedule;
using cifar10::make_topology;
using cifar10::MeetingOptions;
using gossamer::ConfigError;
using tests::ChoiceContext;
using tests::message_of;

TEST_CASE("Every topology that is listed can be named, and chooses a peer", "[examples]") {
  const tests::TemporaryFolder folder;
  const std::string edges = (folder.path() / "edges").string();
  const std::string graphml = (folder.path() / "graphml").string();
  std::ofstream(edges) << "0 1\n1 2\n2 3\n";
  std::ofstream(graphml) << "<graphml><graph edgedefault=\"undirected\"><node id=\"a\"/>"
                            "<node id=\"b\"/><edge source=\"a\" target=\"b\"/></graph></graphml>";
  std::map<std::string, std::string> values = {{"N", "2"},     {"DEGREE", "3"},
                                               {"NEAR", "2"},  {"REWIRED", "0.1"},
                                               {"LINKS", "1"}, {"EXPONENT", "1.5"}};
  std::istringstream table(cifar10::topology_table());
  std::size_t count = 0;
  for (std::string line; std::getline(table, line); ++count) {
    std::string usage = line.substr(0, line.find(' '));
    CAPTURE(usage);
    std::string text = usage.substr(0, usage.find(':'));
    std::string parameters = usage.substr(std::min(usage.size(), text.size() + 1));
    values["FILE"] = text == "edges" ? edges : graphml;
    std::istringstream words(parameters);
    char separator = ':';
    for (std::string word; std::getline(words, word, ','); separator = ',') {
      REQUIRE(values.count(word) == 1);
      text += separator + values[word];
    }
    ChoiceContext context(1, 4);
    const auto peer = make_topology(text, MeetingOptions{})(context);
    REQUIRE(peer);
    CHECK(*peer != 1);
    CHECK(*peer < 4);
  }
  CHECK(count == 23);
}

TEST_CASE("Parameters of a topology or a schedule reach it", "[examples]") {
  ChoiceContext context(0, 16);
  context.steps = 30;
  MeetingOptions options;
  CHECK(make_topology("one_peer_exponential", options)(context) == 4);  // 30 mod 4 = 2
  options.steps_per_turn = cifar10::steps_between("every:10");
  CHECK(options.steps_per_turn == 10);
  CHECK(make_topology("one_peer_exponential", options)(context) == 8);  // 3 mod 4
  CHECK(make_schedule("every:10", options)(context));
  CHECK(!make_schedule("every:7", options)(context));
  CHECK(cifar10::steps_between("bernoulli") == 1);
  options.probability = 1;
  CHECK(make_schedule("bernoulli", options)(context));
  options.probability = 0;
  CHECK(!make_schedule("bernoulli", options)(context));
  context.passed = std::chrono::hours(1);
  CHECK(make_schedule("poisson:1", options)(context));
  context.passed = std::chrono::hours(0);
  CHECK(!make_schedule("poisson:1", options)(context));
}

TEST_CASE("A wrong topology or schedule is refused in one sentence", "[examples]") {
  const auto refused = [](const std::string& text) {
    return message_of<ConfigError>([&] { make_topology(text, MeetingOptions{}); });
  };
  CHECK_THAT(refused("moebius"), tests::contains("--topology must be one of uniform, ") &&
                                     tests::contains(", got moebius"));
  CHECK(refused("ring:3") == "ring: needs 0 parameters, got 1");
  CHECK(refused("small_world:4") == "small_world:NEAR,REWIRED: needs 2 parameters, got 1");
  CHECK(refused("random_regular:x") == "random_regular:DEGREE: must have a number, got x");
  CHECK(refused("random_regular:2.5") ==
        "random_regular:DEGREE: must have a whole number, got 2.5");
  CHECK(refused("random_regular:1") == "RandomRegular: degree must be at least 2, got 1");
  CHECK(refused("edges:nowhere") == "graph file nowhere: cannot be read");
  CHECK(message_of<ConfigError>([] { make_schedule("poisson:0", MeetingOptions{}); }) ==
        "Poisson: rate must be finite and above 0, got 0");
  CHECK(message_of<ConfigError>([] { make_schedule("every", MeetingOptions{}); }) ==
        "every:TAU: needs 1 parameter, got 0");
  CHECK(message_of<ConfigError>([] { cifar10::steps_between("every:0.5"); }) ==
        "every:TAU: must have a whole number, got 0.5");
}

}  // namespace
