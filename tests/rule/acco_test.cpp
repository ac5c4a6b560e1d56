// SPDX-License-Identifier: MIT
/// ACCO against its formula, on equal nodes, and around an optimizer with a memory.
#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/optim/kept_state.hpp>
#include <gossamer/rule/acco.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::Acco;
using tests::Approx;
using tests::Bench;

/// g_m(x) = (x - c_m) / 4 + noise of the round: a bowl for each node.
struct Bowls {
  explicit Bowls(std::size_t nodes) : noise(nodes, 0) {}
  [[nodiscard]] double gradient(PeerId id, double x) const {
    return (x - static_cast<double>(id)) / 4 + noise[id];
  }
  [[nodiscard]] double mean(double x) const {
    double sum = 0;
    for (PeerId id = 0; id < noise.size(); ++id) sum += gradient(id, x);
    return sum / static_cast<double>(noise.size());
  }
  void draw(Generator& random) {
    for (double& one : noise) one = random.uniform() - 0.5;
  }
  std::vector<double> noise;
};

}  // namespace

TEST_CASE("ACCO is its formula, and its nodes stay equal, bit for bit", "[rule][acco]") {
  const std::size_t nodes = GENERATE(1U, 2U, 5U);
  const std::uint32_t chunks = GENERATE(1U, 3U);
  Bowls bowls(nodes);
  Bench bench(nodes, Acco().chunks(chunks), 1);
  for (std::size_t id = 0; id < nodes; ++id) bench[id].set(2);
  bench.gradient = [&](PeerId id, std::size_t) { return bowls.gradient(id, bench[id].x()[0]); };
  Generator random(tests::seed, 5100);
  double x = 2;       // the parameters
  double ahead = 2;   // x~
  double first = 0;   // the mean at x~
  double second = 0;  // the mean at x
  for (int round = 1; round <= 12; ++round) {
    bowls.draw(random);
    if (round % 2 == 1) {
      const double here = bowls.mean(ahead);
      if (round > 1) x -= (first + second) / 2;
      first = here;
    } else {
      second = bowls.mean(x);
      ahead = x - first;
    }
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));  // gradients
    bench.settle();
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));  // apply
    for (PeerId id = 0; id < nodes; ++id) {
      REQUIRE(bench[id].x()[0] == Approx(round % 2 == 1 ? x : ahead).epsilon(1e-13));
      REQUIRE(bench[id].x()[0] == bench[0].x()[0]);
    }
  }
  CHECK(bench[0].restarts == 1 + 5);  // round 1, and before each update
}

TEST_CASE("ACCO's nodes compute the next gradient while the sum is under way", "[rule][acco]") {
  Bench bench(3, Acco(), 1);
  bench.gradient = [](PeerId id, std::size_t) { return 1.0 + id; };
  for (PeerId id = 0; id < 3; ++id) {
    bench[id].set(0);
    REQUIRE(bench.advance(id));
    REQUIRE(bench.advance(id));  // round 1 waits for nobody
    CHECK(bench[id].x()[0] == 0);
    REQUIRE(bench.advance(id));  // nor does the gradient of round 2
    CHECK_FALSE(bench.advance(id));
  }
  bench.settle();
  for (PeerId id = 0; id < 3; ++id) {
    REQUIRE(bench.advance(id));
    CHECK(bench[id].x()[0] == -2);
  }
}

TEST_CASE("Messages that come late, in any order, or back leave ACCO's nodes equal",
          "[rule][acco]") {
  const std::uint32_t chunks = GENERATE(1U, 4U);
  Bench bench(4, Acco().chunks(chunks), 2);
  for (std::size_t id = 0; id < 4; ++id) bench[id].set(0.25);
  bench.gradient = [&bench](PeerId id, std::size_t j) {
    return 0.1 * bench[id].x()[j] + 0.3 * static_cast<double>(id) - 0.2;
  };
  tests::wander(bench, 800, 5101);
  bench.settle();
  std::uint64_t most = 0;
  for (std::size_t id = 0; id < 4; ++id) most = std::max(most, bench[id].steps);
  REQUIRE(most > 10);
  for (int turn = 0; turn < 8; ++turn) {
    for (PeerId id = 0; id < 4; ++id) {
      if (bench[id].steps < most) bench.advance(id);
    }
    bench.settle();
  }
  for (std::size_t id = 1; id < 4; ++id) {
    REQUIRE(bench[id].steps == most);
    for (std::size_t j = 0; j < 2; ++j) CHECK(bench[id].x()[j] == bench[0].x()[j]);
  }
}

