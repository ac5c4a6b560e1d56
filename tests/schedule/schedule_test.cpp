// SPDX-License-Identifier: MIT
/// Schedules that go by the clock, by hand and in simulated groups; and what a node finds out about
/// its peers on the way.
#include <gossamer/error.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/schedule/bandwidth.hpp>
#include <gossamer/schedule/poisson.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/support.hpp>
#include <tests/topology/choice_context.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::transport::SimulatedLink;
using gossamer::transport::SimulatedOptions;
using tests::Approx;
using tests::ChoiceContext;
using tests::message_of;
using namespace std::chrono_literals;
namespace cost = gossamer::cost;
namespace fault = gossamer::fault;
namespace rule = gossamer::rule;
namespace schedule = gossamer::schedule;
namespace topology = gossamer::topology;

/// 1,000 numbers that stay as they are; 8,032 bytes a message.
class Still final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Still(Context context)
      : GossipNode(std::move(context), {torch::zeros({1000}, torch::kDouble)}) {}

  gossamer::PeerHealth health(PeerId peer) { return engine().context().health(peer); }

 private:
  double local_step() override { return 0; }
};

using Group = gossamer::SimulatedGroup<Still>;

/// Node 0 is four times as fast as the others.
SimulatedGroupOptions fast_and_slow(std::size_t nodes) {
  return SimulatedGroupOptions(nodes)
      .node(NodeOptions().seed(tests::seed).max_in_flight(1000))
      .cost_of([](PeerId id) { return cost::Constant(id == 0 ? 5ms : 20ms); });
}

