// SPDX-License-Identifier: MIT
/// Elastic Gossip: the pull, and that nothing of it is lost or done twice, whatever happens between
/// its two messages.
#include <gossamer/error.hpp>
#include <gossamer/rule/elastic_gossip.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/node/descender.hpp>
#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using gossamer::rule::ElasticExchange;
using gossamer::rule::ElasticGossip;
using gossamer::schedule::Every;
using gossamer::topology::Ring;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Message;
using tests::Reason;

/// A bench that counts an answer under way as what it is going to take away.
Bench elastic_bench(std::size_t nodes, const AnyRule& rule, std::size_t size = 2) {
  Bench bench(nodes, rule, size);
  bench.part_of_sum = [nodes](const Message& message) {
    if (message.weight > 0) return message.weight;
    return message.kind == ElasticExchange::answer ? -1.0 / static_cast<double>(nodes) : 0.0;
  };
  return bench;
}

std::size_t under_way(const Bench& bench, PeerId from, std::uint32_t kind) {
  return static_cast<std::size_t>(
      std::count_if(bench.pending().begin(), bench.pending().end(), [&](const Bench::Pending& one) {
        const Message* message = Bench::message_of(one);
        return message != nullptr && message->from == from && message->kind == kind;
      }));
}

TEST_CASE("Two nodes pull at each other, the asker after its step with what it had before",
          "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(2, ElasticGossip(Every(1), Ring{}, 0.25), 1);
  bench.gradient = [](PeerId, std::size_t) { return 10.0; };
  bench[0].set(4);
  bench[1].set(8);
  bench.rebase();
  bench.advance(0);  // asks with 4, then steps to -6
  REQUIRE(bench.pending().size() == 1);
  CHECK(tests::pending_message(bench, 0).weight == 0);
  bench.handle(0);
  CHECK(bench[1].x()[0] == 7);  // 8 + 0.25 (4 - 8)
  bench.handle(0);
  CHECK(bench[0].x()[0] == -5);  // -6 + 1
  CHECK(bench[0].weight() == 0.5);
  CHECK(bench.pending().empty());
}

TEST_CASE("At alpha = 1/2 a pair that stands still meets in its mean", "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(2, ElasticGossip(1, 0.5), 1);
  bench[0].set(1);
  bench[1].set(4);
  bench.rebase();
  bench.advance(0);
  bench.settle();
  CHECK(bench[0].x()[0] == 2.5);
  CHECK(bench[1].x()[0] == 2.5);
}

TEST_CASE("Two who ask each other at once meet once", "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(2, ElasticGossip(1, 0.5), 1);
  bench[0].set(1);
  bench[1].set(4);
  bench.rebase();
  bench.advance(0);
  bench.advance(1);
  Generator order(tests::seed, GENERATE(3100U, 3101U, 3102U, 3103U));
  bench.settle(&order);
  CHECK(bench[0].x()[0] == 2.5);
  CHECK(bench[1].x()[0] == 2.5);
  bench.advance(0);
  bench.advance(1);
  CHECK(bench.pending().size() == 2);  // both are free to ask again
}

TEST_CASE("Who waits for an elastic answer trains on and asks nobody else",
          "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(3, ElasticGossip(Every(1)));
  for (int i = 0; i < 5; ++i) REQUIRE(bench.advance(0));
  CHECK(bench.pending().size() == 1);
  bench.settle();
  bench.advance(0);
  CHECK(under_way(bench, 0, ElasticExchange::request) == 1);
}

TEST_CASE("A partner that is asked by all meets them in turn and does not overshoot",
          "[rule][elastic_gossip]") {
  const auto node_0 = [](gossamer::PeerContext& context) {
    return context.self() == 0 ? std::nullopt : std::optional<PeerId>(0);
  };
  Bench bench = elastic_bench(9, ElasticGossip(Every(1), node_0, 0.5), 1);
  for (PeerId id = 0; id < 9; ++id) bench[id].set(id == 0 ? 1 : 0);
  bench.rebase();
  for (PeerId id = 1; id < 9; ++id) bench.advance(id);
  bench.deliver_to(0);
  CHECK(bench[0].x()[0] == Approx(std::pow(0.5, 8)).epsilon(1e-12));
  bench.settle();
}

