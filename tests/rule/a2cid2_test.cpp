// SPDX-License-Identifier: MIT
/// A2CiD2: its numbers, its events by hand, its sums, and that it is faster on a ring.
#include <gossamer/error.hpp>
#include <gossamer/rule/a2cid2.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::A2Cid2;
using gossamer::rule::A2Cid2Constants;
using gossamer::rule::ElasticExchange;
using gossamer::schedule::Every;
using gossamer::topology::Ring;
using tests::Approx;
using tests::Bench;
using tests::Message;

A2Cid2& rule_of(Bench& bench, std::size_t id) { return dynamic_cast<A2Cid2&>(*bench[id].rule); }
double tilde(Bench& bench, std::size_t id) {
  return rule_of(bench, id).momentum(bench[id]).segments()[0].data_ptr<double>()[0];
}

/// Sums of x and of x~ over nodes and answers under way, of the first number.
std::array<double, 2> sums(Bench& bench) {
  std::array<double, 2> all{};
  for (std::size_t i = 0; i < bench.size(); ++i) {
    all[0] += bench[i].x()[0];
    all[1] += tilde(bench, i);
  }
  for (const Bench::Pending& one : bench.pending()) {
    const Message* message = Bench::message_of(one);
    if (message == nullptr || message->kind != ElasticExchange::answer) continue;
    const double d = message->payload->segments()[0].data_ptr<double>()[0];
    all[0] -= d;
    all[1] -= A2Cid2::strength(*message) * d;
  }
  return all;
}

double consensus_error(Bench& bench) {
  double mean = 0;
  double error = 0;
  for (std::size_t i = 0; i < bench.size(); ++i) mean += bench[i].x()[0];
  mean /= static_cast<double>(bench.size());
  for (std::size_t i = 0; i < bench.size(); ++i) error += std::pow(bench[i].x()[0] - mean, 2);
  return error;
}

/// Sixteen nodes on a ring with numbers 0 to 15 that stand still, after so many turns.
double error_on_ring(A2Cid2 rule, int turns) {
  Bench bench(16, rule, 1);
  bench.conserves = false;
  for (std::size_t i = 0; i < 16; ++i) bench[i].set(static_cast<double>(i));
  for (int turn = 0; turn < turns; ++turn) {
    for (PeerId id = 0; id < 16; ++id) {
      bench.advance(id);
      bench.settle();
    }
  }
  return consensus_error(bench);
}

}  // namespace

TEST_CASE("A2CiD2's numbers of ring, cube and exponential graph are those that are known",
          "[rule][a2cid2]") {
  const auto near = [](double value) { return Approx(value).epsilon(1e-4); };
  const auto both_ways = Ring(Ring::Way::both);
  CHECK(A2Cid2Constants::of(both_ways, 8).eta == near(0.28928));
  CHECK(A2Cid2Constants::of(both_ways, 8).alpha_tilde == near(0.98767));
  CHECK(A2Cid2Constants::of(both_ways, 16).eta == near(0.14247));
  CHECK(A2Cid2Constants::of(both_ways, 16).alpha_tilde == near(1.8717));
  const auto cube = A2Cid2Constants::of(gossamer::topology::Hypercube(), 8);  // 3/2 and 7/8
  CHECK(cube.eta == near(1 / (2 * std::sqrt(1.5 * 0.875))));
  CHECK(cube.alpha_tilde == near(std::sqrt(1.5 / 0.875) / 2));
  const auto hops = gossamer::topology::adjacency(gossamer::topology::Exponential(), 16);
  const auto exponential = A2Cid2Constants::of(gossamer::topology::resistance(hops + hops.t()));
  CHECK(exponential.eta == near(0.35186));
  CHECK(exponential.alpha_tilde == near(0.70372));
  CHECK(A2Cid2Constants::of(both_ways, 1).eta == 0);
  CHECK(tests::message_of<gossamer::ConfigError>([] { (void)A2Cid2(1, Ring()); }) ==
        "A2Cid2: needs a graph whose edges go both ways; among 8 places some go one way");
}

