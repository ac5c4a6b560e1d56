// SPDX-License-Identifier: MIT
/// What a simulated group tells: all that happens, in its order, and without any effect on it.
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/node/descender.hpp>
#include <tests/node/mover.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::Fault;
using gossamer::GossipNode;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::SimulatedGroup;
using gossamer::SimulatedGroupOptions;
using gossamer::SimulationCallback;
using gossamer::StopCondition;
using gossamer::transport::SimulatedOptions;
using tests::Approx;
using tests::Mover;
using namespace std::chrono_literals;
namespace cost = gossamer::cost;
namespace fault = gossamer::fault;
namespace rule = gossamer::rule;
namespace transport = gossamer::transport;

using Group = SimulatedGroup<Mover>;

/// Writes down all that it is told, as words, and keeps the books.
class Recorder final : public SimulationCallback {
 public:
  std::vector<std::string> words;
  std::map<PeerId, std::uint64_t> steps;
  std::map<PeerId, std::uint64_t> step_ends;
  std::map<PeerId, Time> computed;
  std::map<PeerId, Time> disk;
  std::map<PeerId, std::uint64_t> merged;
  std::map<PeerId, double> weights;  // of live nodes, as they were last told
  double on_the_way = 0;             // sent and not polled
  std::uint64_t sent = 0;
  Time last{0};
  bool in_order = true;
  double worst = 0;  // distance of the weights' sum from 1, after a turn

  /// The words of one node, without its number.
  [[nodiscard]] std::string of(PeerId node) const {
    const std::string mark = "@" + std::to_string(node) + " ";
    std::string all;
    for (const std::string& word : words) {
      if (word.rfind(mark, 0) == 0) all += (all.empty() ? "" : " ") + word.substr(mark.size());
    }
    return all;
  }
  [[nodiscard]] int count(const std::string& word) const {
    int times = 0;
    for (const std::string& one : words) times += one == word ? 1 : 0;
    return times;
  }

  void on_start(Time now, PeerId node, std::uint64_t incarnation, double weight) override {
    note(now, node, "start-" + std::to_string(incarnation));
    weights[node] = weight;
  }
  void on_end(Time now, PeerId node, End how) override {
    note(now, node, how == End::crashed ? "crashed" : how == End::left ? "left" : "failed");
    weights.erase(node);
  }
  void on_restored(Time now) override {
    see(now);
    words.emplace_back("restored");
    weights.clear();
  }
  void on_step(Time now, PeerId node) override {
    note(now, node, "step");
    ++steps[node];
  }
  void on_cost(Time now, PeerId node, Time slow, Time compute) override {
    see(now);
    disk[node] += slow;
    computed[node] += compute;
  }
  void on_step_end(Time now, PeerId node, const gossamer::Counters&) override {
    note(now, node, "end");
    ++step_ends[node];
  }
  void on_wait(Time now, PeerId node, Wait what) override {
    note(now, node, what == Wait::others ? "wait" : "join");
  }
  void on_rest(Time now, PeerId node) override { note(now, node, "rest"); }
  void on_leaving(Time now, PeerId node) override { note(now, node, "leaving"); }
  void on_merge(Time now, PeerId node, std::uint64_t messages, double weight) override {
    note(now, node, "merged-" + std::to_string(messages));
    merged[node] += messages;
    merged_weight += weight;
  }
  void on_weight(Time now, PeerId node, double weight) override {
    note(now, node, "weight");
    weights[node] = weight;
    double sum = on_the_way;
    for (const auto& [id, held] : weights) sum += held;
    worst = std::max(worst, std::abs(sum - 1));
  }
  void on_send(Time now, const transport::Message& message) override {
    note(now, message.from, "sent");
    on_the_way += message.weight;
    ++sent;
  }
  void on_deliver(Time now, const transport::Message& message) override {
    note(now, message.to, "got");
    on_the_way -= message.weight;
    delivered_weight += message.weight;
  }
  void on_return(Time now, const transport::Returned& returned) override {
    note(now, returned.message.from, "back");
    on_the_way -= returned.message.weight;
  }
  void on_fault(Time now, const Fault& what) override {
    see(now);
    words.push_back("fault-" + std::to_string(what.index()));
  }
  void on_run_begin(Time now, const gossamer::observe::GroupState&) override {
    see(now);
    words.emplace_back("run-begin");
  }
  void on_peer_joined(Time now, PeerId node, PeerId peer) override {
    see(now);
    words.push_back(std::to_string(node) + " knows " + std::to_string(peer));
  }
  void on_evaluation(Time now, const Evaluation& found,
                     const gossamer::observe::GroupState& state) override {
    see(now);
    words.push_back(found.front().first + "-" + std::to_string(state.nodes.size()));
  }
  void on_checkpoint(Time now, const std::string& path) override {
    see(now);
    words.push_back(path);
  }
  void on_run_end(Time now, const gossamer::observe::GroupState&) override {
    see(now);
    words.emplace_back("run-end");
  }

