// SPDX-License-Identifier: MIT
/// EASGD: workers and centre by hand, its stability beside the theory, and centres that go.
#include <gossamer/error.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/simulation/group.hpp>

#include <spdlog/sinks/ostream_sink.h>
#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <sstream>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using gossamer::rule::Easgd;
using gossamer::rule::easgd_largest_alpha;
using gossamer::rule::EasgdOptions;
using gossamer::rule::ElasticExchange;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Message;
using tests::Reason;

/// A bench that counts an answer under way as what it is going to take away.
Bench elastic_bench(std::size_t nodes, const AnyRule& rule, std::size_t size = 1) {
  Bench bench(nodes, rule, size);
  bench.part_of_sum = [nodes](const Message& message) {
    return message.kind == ElasticExchange::answer ? -1.0 / static_cast<double>(nodes)
                                                   : message.weight;
  };
  return bench;
}

TEST_CASE("A worker and the centre pull at each other as in the paper", "[rule][easgd]") {
  Bench bench = elastic_bench(3, Easgd(EasgdOptions().tau(2).beta(0.5)));  // alpha = 0.25
  bench.gradient = [](PeerId, std::size_t) { return 16.0; };
  bench[0].set(4);
  bench[1].set(8);
  bench.rebase();
  CHECK_FALSE(bench.advance(0));  // the centre takes no steps
  REQUIRE(bench.advance(1));
  bench.handle(0);
  CHECK(bench[0].x()[0] == 5);  // 4 + 0.25 (8 - 4)
  bench.handle(0);
  CHECK(bench[1].x()[0] == -9);  // 8 - 16 - 1
  REQUIRE(bench.advance(1));     // step 1: no exchange
  CHECK(bench.pending().empty());
  REQUIRE(bench.advance(1));
  CHECK(bench.pending().size() == 1);
}

TEST_CASE("Synchronous workers and the centre take one step of equations 5 and 6",
          "[rule][easgd]") {
  const std::size_t nodes = GENERATE(2U, 3U, 5U);
  const auto workers = static_cast<double>(nodes - 1);
  const double beta = 0.6;
  Bench bench = elastic_bench(nodes, Easgd(EasgdOptions().tau(1).beta(beta).synchronous(true)));
  bench.gradient = [](PeerId id, std::size_t) { return 0.5 * id; };
  double centre = bench[0].x()[0];
  std::vector<double> x(nodes);
  for (PeerId id = 1; id < nodes; ++id) x[id] = bench[id].x()[0];
  Generator order(tests::seed, 4100);
  for (int round = 0; round < 5; ++round) {
    for (PeerId id = 1; id < nodes; ++id) {
      REQUIRE(bench.advance(id));
      REQUIRE_FALSE(bench.advance(id));  // its answer is not there yet
    }
    bench.settle(&order);
    const double before = centre;
    double mean = 0;
    for (PeerId id = 1; id < nodes; ++id) mean += x[id] / workers;
    centre = (1 - beta) * centre + beta * mean;
    for (PeerId id = 1; id < nodes; ++id) {
      x[id] -= 0.5 * id + beta / workers * (x[id] - before);
      CHECK(bench[id].x()[0] == Approx(x[id]).epsilon(1e-12));
    }
    CHECK(bench[0].x()[0] == Approx(centre).epsilon(1e-12));
  }
}

TEST_CASE("Asynchronous EASGD conserves the sum under any schedule", "[rule][easgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const bool equal = GENERATE(false, true);
  Bench bench = elastic_bench(nodes, Easgd(EasgdOptions().tau(2).drop(0.3)), 3);
  Generator order(tests::seed, 4200);
  for (std::size_t i = 0; equal && i < nodes; ++i) bench[i].set(0.1);
  bench.rebase();
  if (!equal) bench.gradient = [&order](PeerId, std::size_t) { return order.uniform() - 0.5; };
  for (int i = 0; i < 800; ++i) bench.act(order);
  bench.settle();
  if (nodes > 1) CHECK(bench[0].steps == 0);
  CHECK(bench[nodes - 1].steps > 30);
  for (std::size_t i = 0; equal && i < nodes; ++i) {
    for (const double value : bench[i].x()) CHECK(value == 0.1);
  }
}

