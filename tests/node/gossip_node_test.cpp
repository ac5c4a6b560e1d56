// SPDX-License-Identifier: MIT
/// One node at a time: what `advance()` does, in which order, and what is conserved on the way.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/transport/threads.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Counters;
using gossamer::Generator;
using gossamer::GossipNode;
using gossamer::GradientNode;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::Progress;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
using gossamer::rule::GoSgd;
using gossamer::rule::GoSgdPull;
using gossamer::rule::None;
using gossamer::rule::PerSyn;
using gossamer::rule::Sync;
using gossamer::transport::Delivered;
using gossamer::transport::Event;
using gossamer::transport::Message;
using gossamer::transport::PeerJoined;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using gossamer::transport::ThreadHub;
using gossamer::transport::Time;
using gossamer::transport::WorkDone;
using Numbers = std::vector<torch::Tensor>;

constexpr std::int64_t d = 5;

Numbers numbers(double value = 0) { return {torch::full({d}, value, torch::kDouble)}; }

/// Walks at random, from a stream of its own; what its hooks do can be given.
class Walker : public GossipNode<Numbers> {
 public:
  explicit Walker(Context context, Numbers start = numbers())
      : GossipNode(std::move(context), std::move(start)), random_(generator()) {}

  std::function<double()> step = [this] {
    model()[0].add_(random_.uniform() - 0.5);
    return 0.5;
  };
  std::function<void()> prepare = [] {};
  std::function<void(std::span<const Message>)> take = [this](std::span<const Message> messages) {
    GossipNode::aggregate(messages);
  };
  int starts = 0;
  int stops = 0;
  std::vector<PeerLeft> left;
  std::vector<std::string> errors;

 private:
  double local_step() override { return step(); }
  void prepare_step() override { prepare(); }
  void aggregate(std::span<const Message> messages) override { take(messages); }
  void on_start() override { ++starts; }
  void on_stop() override { ++stops; }
  void on_peer_left(PeerId peer, Reason reason) override { left.push_back({peer, reason}); }
  void on_error(const std::exception& error) override { errors.emplace_back(error.what()); }

  Generator random_;
};

/// The same in two halves.
class Halves : public GradientNode<Numbers> {
 public:
  explicit Halves(Context context, Numbers start = numbers())
      : GradientNode(std::move(context), std::move(start)) {
    model()[0].requires_grad_();
    target = static_cast<double>(id());
  }
  double target = 0;
  std::function<void()> on_gradient = [] {};

 private:
  double gradient() override {
    on_gradient();
    auto& x = model()[0];
    x.mutable_grad() = (x - target).detach();
    return 0.5;
  }
  void apply() override {
    const torch::NoGradGuard no_grad;
    model()[0].sub_(model()[0].grad(), 0.25);
  }
};

/// After a message it lets one question go by before it steps.
class Whimsical : public gossamer::rule::Rule {
 public:
  [[nodiscard]] std::string name() const override { return "whimsical"; }
  bool may_step(gossamer::rule::RuleContext&) override { return !std::exchange(waits_, false); }
  void on_messages(gossamer::rule::RuleContext&, std::span<const Message>) override {
    waits_ = true;
  }

 private:
  bool waits_ = false;
};

/// Nodes that are driven in this thread.
template <class Node>
struct Group {
  explicit Group(std::size_t size, const AnyRule& rule, NodeOptions options = {},
                 std::size_t capacity = 0)
      : hub(ThreadHub::make(size, capacity)) {
    options.seed(tests::seed);
    for (PeerId id = 0; id < size; ++id) {
      nodes.push_back(std::make_unique<Node>(
          Context{hub->endpoint(id), rule, options, 1.0 / static_cast<double>(size)}));
    }
  }
  Node& operator[](std::size_t i) { return *nodes[i]; }
  Progress advance(std::size_t i, const StopCondition& budget = {}) {
    return nodes[i]->advance(budget, Time(0));
  }
  [[nodiscard]] double total() const {
    double sum = hub->weight_in_flight() + hub->weight_lost();
    for (const auto& node : nodes) sum += node->weight();
    return sum;
  }
  [[nodiscard]] torch::Tensor sum_of_models() const {
    torch::Tensor sum = torch::zeros({d}, torch::kDouble);
    for (const auto& node : nodes) sum += node->model()[0].detach();
    return sum;
  }
  /// Lets all messages land.
  void settle() {
    for (int round = 0; round < 20; ++round) {
      for (auto& node : nodes) node->settle();
    }
  }
  std::shared_ptr<ThreadHub> hub;
  std::vector<std::unique_ptr<Node>> nodes;
};

AnyRule rule_named(const std::string& name) {
  if (name == "none") return None{};
  if (name == "gosgd") return GoSgd(1);
  if (name == "gosgd_pull") return GoSgdPull(1);
  if (name == "persyn") return PerSyn(3);
  return Sync{};
}

