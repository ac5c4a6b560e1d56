// SPDX-License-Identifier: MIT
/// Groups of nodes as threads: budgets, equality, errors, and how a run is ended from outside.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Generator;
using gossamer::GossipNode;
using gossamer::GradientNode;
using gossamer::GroupOptions;
using gossamer::NodeError;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::ThreadGroup;
using gossamer::rule::AnyRule;
using gossamer::transport::Message;

constexpr std::int64_t batch = 4;
constexpr std::int64_t inputs = 6;

AnyRule rule_named(const std::string& name) {
  if (name == "none") return gossamer::rule::None{};
  if (name == "gosgd") return gossamer::rule::GoSgd(1);
  if (name == "gosgd_pull") return gossamer::rule::GoSgdPull(1);
  if (name == "persyn") return gossamer::rule::PerSyn(3);
  if (name == "persyn in parts") return gossamer::rule::PerSyn(3).chunks(4);
  if (name == "sync in parts") return gossamer::rule::Sync().chunks(3);
  return gossamer::rule::Sync{};
}

torch::nn::Sequential make_net(std::uint64_t salt, bool normed = false) {
  torch::nn::Sequential net;
  net->push_back(torch::nn::Linear(inputs, 5));
  if (normed) net->push_back(torch::nn::BatchNorm1d(5));
  net->push_back(torch::nn::Tanh());
  net->push_back(torch::nn::Linear(5, 2));
  net->to(torch::kDouble);
  Generator random(tests::seed, salt);
  const torch::NoGradGuard no_grad;
  for (auto& parameter : net->parameters()) {
    auto flat = parameter.view({-1});
    for (std::int64_t i = 0; i < flat.numel(); ++i) flat[i] = random.uniform() - 0.5;
  }
  return net;
}

/// Sample number `index` of an endless data set.
std::pair<torch::Tensor, torch::Tensor> samples(const std::vector<std::uint64_t>& indices) {
  std::vector<double> x;
  std::vector<double> y;
  for (const auto index : indices) {
    Generator random(tests::seed + 1, index);
    for (std::int64_t i = 0; i < inputs; ++i) x.push_back(random.uniform() - 0.5);
    for (int i = 0; i < 2; ++i) y.push_back(random.uniform());
  }
  const auto n = static_cast<std::int64_t>(indices.size());
  return {torch::tensor(x, torch::kDouble).view({n, inputs}),
          torch::tensor(y, torch::kDouble).view({n, 2})};
}

/// Regression on a stream of samples of which node m takes its own part.
class Learner : public GradientNode<torch::nn::Sequential> {
 public:
  explicit Learner(Context context, torch::nn::Sequential net, std::uint64_t nodes = 1)
      : GradientNode(std::move(context), std::move(net)),
        nodes_(nodes),
        optimizer_(model()->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9)) {}

  /// Called in each hook with its name; may throw or stop.
  std::function<void(const std::string&)> on_hook = [](const std::string&) {};
  int starts = 0;
  int stops = 0;
  std::vector<std::string> errors;

 private:
  double gradient() override {
    on_hook("gradient");
    std::vector<std::uint64_t> indices;
    for (std::int64_t i = 0; i < batch; ++i) {
      indices.push_back((counters().steps * nodes_ + id()) * batch + static_cast<std::uint64_t>(i));
    }
    const auto [x, y] = samples(indices);
    optimizer_.zero_grad();
    auto loss = torch::mse_loss(model()->forward(x), y);
    loss.backward();
    return loss.item<double>();
  }
  void apply() override {
    on_hook("apply");
    optimizer_.step();
  }
  void aggregate(std::span<const Message> messages) override {
    on_hook("aggregate");
    GradientNode::aggregate(messages);
  }
  void on_start() override {
    ++starts;
    on_hook("on_start");
  }
  void on_stop() override {
    ++stops;
    on_hook("on_stop");
  }
  void on_peer_left(PeerId, gossamer::transport::Reason) override { on_hook("on_peer_left"); }
  void on_error(const std::exception& error) override { errors.emplace_back(error.what()); }

  std::uint64_t nodes_;
  torch::optim::SGD optimizer_;
};

using Group = ThreadGroup<Learner>;

GroupOptions options_for(std::size_t nodes) {
  return GroupOptions(nodes).node(NodeOptions().seed(tests::seed).samples_per_step(batch));
}

