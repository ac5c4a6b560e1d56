// SPDX-License-Identifier: MIT
/// NoLoCo against its formula, and what becomes of it when messages are late, return or are lost.
#include <gossamer/error.hpp>
#include <gossamer/rule/noloco.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::NoLoCo;
using gossamer::rule::NoLoCoOptions;
using gossamer::rule::detail::partner_in;
using tests::Approx;
using tests::Bench;

double slow(Bench& bench, std::size_t id) {
  auto& rule = dynamic_cast<NoLoCo&>(*bench[id].rule);
  return rule.slow(bench[id]).segments()[0].data_ptr<double>()[0];
}

Bench noloco_bench(std::size_t nodes, const NoLoCoOptions& options) {
  Bench bench(nodes, NoLoCo(options), 1);
  bench.conserves = false;
  return bench;
}

double sum_of_slow(Bench& bench) {
  double sum = 0;
  for (std::size_t id = 0; id < bench.size(); ++id) sum += slow(bench, id);
  return sum;
}

}  // namespace

TEST_CASE("A matching pairs each node with one that is paired with it, and is drawn anew",
          "[rule][noloco]") {
  const std::size_t nodes = GENERATE(2U, 5U, 8U);
  Bench bench = noloco_bench(nodes, NoLoCoOptions());
  std::set<PeerId> partners_of_0;
  for (std::uint64_t number = 0; number < 60; ++number) {
    std::size_t alone = 0;
    for (PeerId id = 0; id < nodes; ++id) {
      const auto partner = partner_in(bench[id], 7, number);
      alone += partner ? 0 : 1;
      if (!partner) continue;
      CHECK(*partner != id);
      CHECK(partner_in(bench[*partner], 7, number) == id);
      if (id == 0) partners_of_0.insert(*partner);
    }
    CHECK(alone == nodes % 2);
  }
  CHECK(partners_of_0.size() == nodes - 1);
}

TEST_CASE("NoLoCo's pair by hand: half of each way, and half of the distance", "[rule][noloco]") {
  Bench bench = noloco_bench(2, NoLoCoOptions().tau(2).alpha(0.5).beta(0.7));
  bench.gradient = [](PeerId id, std::size_t) { return id == 0 ? -1.0 : -3.0; };
  bench[0].set(10);
  bench[1].set(20);
  for (int step = 0; step < 2; ++step) {
    for (PeerId id = 0; id < 2; ++id) bench.advance(id);
  }
  bench.settle();  // phi = (10, 20), D = (2, 6): d = 0.7 * 4 +- 0.7 * 5
  CHECK(slow(bench, 0) == Approx(10 + 2.8 + 3.5).epsilon(1e-14));
  CHECK(slow(bench, 1) == Approx(20 + 2.8 - 3.5).epsilon(1e-14));
  CHECK(bench[0].x()[0] == Approx(16.3).epsilon(1e-14));
  CHECK(bench[1].x()[0] == Approx(19.3).epsilon(1e-14));
  bench.gradient = {};
  for (int step = 0; step < 2; ++step) {
    for (PeerId id = 0; id < 2; ++id) bench.advance(id);
  }
  bench.settle();  // d = 0.5 (6.3, -0.7) +- 0.7 * 1.5
  CHECK(slow(bench, 0) == Approx(16.3 + 3.15 + 1.05).epsilon(1e-14));
  CHECK(slow(bench, 1) == Approx(19.3 - 0.35 - 1.05).epsilon(1e-14));
}

TEST_CASE("NoLoCo in step is the formula, with a pull of its own, too", "[rule][noloco]") {
  const double gamma = GENERATE(0.0, 1.1);
  const std::size_t nodes = GENERATE(4U, 5U);
  const double beta = 0.7;
  const double pull = gamma > 0 ? gamma : beta;
  Bench bench = noloco_bench(nodes, NoLoCoOptions().tau(1).beta(beta).gamma(gamma).seed(3));
  std::vector<double> phi;
  for (PeerId id = 0; id < nodes; ++id) phi.push_back(bench[id].x()[0]);
  std::vector<double> d(nodes, 0);
  std::vector<double> x = phi;
  Generator random(tests::seed, 4200);
  std::vector<double> steps(nodes, 0);
  bench.gradient = [&](PeerId id, std::size_t) { return steps[id]; };
  for (std::uint64_t round = 1; round < 12; ++round) {
    for (PeerId id = 0; id < nodes; ++id) x[id] -= steps[id] = random.uniform() - 0.5;
    const std::vector<double> before = phi;
    const std::vector<double> reached = x;
    for (PeerId id = 0; id < nodes; ++id) {
      const auto partner = partner_in(bench[id], 3, round);
      if (!partner) continue;
      const double way = (reached[id] - before[id] + reached[*partner] - before[*partner]) / 2;
      d[id] = 0.5 * d[id] + beta * way - pull * (before[id] - before[*partner]) / 2;
      phi[id] = before[id] + d[id];
      x[id] = phi[id];
    }
    for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
    bench.settle();
    for (PeerId id = 0; id < nodes; ++id) {
      CHECK(slow(bench, id) == Approx(phi[id]).margin(1e-13));
      CHECK(bench[id].x()[0] == Approx(x[id]).margin(1e-13));
    }
  }
}

