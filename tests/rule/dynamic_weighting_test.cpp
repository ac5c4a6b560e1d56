// SPDX-License-Identifier: MIT
/// Dynamic weighting: what a history of distances says of a worker, and what the centre does.
#include <gossamer/error.hpp>
#include <gossamer/rule/dynamic_weighting.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/node/descender.hpp>
#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::DynamicEasgd;
using gossamer::rule::DynamicWeights;
using gossamer::rule::DynamicWeightsOptions;
using gossamer::rule::EasgdOptions;
using gossamer::transport::Delivered;
using tests::Approx;
using tests::Bench;
using tests::Reason;

TEST_CASE("The score is the mean change, and the newest changes count most",
          "[rule][dynamic_weighting]") {
  CHECK(DynamicWeights::score({2}) == 0);
  CHECK(DynamicWeights::score({2, 1}) == 1);
  CHECK(DynamicWeights::score({4, 1, 0}) == Approx((2 * 3 + 1 * 1) / 3.0));
  CHECK(DynamicWeights::score({0, 1, 2, 3}) == Approx(-1));
}

TEST_CASE("A worker that keeps its distance is weighted as in EASGD, one that falls is not trusted",
          "[rule][dynamic_weighting]") {
  DynamicWeights weights(DynamicWeightsOptions().threshold(-0.4).history(1));
  auto h = weights(3, 1, 0.1);
  CHECK(h.worker == Approx(0.1));
  CHECK(h.centre == Approx(0.1));
  h = weights(3, 2, 0.1);  // it moves away: it trains
  CHECK(h.worker == Approx(0.1));
  CHECK(h.centre == Approx(0.1));
  h = weights(3, 2 * std::exp(-0.2), 0.1);  // half way to the threshold
  CHECK(h.worker == Approx(0.55));
  CHECK(h.centre == Approx(0.05));
  CHECK(weights.part(3) == Approx(0.05 / 0.55));
  h = weights(3, 0.1, 0.1);
  CHECK(h.worker == 1);
  CHECK(h.centre == 0);
  h = weights(4, 0.1, 0.1);  // another worker has a history of its own
  CHECK(h.centre == Approx(0.1));
  weights.forget(3);
  CHECK(weights(3, 0.01, 0.1).centre == Approx(0.1));
}

TEST_CASE("Equal models have a distance, too", "[rule][dynamic_weighting]") {
  DynamicWeights weights;
  for (const double distance : {0.0, 0.0, 1.0, 1.0}) {
    const auto h = weights(1, distance, 0.1);
    CHECK(h.worker == Approx(0.1));
    CHECK(h.centre == Approx(0.1));
  }
}

TEST_CASE("The centre sets a failed worker on itself and does not listen to it",
          "[rule][dynamic_weighting]") {
  const DynamicEasgd rule(EasgdOptions().tau(1).alpha(0.25),
                          DynamicWeights(DynamicWeightsOptions().threshold(-0.1).history(1)));
  Bench bench(2, rule, 1);
  bench.conserves = false;
  bench[0].set(0);
  bench[1].set(8);
  bench.advance(1);
  bench.settle();
  CHECK(bench[0].x()[0] == 2);  // as EASGD at first
  CHECK(bench[1].x()[0] == 6);
  bench.advance(1);  // 4 away after 8: it has stood still
  bench.settle();
  CHECK(bench[0].x()[0] == 2);
  CHECK(bench[1].x()[0] == 2);
}

TEST_CASE("An answer that comes back is undone by what the centre had taken of it",
          "[rule][dynamic_weighting]") {
  const DynamicEasgd rule(EasgdOptions().tau(1).alpha(0.5),
                          DynamicWeights(DynamicWeightsOptions().threshold(-4).history(1)));
  Bench bench(2, rule, 1);
  bench.conserves = false;
  bench[0].set(0);
  bench[1].set(8);
  bench.advance(1);
  bench.settle();  // both at 4
  bench[0].set(0);
  bench.advance(1);
  bench.handle(0);
  CHECK(bench[0].x()[0] != 0);
  bench.give_back(0);
  bench.settle();
  CHECK(bench[0].x()[0] == Approx(0).margin(1e-12));
  CHECK(bench[1].x()[0] == 4);
}

TEST_CASE("Equal nodes stay equal and the centre stays within the workers, under any schedule",
          "[rule][dynamic_weighting]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const bool equal = GENERATE(false, true);
  Bench bench(nodes, DynamicEasgd(EasgdOptions().tau(1).drop(1.0 / 3)), 2);
  bench.conserves = false;
  Generator order(tests::seed, 4700);
  for (std::size_t i = 0; equal && i < nodes; ++i) bench[i].set(0.1);
  const auto count = static_cast<std::uint32_t>(nodes);
  for (int i = 0; i < 800; ++i) {
    const auto waiting = static_cast<std::uint32_t>(bench.pending().size());
    if (waiting == 0 || order.below(7) < 3) {
      bench.advance(order.below(count));
    } else {
      bench.handle(order.below(waiting));
    }
  }
  bench.settle();
  for (std::size_t i = 0; i < nodes; ++i) {
    for (const double value : bench[i].x()) {
      if (equal) CHECK(value == 0.1);
      CHECK(value >= -1e-9);
      CHECK(value <= 1 + 1e-9);
    }
  }
}

TEST_CASE("A share of the exchanges is left out", "[rule][dynamic_weighting]") {
  Bench bench(2, DynamicEasgd(EasgdOptions().tau(1).drop(1.0 / 3)), 1);
  bench.conserves = false;
  int exchanges = 0;
  for (int i = 0; i < 3000; ++i) {
    bench.advance(1);
    exchanges += bench.pending().empty() ? 0 : 1;
    bench.settle();
  }
  CHECK(std::abs(exchanges - 2000) < 4 * std::sqrt(3000 * 2 / 9.0));
}

TEST_CASE("Options of the weights that cannot work are refused", "[rule][dynamic_weighting]") {
  CHECK(tests::message_of<ConfigError>([] {
          DynamicWeights(DynamicWeightsOptions().threshold(0));
        }) == "DynamicWeightsOptions: threshold must be below 0, got 0");
  CHECK(tests::message_of<ConfigError>([] {
          DynamicWeights(DynamicWeightsOptions().history(0));
        }) == "DynamicWeightsOptions: history must be at least 1, got 0");
}

TEST_CASE("Workers that fail to get through at random, and crash, still train together",
          "[rule][dynamic_weighting][simulated]") {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  gossamer::SimulatedGroup<tests::Descender> group(
      gossamer::SimulatedGroupOptions(5)
          .world(gossamer::transport::SimulatedOptions(5).noise({.loss = 0.03, .duplicate = 0.02}))
          .node(gossamer::NodeOptions().seed(tests::seed))
          .plan({{1s, fault::Crash{0}}, {2s, fault::Restart{0}}, {3s, fault::Crash{4}}}),
      DynamicEasgd(EasgdOptions().tau(2).drop(1.0 / 3)),
      tests::descenders({.length = 8, .rate = 0.05, .noise = 0.1, .target = 1}));
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(6s));
  CHECK(worst < tests::weight_tolerance);
  for (const PeerId id : {0U, 1U, 2U, 3U}) {
    REQUIRE(group.is_live(id));
    CHECK(group[id].numbers()[0] == Approx(1).margin(0.4));
  }
}

}  // namespace
