// SPDX-License-Identifier: MIT
/// The consensus error that messages tell of, beside the exact one.
#include <gossamer/codec/int8.hpp>
#include <gossamer/error.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/consensus_estimate.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/observe/metrics.hpp>
#include <gossamer/observe/watch_state.hpp>
#include <gossamer/rule/ad_psgd.hpp>
#include <gossamer/rule/elastic_gossip.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/gossiping_sgd.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/push_sum.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/node/descender.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using gossamer::ConfigError;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::SimulatedGroup;
using gossamer::SimulatedGroupOptions;
using gossamer::StopCondition;
using gossamer::observe::ConsensusEstimate;
using gossamer::observe::ConsensusEstimateOptions;
using gossamer::observe::GroupState;
using tests::Approx;
using tests::Descender;
using tests::Descent;
namespace cost = gossamer::cost;
namespace rule = gossamer::rule;
namespace schedule = gossamer::schedule;
namespace topology = gossamer::topology;
namespace transport = gossamer::transport;

constexpr std::size_t nodes = 8;

/// Nodes that walk around 0 at random.
struct Walk {
  Walk(const rule::AnyRule& rule, std::size_t samples, int slowness = 1)
      : estimate(std::make_shared<ConsensusEstimate>(
            rule, ConsensusEstimateOptions().every(0s).samples(samples))),
        group(SimulatedGroupOptions(nodes)
                  .node(NodeOptions().seed(tests::seed).max_in_flight(1000))
                  .callback(estimate)
                  .cost_of([slowness](PeerId id) -> cost::Any {
                    return cost::LogNormal(id == 0 ? slowness * 10ms : 10ms, 0.2);
                  }),
              rule, tests::descenders(Descent{64, 0.01, 1, 0})) {
    estimate->look_at(group);
  }
  std::shared_ptr<ConsensusEstimate> estimate;
  SimulatedGroup<Descender> group;
};

/// A node with four numbers, and messages of others with theirs.
struct Meeting {
  explicit Meeting(ConsensusEstimateOptions options = {})
      : estimate(rule::GoSgd(), options.every(0s)) {
    estimate.look_at(0, model);
  }
  /// One from node `from`, with its numbers that far from node 0's.
  void deliver(PeerId from, double away, transport::Time now = 0s, std::uint32_t kind = 0) {
    transport::Message message{.from = from, .to = 0, .kind = kind, .payload = pool.take()};
    message.payload.writable().copy_from(model.flat());
    message.payload.writable().segments()[0].add_(away);
    estimate.on_deliver(now, message);
  }
  std::vector<at::Tensor> numbers{torch::ones({4}, torch::kDouble)};
  gossamer::model::FlatModel model{gossamer::model::detail::tensors_of(numbers)};
  gossamer::model::SnapshotPool pool{model.flat()};
  ConsensusEstimate estimate;
};

struct Pair {
  double estimated;
  double standard_error;
  double exact;
};

/// Over a run, `periods` of that length: the estimate at the end of each, from about the messages
/// of that period, and the mean of what the exact error was in it.
std::vector<Pair> beside_exact(Walk& walk, std::size_t periods,
                               std::chrono::duration<double> length) {
  std::vector<Pair> found;
  double exact = 0;
  int looks = 0;
  constexpr int per_period = 40;
  auto next = length / per_period;
  walk.group.begin(StopCondition());
  while (found.size() < periods) {
    walk.group.go_on([&] { return walk.group.elapsed() >= next; });
    exact += gossamer::observe::consensus_error(walk.group.replicas());
    next += length / per_period;
    if (++looks % per_period != 0) continue;
    const auto value = walk.estimate->of(nodes);
    REQUIRE(value);
    found.push_back({value->error, value->standard_error, exact / per_period});
    exact = 0;
  }
  walk.group.stop();
  walk.group.go_on();
  return found;
}

}  // namespace

TEST_CASE("Over a run the estimate is within a fifth of the exact error", "[observe][consensus]") {
  struct Case {
    std::string name;
    rule::AnyRule rule;
    int slowness = 1;  // of node 0
  };
  const std::vector<Case> cases{{"gosgd", rule::GoSgd(0.1)},
                                {"gosgd, a slow node", rule::GoSgd(0.1), 4},
                                {"elastic gossip", rule::ElasticGossip(0.1)},
                                {"ad_psgd", rule::AdPsgd(0.1)},
                                {"gossiping push", rule::GossipingPush(0.1)},
                                {"gosgd_pull", rule::GoSgdPull(0.1)}};
  const auto& [name, rule, slowness] = cases[GENERATE(0U, 1U, 2U, 3U, 4U, 5U)];
  Walk walk(rule, 160, slowness);
  for (const Pair& pair : beside_exact(walk, 10, 2s)) {
    INFO(name << ": " << pair.estimated << " +- " << pair.standard_error << ", exact "
              << pair.exact);
    CHECK(pair.estimated == Approx(pair.exact).epsilon(0.2));
    CHECK(pair.standard_error < 0.1 * pair.estimated);
  }
}