TEST_CASE("A node that waits answers one request, gently, and refuses the next",
          "[rule][elastic_gossip]") {
  const auto whom = [](gossamer::PeerContext& context) {
    return std::optional<PeerId>(context.self() == 0 ? 1 : 0);
  };
  Bench bench = elastic_bench(4, ElasticGossip(Every(1), whom, 0.75), 1);
  for (PeerId id = 0; id < 4; ++id) bench[id].set(id == 0 ? 8 : 0);
  bench.rebase();
  bench.advance(0);  // asks 1
  bench.advance(2);
  bench.advance(3);
  bench.handle(1);
  CHECK(bench[0].x()[0] == 6);  // 8 + 0.25 (0 - 8)
  bench.handle(1);
  CHECK(bench[0].x()[0] == 6);
  CHECK(under_way(bench, 0, ElasticExchange::refusal) == 1);
  bench.settle();
  CHECK(bench[0].x()[0] == 0);  // as 0.75 of 8 was to go to node 1
  CHECK(bench[1].x()[0] == 6);
  CHECK(bench[2].x()[0] == 2);
}

TEST_CASE("Elastic gossip conserves the sum of parameters under any schedule",
          "[rule][elastic_gossip]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const bool equal = GENERATE(false, true);
  const double alpha = GENERATE(0.05, 0.5, 0.95);
  Bench bench = elastic_bench(nodes, ElasticGossip(0.7, alpha), 3);
  Generator order(tests::seed, 3200);
  for (std::size_t i = 0; equal && i < nodes; ++i) bench[i].set(0.1);
  bench.rebase();
  if (!equal) bench.gradient = [&order](PeerId, std::size_t) { return order.uniform() - 0.5; };
  for (int i = 0; i < 800; ++i) {
    bench.act(order);
    for (PeerId id = 0; id < nodes; ++id) {
      REQUIRE(under_way(bench, id, ElasticExchange::request) <= 1);
    }
  }
  bench.settle();
  for (std::size_t i = 0; equal && i < nodes; ++i) {
    for (const double value : bench[i].x()) CHECK(value == 0.1);
  }
}

TEST_CASE("A constant gradient moves the mean as it moves each node", "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(4, ElasticGossip(0.8), 1);
  bench.gradient = [](PeerId, std::size_t) { return 0.25; };
  double before = 0;
  for (PeerId id = 0; id < 4; ++id) before += bench[id].x()[0];
  Generator order(tests::seed, 3300);
  for (int round = 0; round < 12; ++round) {
    for (PeerId id = 0; id < 4; ++id) bench.advance(id);
    bench.settle(&order);
  }
  double after = 0;
  for (PeerId id = 0; id < 4; ++id) after += bench[id].x()[0];
  CHECK(after == Approx(before - 4 * 12 * 0.25).epsilon(1e-12));
}

TEST_CASE("A request that comes back has changed nothing and makes room for the next",
          "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(3, ElasticGossip(Every(1), Ring{}), 1);
  const double own = bench[0].x()[0];
  bench.advance(0);
  bench.give_back(0);
  bench.settle();
  CHECK(bench[0].x()[0] == own);
  bench.advance(0);
  CHECK(bench.pending().size() == 1);
}

TEST_CASE("An answer that comes back is undone, also when its sender has trained on",
          "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(2, ElasticGossip(Every(1), Ring{}), 1);
  bench.gradient = [](PeerId id, std::size_t) { return id == 1 ? 0.25 : 0.0; };
  bench[0].set(2);
  bench[1].set(1);
  bench.rebase();
  bench.advance(0);
  bench.handle(0);  // node 1 has moved to 1.5
  SECTION("the asker's queue was full: it is told, and asks again") {
    bench.give_back(0);
    bench.advance(1);  // trains on before it hears of the return, and asks node 0
    bench.settle();
    CHECK(bench[0].x()[0] + bench[1].x()[0] == Approx(2.75));
    bench.advance(0);
    CHECK(under_way(bench, 0, ElasticExchange::request) == 1);
  }
  SECTION("the asker is lost") {
    bench.lose(0);
    bench.settle();
    CHECK(bench[1].x()[0] == 1);
  }
  SECTION("the asker is lost, and node 1 knows it before it hears of the return") {
    bench.lose(0);
    bench.handle(0);  // PeerLeft
    bench.advance(1);
    bench.settle();
    CHECK(bench[1].x()[0] == 0.75);
  }
}