  double merged_weight = 0;
  double delivered_weight = 0;

 private:
  void see(Time now) {
    in_order = in_order && now >= last;
    last = now;
  }
  void note(Time now, PeerId node, const std::string& word) {
    see(now);
    words.push_back("@" + std::to_string(node) + " " + word);
  }
};

SimulatedGroupOptions a_cluster(std::size_t nodes) {
  return SimulatedGroupOptions(nodes)
      .world(SimulatedOptions(nodes).link({.latency = 300us, .bytes_per_second = 1e6}))
      .node(NodeOptions().seed(tests::seed));
}

std::string fault_word(const Fault& what) { return "fault-" + std::to_string(what.index()); }

}  // namespace

TEST_CASE("An observer does not change the run", "[node][simulated][trace]") {
  const auto run = [](std::shared_ptr<SimulationCallback> observer) {
    auto options = a_cluster(6)
                       .cost(cost::LogNormal(10ms, 0.5))
                       .plan({{100ms, fault::Crash{1}},
                              {200ms, fault::Restart{1}},
                              {300ms, fault::Join{}},
                              {400ms, fault::Leave{2}},
                              {500ms, fault::Noise{{.loss = 0.05, .reorder = 0.05}}}})
                       .callback(std::move(observer));
    Group group(options, rule::GoSgd(0.5));
    group.run(StopCondition().duration(2s));
    return gossamer::observe::digest(group.replicas()) + " " +
           std::to_string(group.world().events()) + " " +
           std::to_string(group.world().now().count());
  };
  const auto recorder = std::make_shared<Recorder>();
  CHECK(run(recorder) == run(nullptr));
  CHECK(recorder->words.size() > 1000);
  CHECK(recorder->in_order);
}

TEST_CASE("Several observers are told the same, in the order in which they were given",
          "[node][simulated][trace]") {
  /// Tells the number of words that another one has heard before it.
  class Second final : public gossamer::observe::Callback {
   public:
    explicit Second(std::shared_ptr<Recorder> first) : first_(std::move(first)) {}
    void on_step(Time, PeerId) override {
      is_later = is_later && first_->words.back().find(" step") != std::string::npos;
    }
    bool is_later = true;

   private:
    std::shared_ptr<Recorder> first_;
  };
  const auto run = [](SimulatedGroupOptions options) {
    options.plan({{100ms, fault::Crash{1}}, {300ms, fault::Join{}}, {400ms, fault::Leave{2}}});
    Group group(options, rule::GoSgd(0.5));
    group.run(StopCondition().duration(1s));
    group.evaluated({{"accuracy", 0.5}});
    group.checkpoint_saved("here");
  };
  const auto alone = std::make_shared<Recorder>();
  run(a_cluster(4).callback(alone));
  const auto first = std::make_shared<Recorder>();
  const auto second = std::make_shared<Second>(first);
  const auto third = std::make_shared<Recorder>();
  run(a_cluster(4).callback(first).callback(second).callback(third));
  CHECK(first->words == alone->words);
  CHECK(third->words == alone->words);
  CHECK(first->computed == alone->computed);
  CHECK(third->computed == alone->computed);
  CHECK(second->is_later);
  for (const std::string word : {"run-begin", "run-end", "accuracy-3", "here", "fault-3"}) {
    INFO(word);
    CHECK(alone->count(word) == 1);
  }
  CHECK(alone->count("0 knows 4") == 1);
}