TEST_CASE("A Poisson schedule says yes with probability 1 - exp(-rate dt)", "[schedule]") {
  ChoiceContext context(0, 2);
  const schedule::Poisson when(50);
  for (const auto passed : {0ms, 1ms, 20ms, 10'000ms}) {
    CAPTURE(passed.count());
    context.passed = passed;
    int count = 0;
    for (int k = 0; k < 10'000; ++k) count += when(context) ? 1 : 0;
    const double expected = 10'000 * (1 - std::exp(-0.05 * static_cast<double>(passed.count())));
    CHECK(std::abs(count - expected) <= 4 * std::sqrt(expected * (1 - expected / 10'001)));
  }
  for (const double rate : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    CHECK_THAT(message_of<ConfigError>([&] { schedule::Poisson{rate}; }),
               tests::contains("Poisson: rate must be finite and above 0, got "));
  }
}

TEST_CASE("Under a Poisson schedule fast and slow nodes push equally often per second",
          "[schedule][simulated]") {
  Group group(fast_and_slow(4), rule::GoSgd(schedule::Poisson(2)));
  group.run(StopCondition().duration(500s));
  const auto sent = [&](PeerId id) {
    return static_cast<double>(group.counters(id).messages_sent);
  };
  // Within 4 deviations of 2 * 500; of the slow ones 2 % are in one step with another.
  CHECK(sent(0) == Approx(995).margin(128));
  for (PeerId id = 1; id < 4; ++id) CHECK(sent(id) == Approx(980).margin(128));
  CHECK(group.counters(0).steps > 3 * group.counters(1).steps);
}

TEST_CASE("A bandwidth schedule spends its budget and never more, at its nodes' own times",
          "[schedule][simulated]") {
  constexpr double message = 8032;
  Group group(fast_and_slow(4), rule::GoSgd(schedule::Bandwidth(10 * message)));
  std::vector<std::uint64_t> last(4);
  std::vector<double> times;  // of node 0's pushes
  group.on_step = [&] {
    for (PeerId id = 0; id < 4; ++id) {
      const auto sent = group.counters(id).messages_sent;
      REQUIRE(static_cast<double>(sent) <= 10 * group.elapsed().count() + 1);
      if (id == 0 && sent > last[0]) times.push_back(group.elapsed().count());
      last[id] = sent;
    }
  };
  group.run_until(StopCondition().duration(60s));
  for (PeerId id = 0; id < 4; ++id) {
    CHECK(static_cast<double>(group.counters(id).bytes_sent) ==
          Approx(600 * message).margin(2 * message));
  }
  // One after another, a tenth of a second and at most a step apart.
  for (std::size_t k = 1; k < times.size(); ++k) {
    REQUIRE(times[k] - times[k - 1] == Approx(0.1).margin(0.0051));
  }
  // A budget for more than the steps can send: one message a step, and no more later.
  Group rich(fast_and_slow(2), rule::GoSgd(schedule::Bandwidth(1000 * message)));
  rich.run(StopCondition().duration(2s));
  for (PeerId id = 0; id < 2; ++id) {
    CHECK(rich.counters(id).messages_sent >= rich.counters(id).steps - 1);
    CHECK(rich.counters(id).messages_sent <= rich.counters(id).steps);
  }
  CHECK(message_of<ConfigError>([] { schedule::Bandwidth(0); }) ==
        "Bandwidth: bytes per second must be finite and above 0, got 0");
}

TEST_CASE("A simulated node measures the speed of its links", "[transport][simulated]") {
  auto options = fast_and_slow(3);
  // 8,032 bytes and a frame's 96 at 1 MB/s from 0 to 1, at 100 kB/s from 0 to 2, and 1 ms there and
  // back; the answer has 96 bytes.
  options.world(SimulatedOptions(3).link_of([](PeerId, PeerId to) {
    return SimulatedLink{.latency = 500us, .bytes_per_second = to == 2 ? 1e5 : 1e6};
  }));
  Group group(options, rule::GoSgd(schedule::Poisson(2)));
  CHECK(group[0].health(1).bytes_per_second == 0);
  group.run(StopCondition().duration(30s));
  const double fast = 8032 / (8128 / 1e6 + 1e-3 + 96 / 1e6);
  const double slow = 8032 / (8128 / 1e5 + 1e-3 + 96 / 1e6);
  CHECK(group[0].health(1).bytes_per_second == Approx(fast).epsilon(0.05));
  CHECK(group[0].health(2).bytes_per_second == Approx(slow).epsilon(0.05));
  CHECK(group[1].health(2).bytes_per_second == Approx(slow).epsilon(0.05));
}

TEST_CASE("A simulated node counts what it sends to a peer, and forgets it when that is gone",
          "[transport][simulated]") {
  const auto options = fast_and_slow(3).plan({{30s, fault::Crash{1}}});
  Group group(options, rule::GoSgd(schedule::Poisson(5)));
  gossamer::PeerHealth before;
  bool gone = false;
  group.on_step = [&] {
    if (group.world().now() < 30s) before = group[0].health(1);
    gone = gone || (group.world().now() > 40s && group[0].health(1).sent == 0);
  };
  group.run(StopCondition().duration(50s));
  CHECK(before.sent >= 20);
  CHECK(before.returned == 0);
  CHECK(gone);
  CHECK(group.total_weight() == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A node knows which peer's queue is full", "[transport]") {
  // Mailboxes of one message, and nobody who reads them: the second one comes back.
  const auto hub = gossamer::transport::ThreadHub::make(3, 1);
  const auto context = [&](PeerId id, const topology::Any& whom) {
    return Context{hub->endpoint(id), rule::GoSgd(schedule::Bernoulli(1), whom),
                   NodeOptions().seed(tests::seed).max_in_flight(1000), 1.0 / 3};
  };
  Still node(context(0, topology::Ring()));
  Still still(context(1, topology::Ring()));
  Still other(context(2, topology::Ring()));
  for (int k = 0; k < 10; ++k) {
    while (node.advance(StopCondition().steps(1000), 0ns) != gossamer::Progress::stepped) {
    }
  }
  node.settle();
  CHECK(node.health(1).sent == 10);
  CHECK(node.health(1).returned == 9);
  CHECK(node.health(2).sent == 0);
  CHECK(node.health(1).bytes_per_second == 0);  // threads have no links
}

}  // namespace