namespace {

/// Loss c x with another c at each step, so that gradients do not depend on x; AdamW.
class Slopes final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  Slopes(gossamer::Context context, bool puts_back)
      : GradientNode(std::move(context), {at::ones({2}, at::kDouble).set_requires_grad(true)}),
        puts_back_(puts_back),
        optimizer_(model(), torch::optim::AdamWOptions(0.1)) {}
  static double slope(std::uint64_t step, PeerId id) {
    return static_cast<double>((7 * step + 3 * id) % 5) - 1.5;
  }

 private:
  double gradient() override {
    model().front().mutable_grad() = at::full({2}, slope(engine().step(), id()), at::kDouble);
    return 0;
  }
  void apply() override {
    kept_.keep(optimizer_);
    optimizer_.step();
  }
  void on_restart() override {
    if (puts_back_) kept_.restore(optimizer_);
  }

  bool puts_back_;
  torch::optim::AdamW optimizer_;
  gossamer::optim::KeptState kept_;
};

double after_11_rounds(std::size_t nodes, bool puts_back) {
  gossamer::SimulatedGroup<Slopes> group(
      gossamer::SimulatedGroupOptions(nodes).node(gossamer::NodeOptions().seed(tests::seed)),
      Acco(), [puts_back](gossamer::Context context) {
        return std::make_unique<Slopes>(std::move(context), puts_back);
      });
  group.run(gossamer::StopCondition().steps(11));
  // Else round 1, whose step is each node's own, stays in its momentum.
  for (std::size_t i = 1; puts_back && i < nodes; ++i) {
    CHECK(at::equal(group[i].model().front(), group[0].model().front()));
  }
  return group[0].model().front()[0].item<double>();
}

}  // namespace

TEST_CASE("Where gradients do not depend on x, ACCO is AdamW on two half-batches", "[rule][acco]") {
  const std::size_t nodes = GENERATE(1U, 3U);
  const at::Tensor x = at::ones({2}, at::kDouble).requires_grad_();
  torch::optim::AdamW optimizer({x}, torch::optim::AdamWOptions(0.1));
  for (std::uint64_t step = 0; step < 10; step += 2) {  // the last gradient waits for another
    double sum = 0;
    for (PeerId id = 0; id < nodes; ++id) {
      sum += Slopes::slope(step, id) + Slopes::slope(step + 1, id);
    }
    x.mutable_grad() = at::full({2}, sum / (2 * static_cast<double>(nodes)), at::kDouble);
    optimizer.step();
  }
  CHECK(after_11_rounds(nodes, true) == Approx(x[0].item<double>()).epsilon(1e-12));
  CHECK(after_11_rounds(nodes, false) != Approx(x[0].item<double>()).epsilon(1e-3));
}

TEST_CASE("A node of ACCO that is restored goes on to the bit", "[rule][acco]") {
  const int rounds = GENERATE(5, 6);
  Bowls bowls(1);
  Bench bench(1, Acco(), 1);
  bench.gradient = [&](PeerId id, std::size_t) { return bowls.gradient(id, bench[0].x()[0]); };
  for (int i = 0; i < 2 * rounds; ++i) REQUIRE(bench.advance(0));
  gossamer::Archive saved;
  bench[0].rule->checkpoint(saved);
  Bench restored(1, Acco(), 1);
  restored.gradient = [&](PeerId id, std::size_t) {
    return bowls.gradient(id, restored[0].x()[0]);
  };
  gossamer::Archive loading(saved.entries());
  restored[0].rule->checkpoint(loading);
  restored[0].set(bench[0].x()[0]);
  restored[0].steps = bench[0].steps;
  for (int i = 0; i < 8; ++i) {
    REQUIRE(bench.advance(0));
    REQUIRE(restored.advance(0));
    REQUIRE(restored[0].x()[0] == bench[0].x()[0]);
  }
}

TEST_CASE("ACCO says what it needs of a node", "[rule][acco]") {
  CHECK(Acco().needs_gradient_hook());
  CHECK(Acco().is_synchronous());
  CHECK(tests::message_of<gossamer::ConfigError>([] { Acco().chunks(0); }) ==
        "Acco: parts must be at least 1, got 0");
}