TEST_CASE("Each step is told once, with what it costs, and so is its end",
          "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  Group group(a_cluster(3)
                  .cost_of([](PeerId id) { return cost::Constant((id + 1) * 10ms); })
                  .plan({{105ms, fault::SlowDisk{1, 70ms}}, {200ms, fault::Straggle{2, 2}}})
                  .callback(recorder),
              rule::GoSgd(0.5));
  group.run(StopCondition().duration(1200ms));
  for (PeerId id = 0; id < 3; ++id) {
    CHECK(recorder->steps[id] == group[id].counters().steps);
    CHECK(recorder->step_ends[id] == recorder->steps[id]);
  }
  CHECK(recorder->computed[0] == 120 * 10ms);
  CHECK(recorder->computed[1] == recorder->steps[1] * 20ms);
  CHECK(recorder->computed[2] == 7 * 30ms + (recorder->steps[2] - 7) * 60ms);
  CHECK(recorder->disk[0] == 0ms);
  CHECK(recorder->disk[1] == 70ms);
}

TEST_CASE("A step in two halves is told as one", "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  SimulatedGroup<tests::Descender> group(a_cluster(3).callback(recorder), rule::Sync());
  group.run(StopCondition().steps(20));
  for (PeerId id = 0; id < 3; ++id) {
    CHECK(recorder->steps[id] == 20);
    CHECK(recorder->computed[id] == 20 * 10ms);
  }
}

TEST_CASE("A turn is told in its order", "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  Group group(a_cluster(2).callback(recorder), rule::GoSgd(1));
  group.run(StopCondition().steps(2));
  CHECK(recorder->of(0) ==
        "start-1 weight step end sent weight step end sent got merged-1 weight rest got merged-1 "
        "weight");
}

TEST_CASE("Weights that nodes tell and that of messages add up to 1", "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  Group group(a_cluster(6)
                  .cost(cost::LogNormal(10ms, 0.5))
                  .plan({{100ms, fault::Join{}},
                         {200ms, fault::Partition{{0, 1}}},
                         {1200ms, fault::Heal{}},
                         {1500ms, fault::Leave{3}}})
                  .callback(recorder),
              rule::GoSgd(0.5));
  group.run(StopCondition().duration(3s));
  CHECK(recorder->worst < tests::weight_tolerance);
  CHECK(recorder->count("@3 back") + recorder->count("@1 back") > 0);
  CHECK(recorder->weights.size() == 6);
  for (const auto& [id, weight] : recorder->weights) CHECK(weight == group[id].weight());
  // All that is delivered under this rule is merged.
  CHECK(recorder->merged_weight == Approx(recorder->delivered_weight));
  std::uint64_t merged = 0;
  for (const auto& [id, messages] : recorder->merged) merged += messages;
  CHECK(merged == group.totals().messages_merged);
  CHECK(recorder->sent == group.totals().messages_sent);
}

TEST_CASE("Waiting is told under a rule that waits, and under no other",
          "[node][simulated][trace]") {
  for (const rule::AnyRule& rule :
       {rule::AnyRule(rule::PerSyn(2)), rule::AnyRule(rule::GoSgd(0.5))}) {
    CAPTURE(rule->name());
    const auto recorder = std::make_shared<Recorder>();
    Group group(a_cluster(3)
                    .cost_of([](PeerId id) { return cost::Constant(id == 2 ? 40ms : 10ms); })
                    .callback(recorder),
                rule);
    group.run(StopCondition().steps(20));
    CHECK((recorder->count("@0 wait") > 5) == (rule->name() == "persyn"));
    CHECK((recorder->count("@1 wait") > 5) == (rule->name() == "persyn"));
    if (rule->name() == "gosgd") CHECK(recorder->count("@2 wait") == 0);
  }
}

