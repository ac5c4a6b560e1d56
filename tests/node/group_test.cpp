// SPDX-License-Identifier: MIT
#include <gossamer/node/tcp_group.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/sync.hpp>
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
    CHECK(record.at("mean") < m - 1);
    weight += record.at("weight_here");
    steps = std::max(steps, record.at("steps"));
  }
  CHECK(weight == tests::Approx(1).margin(tests::weight_tolerance));
  CHECK(static_cast<double>(heard.steps) == steps);
  CHECK(heard.sent > 0);
  CHECK(heard.delivered > 0);
  CHECK(heard.merged > 0);
}

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
