// SPDX-License-Identifier: MIT
/// Gossip in somebody's own training loop.
#include <gossamer/error.hpp>
#include <gossamer/node/gossip.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/transport/threads.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Gossip;
using gossamer::GroupOptions;
using gossamer::NodeError;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::run_threads;
using gossamer::rule::AnyRule;
using gossamer::transport::Reason;
using gossamer::transport::ThreadHub;
using Numbers = std::vector<torch::Tensor>;

/// What a test waits for comes at once or never; this is when it gives up.
constexpr auto give_up = std::chrono::seconds(10);

Numbers numbers(double value) { return {torch::full({4}, value, torch::kDouble)}; }

AnyRule rule_named(const std::string& name) {
  if (name == "none") return gossamer::rule::None{};
  if (name == "gosgd") return gossamer::rule::GoSgd(1);
  if (name == "gosgd_pull") return gossamer::rule::GoSgdPull(1);
  return gossamer::rule::PerSyn(2);
}

Context context_of(const std::shared_ptr<ThreadHub>& hub, PeerId id, const AnyRule& rule) {
  return {hub->endpoint(id), rule, NodeOptions().seed(tests::seed),
          1 / static_cast<double>(hub->size())};
}

/// Runs `loop(id)` in a thread for each node.
template <class Loop>
void in_threads(std::size_t nodes, Loop loop) {
  std::vector<std::thread> threads;
  for (PeerId id = 0; id < nodes; ++id) threads.emplace_back([&loop, id] { loop(id); });
  for (auto& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("All loops start from node 0's parameters", "[node][gossip][threads]") {
  const std::string rule = GENERATE("none", "gosgd", "persyn");
  const std::size_t nodes = GENERATE(1, 2, 5);
  CAPTURE(rule, nodes);
  std::mutex mutex;
  std::vector<double> starts;
  run_threads(GroupOptions(nodes), rule_named(rule), [&](Context context) {
    Numbers model = numbers(static_cast<double>(context.transport->self()) + 3);
    const Gossip gossip(std::move(context), model);
    const std::lock_guard lock(mutex);
    // Nobody has trained yet, so that a merge with a faster node changes nothing.
    starts.push_back(model[0].max().item<double>());
    starts.push_back(model[0].min().item<double>());
  });
  CHECK(starts == std::vector<double>(2 * nodes, 3.0));
}

TEST_CASE("Weights of loops add up to 1 when all have ended", "[node][gossip][threads]") {
  const std::string rule = GENERATE("none", "gosgd", "gosgd_pull", "persyn");
  const std::size_t nodes = GENERATE(1, 2, 3, 8);
  CAPTURE(rule, nodes);
  const auto hub = ThreadHub::make(nodes);
  std::vector<std::optional<Context>> contexts;
  for (PeerId id = 0; id < nodes; ++id) {
    contexts.emplace_back(context_of(hub, id, rule_named(rule)));
  }
  std::vector<std::uint64_t> steps(nodes);  // Catch2's macros are not for several threads
  std::vector<double> weights(nodes);
  in_threads(nodes, [&](PeerId id) {
    Numbers model = numbers(0);
    Gossip gossip(std::move(*contexts[id]), model);
    for (PeerId i = 0; i < 20 + id; ++i) {  // some end before others
      model[0] += 1;
      gossip.step(0.5);
    }
    steps[id] = gossip.counters().steps;
    weights[id] = gossip.weight();
  });
  for (PeerId id = 0; id < nodes; ++id) {
    CHECK(steps[id] == 20 + id);
    CHECK(weights[id] > 0);
  }
  double total = hub->weight_in_flight() + hub->weight_lost();
  for (PeerId id = 0; id < nodes; ++id) total += hub->counters(id).weight;
  CHECK(total == tests::Approx(1.0).margin(tests::weight_tolerance));
  CHECK(hub->weight_lost() == 0);
  CHECK(hub->work_done().steps == 20 * nodes + nodes * (nodes - 1) / 2);
}

TEST_CASE("PerSyn makes loops wait and take the mean", "[node][gossip][threads]") {
  constexpr std::size_t nodes = 4;
  std::vector<double> ends(nodes);
  run_threads(GroupOptions(nodes), rule_named("persyn"), [&](Context context) {
    Numbers model = numbers(0);
    Gossip gossip(std::move(context), model);
    for (int i = 0; i < 6; ++i) {
      model[0] += static_cast<double>(gossip.id());
      gossip.step();
    }
    ends[gossip.id()] = model[0][2].item<double>();
  });
  CHECK(ends == std::vector<double>(nodes, 6 * 1.5));
}

TEST_CASE("An exception in one loop is that node's error, and the others go on",
          "[node][gossip][threads]") {
  const std::string rule = GENERATE("none", "gosgd", "gosgd_pull", "persyn");
  const int n = GENERATE(1, 2, 3);
  CAPTURE(rule, n);
  std::atomic<int> done{0};
  const auto run = [&] {
    run_threads(GroupOptions(4), rule_named(rule), [&](Context context) {
      Numbers model = numbers(0);
      Gossip gossip(std::move(context), model);
      for (int i = 1; i <= 8; ++i) {
        if (gossip.id() == 2 && i == n) throw std::out_of_range("no more data");
        model[0] += 1;
        gossip.step();
      }
      ++done;
    });
  };
  try {
    run();
    FAIL("expected NodeError");
  } catch (const NodeError& error) {
    CHECK(error.what() == std::string("node 2: no more data"));
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
  }
  CHECK(done == 3);
}

TEST_CASE("A loop that throws is lost to the others, with its weight", "[node][gossip][threads]") {
  const auto hub = ThreadHub::make(2);
  auto other = hub->endpoint(1);
  Numbers model = numbers(0);
  const auto throws = [&] {
    Gossip gossip(context_of(hub, 0, rule_named("gosgd")), model);
    gossip.step();
    throw std::runtime_error("broken");
  };
  CHECK_THROWS_WITH(throws(), "broken");
  std::vector<std::string> reasons;
  double arrived = 0;
  while (const auto event = other.poll()) {
    if (const auto* gone = std::get_if<gossamer::transport::PeerLeft>(&*event)) {
      reasons.emplace_back(to_string(gone->reason));
    } else {
      arrived += std::get<gossamer::transport::Delivered>(*event).message.weight;
    }
  }
  CHECK(reasons == std::vector<std::string>{"it was lost"});
  CHECK(arrived == 0.25);
  CHECK(hub->counters(0).weight == 0.25);
}

TEST_CASE("A rule that acts between gradient and apply is refused in a loop", "[node][gossip]") {
  const auto hub = ThreadHub::make(1);
  Numbers model = numbers(0);
  CHECK(tests::message_of<ConfigError>(
            [&] { Gossip(context_of(hub, 0, gossamer::rule::Sync{}), model); }) ==
        "Gossip: rule sync acts between the gradient and its application; derive GradientNode");
}

TEST_CASE("A loss that is not finite ends the loop", "[node][gossip]") {
  const auto hub = ThreadHub::make(1);
  Numbers model = numbers(0);
  Gossip gossip(context_of(hub, 0, rule_named("gosgd")), model);
  gossip.step(1);
  CHECK(tests::message_of<std::runtime_error>([&] { gossip.step(std::nan("")); }) ==
        "the loss is nan at step 2; a lower learning rate may help");
}

TEST_CASE("A module of LibTorch gossips in its own loop", "[node][gossip][threads]") {
  std::mutex mutex;
  std::set<double> means;
  run_threads(GroupOptions(3), gossamer::rule::PerSyn(1), [&](Context context) {
    torch::nn::Linear net(3, 2);
    Gossip gossip(std::move(context), net);
    torch::optim::SGD optimizer(net->parameters(), 0.1);
    for (int i = 0; i < 5; ++i) {
      optimizer.zero_grad();
      auto loss = (net->forward(torch::ones({1, 3})) - static_cast<double>(gossip.id())).square();
      loss.sum().backward();
      optimizer.step();
      gossip.step(loss.sum().item<double>());
    }
    const std::lock_guard lock(mutex);
    means.insert(net->weight.sum().item<double>());
  });
  CHECK(means.size() == 1);
}

TEST_CASE("The others start when node 0 fails before its loop", "[node][gossip][threads]") {
  // Nobody has sent a first model. The others must start all the same, equal or not.
  const auto hub = ThreadHub::make(3);
  std::optional<Context> one(context_of(hub, 1, rule_named("gosgd")));
  std::optional<Context> two(context_of(hub, 2, rule_named("gosgd")));
  { const auto zero = hub->endpoint(0); }  // gone
  std::promise<void> second_started;
  auto started = second_started.get_future();
  std::thread second([&] {
    Numbers model = numbers(2);
    const Gossip gossip(std::move(*two), model);
    second_started.set_value();
  });
  bool in_time = false;
  {
    Numbers model = numbers(1);
    const Gossip gossip(std::move(*one), model);
    in_time = started.wait_for(give_up) == std::future_status::ready;
  }
  second.join();
  CHECK(in_time);
}

TEST_CASE("The first model arrives also where the queue is full", "[node][gossip][threads]") {
  // A faster node has filled node 2's queue before node 0's first model comes.
  const auto hub = ThreadHub::make(3, 1);
  std::optional<Context> zero(context_of(hub, 0, rule_named("gosgd")));
  std::optional<Context> two(context_of(hub, 2, rule_named("gosgd")));
  auto fast = hub->endpoint(1);
  fast.send({.to = 2, .payload = {}});
  std::promise<void> second_started;
  auto started = second_started.get_future();
  std::promise<void> may_end;
  auto end = may_end.get_future();
  std::thread first([&] {
    Numbers model = numbers(1);
    Gossip gossip(std::move(*zero), model);
    for (int i = 0;
         i < 100'000 && end.wait_for(std::chrono::microseconds(100)) != std::future_status::ready;
         ++i) {
      gossip.step();
    }
  });
  double value = 0;
  std::thread second([&] {
    Numbers model = numbers(2);
    const Gossip gossip(std::move(*two), model);
    value = model[0][0].item<double>();
    second_started.set_value();
  });
  const bool in_time = started.wait_for(give_up) == std::future_status::ready;
  may_end.set_value();
  first.join();
  fast.close(Reason::left);
  second.join();
  CHECK(in_time);
  CHECK(value == 1);
}
