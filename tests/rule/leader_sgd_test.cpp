// SPDX-License-Identifier: MIT
/// Leader SGD: who leads, who is pulled, and what becomes of questions to leaders that go.
#include <gossamer/error.hpp>
#include <gossamer/rule/leader_sgd.hpp>
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
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Counters;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::LeaderSgd;
using gossamer::rule::LeaderSgdOptions;
using gossamer::rule::RecentLoss;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Message;
using tests::Reason;

/// A bench whose nodes have these losses at every step.
struct Race {
  Race(const LeaderSgdOptions& options, std::vector<double> all)
      : losses(std::move(all)), bench(losses.size(), LeaderSgd(options), 1) {
    bench.conserves = false;
    for (PeerId id = 0; id < losses.size(); ++id) {
      bench[id].set(id);
      bench[id].known = [this](PeerId peer) {
        gossamer::Counters status;
        status.steps = bench[peer].steps;
        status.loss_sum = losses[peer] * static_cast<double>(status.steps);
        return status;
      };
    }
  }
  /// All nodes take a step, then everything lands.
  void round() {
    for (const PeerId id : bench.live()) bench.advance(id);
    bench.settle();
  }
  std::vector<double> losses;
  Bench bench;
};

std::size_t questions_of(const Bench& bench, PeerId id) {
  return static_cast<std::size_t>(
      std::count_if(bench.pending().begin(), bench.pending().end(), [id](const auto& one) {
        const Message* message = Bench::message_of(one);
        return message != nullptr && message->from == id && message->kind < 2;
      }));
}

TEST_CASE("Every node but the leader goes a part of the way to the leader", "[rule][leader_sgd]") {
  Race race(LeaderSgdOptions().tau(2).pull(0.25), {3, 1, 2});
  race.round();
  race.round();
  for (PeerId id = 0; id < 3; ++id) CHECK(race.bench[id].x()[0] == id);  // nobody has asked yet
  race.round();                                                          // asks with two steps done
  CHECK(race.bench[0].x()[0] == 0.25);
  CHECK(race.bench[1].x()[0] == 1);
  CHECK(race.bench[2].x()[0] == 1.75);
  race.round();
  CHECK(race.bench[0].x()[0] == 0.25);
}

TEST_CASE("Groups follow their own leader, and all the best of all", "[rule][leader_sgd]") {
  const auto group_of = [](PeerId id) { return id / 2; };
  Race race(LeaderSgdOptions().tau(1).tau_global(2).pull(0.5).pull_global(0.25).group_of(group_of),
            {4, 3, 1, 2});
  race.round();
  race.round();  // local only
  CHECK(race.bench[0].x()[0] == 0.5);
  CHECK(race.bench[1].x()[0] == 1);
  CHECK(race.bench[2].x()[0] == 2);
  CHECK(race.bench[3].x()[0] == 2.5);
  race.round();  // both
  CHECK(race.bench[1].x()[0] == 1.25);
  CHECK(race.bench[2].x()[0] == 2);
  // Towards node 1 (1, or 1.25 already) by a half and towards node 2 by a quarter.
  CHECK(race.bench[0].x()[0] > 1);
  CHECK(race.bench[0].x()[0] < 1.35);
}

TEST_CASE("The recent loss is the mean of the last steps, not of all", "[rule][leader_sgd]") {
  RecentLoss loss(4);
  const double never = std::numeric_limits<double>::infinity();
  gossamer::Counters status;
  CHECK(loss(7, status) == never);
  double sum = 0;
  double last = 0;
  for (int step = 1; step <= 40; ++step) {
    sum += step;
    status.steps = static_cast<std::uint64_t>(step);
    status.loss_sum = sum;
    last = loss(7, status);
    double least = 0;  // over 4 steps, and over 8
    double most = 0;
    for (int k = 0; k < 8; ++k) least += std::max(0, step - k) / std::min(8.0, step * 1.0);
    for (int k = 0; k < 4; ++k) most += std::max(0, step - k) / std::min(4.0, step * 1.0);
    CHECK(last >= least - 1e-9);
    CHECK(last <= most + 1e-9);
  }
  status = {};  // the node has begun a new life
  CHECK(loss(7, status) == never);
  status.steps = 1;
  status.loss_sum = 5;
  CHECK(loss(7, status) == 5);
  status.loss_sum = std::numeric_limits<double>::quiet_NaN();
  status.steps = 2;
  CHECK(loss(7, status) == never);
}

