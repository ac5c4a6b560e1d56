// SPDX-License-Identifier: MIT
/// The picture of a real run: what its lanes, arrows and marks say is what the nodes' counters say.
#include <gossamer/node/gossip.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/trace.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/persyn.hpp>

#include <nlohmann/json.hpp>
#include <tests/node/mover.hpp>
#include <tests/observe/picture.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::Counters;
using gossamer::GroupOptions;
using gossamer::NodeOptions;
using gossamer::StopCondition;
using gossamer::ThreadGroup;
using gossamer::observe::Callback;
using gossamer::observe::GroupState;
using gossamer::observe::Trace;
using gossamer::transport::Message;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using nlohmann::json;
using tests::Mover;
using tests::ns;
using tests::Picture;
using namespace std::chrono_literals;
namespace rule = gossamer::rule;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Message message(std::uint32_t from, std::uint32_t to, double weight) {
  Message one;
  one.from = from;
  one.to = to;
  one.kind = 7;
  one.round = 8;
  one.step = 9;
  one.weight = weight;
  return one;
}

/// A node that does not want to go on after its tenth step, if it is the last of three.
class Failing final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Failing(Context context)
      : GossipNode(std::move(context), {torch::zeros({4}, torch::kDouble)}) {}

 private:
  double local_step() override {
    if (id() == 2 && counters().steps == 10) throw std::runtime_error("enough");
    return 0;
  }
};

/// So many lanes, and an end for each arrow.
void check_whole(const Picture& picture, std::size_t lanes) {
  CHECK(picture.names.size() == lanes);
  CHECK(picture.bad_lanes() == "");
  std::vector<json> loose;
  CHECK(picture.bad_flows(loose) == "");
  CHECK(loose.empty());
}

/// The slices of a lane: name, begin and end in ms.
std::vector<std::string> slices_of(const Picture& picture, const char* lane) {
  std::vector<std::string> slices;
  for (const auto& slice : picture.lane(lane)) {
    slices.push_back(slice.name + " " + std::to_string(slice.begin / 1'000'000) + " " +
                     std::to_string(slice.end / 1'000'000));
  }
  return slices;
}

}  // namespace

TEST_CASE("The trace of a group of threads has its steps, and an arrow for each message",
          "[observe][trace][threads]") {
  const rule::AnyRule rule = GENERATE(rule::AnyRule(rule::GoSgd(0.5)),
                                      rule::AnyRule(rule::GoSgdPull(0.5)), rule::PerSyn(2));
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  const auto trace = std::make_shared<Trace>(path);
  ThreadGroup<Mover> group(
      GroupOptions(3).node(NodeOptions().seed(tests::seed)).tick(1ms).callback(trace), rule);
  group.run_until(StopCondition().steps(100));
  group.run_until(StopCondition().steps(200));
  group.finish();
  Counters totals;
  for (std::size_t i = 0; i < 3; ++i) totals += group[i].counters();
  trace->close();

  const Picture picture(path);
  check_whole(picture, 3);
  CHECK(picture.count("send") == totals.messages_sent);
  CHECK(picture.count("receive") + picture.count("returned") == totals.messages_sent);
  CHECK(picture.count("returned") == totals.messages_returned);
  std::uint64_t merged = 0;
  for (const json& event : picture.events) {
    if (event["name"] == "merge") merged += event["args"]["messages"].get<std::uint64_t>();
  }
  CHECK(merged == totals.messages_merged);
  std::map<std::string, double> weights;
  for (const json& event : picture.events) {
    if (event["ph"] == "C") weights[event["name"]] = event["args"]["value"];
  }
  for (std::size_t i = 0; i < 3; ++i) {
    const std::string name = "node " + std::to_string(i);
    std::uint64_t steps = 0;
    for (const auto& slice : picture.lane(name)) steps += slice.name == "compute" ? 1 : 0;
    CHECK(steps == group[i].counters().steps);
    CHECK(weights.at(name) == group[i].weight());
  }
}

TEST_CASE("The trace of loops of one's own has a lane for each", "[observe][trace][threads]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  const auto trace = std::make_shared<Trace>(path);
  std::vector<Counters> counters(3);
  gossamer::run_threads(GroupOptions(3).node(NodeOptions().seed(tests::seed).callback(trace)),
                        rule::GoSgd(0.5), [&](Context context) {
                          std::vector<at::Tensor> model{torch::zeros({4}, torch::kDouble)};
                          gossamer::Gossip gossip(std::move(context), model);
                          for (int i = 0; i < 50; ++i) gossip.step();
                          gossip.finish();
                          counters[gossip.id()] = gossip.counters();
                        });
  trace->close();
  const Picture picture(path);
  check_whole(picture, 3);
  CHECK(picture.count("send") ==
        counters[0].messages_sent + counters[1].messages_sent + counters[2].messages_sent);
}