TEST_CASE("Lives are told from their beginning to their end, with the reason",
          "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  Group group(a_cluster(4)
                  .plan({{105ms, fault::Crash{1}},
                         {300ms, fault::Restart{1}},
                         {400ms, fault::Join{}},
                         {500ms, fault::Leave{2}}})
                  .callback(recorder),
              rule::GoSgd(0.5));
  group.run(StopCondition().duration(2s));
  const std::string one = recorder->of(1);
  CHECK(one.rfind("start-1 weight step", 0) == 0);
  // It dies at work; then it asks for weight, waits, and is given some.
  CHECK_THAT(one, tests::contains("step crashed start-2 sent join "));
  CHECK_THAT(one.substr(one.find("start-2")), tests::contains("got merged-1 weight step"));
  CHECK_THAT(recorder->of(4), Catch::Matchers::StartsWith("start-1 sent join "));
  const std::string two = recorder->of(2);
  CHECK_THAT(two, tests::contains(" leaving "));
  CHECK(two.substr(two.size() - 4) == "left");
  CHECK(recorder->words.back() == "run-end");
  CHECK(recorder->count("run-end") == 1);
}

TEST_CASE("A node that fails is told to end so", "[node][simulated][trace]") {
  class Failing final : public GossipNode<std::vector<at::Tensor>> {
   public:
    explicit Failing(Context context)
        : GossipNode(std::move(context), {torch::zeros({4}, torch::kDouble)}) {}

   private:
    double local_step() override {
      if (id() == 1 && counters().steps == 5) throw std::runtime_error("no more data");
      return 0;
    }
  };
  const auto recorder = std::make_shared<Recorder>();
  SimulatedGroup<Failing> group(a_cluster(3).callback(recorder), rule::GoSgd(0.5));
  CHECK_THROWS_AS(group.run(StopCondition().steps(100)), gossamer::NodeError);
  const std::string one = recorder->of(1);
  CHECK(one.substr(one.size() - 6) == "failed");
  CHECK(recorder->steps[1] == 5);
  CHECK(recorder->words.back() == "run-end");
}

TEST_CASE("Faults are told when they happen, and those that make no sense are not",
          "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  Group group(a_cluster(3).callback(recorder), rule::GoSgd(0.5));
  const std::vector<Fault> happen{
      fault::Straggle{0, 2}, fault::Pause{0, 1ms}, fault::SlowDisk{0, 1ms}, fault::Crash{1},
      fault::Restart{1},     fault::Join{},        fault::Leave{2},         fault::Partition{{0}},
      fault::Heal{},         fault::Cut{0, 1},     fault::Reconnect{0, 1},  fault::Noise{}};
  for (const Fault& one : happen) {
    CAPTURE(one.index());
    const int before = recorder->count(fault_word(one));
    group.apply(one);
    CHECK(recorder->count(fault_word(one)) == before + 1);
  }
  const std::vector<Fault> senseless{
      fault::Straggle{9, 2}, fault::Pause{9, 1ms}, fault::SlowDisk{9, 1ms}, fault::Crash{9},
      fault::Restart{1},     fault::Leave{9},      fault::Cut{1, 1},        fault::Reconnect{0, 9}};
  const std::size_t words = recorder->words.size();
  for (const Fault& one : senseless) group.apply(one);
  CHECK(recorder->words.size() == words);
}

TEST_CASE("A group that goes on from a checkpoint tells of those who are there, and when it is",
          "[node][simulated][trace]") {
  const auto recorder = std::make_shared<Recorder>();
  const auto options = a_cluster(4).plan({{105ms, fault::Crash{1}}, {200ms, fault::Join{}}});
  Group first(options, rule::GoSgd(0.3));
  first.run_until(StopCondition().duration(500ms));
  gossamer::Archive saved;
  first.checkpoint(saved);

  auto watched = options;
  Group second(watched.callback(recorder), rule::GoSgd(0.3));
  gossamer::Archive archive(saved.entries());
  second.checkpoint(archive);
  CHECK(recorder->last == first.world().now());
  CHECK(recorder->words[4] == "restored");
  CHECK(recorder->words.size() == 9);
  CHECK(recorder->weights.size() == 4);
  CHECK(recorder->weights.count(1) == 0);
  for (const auto& [id, weight] : recorder->weights) CHECK(weight == first[id].weight());
  second.run_for(StopCondition().duration(500ms));
  second.finish();
  CHECK(recorder->in_order);
  CHECK(recorder->steps[1] == 0);
  CHECK(recorder->steps[4] > 10);
}