TEST_CASE("A2CiD2 by hand: step, flow, and an exchange that is opposite at both ends",
          "[rule][a2cid2]") {
  const double eta = 0.3;
  const double flow = (1 - std::exp(-2 * eta)) / 2;
  const auto rule = A2Cid2(Every(1)).rate(1).constants({.eta = eta, .alpha_tilde = 1.5});
  Bench bench(2, rule, 1);
  bench.conserves = false;
  bench.gradient = [](PeerId id, std::size_t) { return id == 0 ? 1.0 : 0.0; };
  bench[0].set(4);
  bench[1].set(8);
  bench.advance(0);  // x and x~ step to 3 and ask
  CHECK(bench[0].x()[0] == 3);
  CHECK(tilde(bench, 0) == 3);
  bench.settle();  // m = 3 - 8
  CHECK(bench[0].x()[0] == 5.5);
  CHECK(tilde(bench, 0) == 3 + 1.5 * 5);
  CHECK(bench[1].x()[0] == 5.5);
  CHECK(tilde(bench, 1) == 8 - 1.5 * 5);
  bench.advance(0);  // no time since its step; then asks at time 2
  bench.settle();
  const double x = 5.5 - 1 + flow * (10.5 - 5.5);
  const double other = 5.5;  // no time has passed there: it took no step
  CHECK(bench[0].x()[0] == Approx((x + other) / 2).epsilon(1e-14));
  CHECK(bench[1].x()[0] == Approx((x + other) / 2).epsilon(1e-14));
  const double m = x - other;
  CHECK(tilde(bench, 0) == Approx(10.5 - 1 - flow * 5 - 1.5 * m).epsilon(1e-14));
  CHECK(tilde(bench, 1) == Approx(0.5 + 1.5 * m).epsilon(1e-14));
}

TEST_CASE("A2CiD2 keeps both sums through any schedule, returns and leavers", "[rule][a2cid2]") {
  const bool flows = GENERATE(false, true);
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench(nodes, A2Cid2(0.7).constants({.eta = flows ? 0.4 : 0, .alpha_tilde = 0.9}), 1);
  bench.conserves = false;
  Generator order(tests::seed, 4100);
  double walked = 0;
  bench.gradient = [&](PeerId, std::size_t) {
    const double step = order.uniform() - 0.5;
    walked += step;
    return step;
  };
  const auto before = sums(bench);
  const auto check = [&] {
    const auto now = sums(bench);
    const double moved = now[0] - before[0] + walked;
    const double tilde_moved = now[1] - before[1] + walked;
    REQUIRE(std::abs(moved + tilde_moved) < 1e-12 * static_cast<double>(nodes));
    if (!flows) REQUIRE(std::abs(moved) < 1e-12 * static_cast<double>(nodes));
  };
  for (int i = 0; i < 800; ++i) {
    bench.act(order);
    check();
  }
  bench.settle();
  check();
  bench.leave(1);  // what it has open is settled; it takes x and x~ along
  bench.settle();
  check();
}

TEST_CASE("A2CiD2 brings a ring of sixteen together faster than plain averaging",
          "[rule][a2cid2]") {
  const double plain = error_on_ring(A2Cid2(Every(1)).constants({}), 40);
  const double accelerated = error_on_ring(A2Cid2(Every(1)), 40);
  CAPTURE(plain, accelerated);
  CHECK(accelerated < plain / 4);
  CHECK(plain < 340);
}

TEST_CASE("A newcomer's x~ begins as x, and A2CiD2 refuses a rate below 0", "[rule][a2cid2]") {
  Bench bench(2, A2Cid2(Every(1)), 1);
  bench.conserves = false;
  const double weight = bench[1].weight();
  bench[1].weight() = 0;
  bench[0].weight() += weight;
  bench.advance(0);
  bench.handle(0);
  CHECK(tests::pending_message(bench, 0).kind == ElasticExchange::refusal);
  bench.settle();
  bench[1].set(0.25);
  bench[0].weight() -= weight;
  bench[1].weight() = weight;
  bench.advance(1);
  CHECK(tilde(bench, 1) == 0.25);
  CHECK(tests::message_of<gossamer::ConfigError>([] { A2Cid2().rate(-1); }) ==
        "A2Cid2: rate must be at least 0, got -1");
}
