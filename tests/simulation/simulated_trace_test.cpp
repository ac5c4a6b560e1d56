// SPDX-License-Identifier: MIT
/// The picture of a simulated run: what its lanes, arrows and marks say is what happened.
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/open_flows.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/simulation/trace.hpp>

#include <nlohmann/json.hpp>
#include <tests/node/mover.hpp>
#include <tests/observe/picture.hpp>
#include <tests/simulation/fault_sweep.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::SimulatedGroup;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::observe::OpenFlows;
using gossamer::observe::SimulatedTrace;
using gossamer::transport::Message;
using gossamer::transport::SimulatedOptions;
using nlohmann::json;
using tests::Approx;
using tests::Mover;
using tests::ns;
using tests::Picture;
using namespace std::chrono_literals;
namespace cost = gossamer::cost;
namespace fault = gossamer::fault;
namespace rule = gossamer::rule;

using Group = SimulatedGroup<Mover>;

SimulatedGroupOptions a_cluster(std::size_t nodes) {
  return SimulatedGroupOptions(nodes)
      .world(SimulatedOptions(nodes).link({.latency = 300us, .bytes_per_second = 1e6}))
      .node(NodeOptions().seed(tests::seed));
}

/// Runs a cluster and reads its trace.
Picture picture_of(SimulatedGroupOptions options, const rule::AnyRule& rule,
                   const StopCondition& budget, const std::function<void(Group&)>& look = nullptr) {
  const tests::TemporaryFolder folder;
  const auto trace = std::make_shared<SimulatedTrace>(folder.path() / "trace.json");
  Group group(options.callback(trace), rule);
  group.run(budget);
  if (look) look(group);
  trace->close();
  return Picture(folder.path() / "trace.json");
}

}  // namespace

TEST_CASE("The lanes of a trace compute as long as the steps cost, and its arrows are the messages",
          "[observe][simulated][trace]") {
  const rule::AnyRule rule =
      GENERATE(rule::AnyRule(rule::GoSgd(0.5)), rule::AnyRule(rule::GoSgdPull(0.5)));
  std::vector<std::uint64_t> steps;
  gossamer::Counters totals;
  const Picture picture =
      picture_of(a_cluster(4).cost_of([](PeerId id) { return cost::Constant((id + 1) * 10ms); }),
                 rule, StopCondition().duration(2s), [&](Group& group) {
                   for (std::size_t i = 0; i < 4; ++i) steps.push_back(group[i].counters().steps);
                   totals = group.totals();
                 });
  CHECK(picture.bad_lanes().empty());
  CHECK(picture.names.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto cost = static_cast<std::int64_t>(i + 1) * 10'000'000;
    CHECK(picture.time("node " + std::to_string(i), "compute") ==
          static_cast<std::int64_t>(steps[i]) * cost);
    CHECK(picture.time("node " + std::to_string(i), "wait") == 0);
  }
  std::vector<json> loose;
  CHECK(picture.bad_flows(loose).empty());
  CHECK(loose.empty());
  CHECK(picture.count("send") == totals.messages_sent);
  std::uint64_t merged = 0;
  for (const json& event : picture.events) {
    if (event["name"] == "merge") merged += event["args"]["messages"].get<std::uint64_t>();
  }
  CHECK(merged == totals.messages_merged);
  CHECK(picture.count("returned") == totals.messages_returned);
  CHECK((picture.count("receive") > 0) == (rule->name() == "gosgd_pull"));  // requests
}

TEST_CASE("A trace shows who waits for a slow node, and that under gossip nobody does",
          "[observe][simulated][trace]") {
  const auto options =
      a_cluster(3).cost_of([](PeerId id) { return cost::Constant(id == 2 ? 40ms : 10ms); });
  const Picture sync = picture_of(options, rule::PerSyn(2), StopCondition().steps(50));
  CHECK(sync.bad_lanes().empty());
  // Of each 80 ms that the slow one takes for two steps, the others wait 60.
  CHECK(sync.time("node 2", "compute") == 50 * 40'000'000);
  CHECK(static_cast<double>(sync.time("node 0", "wait")) == Approx(50 * 30e6).epsilon(0.1));
  CHECK(static_cast<double>(sync.time("node 1", "wait")) == Approx(50 * 30e6).epsilon(0.1));
  CHECK(sync.time("node 2", "wait") < 50 * 2'000'000);

  const Picture gossip = picture_of(options, rule::GoSgd(0.5), StopCondition().steps(50));
  CHECK(gossip.bad_lanes().empty());
  CHECK(gossip.count("compute") >= 150);
  CHECK(gossip.count("wait") == 0);
}

