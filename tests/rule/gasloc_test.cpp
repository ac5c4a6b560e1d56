// SPDX-License-Identifier: MIT
/// GASLoC against its formula round by round, and its sums when messages are late or return.
#include <gossamer/error.hpp>
#include <gossamer/rule/gasloc.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::GasLoc;
using gossamer::rule::GasLocOptions;
using gossamer::rule::detail::partner_in;
using tests::Approx;
using tests::Bench;
using tests::Message;

/// A bench that counts an answer under way as what it is going to take away.
Bench gasloc_bench(std::size_t nodes, const GasLocOptions& options) {
  Bench bench(nodes, GasLoc(options), 1);
  bench.part_of_sum = [nodes](const Message& message) {
    if (message.weight > 0) return message.weight;
    return message.kind == GasLoc::answer ? -1.0 / static_cast<double>(nodes) : 0.0;
  };
  return bench;
}

/// The sum over its peers j of y_i - y_j, in a round of options with seed 3.
double laplacian(Bench& bench, PeerId i, const std::vector<double>& y, std::uint64_t round,
                 std::uint64_t peers) {
  double sum = 0;
  for (std::uint64_t k = 0; k < peers; ++k) {
    if (const auto j = partner_in(bench[i], 3, round * peers + k)) sum += y[i] - y[*j];
  }
  return sum;
}

}  // namespace

TEST_CASE("GASLoC without acceleration, with one step a round, is gossip with a gradient step",
          "[rule][gasloc]") {
  const std::uint64_t peers = GENERATE(1U, 2U);
  const std::size_t nodes = GENERATE(2U, 5U, 8U);
  Bench bench = gasloc_bench(nodes, GasLocOptions().peers(peers).seed(3));
  Generator random(tests::seed, 4400);
  std::vector<double> x(nodes);
  std::vector<double> steps(nodes);
  for (PeerId id = 0; id < nodes; ++id) x[id] = bench[id].x()[0];
  bench.gradient = [&](PeerId id, std::size_t) { return steps[id]; };
  for (std::uint64_t round = 1; round < 12; ++round) {
    for (PeerId id = 0; id < nodes; ++id) x[id] -= steps[id] = random.uniform() - 0.5;
    const std::vector<double> y = x;
    for (PeerId id = 0; id < nodes; ++id) {
      x[id] = y[id] - laplacian(bench, id, y, round, peers) / (1 + static_cast<double>(peers));
    }
    for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
    bench.settle(&random);
    for (PeerId id = 0; id < nodes; ++id) {
      CHECK(bench[id].x()[0] == Approx(x[id]).margin(1e-13));
    }
  }
}

TEST_CASE("GASLoC in step is the formula, with acceleration and an outer rate", "[rule][gasloc]") {
  constexpr std::size_t nodes = 6;
  const double eta = 0.7;
  const double alpha = 0.3;
  const double gamma = 0.4;
  Bench bench = gasloc_bench(
      nodes, GasLocOptions().tau(3).peers(2).rate(eta).alpha(alpha).gamma(gamma).seed(3));
  bench.conserves = false;
  Generator random(tests::seed, 4500);
  double step = 0;
  bench.gradient = [&](PeerId, std::size_t) { return step; };
  std::vector<double> theta(nodes);
  for (PeerId id = 0; id < nodes; ++id) theta[id] = bench[id].x()[0];
  std::vector<double> last = theta;
  for (std::uint64_t round = 1; round < 8; ++round) {
    std::vector<double> drift(nodes, 0);
    for (int k = 0; k < 3; ++k) {
      for (PeerId id = 0; id < nodes; ++id) {
        step = random.uniform() - 0.5;
        drift[id] -= step;
        bench.advance(id);
      }
    }
    bench.settle(&random);
    std::vector<double> y(nodes);
    for (PeerId id = 0; id < nodes; ++id) y[id] = theta[id] + eta * drift[id];
    for (PeerId id = 0; id < nodes; ++id) {
      theta[id] = y[id] - alpha * laplacian(bench, id, y, round, 2) + gamma * (y[id] - last[id]);
      CHECK(bench[id].x()[0] == Approx(theta[id]).margin(1e-13));
    }
    last = y;
  }
}

TEST_CASE("GASLoC conserves the sum of parameters under any schedule, and nodes meet",
          "[rule][gasloc]") {
  const std::uint64_t peers = GENERATE(1U, 2U);
  Bench bench = gasloc_bench(6, GasLocOptions().tau(2).peers(peers));
  Generator order(tests::seed, 4600);
  bench.gradient = [&order](PeerId, std::size_t) { return order.uniform() - 0.5; };
  for (int i = 0; i < 800; ++i) bench.act(order);  // the bench looks at the sum after each
  bench.gradient = {};
  for (int i = 0; i < 3000; ++i) bench.act(order);
  bench.settle();
  for (PeerId id = 1; id < 6; ++id) {
    CHECK(bench[id].x()[0] == Approx(bench[0].x()[0]).margin(1e-6));
  }
}

TEST_CASE("A node mixes as often as it has peers in a round, and answers more in the next",
          "[rule][gasloc]") {
  Bench bench = gasloc_bench(3, GasLocOptions().tau(1));
  bench.conserves = false;
  bench.advance(2);  // it is in a round
  const auto forge = [&](PeerId from) {
    bench.forge(
        {.from = from, .to = 2, .kind = GasLoc::request, .payload = bench[from].snapshot()});
  };
  bench.settle();
  bench[0].set(0);
  bench[2].set(1);
  bench.advance(2);
  bench.settle();
  forge(0);
  forge(0);
  forge(0);
  bench.handle(0);
  CHECK(bench[2].x()[0] == 0.5);
  bench.handle(0);  // held
  CHECK(bench[2].x()[0] == 0.5);
  bench.handle(0);  // too many
  REQUIRE(bench.pending().size() == 2);
  CHECK(tests::pending_message(bench, 0).kind == GasLoc::answer);
  CHECK(tests::pending_message(bench, 1).kind == GasLoc::refusal);
  bench.advance(2);
  CHECK(bench[2].x()[0] == 0.25);
}

TEST_CASE("GASLoC's options are refused with their values", "[rule][gasloc]") {
  const auto refused = [](const GasLocOptions& options) {
    return tests::message_of<ConfigError>([&] { GasLoc{options}; });
  };
  CHECK(refused(GasLocOptions().tau(0)) == "GasLocOptions: tau must be at least 1, got 0");
  CHECK(refused(GasLocOptions().peers(3)) == "GasLocOptions: peers must be 1 or 2, got 3");
  CHECK(refused(GasLocOptions().rate(0)) == "GasLocOptions: rate must be above 0, got 0");
  CHECK(refused(GasLocOptions().alpha(1)) == "GasLocOptions: alpha must lie in [0, 1), got 1");
  CHECK(refused(GasLocOptions().gamma(1)) == "GasLocOptions: gamma must lie in [0, 1), got 1");
}