TEST_CASE("A node that overtakes the leader is followed instead", "[rule][leader_sgd]") {
  Race race(LeaderSgdOptions().tau(1).pull(1).window(1), {1, 2, 3});
  race.round();
  race.round();
  for (PeerId id = 0; id < 3; ++id) CHECK(race.bench[id].x()[0] == 0);
  race.bench[2].set(9);
  race.losses[2] = -50;  // its mean over all steps is far below the others'
  race.round();
  race.round();
  for (PeerId id = 0; id < 3; ++id) CHECK(race.bench[id].x()[0] == 9);
}

TEST_CASE("Equal losses make the lowest number lead, no losses nobody", "[rule][leader_sgd]") {
  Race race(LeaderSgdOptions().tau(1).pull(1), {1, 1, 1});
  race.round();
  race.round();
  for (PeerId id = 0; id < 3; ++id) CHECK(race.bench[id].x()[0] == 0);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  Race lost(LeaderSgdOptions().tau(1).pull(1), {nan, nan});
  lost.round();
  lost.round();
  CHECK(lost.bench[0].x()[0] == 0);
  CHECK(lost.bench[1].x()[0] == 1);
}

TEST_CASE("A leader that is lost is replaced by the next best", "[rule][leader_sgd]") {
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, Bench::all);
  const bool answered = GENERATE(false, true);
  Race race(LeaderSgdOptions().tau(1).pull(0.5), {3, 1, 2});
  race.bench.advance(0);
  race.bench.advance(1);
  race.bench.advance(2);
  race.bench.advance(0);  // asks node 1
  CHECK(questions_of(race.bench, 0) == 1);
  if (answered) race.bench.handle(0);
  race.bench.lose(1, still_arrive);
  race.bench.settle();
  const bool pulled = answered && still_arrive > 0;
  CHECK(race.bench[0].x()[0] == (pulled ? 0.5 : 0));
  race.bench.advance(0);
  REQUIRE(questions_of(race.bench, 0) == 1);
  CHECK(tests::pending_message(race.bench, 0).to == 2);
}

TEST_CASE("A question or an answer that comes back makes room for the next", "[rule][leader_sgd]") {
  Race race(LeaderSgdOptions().tau(1).pull(0.5), {3, 1});
  race.bench.advance(0);
  race.bench.advance(1);
  race.bench.advance(0);
  if (GENERATE(false, true)) race.bench.handle(0);
  race.bench.give_back(0);
  race.bench.settle();
  CHECK(race.bench[0].x()[0] == 0);
  race.bench.advance(0);
  CHECK(questions_of(race.bench, 0) == 1);
}

TEST_CASE("Equal nodes stay equal bit for bit, and apart ones come together, under any schedule",
          "[rule][leader_sgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const bool equal = GENERATE(false, true);
  std::vector<double> losses;
  for (std::size_t i = 0; i < nodes; ++i) losses.push_back(std::abs(3.0 - static_cast<double>(i)));
  const auto halves = [](PeerId id) { return id % 2; };
  Race race(LeaderSgdOptions().tau(1).tau_global(2).pull(0.3).pull_global(0.3).group_of(halves),
            losses);
  Generator order(tests::seed, 4400);
  for (PeerId id = 0; equal && id < nodes; ++id) race.bench[id].set(0.1);
  for (int i = 0; i < 1500; ++i) {
    race.bench.act(order);
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(questions_of(race.bench, id) <= 2);
  }
  const double first = race.bench[0].x()[0];
  for (PeerId id = 0; id < nodes; ++id) {
    CHECK(race.bench[id].x()[0] >= 0);
    CHECK(race.bench[id].x()[0] <= static_cast<double>(nodes));
    if (equal) {
      CHECK(race.bench[id].x()[0] == 0.1);
    } else {
      CHECK(race.bench[id].x()[0] == Approx(first).margin(0.02));
    }
  }
}