/// A transport on which a test plays the others.
struct Script {
  std::deque<Event> events;
  std::vector<Message> sent;
  std::vector<PeerId> peers{1, 2};
  Reason closed = Reason::finished;
  int wakes = 0;
  bool finished = false;
};
class Scripted : public gossamer::transport::Transport {
 public:
  explicit Scripted(std::shared_ptr<Script> played) : script(std::move(played)) {}
  PeerId self() const override { return 0; }
  std::span<const PeerId> peers() const override { return script->peers; }
  void set_model_layout(const std::string&, const gossamer::model::Flat&) override {}
  void send(Message m) override { script->sent.push_back(std::move(m)); }
  std::optional<Event> poll() override {
    if (script->events.empty()) return std::nullopt;
    Event event = std::move(script->events.front());
    script->events.pop_front();
    return event;
  }
  bool wait(Time) override { return !script->events.empty(); }
  void wake() override { ++script->wakes; }
  Time now() const override { return Time(0); }
  void publish(const Counters&) override {}
  Counters counters(PeerId) const override { return {}; }
  WorkDone work_done() const override { return {}; }
  void finish() override { script->finished = true; }
  bool settled() override { return script->finished; }
  void close(Reason reason) override { script->closed = reason; }

  std::shared_ptr<Script> script;
};

/// Node 1 among others whose queues are full for the first 1000 messages.
class FullQueues final : public Scripted {
 public:
  using Scripted::Scripted;
  PeerId self() const override { return 1; }
  void send(Message m) override {
    script->sent.push_back(m);
    if (script->sent.size() < 1000) script->events.push_back(Returned{m, Reason::queue_full});
  }
};

class FullNode : public GradientNode<Numbers> {
 public:
  explicit FullNode(Context context) : GradientNode(std::move(context), numbers()) {}

 private:
  double gradient() override { return 0; }
  void apply() override {}
};

/// A rule with every hook, each of which notes its call.
struct Noting final : gossamer::rule::Rule {
  explicit Noting(std::shared_ptr<std::vector<std::string>> where) : calls(std::move(where)) {}
  std::shared_ptr<std::vector<std::string>> calls;
  std::shared_ptr<bool> ready = std::make_shared<bool>(true);
  bool halves = true;

  void note(const std::string& call) const { calls->push_back(call); }
  std::string name() const override { return "noting"; }
  bool needs_gradient_hook() const override { return halves; }
  bool is_synchronous() const override { return false; }
  bool merges_by_weighted_average() const override { return false; }
  bool may_step(gossamer::rule::RuleContext&) override { return (note("may_step"), *ready); }
  void before_step(gossamer::rule::RuleContext&) override { note("before_step"); }
  void after_gradient(gossamer::rule::RuleContext&) override { note("after_gradient"); }
  bool may_apply(gossamer::rule::RuleContext&) override { return (note("may_apply"), *ready); }
  void before_apply(gossamer::rule::RuleContext&) override { note("before_apply"); }
  void after_step(gossamer::rule::RuleContext& context) override {
    note("after_step " + std::to_string(context.step()));
  }
  void on_messages(gossamer::rule::RuleContext&, std::span<const Message> messages) override {
    note("on_messages " + std::to_string(messages.size()));
  }
  void on_returned(gossamer::rule::RuleContext&, const Message& m) override {
    note("on_returned " + std::to_string(m.to));
  }
  void on_peer_joined(gossamer::rule::RuleContext&, PeerId peer) override {
    note("rule on_peer_joined " + std::to_string(peer));
  }
  void on_peer_left(gossamer::rule::RuleContext&, const PeerLeft& gone) override {
    note("rule on_peer_left " + std::to_string(gone.peer));
  }
  void on_leave(gossamer::rule::RuleContext&) override { note("on_leave"); }
  void on_replaced(gossamer::rule::RuleContext&) override { note("on_replaced"); }
  void checkpoint(gossamer::Archive&) override { note("checkpoint"); }
};

/// A node with every hook.
class Noted : public GradientNode<Numbers> {
 public:
  explicit Noted(Context context) : GradientNode(std::move(context), numbers()) {
    calls = dynamic_cast<const Noting&>(engine().rule()).calls;
  }
  std::shared_ptr<std::vector<std::string>> calls;

 private:
  double gradient() override { return (calls->push_back("gradient"), 0.5); }
  void apply() override { calls->push_back("apply"); }
  void aggregate(std::span<const Message> messages) override {
    calls->push_back("aggregate");
    GradientNode::aggregate(messages);
  }
  void on_start() override { calls->push_back("on_start"); }
  void on_stop() override { calls->push_back("on_stop"); }
  void on_peer_joined(PeerId peer) override {
    calls->push_back("on_peer_joined " + std::to_string(peer));
  }
  void on_peer_left(PeerId peer, Reason) override {
    calls->push_back("on_peer_left " + std::to_string(peer));
  }
};