TEST_CASE("The mean of what single nodes estimate is within a fifth of the exact error",
          "[observe][consensus]") {
  const rule::GoSgd rule(0.1);
  std::vector<std::shared_ptr<ConsensusEstimate>> estimates;
  SimulatedGroupOptions options(nodes);
  options.node(NodeOptions().seed(tests::seed).max_in_flight(1000));
  for (std::size_t i = 0; i < nodes; ++i) {
    estimates.push_back(
        std::make_shared<ConsensusEstimate>(rule, ConsensusEstimateOptions().every(0s)));
    options.callback(estimates.back());
  }
  SimulatedGroup<Descender> group(options, rule, tests::descenders(Descent{64, 0.01, 1, 0}));
  for (std::size_t i = 0; i < nodes; ++i) {
    estimates[i]->look_at(static_cast<PeerId>(i), group[i].parameters());
  }
  double exact = 0;
  int looks = 0;
  group.begin(StopCondition().steps(1000));
  while (!group.go_on([&] { return group.elapsed().count() > 5 + 0.05 * looks; })) {
    exact += gossamer::observe::consensus_error(group.replicas());
    ++looks;
  }
  double estimated = 0;
  for (const auto& one : estimates) {
    REQUIRE(one->of(group.state()));
    estimated += one->of(group.state())->error / nodes;
  }
  CHECK(estimated == Approx(exact / looks).epsilon(0.2));
}

TEST_CASE("Who sends more often counts for no more", "[observe][consensus]") {
  Meeting meeting;
  for (int i = 0; i < 12; ++i) meeting.deliver(1, 1);
  for (int i = 0; i < 4; ++i) meeting.deliver(2, 3);
  const auto value = meeting.estimate.of(3);
  REQUIRE(value);
  CHECK(value->samples == 16);
  CHECK(value->error == Approx((3 - 1) / 2.0 * (4 * 1 + 4 * 9) / 2));
  // Weights of 1 / 24 and 1 / 8, and each message 16 from the mean.
  CHECK(value->standard_error == Approx(16 * std::sqrt((12.0 / 576 + 4.0 / 64) * 16 / 15)));
}

TEST_CASE("The estimate is of the last messages, and at most of one by interval",
          "[observe][consensus]") {
  Meeting meeting(ConsensusEstimateOptions().samples(8));
  for (int i = 0; i < 8; ++i) meeting.deliver(1, 1);
  for (int i = 0; i < 8; ++i) meeting.deliver(1, 2);
  REQUIRE(meeting.estimate.of(2));
  CHECK(meeting.estimate.of(2)->error == 8);
  CHECK(meeting.estimate.looked_at() == 16);

  ConsensusEstimate patient(rule::GoSgd(), ConsensusEstimateOptions().every(1s));
  patient.look_at(0, meeting.model);
  for (const auto now : {0ms, 500ms, 999ms, 1000ms, 1500ms, 2000ms}) {
    patient.on_deliver(now, {.from = 1, .to = 0, .payload = meeting.pool.take()});
  }
  CHECK(patient.looked_at() == 3);
}