TEST_CASE("A crash ends its node's lane, and the next incarnation has another one",
          "[observe][simulated][trace]") {
  const Picture picture =
      picture_of(a_cluster(4).plan({{105ms, fault::Crash{1}}, {300ms, fault::Restart{1}}}),
                 rule::GoSgd(0.5), StopCondition().duration(1s));
  CHECK(picture.bad_lanes().empty());
  const auto& first = picture.lane("node 1");
  CHECK(first.back().name == "compute");
  CHECK(first.back().begin == 100'000'000);
  CHECK(first.back().end == 105'000'000);  // cut short
  CHECK(ns(picture.first("crash")["ts"]) == 105'000'000);
  CHECK(picture.names.at(picture.first("crash")["tid"]) == "node 1");
  const auto& second = picture.lane("node 1, incarnation 2");
  CHECK(second.front().begin == 300'000'000);
  CHECK(picture.names.at(picture.first("restart")["tid"]) == "node 1, incarnation 2");
  CHECK(picture.time("node 1, incarnation 2", "join") > 0);
  CHECK(picture.time("node 1, incarnation 2", "compute") > 600'000'000);

  // What has no end is of the node that died, or was sent to it before.
  std::vector<json> loose;
  CHECK(picture.bad_flows(loose).empty());
  for (const json& begin : loose) CHECK(ns(begin["ts"]) <= 105'000'000);
}

TEST_CASE("Whatever happens to a cluster, its trace is in order", "[observe][simulated][trace]") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    gossamer::Generator random(seed, 1);
    const std::uint32_t nodes = 2 + random.below(5);
    const auto plan = tests::sweep::random_plan(random, nodes);
    std::size_t live = 0;
    const Picture picture = picture_of(
        SimulatedGroupOptions(nodes)
            .world(SimulatedOptions(nodes)
                       .link({.latency = 1ms, .bytes_per_second = 1e6})
                       .limits({.messages = 1 + random.below(6)})
                       .resend_after(8ms)
                       .dead_after(80ms))
            .node(NodeOptions().seed(seed))
            .cost(cost::LogNormal(15ms, 0.5))
            .plan(plan),
        rule::GoSgd(0.4), StopCondition().duration(tests::sweep::the_end), [&](Group& group) {
          for (PeerId id = 0; id < group.size(); ++id) live += group.is_live(id) ? 1 : 0;
        });
    CHECK(picture.bad_lanes() == "");
    std::vector<json> loose;
    CHECK(picture.bad_flows(loose) == "");
    // Each life that has ended says so.
    CHECK(picture.names.size() - (picture.has_lane("network") ? 1 : 0) ==
          live + picture.count("crash") + picture.count("left"));
    // A message without an end went with a life that ended by a crash.
    std::vector<std::pair<std::string, std::int64_t>> crashes;
    for (const json& event : picture.events) {
      if (event["name"] == "crash") {
        crashes.emplace_back(picture.names.at(event["tid"]), ns(event["ts"]));
      }
    }
    for (const json& begin : loose) {
      const std::int64_t when = ns(begin["ts"]);
      CHECK(std::any_of(crashes.begin(), crashes.end(),
                        [&](const auto& crash) { return crash.second >= when; }));
    }
  }
}

TEST_CASE("A trace shows pauses, slow disks, leaving and the network's faults",
          "[observe][simulated][trace]") {
  const Picture picture = picture_of(a_cluster(4).plan({{105ms, fault::Pause{0, 100ms}},
                                                        {405ms, fault::SlowDisk{1, 70ms}},
                                                        {500ms, fault::Partition{{0, 1}}},
                                                        {510ms, fault::Heal{}},
                                                        {520ms, fault::Cut{0, 3}},
                                                        {530ms, fault::Reconnect{0, 3}},
                                                        {600ms, fault::Straggle{1, 2}},
                                                        {700ms, fault::Leave{2}}}),
                                     rule::GoSgd(0.5), StopCondition().duration(2s));
  CHECK(picture.bad_lanes().empty());
  CHECK(picture.time("node 0", "paused") == 100'000'000);  // 5 within its step, 95 after it
  CHECK(picture.count("paused") == 2);
  CHECK(picture.time("node 1", "disk") == 70'000'000);
  CHECK(picture.time("node 2", "leave") > 0);
  CHECK(picture.names.at(picture.first("left")["tid"]) == "node 2");
  CHECK(picture.first("straggle")["args"]["factor"] == 2);
  CHECK(picture.first("partition")["args"]["nodes"] == "0, 1");
  CHECK(picture.first("cut")["args"] == json({{"a", 0}, {"b", 3}}));
  for (const char* name : {"partition", "heal", "cut", "restore"}) {
    CHECK(picture.names.at(picture.first(name)["tid"]) == "network");
  }
  std::vector<json> loose;
  CHECK(picture.bad_flows(loose).empty());
  CHECK(loose.empty());  // a leaver loses nothing
}

