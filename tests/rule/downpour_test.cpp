// SPDX-License-Identifier: MIT
/// DOWNPOUR: what workers learn adds up at the centre, once.
#include <gossamer/error.hpp>
#include <gossamer/rule/downpour.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/node/descender.hpp>
#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::Downpour;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;

Bench downpour_bench(std::size_t nodes, std::uint64_t tau, std::size_t size = 1) {
  Bench bench(nodes, Downpour(tau), size);
  bench.conserves = false;
  for (PeerId id = 0; id < nodes; ++id) bench[id].set(0);
  return bench;
}

/// The worker takes one step, with whatever exchange comes before it.
void step(Bench& bench, PeerId id) {
  if (!bench.advance(id)) {
    bench.settle();
    REQUIRE(bench.advance(id));
  }
}

TEST_CASE("A worker's steps go to the centre, and it starts again from there", "[rule][downpour]") {
  Bench bench = downpour_bench(3, 2);
  bench.gradient = [](PeerId id, std::size_t) { return id == 1 ? 1.0 : 10.0; };
  CHECK_FALSE(bench.advance(0));
  for (int i = 0; i < 2; ++i) {
    step(bench, 1);
    step(bench, 2);
  }
  CHECK(bench[0].x()[0] == 0);
  CHECK(bench[1].x()[0] == -2);
  CHECK_FALSE(bench.advance(1));  // waits for the centre
  bench.settle();
  CHECK(bench[0].x()[0] == -2);
  REQUIRE(bench.advance(1));
  CHECK(bench[1].x()[0] == -3);
  step(bench, 2);
  CHECK(bench[0].x()[0] == -22);
  CHECK(bench[2].x()[0] == -32);
}

TEST_CASE("Every step is in the centre once, under any schedule", "[rule][downpour]") {
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench = downpour_bench(nodes, 1, 2);
  Generator order(tests::seed, 4500);
  double sum = 0;
  bench.gradient = [&](PeerId, std::size_t j) {
    const double g = order.uniform();
    sum += j == 0 ? g : 0;
    return g;
  };
  for (int i = 0; i < 1500; ++i) bench.act(order);
  bench.settle();
  for (int i = 0; i < 2; ++i) {  // what came back goes with the next
    for (PeerId id = 1; id < nodes; ++id) {
      bench.gradient = {};
      step(bench, id);
      bench.settle();
    }
  }
  CHECK(bench[0].x()[0] == Approx(-sum).epsilon(1e-12));
  CHECK(bench[0].steps == 0);
}

TEST_CASE("Equal nodes without a gradient stay equal bit for bit", "[rule][downpour]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U);
  Bench bench = downpour_bench(nodes, 1);
  for (PeerId id = 0; id < nodes; ++id) bench[id].set(0.1);
  for (int i = 0; i < 5; ++i) {
    for (PeerId id = nodes > 1 ? 1 : 0; id < nodes; ++id) step(bench, id);
  }
  for (PeerId id = 0; id < nodes; ++id) CHECK(bench[id].x()[0] == 0.1);
}

TEST_CASE("What a worker has learnt is not lost with the centre, and goes to the next",
          "[rule][downpour]") {
  Bench bench = downpour_bench(3, 1);
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  step(bench, 1);
  step(bench, 2);
  step(bench, 2);  // node 0 has -1
  CHECK(bench[0].x()[0] == -1);
  CHECK_FALSE(bench.advance(2));  // and would have -2
  bench.lose(0);
  bench.settle();
  CHECK_FALSE(bench.advance(1));  // the next centre, which is at -1 by itself
  CHECK(bench[1].x()[0] == -1);
  REQUIRE(bench.advance(2));  // what came back waits for the next time
  step(bench, 2);
  CHECK(bench[1].x()[0] == -3);
}

TEST_CASE("A newcomer with the lowest number is given the centre variable", "[rule][downpour]") {
  Bench bench = downpour_bench(3, 1);
  const at::NoGradGuard no_grad;
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  for (PeerId id = 1; id < 3; ++id) {
    bench[id].forget(0);
    bench[id].rule->on_peer_left(bench[id], {0, Reason::lost});
  }
  for (int i = 0; i < 3; ++i) step(bench, 2);
  CHECK(bench[1].x()[0] == -2);
  for (PeerId id = 1; id < 3; ++id) {
    bench[id].remember(0);
    bench[id].rule->on_peer_joined(bench[id], 0);
  }
  bench.advance(1);
  bench.settle();
  CHECK(bench[0].x()[0] == -2);
  step(bench, 1);
  step(bench, 1);
  CHECK(bench[1].steps >= 2);
  CHECK(bench[0].x()[0] <= -3);
}

/// Four steps on M nodes, and one node goes. False if it was over before that. The others end all
/// their steps.
bool lose(std::size_t nodes, const Departure& departure, std::uint64_t stream) {
  const std::uint64_t steps = 4;
  Bench bench = downpour_bench(nodes, 1);
  Generator order(tests::seed, stream);
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  const bool lost = tests::take_steps(bench, departure, steps, order, tests::AtEnd::finish);
  bench.settle();
  INFO(departure << ", of " << nodes << " nodes, stream " << stream);
  for (PeerId id = 0; id < nodes; ++id) {
    if (bench[id].gone || id == departure.victim) continue;
    REQUIRE(bench[id].steps == steps);
    // No step counts twice: nobody is further than all steps together.
    REQUIRE(bench[id].x()[0] >= -static_cast<double>(steps * nodes));
    REQUIRE(bench[id].x()[0] <= 0);
  }
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the workers go on and no step counts twice",
          "[rule][downpour]") {
  const std::size_t nodes = GENERATE(2U, 3U, 4U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::finished);
  for (PeerId victim = 0; victim < nodes; ++victim) {
    for (std::uint64_t stream = 4600; stream < 4602; ++stream) {
      const auto tried = tests::before_each_event(
          {victim, reason, still_arrive},
          [&](const Departure& departure) { return lose(nodes, departure, stream); });
      REQUIRE(tried > 3 * nodes);
    }
  }
}

TEST_CASE("A period of 0 is refused by DOWNPOUR", "[rule][downpour]") {
  CHECK(tests::message_of<ConfigError>([] { Downpour(0); }) ==
        "Downpour: tau must be at least 1, got 0");
}

TEST_CASE("Workers learn together through crashes of the centre", "[rule][downpour][simulated]") {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  gossamer::SimulatedGroup<tests::Descender> group(
      gossamer::SimulatedGroupOptions(5)
          .world(gossamer::transport::SimulatedOptions(5).noise({.loss = 0.03, .duplicate = 0.02}))
          .node(gossamer::NodeOptions().seed(tests::seed))
          .plan({{1s, fault::Crash{0}}, {3s, fault::Restart{0}}, {4s, fault::Leave{0}}}),
      Downpour(5), tests::descenders({.rate = 0.02}));
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(10s));
  CHECK(worst < tests::weight_tolerance);
  CHECK(group[4].counters().steps > 500);
  CHECK(group[1].value() == Approx(3).margin(0.3));  // the mean of the workers 2, 3, 4
}

}  // namespace