/// Each node's network starts elsewhere; the group makes them equal.
std::unique_ptr<Group> make_group(const GroupOptions& options, const std::string& rule,
                                  bool normed = false) {
  return std::make_unique<Group>(options, rule_named(rule), [&](Context context) {
    const auto salt = context.transport->self();
    return std::make_unique<Learner>(std::move(context), make_net(salt, normed), options.nodes());
  });
}

double distance(const gossamer::model::Flat& a, const gossamer::model::Flat& b) {
  return (a.segments()[0] - b.segments()[0]).abs().max().item<double>();
}

double total(const Group& group) { return group.total_weight(); }

auto weight_is_one() { return tests::Approx(1.0).margin(tests::weight_tolerance); }

std::string nested_text(const std::exception& error) {
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& inner) {
    return inner.what();
  }
  return "nothing nested";
}

}  // namespace

TEST_CASE("A group of any size does its steps under every rule, and its weights add up",
          "[node][threads]") {
  const std::string rule =
      GENERATE("none", "gosgd", "gosgd_pull", "sync", "persyn", "sync in parts", "persyn in parts");
  const std::size_t nodes = GENERATE(1, 2, 3, 5);
  CAPTURE(rule, nodes);
  const auto group = make_group(options_for(nodes), rule);
  for (std::size_t i = 1; i < nodes; ++i) {  // an equal start
    CHECK(distance((*group)[i].parameters().flat(), (*group)[0].parameters().flat()) == 0);
  }
  group->run_until(StopCondition().steps(20));
  const std::uint64_t steps = group->totals().steps;
  CHECK(steps >= 20 * nodes);
  CHECK(steps < 21 * nodes);  // each may have been in a step as the budget was reached
  CHECK(group->totals().samples == steps * batch);
  CHECK(total(*group) == weight_is_one());
  CHECK(group->totals().weight == weight_is_one());  // nothing is under way
  if (rule.find("syn") != std::string::npos) {
    for (std::size_t i = 0; i < nodes; ++i) CHECK((*group)[i].counters().steps == 20);
  }
  if (nodes > 1 && rule != "none") CHECK(group->totals().messages_sent > 0);

  group->run_until(StopCondition().samples(30 * batch * nodes));  // it goes on
  CHECK(group->totals().steps >= 30 * nodes);
  CHECK(group->totals().steps < 31 * nodes);
  group->run(StopCondition().steps(31));
  CHECK(total(*group) == weight_is_one());
  CHECK(group->replicas().size() == nodes);
  for (std::size_t i = 0; i < nodes; ++i) {
    CHECK((*group)[i].starts == 1);
    CHECK((*group)[i].stops == 1);
    CHECK((*group)[i].parameters().flat().segments()[0].isfinite().all().item<bool>());
  }
}