TEST_CASE("A partner that is lost after its answer leaves the asker its side of the pull",
          "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(2, ElasticGossip(Every(1), Ring{}), 1);
  bench[0].set(2);
  bench[1].set(1);
  bench.rebase();
  bench.advance(0);
  bench.handle(0);
  const bool arrives = GENERATE(false, true);
  bench.lose(1, arrives ? 1 : 0);
  bench.settle();
  CHECK(bench[0].x()[0] == (arrives ? 1.5 : 2));
}

/// Three nodes that pull in turn, and one goes. False if it was over before.
bool lose(const Departure& departure) {
  Bench bench = elastic_bench(3, ElasticGossip(Every(1)), 2);
  bench.gradient = [](PeerId id, std::size_t) { return 0.1 * id; };
  const auto going = [](Bench& world, const Departure& one) {
    tests::hand_over_and_go(world, one);
    // The heir's weight is not that of one x any more.
    if (one.reason == Reason::finished) world.conserves = false;
  };
  const bool lost = tests::take_turns(bench, departure, 3, going);
  for (const PeerId id : bench.live()) {
    bench.advance(id);
    CHECK(under_way(bench, id, ElasticExchange::request) == 1);  // nobody waits for ever
  }
  return lost;
}

TEST_CASE("Whoever goes at whatever point, the sum is conserved and the others can pull again",
          "[rule][elastic_gossip]") {
  const PeerId victim = GENERATE(0U, 1U, 2U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::left, Reason::finished);
  CHECK(tests::before_each_event({victim, reason, still_arrive}, lose) > 20);
}

TEST_CASE("A leaver hands over its weight, and a newcomer without a model takes the leaver's",
          "[rule][elastic_gossip]") {
  Bench bench = elastic_bench(2, ElasticGossip(Every(1)), 1);
  bench.conserves = false;
  SECTION("the heir has a model") {
    const double own = bench[1].x()[0];
    bench.leave(0);
    bench.settle();
    CHECK(bench[1].x()[0] == own);
    CHECK(bench[1].weight() == 1);
  }
  SECTION("the heir has come without a weight, and refuses all but a model") {
    const double left = bench[0].x()[0];
    bench[0].weight() += std::exchange(bench[1].weight(), 0);
    bench.advance(0);
    bench.handle(0);
    CHECK(tests::pending_message(bench, 0).kind == ElasticExchange::refusal);
    bench.settle();
    bench.leave(0);
    bench.settle();
    CHECK(bench[1].x()[0] == left);
    CHECK(bench[1].weight() == 1);
  }
}

TEST_CASE("An alpha outside (0, 1) is refused with its value", "[rule][elastic_gossip]") {
  const auto refusal = [](double alpha) {
    return tests::message_of<ConfigError>([alpha] { ElasticGossip(0.1, alpha); });
  };
  CHECK(refusal(0) == "ElasticGossip: alpha must lie in (0, 1), got 0");
  CHECK(refusal(1) == "ElasticGossip: alpha must lie in (0, 1), got 1");
  CHECK(refusal(std::numeric_limits<double>::quiet_NaN()) ==
        "ElasticGossip: alpha must lie in (0, 1), got nan");
}