TEST_CASE("Who waits for NoLoCo's answer trains on and keeps what it trains", "[rule][noloco]") {
  Bench bench = noloco_bench(2, NoLoCoOptions().tau(1).alpha(0));
  bench[0].set(0);
  bench[1].set(1);
  bench.advance(1);
  bench.advance(0);  // asks with 0
  bench.gradient = [](PeerId, std::size_t) { return -0.25; };
  bench.advance(0);
  bench.advance(0);
  CHECK(bench.pending().size() == 1);
  SECTION("the answer comes") {
    bench.settle();
    CHECK(bench[0].x()[0] == Approx(0.35 + 0.5));
    CHECK(slow(bench, 0) == Approx(0.35));
    CHECK(slow(bench, 1) == Approx(0.65));
  }
  SECTION("the request comes back: nothing has happened, and it asks again") {
    bench.give_back(0);
    bench.settle();
    CHECK(bench[0].x()[0] == 0.5);
    CHECK(slow(bench, 0) == 0);
    bench.advance(0);
    CHECK(bench.pending().size() == 1);
  }
  SECTION("the answer comes back: the asker is told, and asks again") {
    bench.handle(0);
    bench.give_back(0);
    bench.settle();
    CHECK(slow(bench, 0) == 0);
    CHECK(slow(bench, 1) == Approx(0.65));
    bench.advance(0);
    CHECK(bench.pending().size() == 1);
  }
  SECTION("the other one is lost") {
    bench.lose(1);
    bench.settle();
    CHECK(bench[0].x()[0] == 0.5);
    CHECK(bench.advance(0));
  }
}

TEST_CASE("NoLoCo's pulls keep the sum of slow parameters, whoever is how fast", "[rule][noloco]") {
  Bench bench = noloco_bench(6, NoLoCoOptions().tau(2).alpha(0).gamma(0.9));
  Generator order(tests::seed, 4300);
  for (PeerId id = 0; id < 6; ++id) slow(bench, id);
  const double before = sum_of_slow(bench);
  double largest = 0;
  for (int i = 0; i < 600; ++i) {
    const auto waiting = static_cast<std::uint32_t>(bench.pending().size());
    if (waiting == 0 || order.below(2) == 0) {
      bench.advance(order.below(order.below(6) + 1));  // low numbers are faster
    } else {
      bench.handle(bench.choose(order));
    }
  }
  bench.settle();
  for (PeerId id = 0; id < 6; ++id) {
    largest = std::max(largest, std::abs(slow(bench, id) - before / 6));
  }
  CHECK(sum_of_slow(bench) == Approx(before).epsilon(1e-13));
  CHECK(largest < 1e-6);
}

TEST_CASE("NoLoCo's options are refused with their values", "[rule][noloco]") {
  const auto refused = [](const NoLoCoOptions& options) {
    return tests::message_of<ConfigError>([&] { NoLoCo{options}; });
  };
  CHECK(refused(NoLoCoOptions().tau(0)) == "NoLoCoOptions: tau must be at least 1, got 0");
  CHECK(refused(NoLoCoOptions().alpha(1)) == "NoLoCoOptions: alpha must lie in [0, 1), got 1");
  CHECK(refused(NoLoCoOptions().beta(0)) == "NoLoCoOptions: beta must be above 0, got 0");
  CHECK(refused(NoLoCoOptions().gamma(3)) ==
        "NoLoCoOptions: gamma must lie in (0, 2 (1 + alpha)), got 3");
}