TEST_CASE("The weight counters of a trace end at the nodes' weights",
          "[observe][simulated][trace]") {
  std::map<std::string, double> weights;
  const Picture picture = picture_of(
      a_cluster(4).plan({{100ms, fault::Join{}}, {505ms, fault::Crash{1}}}), rule::GoSgd(0.5),
      StopCondition().duration(1s), [&](Group& group) {
        for (PeerId id = 0; id < group.size(); ++id) {
          weights["node " + std::to_string(id)] = group.is_live(id) ? group[id].weight() : 0;
        }
      });
  std::map<std::string, double> shown;
  for (const json& event : picture.events) {
    if (event["ph"] == "C") shown[event["name"]] = event["args"]["value"];
  }
  CHECK(shown == weights);
}

TEST_CASE("A resumed run's trace has lanes of those who are there, from where it goes on",
          "[observe][simulated][trace]") {
  const auto options = a_cluster(4).plan({{105ms, fault::Crash{1}}, {200ms, fault::Join{}}});
  Group first(options, rule::GoSgd(0.3));
  first.run_until(StopCondition().duration(500ms));
  gossamer::Archive saved;
  first.checkpoint(saved);

  const tests::TemporaryFolder folder;
  const auto trace = std::make_shared<SimulatedTrace>(folder.path() / "trace.json");
  auto traced = options;
  Group second(traced.callback(trace), rule::GoSgd(0.3));
  gossamer::Archive archive(saved.entries());
  second.checkpoint(archive);
  second.run_for(StopCondition().duration(500ms));
  second.finish();
  trace->close();
  const Picture picture(folder.path() / "trace.json");
  CHECK(picture.bad_lanes().empty());
  CHECK(picture.names.size() == 4);
  CHECK_FALSE(picture.has_lane("node 1"));
  CHECK(picture.has_lane("node 4"));
  for (const json& event : picture.events) {
    if (event["ph"] != "M") CHECK(ns(event["ts"]) >= first.world().now().count());
  }
}

TEST_CASE("A trace does not change the run, and is not there until it is closed",
          "[observe][simulated][trace]") {
  const auto options =
      a_cluster(5).cost(cost::LogNormal(10ms, 0.5)).plan({{200ms, fault::Crash{1}}});
  Group alone(options, rule::GoSgd(0.5));
  alone.run(StopCondition().duration(1s));
  const tests::TemporaryFolder folder;
  const auto trace = std::make_shared<SimulatedTrace>(folder.path() / "trace.json");
  auto traced = options;
  Group watched(traced.callback(trace), rule::GoSgd(0.5));
  watched.run(StopCondition().duration(1s));
  CHECK(gossamer::observe::digest(watched.replicas()) ==
        gossamer::observe::digest(alone.replicas()));
  CHECK(watched.world().events() == alone.world().events());
  CHECK_FALSE(std::filesystem::exists(folder.path() / "trace.json"));
  trace->close();
  CHECK(Picture(folder.path() / "trace.json").bad_lanes().empty());
}

TEST_CASE("Messages are told apart by what they have, and equal ones by their order",
          "[observe][trace]") {
  const auto message = [](PeerId from, PeerId to, double weight) {
    Message one;
    one.from = from;
    one.to = to;
    one.weight = weight;
    return one;
  };
  OpenFlows flows;
  CHECK(flows.close(message(0, 1, 0.5), false) == 0);  // nobody has sent it
  CHECK(flows.open(message(0, 1, 0.5)) == 1);
  CHECK(flows.open(message(0, 1, 0.25)) == 2);
  CHECK(flows.open(message(1, 0, 0.5)) == 3);
  CHECK(flows.open(message(0, 1, 0.5)) == 4);
  CHECK(flows.open(message(0, 1, 0.5)) == 5);
  CHECK(flows.close(message(0, 1, 0.25), true) == 2);
  CHECK(flows.close(message(0, 1, 0.25), true) == 0);
  CHECK(flows.close(message(0, 1, 0.5), true) == 5);
  CHECK(flows.close(message(0, 1, 0.5), false) == 1);
  CHECK(flows.close(message(0, 1, 0.5), true) == 4);
  CHECK(flows.close(message(1, 0, 0.5), false) == 3);
  CHECK(flows.close(message(1, 0, 0.5), false) == 0);
}