TEST_CASE("Variances that are averaged stay positive under stale pulls", "[rule][elastic_gossip]") {
  // The asker's variance has shrunk by the time its side of the pull comes.
  torch::nn::BatchNorm1d norm(1);
  norm->running_var.fill_(4);
  gossamer::model::FlatModel model(gossamer::model::detail::tensors_of(norm));
  CHECK(model.layout().slots.size() == 4);
  struct Alone final : gossamer::rule::RuleContext {
    explicit Alone(gossamer::model::FlatModel& m) : model_(m), pool_(m.flat()) {}
    PeerId self() const override { return 0; }
    std::span<const PeerId> peers() const override { return {}; }
    gossamer::Counters counters(PeerId) const override { return {}; }
    std::uint64_t step() const override { return 0; }
    Generator& generator() override { return generator_; }
    double& weight() override { return weight_; }
    gossamer::model::FlatModel& model() override { return model_; }
    bool may_send() const override { return true; }
    gossamer::model::Snapshot snapshot() override {
      auto copy = pool_.take();
      copy.writable().copy_from(model_.flat());
      return copy;
    }
    gossamer::PeerHealth health(PeerId) const override { return {}; }
    std::chrono::nanoseconds now() const override { return {}; }
    std::chrono::nanoseconds since_last_step() const override { return {}; }
    std::size_t message_bytes() const override { return model_.flat().bytes(); }
    void restarted() override {}
    gossamer::model::Snapshot blank() override { return pool_.take(); }
    void send(Message message) override { sent.push_back(std::move(message)); }
    std::vector<Message> sent;
    gossamer::model::FlatModel& model_;
    gossamer::model::SnapshotPool pool_;
    Generator generator_;
    double weight_ = 0.5;
  };
  Alone context(model);
  const at::NoGradGuard no_grad;
  ElasticExchange exchange;
  exchange.ask(context, 1);
  Message question = context.sent.back();
  question.from = 1;
  norm->running_var.fill_(0.5);  // now the other one, and what the asker has by then
  norm->weight.fill_(3);
  exchange.reply(context, {&question, 1}, 0.5);
  CHECK(norm->running_var.item<float>() == 2.25F);
  CHECK(norm->weight.item<float>() == 2);
  Message answer = context.sent.back();
  SECTION("the asker takes the mean of what was sent, and its side of the parameters") {
    norm->running_var.fill_(0.5);
    answer.from = 1;
    exchange.on_reply(context, answer);
    CHECK(norm->running_var.item<float>() == 2.25F);
    CHECK(norm->weight.item<float>() == 3);
  }
  SECTION("a return undoes the parameters and leaves the statistics") {
    answer.to = 1;
    exchange.on_returned(context, answer);
    CHECK(norm->running_var.item<float>() == 2.25F);
    CHECK(norm->weight.item<float>() == 3);
  }
}

// Under faults.

constexpr tests::Descent noisy{.rate = 0.05, .noise = 0.2};

TEST_CASE("Eight nodes on a bad network keep the sum and come near each other",
          "[rule][elastic_gossip][simulated]") {
  using namespace std::chrono_literals;
  const double alpha = GENERATE(0.5, 0.9);
  gossamer::SimulatedGroup<tests::Descender> group(
      gossamer::SimulatedGroupOptions(8)
          .world(gossamer::transport::SimulatedOptions(8)
                     .link({.latency = 300us, .bytes_per_second = 1e6})
                     .noise({.loss = 0.05, .duplicate = 0.02, .reorder = 0.05}))
          .node(gossamer::NodeOptions().seed(tests::seed))
          .cost_of([](PeerId id) { return gossamer::cost::LogNormal(id == 3 ? 40ms : 10ms, 0.5); })
          .plan({{1s, gossamer::fault::Partition{{0, 1}}}, {3s, gossamer::fault::Heal{}}}),
      ElasticGossip(1, alpha), tests::descenders(noisy));
  group.run(StopCondition().duration(10s));
  double sum = 0;
  double moved = 0;
  double mean = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    sum += group[i].numbers()[0];
    moved += group[i].moved;
    mean += group[i].numbers()[0] / 8;
  }
  CHECK(sum == Approx(moved).margin(1e-9));
  CHECK(group.totals().messages_merged > 2000);
  // Alone, the nodes would be 0 to 7, which is 42; several pulls at once would run away.
  CHECK(gossamer::observe::consensus_error(group.replicas()) / 4 < 8);
  CHECK(mean == Approx(3.6).margin(1));
}

TEST_CASE("Elastic gossip goes on through crashes, restarts, newcomers and leavers",
          "[rule][elastic_gossip][simulated]") {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  gossamer::SimulatedGroup<tests::Descender> group(
      gossamer::SimulatedGroupOptions(4)
          .node(gossamer::NodeOptions().seed(tests::seed))
          .plan({{500ms, fault::Crash{1}},
                 {600ms, fault::Restart{1}},
                 {2s, fault::Join{}},
                 {3s, fault::Leave{0}},
                 {4s, fault::Crash{2}}}),
      ElasticGossip(0.5), tests::descenders(noisy));
  double worst = 0;
  group.on_step = [&] { worst = std::max(worst, std::abs(group.total_weight() - 1)); };
  group.run(StopCondition().duration(6s));
  CHECK(worst < tests::weight_tolerance);
  CHECK_FALSE(group.is_live(0));
  for (const PeerId id : {1U, 3U, 4U}) {
    REQUIRE(group.is_live(id));
    CHECK(group[id].weight() > 0);
    CHECK(group[id].counters().steps > 300);
  }
  CHECK(gossamer::observe::consensus_error(group.replicas()) / 4 < 2);
}

}  // namespace