std::vector<std::string> taken(std::vector<std::string>& calls) { return std::exchange(calls, {}); }
using Calls = std::vector<std::string>;

}  // namespace

TEST_CASE("The total weight is 1 after every advance", "[node]") {
  const std::string rule = GENERATE("none", "gosgd", "gosgd_pull", "persyn");
  const std::size_t size = GENERATE(1, 2, 3, 8);
  const std::size_t capacity = GENERATE(0, 1);
  CAPTURE(rule, size, capacity);
  Group<Walker> group(size, rule_named(rule), {}, capacity);
  Generator order(tests::seed, 5);
  for (int i = 0; i < 200; ++i) {
    const auto node = order.below(static_cast<std::uint32_t>(size));
    const Progress progress = group.advance(node);
    REQUIRE(progress != Progress::paused);
    REQUIRE(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
    for (auto& other : group.nodes) REQUIRE(other->weight() > 0);
  }
  CHECK(group[0].counters().steps > 3);
  for (auto& node : group.nodes) node->begin_finish();
  group.settle();
  CHECK(group.hub->queued() == 0);
  double held = 0;
  for (auto& node : group.nodes) held += node->weight();
  CHECK(held == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("Weighted sums of the models are conserved by gossip alone", "[node][gosgd]") {
  const std::string rule = GENERATE("gosgd", "gosgd_pull");
  Group<Walker> group(4, rule_named(rule));
  double expected = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    group[i].step = [] { return 0; };
    group[i].model()[0].fill_(static_cast<double>(i * i));
    expected += 0.25 * static_cast<double>(i * i);
  }
  for (int i = 0; i < 400; ++i) group.advance(static_cast<std::size_t>(i) % 4);
  for (auto& node : group.nodes) node->begin_finish();
  group.settle();
  torch::Tensor sum = torch::zeros({d}, torch::kDouble);
  for (auto& node : group.nodes) sum += node->weight() * node->model()[0];
  CHECK((sum - expected).abs().max().item<double>() < 1e-12);
  for (auto& node : group.nodes) {  // and they have met
    CHECK((node->model()[0] - expected).abs().max().item<double>() < 1e-3);
  }
}

TEST_CASE("advance() waits under a synchronous rule and goes on when the others have come",
          "[node][sync]") {
  Group<Halves> group(3, Sync{});
  CHECK(group.advance(0) == Progress::stepped);  // the gradient
  CHECK(group.advance(0) == Progress::waiting);
  CHECK(group.advance(1) == Progress::stepped);
  CHECK(group.advance(0) == Progress::waiting);
  CHECK(group.advance(1) == Progress::waiting);
  CHECK(group.advance(2) == Progress::stepped);
  CHECK(group.advance(0) == Progress::stepped);  // the other half
  CHECK(group[0].counters().steps == 1);
  CHECK(group.advance(1) == Progress::stepped);
  CHECK(group.advance(2) == Progress::stepped);
  // (0 - 0.25 * mean of (0 - 0, 0 - 1, 0 - 2)) = 0.25
  for (auto& node : group.nodes) {
    CHECK((node->model()[0] == 0.25).all().item<bool>());
    CHECK(node->counters().steps == 1);
  }
}

TEST_CASE("advance() pauses when the budget is spent and goes on with a larger one", "[node]") {
  Group<Walker> group(2, None{});
  for (int i = 0; i < 5; ++i)
    CHECK(group.advance(0, StopCondition().steps(3)) == Progress::stepped);
  CHECK(group.advance(1, StopCondition().steps(3)) == Progress::stepped);  // steps are the group's
  CHECK(group.advance(0, StopCondition().steps(3)) == Progress::paused);
  CHECK(group.advance(1, StopCondition().steps(3)) == Progress::paused);
  CHECK(group.advance(1, StopCondition().steps(4)) == Progress::stepped);
  CHECK(group.advance(1, StopCondition().samples(7)) == Progress::paused);
  CHECK(group.advance(1, StopCondition().samples(8)) == Progress::stepped);
  CHECK(group.advance(1, StopCondition().duration(std::chrono::nanoseconds(1))) ==
        Progress::paused);
  CHECK(group.advance(1) == Progress::stepped);  // no budget, no end
}

TEST_CASE("Samples count the batch", "[node]") {
  Group<Walker> group(1, None{}, NodeOptions().samples_per_step(20));
  group.advance(0);
  group.advance(0);
  CHECK(group[0].counters().samples == 40);
  CHECK(group[0].counters().loss_sum == 1.0);
  CHECK(group.advance(0, StopCondition().samples(40)) == Progress::paused);
  CHECK(group.advance(0, StopCondition().samples(41)) == Progress::stepped);
}

TEST_CASE("on_start is called once, before the first step, and not again after a resume",
          "[node]") {
  Group<Walker> group(1, None{});
  group[0].step = [&] {
    CHECK(group[0].starts == 1);
    return 0.0;
  };
  CHECK(group[0].starts == 0);
  group.advance(0);
  group.advance(0, StopCondition().steps(1));
  group.advance(0);
  CHECK(group[0].starts == 1);

  gossamer::Archive saved;
  group[0].checkpoint(saved);
  Group<Walker> other(1, None{});
  gossamer::Archive loaded(saved.entries());
  other[0].checkpoint(loaded);
  other.advance(0);
  CHECK(other[0].starts == 0);
  CHECK(other[0].counters().steps == 3);
}

TEST_CASE("run() ends with on_stop, and with the drain time at the latest", "[node]") {
  // The peer never finishes, so only the deadline can end it.
  Group<Walker> group(2, GoSgd(1), NodeOptions().drain_timeout(std::chrono::milliseconds(5)));
  group[0].run(StopCondition().steps(2));
  CHECK(group[0].stops == 1);
  CHECK(group[0].counters().steps == 4);  // of the group's 2 * 2 steps
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A stop ends run_until before the next step, and can be taken back", "[node]") {
  const std::string rule = GENERATE("none", "gosgd", "gosgd_pull");
  Group<Walker> group(2, rule_named(rule));
  int steps = 0;
  group[0].step = [&] {
    if (++steps == 3) group[0].request_stop();
    return 0.0;
  };
  group[0].run_until(StopCondition());  // without end
  CHECK(steps == 3);
  group[0].run_until(StopCondition());
  CHECK(steps == 3);
  group[0].clear_stop();
  group[0].run_until(StopCondition().steps(3));
  CHECK(steps == 6);
}

TEST_CASE("A stop ends a node that waits for others", "[node][sync]") {
  Group<Halves> group(2, Sync{});
  CHECK(group.advance(0) == Progress::stepped);
  CHECK(group.advance(0) == Progress::waiting);
  group[0].request_stop();
  CHECK(group.advance(0) == Progress::paused);
  group[0].run_until(StopCondition());
  group[0].clear_stop();
  CHECK(group.advance(1) == Progress::stepped);
  CHECK(group.advance(0) == Progress::stepped);  // nothing was lost by the pause
  CHECK(group[0].counters().steps == 1);
}

TEST_CASE("A stop inside a synchronous step leaves all models equal", "[node][sync]") {
  // One has handed its gradient in when all are asked to stop; nobody else will.
  const std::size_t first = GENERATE(0, 1, 2);
  CAPTURE(first);
  Group<Halves> group(3, Sync{});
  for (int i = 0; i < 4; ++i) {  // two whole steps
    for (std::size_t k = 0; k < 3; ++k) group.advance(k);
  }
  for (std::size_t k = 0; k < 3; ++k) REQUIRE(group[k].counters().steps == 2);
  group.advance(first);
  for (auto& node : group.nodes) node->request_stop();
  for (int i = 0; i < 3; ++i) {
    for (std::size_t k = 0; k < 3; ++k) group.advance(k);
  }
  for (auto& node : group.nodes) node->begin_finish();
  group.settle();
  for (std::size_t k = 1; k < 3; ++k) {
    CHECK(group[k].counters().steps == group[0].counters().steps);
    CHECK(torch::equal(group[k].model()[0], group[0].model()[0]));
  }
}

TEST_CASE("A stop inside a round of PerSyn leaves the sum of the models", "[node][persyn]") {
  Group<Walker> group(3, PerSyn(1));
  for (std::size_t k = 0; k < 3; ++k) {
    group[k].step = [&group, k] {
      group[k].model()[0].add_(static_cast<double>(k + 1));
      return 0.0;
    };
  }
  // Nodes 0 and 1 have taken their step and wait for the mean; node 2 has not begun.
  for (int i = 0; i < 2; ++i) {
    group.advance(0);
    group.advance(1);
  }
  const torch::Tensor before = group.sum_of_models();
  for (auto& node : group.nodes) node->begin_finish();
  group.settle();
  CHECK((group.sum_of_models() - before).abs().max().item<double>() < 1e-12);
}

TEST_CASE("The mean of a node that has finished since still counts", "[node][persyn]") {
  Group<Walker> group(3, PerSyn(1));
  const StopCondition one = StopCondition().steps(1);
  for (std::size_t k = 0; k < 3; ++k) {
    group[k].step = [&group, k] {
      group[k].model()[0].add_(static_cast<double>(k + 1));
      return 0.0;
    };
  }
  for (const std::size_t k : {1, 2, 0}) {
    CHECK(group.advance(k, one) == Progress::stepped);
    CHECK(group.advance(k, one) == (k == 0 ? Progress::paused : Progress::waiting));
  }
  group[0].begin_finish();  // the mean is on its way to the others, and this news behind it
  for (const std::size_t k : {1, 2}) {
    CHECK(group.advance(k, one) == Progress::paused);
    group[k].begin_finish();
  }
  group.settle();
  for (auto& node : group.nodes) {
    CHECK((node->model()[0] == 2).all().item<bool>());
  }
}

TEST_CASE("advance() ends while a peer's queue is full, under every rule", "[node]") {
  const std::string name = GENERATE("gosgd", "gosgd_pull", "persyn", "sync");
  CAPTURE(name);
  const auto script = std::make_shared<Script>();
  script->peers = {0, 2};
  FullNode node({FullQueues(script), rule_named(name)});
  for (int i = 0; i < 10; ++i) (void)node.advance({}, Time(0));
  CHECK(script->sent.size() > 0);
  CHECK(script->sent.size() <= 20);
}

TEST_CASE("Nodes whose messages come back from full queues end in the same bits, whoever is first",
          "[node][sync][threads]") {
  for (int repeat = 0; repeat < 40; ++repeat) {
    Group<Halves> group(3, Sync().chunks(6), {}, 1);
    std::vector<std::thread> threads;
    for (auto& node : group.nodes) {
      threads.emplace_back([&node] { node->run(StopCondition().steps(3)); });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(torch::equal(group[1].model()[0], group[0].model()[0]));
    REQUIRE(torch::equal(group[2].model()[0], group[0].model()[0]));
  }
}

TEST_CASE("A group of nodes whose messages come back from full queues ends its run",
          "[node][sync][threads]") {
  for (int repeat = 0; repeat < 40; ++repeat) {
    gossamer::ThreadGroup<Halves> group(gossamer::GroupOptions(3).mailbox_capacity(1),
                                        Sync().chunks(6));
    group.run(StopCondition().steps(3).duration(std::chrono::seconds(30)));
    REQUIRE(group.totals().steps == 9);
    CHECK(torch::equal(group[1].model()[0], group[0].model()[0]));
    CHECK(torch::equal(group[2].model()[0], group[0].model()[0]));
  }
}

TEST_CASE("aggregate may look at the messages and call the default", "[node]") {
  Group<Walker> group(2, GoSgd(1));
  group[0].model()[0].fill_(4);
  group[0].step = [] { return 0; };
  std::vector<double> seen;
  group[1].take = [&](std::span<const Message> messages) {
    for (const Message& message : messages) {
      const auto parts = group[1].parameters().views(*message.payload);
      REQUIRE(parts.size() == 1);
      CHECK(parts[0].name == "tensor 0");
      CHECK(parts[0].tensor.sizes() == at::IntArrayRef({d}));
      seen.push_back(parts[0].tensor[0].item<double>());
    }
    group[1].engine().merge(messages);
  };
  group[1].step = [] { return 0; };
  group.advance(0);
  group.advance(0);
  group.advance(1);
  CHECK(seen == std::vector<double>{4, 4});  // both at once
  CHECK(group[1].counters().messages_merged == 2);
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("What comes while a step is prepared is merged before the step", "[node]") {
  Group<Walker> group(2, GoSgd(1));
  group[0].model()[0].fill_(4);
  group[0].step = [] { return 0; };
  int prepared = 0;
  group[1].prepare = [&] {
    ++prepared;
    group.advance(0);
  };
  double seen = 0;
  group[1].step = [&] {
    seen = group[1].model()[0][0].item<double>();
    return 0;
  };
  group.advance(1);
  CHECK(prepared == 1);
  CHECK(seen == tests::Approx(4 * 0.25 / 0.75));
  CHECK(group.advance(1, StopCondition().steps(1)) == Progress::paused);
  CHECK(prepared == 1);  // no step, no batch
}

TEST_CASE("A step that is prepared is not prepared again when it has to wait after all", "[node]") {
  Group<Walker> group(2, Whimsical());
  int prepared = 0;
  group[1].prepare = [&] {
    if (++prepared == 1) group[0].engine().context().send({.to = 1, .kind = 5, .payload = {}});
    group.advance(0);
  };
  group.advance(0);
  CHECK(group.advance(1) == Progress::waiting);
  CHECK(group[1].counters().steps == 0);
  CHECK(group.advance(1) == Progress::stepped);
  CHECK(prepared == 1);
  CHECK(group.advance(1) == Progress::stepped);
  CHECK(prepared == 2);
}

TEST_CASE("Counters say how many steps old merged messages were", "[node]") {
  Group<Walker> group(2, GoSgd(1));
  for (std::size_t i = 0; i < 2; ++i) group[i].step = [] { return 0; };
  for (int i = 0; i < 3; ++i) group.advance(0);
  CHECK(group[1].counters().mean_age() == 0);
  group.advance(1);  // merges what was sent after steps 1 to 3
  CHECK(group[1].counters().age_sum == 2 + 1 + 0);
  CHECK(group[1].counters().age_max == 2);
  CHECK(group[1].counters().mean_age() == 1);
  group.advance(0);  // and what node 1 has just sent
  CHECK(group[0].counters().age_sum == 0);
  Counters both = group[0].counters();
  both += group[1].counters();
  CHECK(both.age_max == 2);
  CHECK(both.mean_age() == 0.75);
}

TEST_CASE("aggregate may refuse an outlier and keep its weight", "[node]") {
  Group<Walker> group(2, GoSgd(1));
  group[0].step = [&] { return (group[0].model()[0].fill_(1e9), 0.0); };
  group[1].step = [] { return 0; };
  group[1].take = [&](std::span<const Message> messages) {
    for (const Message& message : messages) {
      const auto x = group[1].parameters().views(*message.payload)[0].tensor;
      if (x.abs().max().item<double>() > 100) {
        group[1].engine().weight() += message.weight;  // the weight stays, the numbers do not
      } else {
        group[1].engine().merge({&message, 1});
      }
    }
  };
  group.advance(0);
  CHECK(group[1].weight() == 0.5);
  group.advance(1);
  CHECK((group[1].model()[0] == 0).all().item<bool>());
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("An exception in aggregate leaves the weight with the node", "[node]") {
  Group<Walker> group(3, GoSgd(1));
  group[1].take = [&](std::span<const Message> messages) {
    group[1].engine().merge(messages.first(1));
    throw std::runtime_error("half way");
  };
  for (int i = 0; i < 20; ++i) {
    group.advance(0);
    group.advance(2);
  }
  CHECK_THROWS_WITH(group.advance(1), "half way");
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
  group[1].fail(std::runtime_error("half way"));
  CHECK(group[1].errors == std::vector<std::string>{"half way"});
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
  for (int i = 0; i < 20; ++i) {
    group.advance(0);
    group.advance(2);
    CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
  }
  CHECK(group[0].left.size() == 1);
  CHECK(group[0].left[0].peer == 1);
  CHECK(group[0].left[0].reason == Reason::lost);
}

TEST_CASE("An exception while a peer's leaving is told keeps the total weight", "[node]") {
  class Touchy : public Walker {
   public:
    using Walker::Walker;

   private:
    void on_peer_left(PeerId, Reason) override { throw std::runtime_error("alone"); }
  };
  Group<Touchy> group(3, GoSgd(1));
  for (int i = 0; i < 6; ++i) group.advance(static_cast<std::size_t>(i) % 3);
  group[2].begin_finish();
  group[2].engine().transport().close(Reason::left);
  CHECK_THROWS_WITH(group.advance(0), "alone");
  group[0].fail(std::runtime_error("alone"));
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A peer that goes is told to the user with its reason", "[node]") {
  Group<Walker> group(4, GoSgd(1));
  group[1].begin_finish();
  group[2].engine().transport().close(Reason::left);
  group[3].fail(std::runtime_error("broken"));
  group.advance(0);
  REQUIRE(group[0].left.size() == 3);
  CHECK(group[0].left[0].peer == 1);
  CHECK(group[0].left[0].reason == Reason::finished);
  CHECK(group[0].left[1].peer == 2);
  CHECK(group[0].left[1].reason == Reason::left);
  CHECK(group[0].left[2].peer == 3);
  CHECK(group[0].left[2].reason == Reason::lost);
}

TEST_CASE("The hooks of one step come in the stated order", "[node]") {
  const auto script = std::make_shared<Script>();
  const auto calls = std::make_shared<Calls>();
  Noting rule(calls);
  Noted node({Scripted(script), rule});
  CHECK(node.advance({}, Time(0)) == Progress::stepped);
  CHECK(taken(*calls) ==
        Calls{"on_start", "may_step", "before_step", "gradient", "after_gradient"});
  CHECK(node.advance({}, Time(0)) == Progress::stepped);
  CHECK(taken(*calls) == Calls{"may_apply", "before_apply", "apply", "after_step 1"});

  *rule.ready = false;  // the rule makes it wait: nothing else is called
  CHECK(node.advance({}, Time(0)) == Progress::waiting);
  CHECK(taken(*calls) == Calls{"may_step"});
  *rule.ready = true;
  CHECK(node.advance({}, Time(0)) == Progress::stepped);
  *rule.ready = false;
  calls->clear();
  CHECK(node.advance({}, Time(0)) == Progress::waiting);
  CHECK(taken(*calls) == Calls{"may_apply"});
  *rule.ready = true;
  CHECK(node.advance({}, Time(0)) == Progress::stepped);
  CHECK(node.counters().steps == 2);
}

TEST_CASE("A rule that needs no halves gets a whole step", "[node]") {
  const auto calls = std::make_shared<Calls>();
  Noting rule(calls);
  rule.halves = false;
  Noted node({Scripted(std::make_shared<Script>()), rule});
  CHECK(node.advance({}, Time(0)) == Progress::stepped);
  CHECK(taken(*calls) ==
        Calls{"on_start", "may_step", "before_step", "gradient", "apply", "after_step 1"});
}

TEST_CASE("Events come in their order, messages in batches, and what came back last", "[node]") {
  const auto script = std::make_shared<Script>();
  const auto calls = std::make_shared<Calls>();
  Noted node({Scripted(script), Noting(calls)});
  (void)node.advance({}, Time(0));
  calls->clear();
  const auto message = [](PeerId from, PeerId to) {
    return Message{.from = from, .to = to, .payload = {}};
  };
  script->events = {Delivered{message(1, 0)},
                    Delivered{message(2, 0)},
                    PeerLeft{1, Reason::left},
                    Returned{message(0, 1), Reason::left},
                    PeerJoined{5},
                    Delivered{message(5, 0)},
                    Delivered{message(2, 0)},
                    Delivered{message(2, 0)}};
  (void)node.advance({}, Time(0));
  CHECK(*calls == Calls{"aggregate", "on_messages 2", "rule on_peer_left 1", "on_peer_left 1",
                        "rule on_peer_joined 5", "on_peer_joined 5", "aggregate", "on_messages 3",
                        "on_returned 1", "may_apply", "before_apply", "apply", "after_step 1"});
  CHECK(node.counters().messages_returned == 1);
}

TEST_CASE("A node that leaves asks the rule, then tells the others, then stops", "[node]") {
  const auto script = std::make_shared<Script>();
  const auto calls = std::make_shared<Calls>();
  Noted node({Scripted(script), Noting(calls), {}, 0});  // weight 0: nothing is left to give
  node.request_leave();
  CHECK(script->wakes == 1);
  node.run({});
  CHECK(script->finished);
  CHECK(*calls == Calls{"on_start", "may_step", "on_leave", "on_stop"});
}

TEST_CASE("A node that fails closes its end as lost", "[node]") {
  const auto script = std::make_shared<Script>();
  Noted node({Scripted(script), Noting(std::make_shared<Calls>())});
  node.fail(std::runtime_error("no more data"));
  CHECK(script->closed == Reason::lost);
}

TEST_CASE("A leaver hands all its weight to a live peer", "[node]") {
  const std::string rule = GENERATE("gosgd", "gosgd_pull");
  const std::size_t size = GENERATE(2, 3, 8);
  CAPTURE(rule, size);
  Group<Walker> group(size, rule_named(rule));
  for (std::size_t i = 0; i < 5 * size; ++i) group.advance(i % size);
  for (std::size_t i = 0; i < size; ++i) (void)group[i].settle();
  group[1].request_leave();
  CHECK(group.advance(1) == Progress::paused);
  group[1].begin_finish();
  CHECK(group[1].weight() == 0);
  CHECK(group.total() == tests::Approx(1.0).margin(tests::weight_tolerance));
  for (std::size_t i = 0; i < size; ++i) {
    if (i != 1) (void)group.advance(i);
  }
  CHECK(group[0].left.size() == 1);
}

TEST_CASE("A leaver ends without weight, also if a push to it was under way", "[node]") {
  Group<Walker> group(2, GoSgd(1));
  group.advance(0);  // pushes to node 1
  group[1].request_leave();
  group[1].begin_finish();
  for (int i = 0; i < 5; ++i) {
    (void)group[1].settle();
    (void)group[0].settle();
  }
  CHECK(group.hub->queued() == 0);
  CHECK(group[1].weight() == 0);
  CHECK(group[0].weight() == tests::Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("The last one keeps its weight when it leaves", "[node]") {
  Group<Walker> alone(1, GoSgd(1));
  alone[0].request_leave();
  alone[0].run({});
  CHECK(alone[0].weight() == 1);

  Group<Walker> group(2, GoSgd(1));
  group[1].engine().transport().close(Reason::left);
  group[0].request_leave();
  group[0].run({});
  CHECK(group[0].weight() == 0.5);  // it had nobody to give it to
  CHECK(group[0].stops == 1);
}

TEST_CASE("A rule that acts between the halves is refused by a whole step", "[node][sync]") {
  const auto hub = ThreadHub::make(1);
  CHECK(tests::message_of<ConfigError>([&] {
          Walker(Context{hub->endpoint(0), Sync{}});
        }) ==
        "GossipNode: rule sync acts between the gradient and its application; derive GradientNode "
        "and write gradient() and apply() in place of local_step()");
}

TEST_CASE("Options that cannot work are refused when the node is made", "[node]") {
  const auto refusal = [](const NodeOptions& options, double weight = 1) {
    const auto hub = ThreadHub::make(1);
    return tests::message_of<ConfigError>([&] {
      Walker(Context{hub->endpoint(0), None{}, options, weight});
    });
  };
  CHECK(refusal(NodeOptions().samples_per_step(0)) ==
        "NodeOptions: samples_per_step must be at least 1, got 0");
  CHECK(refusal(NodeOptions().drain_timeout(std::chrono::milliseconds(0))) ==
        "NodeOptions: drain_timeout must be positive, got 0 ms");
  CHECK(refusal(NodeOptions().max_in_flight(0)) ==
        "NodeOptions: max_in_flight must be at least 1, got 0");
  CHECK(refusal(NodeOptions().drain_timeout(std::chrono::milliseconds(-3))) ==
        "NodeOptions: drain_timeout must be positive, got -3 ms");
  CHECK(refusal({}, -1) == "Context: weight must be finite and not negative, got -1");
  CHECK_THAT(refusal({}, std::nan("")), tests::contains("finite and not negative, got"));
  CHECK_THAT(refusal({}, std::numeric_limits<double>::infinity()), tests::contains("got inf"));
  const auto hub = ThreadHub::make(1);
  CHECK_THROWS_AS(Walker(Context{hub->endpoint(0), None{}}, Numbers{}), ConfigError);
}

TEST_CASE("Nodes with other shapes are refused by the second that is made", "[node]") {
  const auto hub = ThreadHub::make(2);
  const Walker first(Context{hub->endpoint(0), None{}});
  CHECK(tests::message_of<ConfigError>([&] {
          Walker(Context{hub->endpoint(1), None{}}, {torch::zeros({d}, torch::kFloat)});
        }) ==
        "node 1 and node 0 have different models: \"tensor 0 Float [5], strides [1]\" here is "
        "\"tensor 0 Double [5], strides [1]\" there");
}

TEST_CASE("A loss that is not finite stops the node and names the step", "[node]") {
  const double loss =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  Group<Walker> group(1, None{});
  group.advance(0);
  group[0].step = [loss] { return loss; };
  const auto text = tests::message_of<std::runtime_error>([&] { group.advance(0); });
  CHECK_THAT(text, Catch::Matchers::EndsWith(" at step 2; a lower learning rate may help"));
  CHECK_THAT(text,
             Catch::Matchers::StartsWith(std::isnan(loss) ? "the loss is nan" : "the loss is inf"));
  CHECK(group[0].counters().steps == 1);

  Group<Walker> patient(1, None{}, NodeOptions().stop_on_bad_loss(false));
  patient[0].step = [loss] { return loss; };
  CHECK(patient.advance(0) == Progress::stepped);
}

TEST_CASE("Streams of random numbers differ by node and purpose, and not by run", "[node]") {
  Group<Walker> one(2, None{});
  Group<Walker> two(2, None{});
  const auto first = [](Generator generator) { return generator(); };
  CHECK(first(one[0].generator()) == first(two[0].generator()));
  CHECK(first(one[1].generator(3)) == first(two[1].generator(3)));
  CHECK(first(one[0].generator()) != first(one[1].generator()));
  CHECK(first(one[0].generator(0)) != first(one[0].generator(1)));
}

TEST_CASE("Gossip draws nothing from LibTorch's global generator", "[node]") {
  torch::manual_seed(7);
  const auto expected = torch::rand({4});
  torch::manual_seed(7);
  Group<Walker> group(3, GoSgd(0.5));
  for (std::size_t i = 0; i < 30; ++i) group.advance(i % 3);
  CHECK(torch::equal(torch::rand({4}), expected));
}

TEST_CASE("Hooks of one node never run at the same time", "[node]") {
  class Guarded : public Walker {
   public:
    explicit Guarded(Context context) : Walker(std::move(context)) {
      step = [this] { return (enter(), 0.0); };
      take = [this](std::span<const Message> messages) {
        enter();
        engine().merge(messages);
      };
    }
    std::atomic<int> inside{0};
    std::atomic<int> overlaps{0};
    std::atomic<int> calls{0};

   private:
    void enter() {
      if (inside.fetch_add(1) != 0) ++overlaps;
      ++calls;
      std::this_thread::yield();
      inside.fetch_sub(1);
    }
  };
  gossamer::ThreadGroup<Guarded> group(gossamer::GroupOptions(4), GoSgd(1), [](Context context) {
    return std::make_unique<Guarded>(std::move(context));
  });
  group.run(StopCondition().steps(200));
  int calls = 0;  // of all: on a busy machine one may do it all before another one begins
  for (std::size_t i = 0; i < group.size(); ++i) {
    CHECK(group[i].overlaps == 0);
    calls += group[i].calls;
  }
  CHECK(calls >= 800);
}