/// Whether workers that descend on x^2 / 2 in a round robin, with a centre, come together.
bool is_stable(std::size_t workers, double eta, double alpha, bool synchronous) {
  Bench bench = elastic_bench(workers + 1,
                              Easgd(EasgdOptions().tau(1).alpha(alpha).synchronous(synchronous)));
  bench.conserves = false;  // it is, but what runs away rounds away
  bench.gradient = [&](PeerId id, std::size_t) { return eta * bench[id].x()[0]; };
  for (int round = 0; round < 3000; ++round) {
    for (PeerId id = 1; id <= workers; ++id) {
      bench.advance(id);
      if (!synchronous) bench.settle();
    }
    bench.settle();
    double size = 0;
    for (PeerId id = 0; id <= workers; ++id) size = std::max(size, std::abs(bench[id].x()[0]));
    if (size > 1e3) return false;
    if (size < 1e-9) return true;
  }
  return true;
}

/// The largest stable alpha, found by halving.
double found_boundary(std::size_t workers, double eta, bool synchronous) {
  double low = 0;
  double high = 4;
  while (high - low > 0.002) {
    const double middle = (low + high) / 2;
    (is_stable(workers, eta, middle, synchronous) ? low : high) = middle;
  }
  return (low + high) / 2;
}

TEST_CASE("The boundary of stability on x^2 / 2 is (4 - 2 eta) / (4 - eta)", "[rule][easgd]") {
  const double eta = GENERATE(0.1, 0.5, 1.0, 1.5, 1.9);
  const double theory = easgd_largest_alpha(eta);
  const double found = found_boundary(1, eta, false);
  INFO("eta " << eta << ": found " << found << ", theory " << theory);
  CHECK(found == Approx(theory).margin(0.004));
}

TEST_CASE("With several workers in a round robin the boundary lies a little above that of one",
          "[rule][easgd]") {
  const double eta = GENERATE(0.5, 1.0);
  const double theory = easgd_largest_alpha(eta);
  const double two = found_boundary(2, eta, false);
  const double four = found_boundary(4, eta, false);
  INFO("eta " << eta << ": theory " << theory << ", two workers " << two << ", four " << four);
  CHECK(two > 1.02 * theory);
  CHECK(two < 1.07 * theory);
  CHECK(four > theory);
  CHECK(four < 1.02 * theory);
}

TEST_CASE("The boundary of synchronous EASGD is that of the workers' mean", "[rule][easgd]") {
  const double eta = GENERATE(0.1, 1.0);
  const std::size_t workers = GENERATE(1U, 3U);
  const double found = found_boundary(workers, eta, true);
  CHECK(found == Approx(easgd_largest_alpha(eta, workers)).margin(0.005));
  CHECK(easgd_largest_alpha(eta, 1) == Approx(easgd_largest_alpha(eta)));
}

TEST_CASE("An alpha above the bound is warned of once, by the centre", "[rule][easgd]") {
  std::ostringstream out;
  const auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
  logger->set_pattern("%l %v");
  const double alpha = GENERATE(1.0, 0.9);
  Bench bench = elastic_bench(3, Easgd(EasgdOptions().tau(1).alpha(alpha).eta(0.5).logger(logger)));
  for (int i = 0; i < 3; ++i) {
    bench.advance(1);
    bench.advance(2);
    bench.settle();
  }
  const std::string text =
      "warning easgd: alpha 1 with eta 0.5 lies above the bound of stability 0.857143: workers and "
      "centre may run away from each other\n";
  const std::string less =
      "warning easgd: alpha 0.9 with eta 0.5 lies above the bound of stability 0.857143: workers "
      "and centre may run away from each other\n";
  CHECK(out.str() == (alpha == 1 ? text : less));
  std::ostringstream().swap(out);
  Bench calm = elastic_bench(3, Easgd(EasgdOptions().tau(1).alpha(0.85).eta(0.5).logger(logger)));
  calm.advance(1);
  calm.settle();
  CHECK(out.str().empty());
}

TEST_CASE("The next lowest node is the centre of a lost one's workers", "[rule][easgd]") {
  const bool synchronous = GENERATE(false, true);
  Bench bench = elastic_bench(4, Easgd(EasgdOptions().tau(1).alpha(0.25).synchronous(synchronous)));
  for (PeerId id = 1; id < 4; ++id) bench.advance(id);  // all ask node 0
  bench.lose(0);
  bench.settle();
  CHECK_FALSE(bench.advance(1));
  for (int i = 0; i < 2; ++i) {
    REQUIRE(bench.advance(2));
    REQUIRE(bench.advance(3));
    bench.settle();
  }
  const double centre = bench[1].x()[0];
  bench[2].set(centre + 4);
  bench[3].set(centre);
  bench.rebase();
  bench.advance(2);
  bench.advance(3);
  bench.settle();
  // In turn, the pull of node 2 is there before that of node 3.
  CHECK(bench[1].x()[0] == Approx(centre + (synchronous ? 1 : 0.75)));
}

