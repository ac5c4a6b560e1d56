// SPDX-License-Identifier: MIT
/// Asynchronous DiLoCo: delayed Nesterov momentum by hand, and steps by a node's speed.
#include <gossamer/error.hpp>
#include <gossamer/rule/async_diloco.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Counters;
using gossamer::PeerId;
using gossamer::rule::AsyncDiloco;
using gossamer::rule::AsyncDilocoOptions;
using tests::Approx;
using tests::Bench;

/// The worker takes so many steps, with whatever exchange comes before each.
void steps(Bench& bench, PeerId id, int count) {
  for (int i = 0; i < count; ++i) {
    if (bench.advance(id)) continue;
    bench.settle();
    REQUIRE(bench.advance(id));
  }
}

}  // namespace

TEST_CASE("N exchanges with the centre are one step of Nesterov's on their mean",
          "[rule][async_diloco]") {
  const double beta = 0.9;
  const double rate = 0.7;
  Bench bench(3, AsyncDiloco(AsyncDilocoOptions().tau(2).rate(rate).beta(beta)), 1);
  bench.conserves = false;
  for (PeerId id = 0; id < 3; ++id) bench[id].set(0);
  bench.gradient = [](PeerId id, std::size_t) { return id == 1 ? -1.0 : -3.0; };
  CHECK_FALSE(bench.advance(0));  // the centre takes no steps
  double c = 0;
  double momentum = 0;
  double sum = 0;
  steps(bench, 1, 2);
  steps(bench, 2, 2);
  const std::vector<PeerId> order = {1, 2, 2, 2, 1, 1};
  for (std::size_t k = 0; k < order.size(); ++k) {
    const double d = order[k] == 1 ? 2 : 6;
    sum += d;
    c += rate * d / 2;
    if (k % 2 == 1) {
      momentum = beta * momentum + sum / 2;
      c += rate * beta * momentum;
      sum = 0;
    }
    CHECK_FALSE(bench.advance(order[k]));  // it waits for the centre
    bench.settle();
    CHECK(bench[0].x()[0] == Approx(c).epsilon(1e-13));
    CHECK(bench[order[k]].x()[0] == bench[0].x()[0]);  // and goes on from there
    steps(bench, order[k], 2);
  }
}

TEST_CASE("Seven workers that each reach the minimum of a quadratic bring the centre there",
          "[rule][async_diloco]") {
  const auto end = [](const AsyncDilocoOptions& options) {
    Bench bench(8, AsyncDiloco(options), 1);
    bench.conserves = false;
    for (PeerId id = 0; id < 8; ++id) bench[id].set(1);
    bench.gradient = [&bench](PeerId id, std::size_t j) { return bench[id].x()[j]; };
    for (int round = 0; round < 60; ++round) {
      for (PeerId id = 1; id < 8; ++id) steps(bench, id, 1);  // d is minus a c that is a round old
    }
    return std::abs(bench[0].x()[0]);
  };
  CHECK(end(AsyncDilocoOptions().tau(1)) < 1e-3);
  CHECK(end(AsyncDilocoOptions().tau(1).beta(0.9)) > 1);  // which the options warn of
}

TEST_CASE("A worker that is half as fast sends after half as many steps", "[rule][async_diloco]") {
  AsyncDiloco rule(AsyncDilocoOptions().tau(10));
  Bench bench(3, rule, 1);
  bench[1].steps = 50;
  bench[1].known = [](PeerId peer) {
    Counters known;
    known.steps = peer == 2 ? 100 : 0;
    return known;
  };
  CHECK(rule.local_steps(bench[1]) == 5);
  bench[1].steps = 1;
  CHECK(rule.local_steps(bench[1]) == 1);
  bench[1].steps = 400;
  CHECK(rule.local_steps(bench[1]) == 10);
  bench[1].steps = 50;
  CHECK(AsyncDiloco(AsyncDilocoOptions().tau(10).by_speed(false)).local_steps(bench[1]) == 10);
}

TEST_CASE("Asynchronous DiLoCo's options are refused with their values", "[rule][async_diloco]") {
  const auto refused = [](const AsyncDilocoOptions& options) {
    return tests::message_of<ConfigError>([&] { AsyncDiloco{options}; });
  };
  CHECK(refused(AsyncDilocoOptions().tau(0)) ==
        "AsyncDilocoOptions: tau must be at least 1, got 0");
  CHECK(refused(AsyncDilocoOptions().rate(0)) == "AsyncDilocoOptions: rate must be above 0, got 0");
  CHECK(refused(AsyncDilocoOptions().beta(1)) ==
        "AsyncDilocoOptions: beta must lie in [0, 1), got 1");
}
