// SPDX-License-Identifier: MIT
#include <gossamer/observe/prometheus.hpp>

#include <tests/support.hpp>

#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <string>

namespace {

using gossamer::observe::Connections;
using gossamer::observe::GroupState;
using gossamer::observe::MetricFamily;
using gossamer::observe::Metrics;
using gossamer::observe::prometheus_text;
using Time = gossamer::observe::Callback::Time;

/// Two nodes here, a peer elsewhere, and an evaluation.
std::string text_of_a_group() {
  GroupState state;
  gossamer::Counters here;
  here.steps = 7;
  here.weight = 0.1;
  here.bytes_sent = 1'000'000'007;
  state.nodes = {{1, here}, {2, {}}};
  gossamer::transport::PeerView peer;
  peer.peer = 4;
  state.connections = std::make_shared<Connections>(Connections{"here", {}, {peer}});
  Metrics metrics;
  metrics.on_evaluation(Time(0), {{"test_accuracy", 0.5}, {"a \"name\"\\\n", 1.0}}, state);
  return prometheus_text(metrics.families());
}

}  // namespace

TEST_CASE("Families become lines in Prometheus' text format", "[observe][prometheus]") {
  const MetricFamily::Labels labels{{"node", "1"}, {"fate", "a\"b\\c\nd"}};
  CHECK(prometheus_text({{"steps_total", "Steps\\\n.", true, {{labels, 7}}},
                         {"weight", "Share.", false, {{{}, 0.1}}}}) ==
        "# HELP steps_total Steps\\\\\\n.\n"
        "# TYPE steps_total counter\n"
        "steps_total{node=\"1\",fate=\"a\\\"b\\\\c\\nd\"} 7\n"
        "# HELP weight Share.\n"
        "# TYPE weight gauge\n"
        "weight 0.1\n");
}

TEST_CASE("Numbers that are not finite have Prometheus' words", "[observe][prometheus]") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const auto line = [](double value) {
    const std::string text = prometheus_text({{"x", "X.", false, {{{}, value}}}});
    return text.substr(text.rfind(' ') + 1);
  };
  CHECK(line(infinity) == "+Inf\n");
  CHECK(line(-infinity) == "-Inf\n");
  CHECK(line(std::numeric_limits<double>::quiet_NaN()) == "NaN\n");
  CHECK(std::stod(line(1.0 / 3)) == 1.0 / 3);
}

TEST_CASE("A group's metrics are named once each, with all that has the name below it",
          "[observe][prometheus]") {
  const std::string text = text_of_a_group();
  CHECK_THAT(text, tests::contains("gossamer_steps_total{node=\"1\"} 7\n"
                                   "gossamer_steps_total{node=\"2\"} 0\n"
                                   "gossamer_steps_total{node=\"4\"} 0\n"));
  CHECK_THAT(text, tests::contains("gossamer_sent_bytes_total{node=\"1\"} 1000000007\n"));
  CHECK_THAT(text, tests::contains("gossamer_evaluation{what=\"test_accuracy\"} 0.5\n"));
  const std::size_t first = text.find("# TYPE gossamer_messages_total ");
  REQUIRE(first != std::string::npos);
  CHECK(text.find("# TYPE gossamer_messages_total ", first + 1) == std::string::npos);
}

TEST_CASE("promtool, if it is here, accepts a group's metrics", "[observe][prometheus]") {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    WARN("no promtool here (Debian: prometheus)");
    return;
  }
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "metrics").string();
  std::ofstream(file) << text_of_a_group();
  CHECK(std::system(("promtool check metrics <'" + file + "'").c_str()) == 0);
}