TEST_CASE("A duration ends a run under every rule", "[node][threads]") {
  const std::string rule = GENERATE("none", "gosgd", "gosgd_pull", "sync", "persyn");
  CAPTURE(rule);
  const auto group = make_group(options_for(3), rule);
  group->run(StopCondition().duration(std::chrono::milliseconds(20)));
  CHECK(group->elapsed() >= std::chrono::milliseconds(20));
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("Sync is one process with the batches of all, and its nodes are equal bit for bit",
          "[node][sync][threads]") {
  const std::size_t nodes = GENERATE(2, 3, 5);
  const std::string rule = GENERATE("sync", "sync in parts");
  CAPTURE(nodes, rule);
  const auto group = make_group(options_for(nodes), rule);
  group->run(StopCondition().steps(25));

  auto net = make_net(0);
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  for (std::uint64_t step = 0; step < 25; ++step) {
    std::vector<std::uint64_t> indices;
    for (std::uint64_t i = 0; i < nodes * batch; ++i) indices.push_back(step * nodes * batch + i);
    const auto [x, y] = samples(indices);
    optimizer.zero_grad();
    torch::mse_loss(net->forward(x), y).backward();
    optimizer.step();
  }
  for (std::size_t i = 0; i < nodes; ++i) {
    const auto parameters = (*group)[i].model()->parameters();
    const auto expected = net->parameters();
    for (std::size_t p = 0; p < expected.size(); ++p) {
      CHECK((parameters[p] - expected[p]).abs().max().item<double>() < 1e-10);
      CHECK(torch::equal(parameters[p], (*group)[0].model()->parameters()[p]));
    }
  }
}

TEST_CASE("PerSyn leaves equal models after a step that is due", "[node][persyn][threads]") {
  const auto group = make_group(options_for(3), "persyn");
  group->run_until(StopCondition().steps(6));
  CHECK(gossamer::observe::consensus_error(group->replicas()) == 0);
  group->run_until(StopCondition().steps(7));
  CHECK(gossamer::observe::consensus_error(group->replicas()) > 0);
  group->run_until(StopCondition().steps(9));
  CHECK(gossamer::observe::consensus_error(group->replicas()) == 0);
}

TEST_CASE("One seed ends in the same bits where the order is fixed", "[node][threads]") {
  const auto [rule, nodes] = GENERATE(table<std::string, std::size_t>({{"none", 1},
                                                                       {"gosgd", 1},
                                                                       {"gosgd_pull", 1},
                                                                       {"sync", 1},
                                                                       {"persyn", 1},
                                                                       {"sync", 4},
                                                                       {"persyn", 4}}));
  CAPTURE(rule, nodes);
  std::vector<std::string> digests;
  for (int run = 0; run < 2; ++run) {
    const auto group = make_group(options_for(nodes), rule);
    group->run(StopCondition().steps(15));
    digests.push_back(gossamer::observe::digest(group->replicas()));
  }
  CHECK(digests[0] == digests[1]);
}

TEST_CASE("Threads that average in parts end in the bits of those that average whole",
          "[node][sync][persyn][threads]") {
  const std::string rule = GENERATE("sync", "persyn");
  const auto digest_of = [](const std::string& name) {
    const auto group = make_group(options_for(4), name);
    group->run(StopCondition().steps(30));
    return gossamer::observe::digest(group->replicas());
  };
  CHECK(digest_of(rule) == digest_of(rule + " in parts"));
}

TEST_CASE("An exception in any hook is the node's error, and the weights still add up",
          "[node][threads]") {
  const std::string rule = GENERATE("none", "gosgd", "gosgd_pull", "sync", "persyn");
  const std::string hook = GENERATE("on_start", "gradient", "apply", "aggregate");
  for (int n = 1; n <= 4; ++n) {
    if (hook == "aggregate" && rule == "none") continue;
    if (hook == "on_start" && n > 1) continue;
    CAPTURE(rule, hook, n);
    const auto group = make_group(options_for(3), rule);
    int calls = 0;
    (*group)[1].on_hook = [&](const std::string& name) {
      if (name == hook && ++calls == n) throw std::out_of_range("no more data");
    };
    try {
      group->run_until(StopCondition().steps(10'000));
      FAIL("expected NodeError");
    } catch (const NodeError& error) {
      CHECK(error.what() == std::string("node 1: no more data"));
      CHECK(error.node() == 1);
      CHECK(nested_text(error) == "no more data");
      try {
        std::rethrow_if_nested(error);
      } catch (const std::out_of_range&) {
      } catch (...) {
        FAIL("the original is of another type");
      }
    }
    CHECK(total(*group) == weight_is_one());
    CHECK((*group)[1].errors == std::vector<std::string>{"no more data"});
    CHECK(group->replicas().size() == 2);
    CHECK(group->totals().steps < 30'000);  // the others were stopped

    // They can go on without it.
    const auto before = group->totals().steps;
    group->run(StopCondition().steps(before / 3 + 20));
    CHECK(group->totals().steps > before);
    CHECK(total(*group) == weight_is_one());
    CHECK((*group)[0].stops == 1);
    CHECK((*group)[1].stops == 0);
  }
}

TEST_CASE("An exception in on_stop is the node's error too", "[node][threads]") {
  const auto group = make_group(options_for(3), "gosgd");
  (*group)[1].on_hook = [](const std::string& name) {
    if (name == "on_stop") throw std::runtime_error("disk full");
  };
  std::string text;
  try {
    group->run(StopCondition().steps(3));
  } catch (const std::exception& error) {
    text = error.what();
  }
  CHECK(text == "node 1: disk full");
  CHECK((*group)[0].stops == 1);
  CHECK((*group)[2].stops == 1);  // the others end all the same
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("An exception while the last messages land is the node's error", "[node][threads]") {
  const auto group = make_group(options_for(3), "gosgd");
  // Between runs the hooks are called by the thread that owns the group.
  (*group)[2].on_hook = [owner = std::this_thread::get_id()](const std::string& name) {
    if (name == "aggregate" && std::this_thread::get_id() == owner) {
      throw std::runtime_error("too late");
    }
  };
  const auto run = [&] {
    while (true) group->run_until(StopCondition().steps(group->totals().steps / 3 + 1));
  };
  CHECK(tests::message_of<NodeError>(run) == "node 2: too late");
  CHECK(total(*group) == weight_is_one());
  CHECK(group->replicas().size() == 2);
}

TEST_CASE("Something that is not an exception is reported as such", "[node][threads]") {
  const auto group = make_group(options_for(2), "gosgd");
  (*group)[0].on_hook = [](const std::string& name) {
    if (name == "apply") throw 3;  // NOLINT(hicpp-exception-baseclass)
  };
  CHECK(tests::message_of<NodeError>([&] { group->run_until(StopCondition()); }) ==
        "node 0: something that is not a std::exception");
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("The first of several errors is the one that is reported", "[node][threads]") {
  const auto group = make_group(options_for(4), "none");
  for (std::size_t i = 0; i < 4; ++i) {
    (*group)[i].on_hook = [i](const std::string& name) {
      if (name == "gradient") throw std::runtime_error("mine, " + std::to_string(i));
    };
  }
  try {
    group->run_until(StopCondition().steps(5));
    FAIL("expected NodeError");
  } catch (const NodeError& error) {
    CHECK(error.what() ==
          "node " + std::to_string(error.node()) + ": mine, " + std::to_string(error.node()));
  }
  CHECK(group->replicas().size() < 4);
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("A loss that is not finite names node and step", "[node][threads]") {
  const auto group = make_group(options_for(2), "none");
  (*group)[1].model()->parameters()[0].detach().fill_(std::nan(""));
  CHECK_THAT(tests::message_of<NodeError>([&] { group->run_until(StopCondition()); }),
             Catch::Matchers::StartsWith("node 1: the loss is ") &&
                 Catch::Matchers::EndsWith("nan at step 1; a lower learning rate may help"));
}

TEST_CASE("stop() from another thread ends an endless run under every rule", "[node][threads]") {
  const std::string rule =
      GENERATE("none", "gosgd", "gosgd_pull", "sync", "persyn", "sync in parts");
  CAPTURE(rule);
  const auto group = make_group(options_for(3), rule);
  std::atomic<bool> running{false};
  (*group)[2].on_hook = [&](const std::string&) { running = true; };
  std::thread other([&] {
    while (!running) std::this_thread::yield();
    while (group->totals().steps < 30) std::this_thread::yield();  // readable meanwhile
    group->stop();
  });
  group->run(StopCondition());
  other.join();
  CHECK(group->totals().steps >= 30);
  CHECK(total(*group) == weight_is_one());
  if (rule.rfind("sync", 0) == 0) {
    CHECK(gossamer::observe::consensus_error(group->replicas()) == 0);
  }
}

TEST_CASE("A signal ends an endless run, and says which", "[node][threads]") {
  const int signal = GENERATE(SIGINT, SIGTERM);
  gossamer::Signals signals;
  const auto stop = [&] { return signals.received() != 0; };
  const auto group =
      make_group(options_for(2).tick(std::chrono::milliseconds(1)).stop_when(stop), "gosgd");
  CHECK(signals.received() == 0);
  std::atomic<bool> raised{false};
  (*group)[1].on_hook = [&](const std::string&) {
    if (!raised.exchange(true)) std::raise(signal);
  };
  group->run(StopCondition());
  CHECK(signals.received() == signal);
  CHECK((*group)[0].stops == 1);
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("A signal between two runs ends the next at once", "[node][threads]") {
  gossamer::Signals signals;
  const auto stop = [&] { return signals.received() != 0; };
  const auto group = make_group(options_for(2).stop_when(stop), "gosgd");
  group->run_until(StopCondition().steps(2));
  std::raise(SIGINT);
  group->run(StopCondition());
  CHECK(signals.received() == SIGINT);
}

TEST_CASE("on_tick comes while the group runs, and may stop it", "[node][threads]") {
  Group* running = nullptr;
  int ticks = 0;
  const auto here = std::this_thread::get_id();
  const auto group = make_group(options_for(2).tick(std::chrono::milliseconds(1)).on_tick([&] {
    CHECK(std::this_thread::get_id() == here);
    if (++ticks == 3) running->stop();
  }),
                                "gosgd");
  running = group.get();
  group->run(StopCondition());
  CHECK(ticks >= 3);
}

TEST_CASE("An exception in on_tick ends the run and comes out", "[node][threads]") {
  const auto group = make_group(options_for(2).tick(std::chrono::milliseconds(1)).on_tick([] {
    throw std::runtime_error("screen gone");
  }),
                                "gosgd");
  CHECK_THROWS_WITH(group->run_until(StopCondition()), "screen gone");
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("Different shapes are refused, naming the nodes and the parameter", "[node][threads]") {
  const auto text = tests::message_of<ConfigError>([] {
    Group(GroupOptions(3), gossamer::rule::None{}, [](Context context) {
      torch::nn::Sequential net(torch::nn::Linear(inputs, context.transport->self() == 2 ? 4 : 3));
      return std::make_unique<Learner>(std::move(context), net);
    });
  });
  CHECK(
      text ==
      "node 2 and node 0 have different models: \"0.weight Float [4, 6], strides [6, 1]\" here is "
      "\"0.weight Float [3, 6], strides [6, 1]\" there");
}

TEST_CASE("Options of a group that cannot work are refused", "[node][threads]") {
  const auto refusal = [](const GroupOptions& options) {
    return tests::message_of<ConfigError>([&] { make_group(options, "none"); });
  };
  CHECK(refusal(GroupOptions(0)) == "GroupOptions: nodes must be at least 1, got 0");
  CHECK(refusal(GroupOptions(2).threads_per_node(0)) ==
        "GroupOptions: threads_per_node must be at least 1, got 0");
  CHECK(refusal(GroupOptions(2).tick(std::chrono::milliseconds(0))) ==
        "GroupOptions: tick must be positive, got 0 ms");
}

TEST_CASE("No node ever has more copies of its model than it may", "[node][threads]") {
  const auto snapshots = GENERATE(as<std::size_t>{}, 1, 3);
  auto options = options_for(4);
  options.node(gossamer::NodeOptions(options.node()).max_in_flight(snapshots));
  const auto group = make_group(options, "gosgd");
  group->run_until(StopCondition().steps(200));
  CHECK(group->totals().messages_sent > 4 * snapshots);  // each was used again
  for (std::size_t i = 0; i < 4; ++i) CHECK((*group)[i].engine().pool().made() <= snapshots);
  CHECK(total(*group) == weight_is_one());
}

TEST_CASE("Statistics of BatchNorm travel with the parameters, or stay, or start afresh",
          "[node][threads]") {
  using gossamer::model::Buffers;
  const auto policy = GENERATE(Buffers::average, Buffers::local, Buffers::reset);
  const std::string rule = GENERATE("gosgd", "sync", "persyn");
  CAPTURE(static_cast<int>(policy), rule);
  auto options = options_for(3);
  options.node(NodeOptions(options.node()).buffers(policy));
  const auto group = make_group(options, rule, true);
  group->run_until(StopCondition().steps(12));
  CHECK(total(*group) == weight_is_one());
  std::vector<torch::Tensor> means;
  for (std::size_t i = 0; i < 3; ++i) {
    const auto buffers = (*group)[i].model()->named_buffers();
    means.push_back(buffers["1.running_mean"]);
    CHECK(means.back().isfinite().all().item<bool>());
    if (policy == Buffers::local) {
      CHECK(buffers["1.num_batches_tracked"].item<std::int64_t>() ==
            static_cast<std::int64_t>((*group)[i].counters().steps));
    }
  }
  const bool equal = torch::equal(means[0], means[1]) && torch::equal(means[1], means[2]);
  if (rule == "persyn") CHECK(equal == (policy != Buffers::local));  // 12 steps: they have just met
  if (rule == "persyn" && policy == Buffers::reset) CHECK(means[0].abs().max().item<double>() == 0);
  if (rule == "sync" && policy == Buffers::local) CHECK_FALSE(equal);
  if (rule == "sync" && policy == Buffers::average) {
    // Each averages its statistics with the gradients, hence before each apply.
    CHECK(equal);
  }
}

TEST_CASE("Mean and weighted mean of a group are the nodes'", "[node][threads]") {
  const auto group = make_group(options_for(3), "gosgd");
  group->run_until(StopCondition().steps(10));
  torch::Tensor mean = torch::zeros_like(group->mean().segments()[0]);
  torch::Tensor weighted = torch::zeros_like(mean);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto x = (*group)[i].parameters().flat().segments()[0];
    mean += x / 3;
    weighted += (*group)[i].weight() * x;
  }
  CHECK((group->mean().segments()[0] - mean).abs().max().item<double>() < 1e-12);
  CHECK((group->weighted_mean().segments()[0] - weighted).abs().max().item<double>() < 1e-12);
}

TEST_CASE("A hundred short runs leave the weight whole", "[node][threads]") {
  const std::string rule = GENERATE("gosgd", "gosgd_pull", "sync", "persyn");
  const auto group = make_group(options_for(3), rule);
  for (std::uint64_t i = 1; i <= 100; ++i) {
    group->run_until(StopCondition().steps(i));
    REQUIRE(total(*group) == weight_is_one());
    REQUIRE(group->totals().steps >= 3 * i);
  }
}
