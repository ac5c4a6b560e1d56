// SPDX-License-Identifier: MIT
#include <gossamer/node/tcp_group.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/node/any_group.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace gossamer;
using namespace std::chrono_literals;
using Record = std::map<std::string, double>;

constexpr std::size_t m = 3;

NodeOptions node_options(std::shared_ptr<observe::Callback> callback) {
  return NodeOptions().seed(tests::seed).drain_timeout(60s).callback(std::move(callback));
}

/// Each process's record, and all parts of the group.
std::vector<Record> over_tcp(const std::shared_ptr<tests::Listener>& listener) {
  const std::string first = transport::Tcp(transport::TcpOptions()).address();
  std::vector<Record> records(m);
  std::vector<std::string> errors(m);
  std::vector<std::thread> processes;
  for (PeerId i = 0; i < m; ++i) {
    processes.emplace_back([&, i] {
      try {
        transport::TcpOptions tcp(i);
        tcp.world_size(m).timers({.heartbeat = 50ms, .dead_after = 60s, .handshake = 30s});
        if (i == 0) tcp.listen(first);
        if (i > 0) tcp.contacts({first});
        TcpGroup<tests::Mover> group(
            TcpGroupOptions(tcp).node(node_options(listener)), rule::GoSgd(0.5),
            [](Context context) { return std::make_unique<tests::Mover>(std::move(context)); });
        records[i] = tests::train(group);
        if (group.weight_of_all()) errors[i] = "sees the weight of all, but only has a part";
      } catch (const std::exception& error) {
        errors[i] = error.what();
      }
    });
  }
  for (auto& process : processes) process.join();
  for (const auto& error : errors) CHECK(error.empty());
  return records;
}

/// What must hold of all records of a group, whatever carried its messages.
void check_records(const std::vector<Record>& records, const tests::Listener& heard) {
  double weight = 0;
  double steps = 0;
  for (const Record& record : records) {
    CHECK(record.size() == 5);
    CHECK(record.at("nodes") == m);
    CHECK(record.at("steps_after_twenty") >= 20 * m);
    CHECK(record.at("steps") >= 30 * m);
    CHECK(record.at("mean") == records.front().at("mean"));  // to the bit, at each
    CHECK(record.at("mean") > 0);
    CHECK(record.at("mean") < m);
    weight += record.at("weight_here");
    steps = std::max(steps, record.at("steps"));
  }
  CHECK(weight == tests::Approx(1).margin(tests::weight_tolerance));
  CHECK(static_cast<double>(heard.steps) == steps);
  CHECK(heard.sent > 0);
  CHECK(heard.delivered > 0);
  CHECK(heard.merged > 0);
  const std::uint64_t groups = records.size();
  CHECK(heard.begins == 3 * groups);
  CHECK(heard.ends == 3 * groups);
  CHECK(heard.live == 3 * m);  // each node once at each end, wherever it lives
  CHECK(heard.rests >= 3 * m);
  CHECK(heard.evaluations == groups);
  CHECK(heard.mistakes == 0);
  CHECK(heard.checkpoints == groups);
  REQUIRE(heard.weights.size() == m);
  double told = 0;
  for (const auto& [node, held] : heard.weights) told += held;
  CHECK(told == tests::Approx(1).margin(tests::weight_tolerance));
}

/// Stops its group at the third tick.
class Stopper final : public observe::Callback {
 public:
  void on_tick(Time, const observe::GroupState& state) override {
    ++ticks;
    nodes = state.nodes.size();
    elapsed = state.elapsed.count();
    if (ticks == 3) group->stop();
  }
  Group<tests::Mover>* group = nullptr;
  int ticks = 0;
  std::size_t nodes = 0;
  double elapsed = 0;
};

}  // namespace

TEST_CASE("One program against Group runs on threads, simulated and over TCP",
          "[node][group][threads]") {
  const auto listener = std::make_shared<tests::Listener>();
  SECTION("threads") {
    ThreadGroup<tests::Mover> group(GroupOptions(m).node(node_options(listener)), rule::GoSgd(0.5));
    check_records({tests::train(group)}, *listener);
    CHECK(*group.weight_of_all() == tests::Approx(1).margin(tests::weight_tolerance));
  }
  SECTION("simulated") {
    SimulatedGroup<tests::Mover> group(SimulatedGroupOptions(m).node(node_options(listener)),
                                       rule::GoSgd(0.5));
    check_records({tests::train(group)}, *listener);
    CHECK(*group.weight_of_all() == tests::Approx(1).margin(tests::weight_tolerance));
  }
  SECTION("TCP") { check_records(over_tcp(listener), *listener); }
}

TEST_CASE("Callbacks are told of each tick while nodes run, and may stop them",
          "[node][group][threads]") {
  const auto stopper = std::make_shared<Stopper>();
  ThreadGroup<tests::Mover> group(GroupOptions(m).callback(stopper).tick(1ms), rule::GoSgd(0.5));
  stopper->group = &group;
  group.run_until(StopCondition());
  CHECK(stopper->ticks >= 3);
  CHECK(stopper->nodes == m);
  CHECK(stopper->elapsed >= 0.002);
  CHECK(group.state().elapsed.count() >= stopper->elapsed);
  CHECK(*group.state().weight_of_all == tests::Approx(1).margin(tests::weight_tolerance));
}

TEST_CASE("A node that waits for others says so, and so does one that leaves",
          "[node][group][threads]") {
  const auto listener = std::make_shared<tests::Listener>();
  ThreadGroup<tests::Mover> group(GroupOptions(2).callback(listener), rule::PerSyn(1));
  group.run_until(StopCondition().steps(50));
  CHECK(listener->waits > 0);
  CHECK(listener->lefts == 0);

  transport::TcpOptions alone;
  TcpGroup<tests::Mover> leaver(
      TcpGroupOptions(alone).callback(listener).leave_when([] { return true; }), rule::GoSgd(0.5),
      [](Context context) { return std::make_unique<tests::Mover>(std::move(context)); });
  leaver.run(StopCondition().steps(1));
  CHECK(listener->lefts == 1);
}

TEST_CASE("A condition that holds already ends a run at once, and no steps are none",
          "[node][group][threads]") {
  ThreadGroup<tests::Mover> group(GroupOptions(2), rule::GoSgd(0.5));
  group.run_until(StopCondition().steps(0));
  CHECK(group.totals().steps == 0);
  group.run_for(StopCondition().steps(3));
  const auto steps = group.totals().steps;
  CHECK(steps >= 6);
  group.run_until(StopCondition().steps(2));
  group.run_until(StopCondition().samples(0));
  group.run_until(StopCondition().duration(0s));
  CHECK(group.totals().steps == steps);
}
