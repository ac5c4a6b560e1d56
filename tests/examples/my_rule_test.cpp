// SPDX-License-Identifier: MIT
/// The rule of the tutorial does what its comment says.
#include <my_rule/my_rule.hpp>
#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::transport::Delivered;
using tests::Approx;
using tests::Bench;
using tests::Reason;

/// Nodes of which everybody knows these losses, after one step each.
Bench listeners(std::vector<double> losses, double probability = 1, std::size_t size = 1) {
  Bench bench(losses.size(), Listen(probability), size);
  bench.conserves = false;
  for (PeerId id = 0; id < losses.size(); ++id) {
    bench[id].known = [losses](PeerId peer) {
      gossamer::Counters status;
      status.steps = 1;
      status.loss_sum = losses[peer];
      return status;
    };
  }
  return bench;
}

TEST_CASE("The tutorial's rule goes towards a peer by its own part of the losses",
          "[examples][my_rule]") {
  Bench bench = listeners({1, 3});
  bench[0].set(0);
  bench[1].set(8);
  bench.rebase();
  REQUIRE(bench.advance(0));
  bench.settle();
  CHECK(bench[0].x()[0] == 0);
  CHECK(bench[1].x()[0] == Approx(2));  // by 3/4
  REQUIRE(bench.advance(1));
  bench.settle();
  CHECK(bench[0].x()[0] == Approx(0.5));  // by 1/4
}

TEST_CASE("Under the tutorial's rule a node without any loss listens to nobody",
          "[examples][my_rule]") {
  Bench bench = listeners({2, 0});
  bench[0].set(1);
  bench[1].set(5);
  bench.rebase();
  bench.advance(0);
  bench.settle();
  CHECK(bench[1].x()[0] == 5);
  bench.advance(1);
  bench.settle();
  CHECK(bench[0].x()[0] == 5);
}

TEST_CASE("Equal nodes stay equal under the tutorial's rule, and x within what nodes had",
          "[examples][my_rule]") {
  const bool equal = GENERATE(true, false);
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  std::vector<double> losses;
  for (std::size_t i = 0; i < nodes; ++i) losses.push_back(0.3 * static_cast<double>(i));
  Bench bench = listeners(losses, 0.5, 3);
  for (std::size_t i = 0; equal && i < nodes; ++i) bench[i].set(0.1);
  bench.rebase();
  Generator order(tests::seed, 5100);
  for (int i = 0; i < 500; ++i) {
    if (order.below(2) == 0 || bench.pending().empty()) {
      bench.advance(order.below(static_cast<std::uint32_t>(nodes)));
    } else if (const auto k = bench.choose(order);
               order.below(5) == 0 && std::holds_alternative<Delivered>(bench.pending()[k].event)) {
      bench.give_back(k);
    } else {
      bench.handle(k);
    }
  }
  for (std::size_t i = 0; i < nodes; ++i) {
    for (const double value : bench[i].x()) {
      CHECK((equal ? value == 0.1 : value >= 0 && value < 1));
    }
  }
}

TEST_CASE("A leaver's weight stays with the group under the tutorial's rule",
          "[examples][my_rule]") {
  Bench bench = listeners({1, 1, 1});
  bench.advance(2);
  bench.leave(2);
  bench.close(2, Reason::left);
  bench.settle();
  CHECK(bench[0].weight() + bench[1].weight() == Approx(1).epsilon(1e-12));
}

TEST_CASE("The tutorial's rule has at most 45 lines", "[examples][my_rule]") {
  std::ifstream in(std::string(GOSSAMER_SOURCE_DIR) + "/examples/my_rule/my_rule.hpp");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  REQUIRE_FALSE(text.empty());
  CHECK(std::count(text.begin(), text.end(), '\n') <= 45);
}

}  // namespace