TEST_CASE("A constant gradient moves all nodes alike", "[rule][leader_sgd]") {
  Race race(LeaderSgdOptions().tau(1), {1, 2, 3});
  for (PeerId id = 0; id < 3; ++id) race.bench[id].set(1);
  race.bench.gradient = [](PeerId, std::size_t) { return 0.25; };
  for (int i = 0; i < 8; ++i) race.round();
  // Those who come to a step later see a leader that has taken it already.
  for (PeerId id = 0; id < 3; ++id) CHECK(race.bench[id].x()[0] == Approx(-1).margin(0.2));
  CHECK(race.bench[0].x()[0] == -1);
}

/// Three nodes, and one goes. False if it was over before.
bool lose(const Departure& departure) {
  Race race(LeaderSgdOptions().tau(1).pull(0.5), {1, 2, 3});
  Bench& bench = race.bench;
  const bool lost = tests::take_turns(bench, departure, 4, tests::hand_over_and_go);
  const auto live = bench.live();
  for (const PeerId id : live) {
    bench.advance(id);
    CHECK(questions_of(bench, id) == (id == live.front() ? 0U : 1U));  // nobody waits for ever
  }
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the others can follow a leader again",
          "[rule][leader_sgd]") {
  const PeerId victim = GENERATE(0U, 1U, 2U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::left, Reason::finished);
  CHECK(tests::before_each_event({victim, reason, still_arrive}, lose) > 20);
}

TEST_CASE("Options of Leader SGD that cannot work are refused with their values",
          "[rule][leader_sgd]") {
  const auto refusal = [](const LeaderSgdOptions& options) {
    return tests::message_of<ConfigError>([&] { LeaderSgd{options}; });
  };
  CHECK(refusal(LeaderSgdOptions().tau(0)) == "LeaderSgdOptions: tau must be at least 1, got 0");
  CHECK(refusal(LeaderSgdOptions().window(0)) ==
        "LeaderSgdOptions: window must be at least 1, got 0");
  CHECK(refusal(LeaderSgdOptions().pull(1.5)) ==
        "LeaderSgdOptions: a pull must lie in [0, 1], got 1.5");
  CHECK(refusal(LeaderSgdOptions().pull_global(-1)) ==
        "LeaderSgdOptions: a pull must lie in [0, 1], got -1");
}

TEST_CASE("On a bad network all come to the best, through the loss of leaders",
          "[rule][leader_sgd][simulated]") {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  // All descend to 0; the further a node is, the worse its loss.
  gossamer::SimulatedGroup<tests::Descender> group(
      gossamer::SimulatedGroupOptions(6)
          .world(gossamer::transport::SimulatedOptions(6).noise(
              {.loss = 0.05, .duplicate = 0.02, .reorder = 0.05}))
          .node(gossamer::NodeOptions().seed(tests::seed))
          .cost(gossamer::cost::LogNormal(10ms, 0.5))
          .plan({{300ms, fault::Crash{0}},
                 {500ms, fault::Restart{0}},
                 {700ms, fault::Leave{1}},
                 {900ms, fault::Join{}}}),
      LeaderSgd(LeaderSgdOptions().tau(2).pull(0.3).group_of([](PeerId id) { return id / 3; })),
      tests::descenders({.length = 1, .rate = 0.01, .noise = 0.02, .target = 0}));
  for (std::size_t i = 0; i < 6; ++i) group[i].value() = 10.0 * static_cast<double>(i + 1);
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(4s));
  CHECK(worst < tests::weight_tolerance);
  CHECK_FALSE(group.is_live(1));
  // Alone, node 5 would be at 60 exp(-4), about 1; the best was at 10.
  for (const PeerId id : {0U, 2U, 3U, 4U, 5U, 6U}) {
    REQUIRE(group.is_live(id));
    CHECK(std::abs(group[id].value()) < 0.7);
  }
}

}  // namespace