TEST_CASE("There is no estimate where messages do not tell", "[observe][consensus]") {
  CHECK_FALSE(ConsensusEstimate(rule::PerSyn(10)).is_possible());
  CHECK_FALSE(ConsensusEstimate(rule::LedgerGossip()).is_possible());
  CHECK_FALSE(ConsensusEstimate(rule::PushSum(0.1)).is_possible());
  CHECK_FALSE(
      ConsensusEstimate(rule::ElasticGossip(0.1).codec(gossamer::codec::Int8())).is_possible());
  Meeting meeting;
  for (int i = 0; i < 7; ++i) meeting.deliver(1, 1);
  meeting.deliver(1, 1, 0s, 1);  // another kind
  CHECK_FALSE(meeting.estimate.of(2));
  meeting.deliver(1, 1);
  CHECK(meeting.estimate.of(2));
  CHECK_FALSE(meeting.estimate.of(1));

  SECTION("since nodes meet a few others only") {
    CHECK_FALSE(meeting.estimate.of(8));
    Walk ring(rule::GoSgd(schedule::Bernoulli(0.1), topology::Ring()), 64);
    ring.group.run_until(StopCondition().steps(300));
    CHECK(ring.estimate->looked_at() > 100);
    CHECK_FALSE(ring.estimate->of(nodes));
  }
  SECTION("since they meet too often") {
    meeting.estimate.on_step_end(0s, 0, {.steps = 40, .messages_merged = 10});
    CHECK(meeting.estimate.of(2));
    meeting.estimate.on_step_end(0s, 0, {.steps = 40, .messages_merged = 11});
    CHECK_FALSE(meeting.estimate.of(2));
  }
  SECTION("since the others are gone") {
    meeting.estimate.on_peer_left(0s, 0, {1, transport::Reason::finished});
    CHECK(meeting.estimate.of(2));
    meeting.estimate.on_peer_left(0s, 0, {1, transport::Reason::lost});
    CHECK_FALSE(meeting.estimate.of(2));
  }
  SECTION("since the node has begun anew, with a model that is not known") {
    meeting.estimate.on_start(0s, 0, 2, 0);
    for (int i = 0; i < 8; ++i) meeting.deliver(1, 1);
    CHECK_FALSE(meeting.estimate.of(2));
    CHECK(meeting.estimate.looked_at() == 8);
  }
}

TEST_CASE("A simulated run is the same with an estimate, to the bit", "[observe][consensus]") {
  Walk walk(rule::GoSgd(0.1), 64);
  SimulatedGroup<Descender> alone(SimulatedGroupOptions(nodes)
                                      .node(NodeOptions().seed(tests::seed).max_in_flight(1000))
                                      .cost(cost::LogNormal(10ms, 0.2)),
                                  rule::GoSgd(0.1), tests::descenders(Descent{64, 0.01, 1, 0}));
  walk.group.run_until(StopCondition().steps(100));
  alone.run_until(StopCondition().steps(100));
  CHECK(walk.estimate->looked_at() > 0);
  CHECK(gossamer::observe::digest(walk.group.replicas()) ==
        gossamer::observe::digest(alone.replicas()));
}

TEST_CASE("Metrics and the live page show the estimate of the live nodes", "[observe][consensus]") {
  const auto estimate =
      std::make_shared<ConsensusEstimate>(rule::GoSgd(), ConsensusEstimateOptions().every(0s));
  GroupState state;
  state.nodes = {{0, {}}, {1, {}}, {2, {}}};
  state.totals.steps = 1;
  gossamer::observe::Metrics metrics(estimate);
  gossamer::observe::WatchState page({}, estimate);
  const auto of_metrics = [&](const std::string& name) -> std::optional<double> {
    for (const auto& family : metrics.families()) {
      if (family.name == name) return family.values.at(0).second;
    }
    return std::nullopt;
  };
  metrics.on_tick(0s, state);
  CHECK_FALSE(of_metrics("gossamer_consensus_error"));
  CHECK(page.json().find("\"consensus\"") == std::string::npos);

  Meeting meeting;
  estimate->look_at(0, meeting.model);
  for (PeerId from : {1, 2, 1, 2, 1, 2, 1, 2}) {
    transport::Message message{.from = from, .to = 0, .payload = meeting.pool.take()};
    message.payload.writable().copy_from(meeting.model.flat());
    message.payload.writable().segments()[0].add_(1);
    estimate->on_deliver(0s, message);
  }
  CHECK(of_metrics("gossamer_consensus_error") == 4);
  CHECK(of_metrics("gossamer_consensus_standard_error") == 0);
  CHECK(of_metrics("gossamer_consensus_samples") == 8);
  page.on_tick(0s, state);
  CHECK_THAT(page.json(),
             tests::contains(R"("consensus":{"error":4,"standard_error":0,"samples":8})"));
  CHECK_THAT(page.json(), tests::contains(R"("consensus_estimate":[[0,4]])"));
}

TEST_CASE("Options of the estimate that cannot work are refused by name", "[observe][consensus]") {
  const auto refusal = [](const ConsensusEstimateOptions& options) {
    return tests::message_of<ConfigError>([&] { ConsensusEstimate(rule::GoSgd(), options); });
  };
  CHECK(refusal(ConsensusEstimateOptions().every(-1ns)) ==
        "ConsensusEstimate: every must be at least 0, got -1");
  CHECK(refusal(ConsensusEstimateOptions().samples(7)) ==
        "ConsensusEstimate: samples must be at least 8, got 7");
  CHECK(refusal(ConsensusEstimateOptions().numbers(1023)) ==
        "ConsensusEstimate: numbers must be at least 1024, got 1023");
}