TEST_CASE("A node that is left alone trains on", "[rule][easgd]") {
  Bench bench = elastic_bench(2, Easgd());
  CHECK_FALSE(bench.advance(0));
  bench.lose(1);
  bench.settle();
  CHECK(bench.advance(0));
  Bench other = elastic_bench(2, Easgd());
  other.advance(1);
  other.lose(0);
  other.settle();
  CHECK(other.advance(1));
  Bench single = elastic_bench(1, Easgd());
  CHECK(single.advance(0));
}

TEST_CASE("A centre that leaves hands its variable to the next, and its weight to the others",
          "[rule][easgd]") {
  Bench bench = elastic_bench(3, Easgd(EasgdOptions().tau(1)));
  bench.advance(1);
  bench.settle();
  const double centre = bench[0].x()[0];
  bench.conserves = false;  // the next one's own parameters go in its place
  bench.leave(0);
  bench.settle();
  CHECK(bench[1].x()[0] == centre);
  CHECK(bench[1].weight() + bench[2].weight() == Approx(1));
  CHECK(bench[2].x()[0] != centre);
  CHECK_FALSE(bench.advance(1));
}

TEST_CASE(
    "A newcomer with the lowest number is given the centre variable, a centre that only "
    "seemed gone keeps its own",
    "[rule][easgd]") {
  const gossamer::rule::Easgd rule(EasgdOptions().tau(1).alpha(0.5));
  Bench bench = elastic_bench(3, rule);
  bench.conserves = false;
  const at::NoGradGuard no_grad;
  const bool is_new = GENERATE(false, true);
  for (int i = 0; i < (is_new ? 0 : 4); ++i) {  // node 0 serves
    bench.advance(1);
    bench.settle();
  }
  bench[1].forget(0);  // node 1 takes itself for the centre
  bench[1].rule->on_peer_left(bench[1], {0, Reason::lost});
  bench[2].forget(0);
  bench[2].rule->on_peer_left(bench[2], {0, Reason::lost});
  for (int i = 0; i < 2; ++i) {
    bench.advance(2);
    bench.settle();
  }
  const double served = bench[1].x()[0];
  const double own = bench[0].x()[0];
  bench[1].remember(0);
  bench[1].rule->on_peer_joined(bench[1], 0);
  bench.advance(1);  // now a worker; what it had to say to node 0 leaves with its step
  if (is_new) bench[2].weight() += std::exchange(bench[0].weight(), 0);
  bench.handle(0);
  if (is_new) {
    CHECK(bench[0].x()[0] == own);  // it has no weight yet, and its member's model may still come
    bench[0].weight() = std::exchange(bench[2].weight(), 1.0 / 3) / 2;
    CHECK_FALSE(bench.advance(0));
    CHECK(bench[0].x()[0] == served);
  } else {
    CHECK(bench[0].x()[0] == own);
  }
  CHECK(bench[1].steps > 0);
}

/// Four steps on M nodes, and one node goes. False if it was over before that. The sum is conserved
/// (the bench looks), and the others end all their steps.
bool lose(bool synchronous, std::size_t nodes, const Departure& departure, std::uint64_t stream) {
  const std::uint64_t steps = 4;
  Bench bench = elastic_bench(nodes, Easgd(EasgdOptions().tau(1).synchronous(synchronous)), 2);
  Generator order(tests::seed, stream);
  bench.gradient = [](PeerId id, std::size_t j) {
    return 0.1 * id + 0.01 * static_cast<double>(j);
  };
  const bool lost = tests::take_steps(bench, departure, steps, order, tests::AtEnd::finish);
  bench.settle();
  INFO((synchronous ? "synchronous: " : "")
       << departure << ", of " << nodes << " nodes, stream " << stream);
  for (PeerId id = 0; id < nodes; ++id) {
    // Whoever is a worker, or left alone, ends; a centre does once all others have.
    if (!bench[id].gone && id != departure.victim) REQUIRE(bench[id].steps == steps);
  }
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the sum is conserved and the workers go on",
          "[rule][easgd]") {
  const bool synchronous = GENERATE(false, true);
  const std::size_t nodes = GENERATE(2U, 3U, 4U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::finished);
  for (PeerId victim = 0; victim < nodes; ++victim) {
    for (std::uint64_t stream = 4300; stream < 4302; ++stream) {
      const auto tried = tests::before_each_event(
          {victim, reason, still_arrive},
          [&](const Departure& departure) { return lose(synchronous, nodes, departure, stream); });
      REQUIRE(tried > 3 * nodes);
    }
  }
}