TEST_CASE("A node that fails ends its lane, and the others are told", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  const auto trace = std::make_shared<Trace>(path);
  ThreadGroup<Failing> group(GroupOptions(3).callback(trace), rule::PerSyn(1));
  CHECK_THROWS_AS(group.run(StopCondition().steps(1000)), gossamer::NodeError);
  trace->close();
  const Picture picture(path);
  CHECK(picture.bad_lanes() == "");
  const json failed = picture.first("failed");
  REQUIRE(failed.is_object());
  CHECK(picture.names.at(failed["tid"]) == "node 2");
  CHECK(picture.count("failed") == 1);
  CHECK(picture.first("peer lost")["args"]["peer"] == 2);
}

TEST_CASE("A lane of a trace says what a node does from one callback to the next",
          "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Trace trace(path);
    trace.on_start(0ms, 3, 1, 0);
    trace.on_wait(1ms, 3, Callback::Wait::first_weight);
    trace.on_deliver(4ms, message(5, 3, 0.25));
    trace.on_merge(6ms, 3, 1, 0.25);
    trace.on_weight(6ms, 3, 0.25);
    trace.on_step(10ms, 3);
    trace.on_send(12ms, message(3, 5, 0.125));
    trace.on_wait(14ms, 3, Callback::Wait::others);  // between the halves of a step
    trace.on_deliver(15ms, message(5, 3, 0));
    trace.on_weight(16ms, 3, 0.125);
    trace.on_wait(17ms, 3, Callback::Wait::others);  // it has looked, and waits on
    trace.on_wait(18ms, 3, Callback::Wait::others);
    trace.on_return(20ms, Returned{message(3, 5, 0.125), Reason::lost});
    trace.on_peer_left(21ms, 3, PeerLeft{5, Reason::lost});
    trace.on_weight(22ms, 3, 0.25);
    trace.on_step_end(25ms, 3, {});
    trace.on_leaving(30ms, 3);
    trace.on_deliver(31ms, message(6, 3, 0));
    trace.on_weight(32ms, 3, 0.25);
    trace.on_end(35ms, 3, Callback::End::left);
  }  // closed

  const Picture picture(path);
  CHECK(picture.bad_lanes() == "");
  CHECK(slices_of(picture, "node 3") ==
        std::vector<std::string>{"join 1 4", "receive 4 4", "merge 4 6", "compute 10 14",
                                 "send 12 12", "wait 14 15", "receive 15 15", "handle 15 16",
                                 "wait 16 20", "returned 20 20", "handle 20 22", "compute 22 25",
                                 "leave 30 31", "receive 31 31", "handle 31 32", "leave 32 35"});
  CHECK(picture.first("send")["args"] ==
        json::parse(R"({"to": 5, "kind": 7, "round": 8, "step": 9, "weight": 0.125,
                        "bytes": 40})"));
  CHECK(picture.first("receive")["args"] ==
        json::parse(R"({"from": 5, "kind": 7, "round": 8, "step": 9, "weight": 0.25})"));
  CHECK(picture.first("returned")["args"]["reason"] == "it was lost");
  for (const char* mark : {"join", "left", "peer lost"}) {
    INFO(mark);
    CHECK(picture.count(mark) > 0);
  }
  // Whom it talked to is in another process, where a file of its own has the other ends.
  std::vector<json> loose;
  CHECK(picture.bad_flows(loose) == "");
  CHECK(loose.empty());
  CHECK(picture.first("clock")["args"]["unix_ns"].is_number_unsigned());
}

TEST_CASE("What a killed process leaves of its trace can be read", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  std::ofstream(path) << "an older one, and longer than what comes at first";
  Trace trace(path);
  trace.on_start(0ms, 0, 1, 1);
  const auto steps = [&](int begin, int end) {
    for (int i = begin; i < end; ++i) {
      trace.on_step(i * 1ms, 0);
      trace.on_step_end(i * 1ms + 500us, 0, {});
    }
  };
  const auto written = [&] {
    const json events = json::parse(read(path) + "]");  // the end is all that lacks
    return std::count_if(events.begin(), events.end(),
                         [](const json& event) { return event["name"] == "compute"; });
  };
  steps(0, 400);
  CHECK(written() >= 200);  // what is 0.2 s old
  CHECK(written() < 400);
  trace.on_tick(0ms, GroupState{});
  CHECK(written() == 400);
  steps(400, 1000);
  CHECK(written() >= 800);
  trace.close();
  CHECK(Picture(path).count("compute") == 1000);
  trace.on_step(2s, 0);
  trace.on_rest(3s, 0);  // no more
  trace.close();
  CHECK(Picture(path).count("compute") == 1000);
}

TEST_CASE("A trace of a real run that cannot be written says so when it is made or closed",
          "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto missing = folder.path() / "no folder" / "trace.json";
  CHECK(tests::message_of<std::runtime_error>([&] { Trace trace(missing); }) ==
        "cannot create " + missing.string() + ": No such file or directory");
  const auto path = folder.path() / "trace.json";
  std::filesystem::create_symlink("/dev/full", path);  // a disk without room
  Trace trace(path);
  trace.on_start(0ms, 0, 1, 1);
  CHECK_NOTHROW(trace.on_tick(0ms, GroupState{}));
  CHECK(tests::message_of<std::runtime_error>([&] { trace.close(); }) ==
        "cannot write " + path.string() + ": No space left on device");
}