TEST_CASE("Options that cannot work are refused with their values", "[rule][easgd]") {
  const auto refusal = [](EasgdOptions options) {
    return tests::message_of<ConfigError>([&] { Easgd{options}; });
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(refusal(EasgdOptions().tau(0)) == "EasgdOptions: tau must be at least 1, got 0");
  CHECK(refusal(EasgdOptions().beta(0)) == "EasgdOptions: beta must lie in (0, 1], got 0");
  CHECK(refusal(EasgdOptions().beta(1.5)) == "EasgdOptions: beta must lie in (0, 1], got 1.5");
  CHECK(refusal(EasgdOptions().alpha(nan)) == "EasgdOptions: alpha must not be negative, got nan");
  CHECK(refusal(EasgdOptions().eta(3)) ==
        "EasgdOptions: eta must lie in [0, 2], or no alpha is stable, got 3");
  CHECK(refusal(EasgdOptions().drop(2)) == "EasgdOptions: drop must lie in [0, 1], got 2");
  CHECK(refusal(EasgdOptions().synchronous(true).drop(0.3)) ==
        "EasgdOptions: drop must be 0 where the centre waits for all workers, got 0.3");
}

// In groups.

/// Descends to its own number with the user's optimizer, here Nesterov's: EAMSGD.
class Descender final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Descender(Context context)
      : GossipNode(std::move(context), {torch::zeros({4}, torch::kDouble).requires_grad_()}),
        optimizer_(model(), torch::optim::SGDOptions(0.02).momentum(0.9).nesterov(true)) {}
  double value() { return model()[0][0].item<double>(); }

 private:
  double local_step() override {
    model()[0].mutable_grad() = model()[0].detach() - static_cast<double>(id());
    optimizer_.step();
    return 0;
  }
  torch::optim::SGD optimizer_;
};

TEST_CASE("Threads train around a centre that takes no steps, run after run", "[rule][easgd]") {
  const bool synchronous = GENERATE(false, true);
  gossamer::ThreadGroup<Descender> group(gossamer::GroupOptions(4),
                                         Easgd(EasgdOptions().tau(2).synchronous(synchronous)));
  group.run_until(StopCondition().steps(300));
  CHECK(group[0].counters().steps == 0);
  CHECK(group.totals().steps >= 1200);
  CHECK(group.totals().steps < 1300);
  group.run(StopCondition().steps(600));
  CHECK(group[0].counters().steps == 0);
  CHECK(group.totals().steps >= 2400);
  CHECK(group.total_weight() == Approx(1));
  // How far it has come depends on who had the processor.
  CHECK(group[0].value() >= 0);
  CHECK(group[0].value() < 3.5);
  if (synchronous) CHECK(group[0].value() > 0.5);
}

TEST_CASE("Centres that crash, restart and leave are replaced in a simulated group",
          "[rule][easgd][simulated]") {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  const bool synchronous = GENERATE(false, true);
  gossamer::SimulatedGroup<Descender> group(
      gossamer::SimulatedGroupOptions(5)
          .world(gossamer::transport::SimulatedOptions(5).noise({.loss = 0.03, .duplicate = 0.02}))
          .node(gossamer::NodeOptions().seed(tests::seed))
          .plan({{1s, fault::Crash{0}},
                 {3s, fault::Restart{0}},
                 {5s, fault::Leave{0}},
                 {6s, fault::Join{}},
                 {8s, fault::Crash{3}}}),
      Easgd(EasgdOptions().tau(2).synchronous(synchronous)));
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(12s));
  CHECK(worst < tests::weight_tolerance);
  CHECK_FALSE(group.is_live(0));
  CHECK_FALSE(group.is_live(3));
  // ParameterServer 1 took steps only while node 0 was there.
  CHECK(group[1].counters().steps < group[2].counters().steps);
  CHECK(group[2].counters().steps > 500);
  CHECK(group[5].counters().steps > 100);
  // The workers 2, 4 and 5 are left; the centre is where they pull it.
  CHECK(group[1].value() == Approx(11.0 / 3).margin(0.4));
}

TEST_CASE("A simulated group with a centre ends when its workers do", "[rule][easgd][simulated]") {
  using namespace std::chrono_literals;
  gossamer::SimulatedGroup<Descender> group(
      gossamer::SimulatedGroupOptions(4).cost_of(
          [](PeerId id) { return gossamer::cost::Constant(id == 2 ? 40ms : 10ms); }),
      Easgd(EasgdOptions().tau(5)));
  group.run_until(StopCondition().steps(100));
  CHECK(group[0].counters().steps == 0);
  CHECK(group.totals().steps >= 400);
  CHECK(group.totals().steps < 410);
  CHECK(group[1].counters().steps > 3 * group[2].counters().steps);
  group.run(StopCondition().steps(200));
  CHECK(group.totals().steps >= 800);
  CHECK(group.elapsed() < 5s);
}

}  // namespace
