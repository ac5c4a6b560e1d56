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

TEST_CASE("A rule that averages gradients asks a loop to let it", "[node][gossip]") {
  const auto hub = ThreadHub::make(1);
  Numbers model = numbers(0);
  Gossip gossip(context_of(hub, 0, gossamer::rule::Sync{}), model);
  gossip.average_gradients();
  gossip.step();
  CHECK(tests::message_of<ConfigError>([&] { gossip.step(); }) ==
        "Gossip: rule sync averages gradients; call average_gradients() between backward() and "
        "the optimizer's step()");
}

TEST_CASE(
    "average_gradients() takes the step of one node with all images, and no more for rules "
    "that do nothing there",
    "[node][gossip][threads]") {
  const bool synchronous = GENERATE(true, false);
  const AnyRule rule =
      synchronous ? AnyRule(gossamer::rule::Sync{}) : AnyRule(gossamer::rule::None{});
  constexpr std::size_t nodes = 3;
  std::vector<torch::Tensor> ends(nodes);
  const auto loop = [&](Context context) {
    Numbers model{torch::ones({4}, torch::kDouble).requires_grad_(),
                  torch::ones({2}, torch::kDouble).requires_grad_()};  // the second is not used
    Gossip gossip(std::move(context), model);
    torch::optim::SGD optimizer(model, torch::optim::SGDOptions(0.1).weight_decay(0.01));
    const double target = gossip.id();
    for (int i = 0; i < 7; ++i) {
      optimizer.zero_grad();
      const auto loss = (model[0] - target).square().sum();
      loss.backward();
      gossip.average_gradients();
      optimizer.step();
      gossip.step(loss.item<double>());
    }
    ends[gossip.id()] = torch::cat({model[0].detach(), model[1].detach()});
  };
  run_threads(GroupOptions(nodes), rule, loop);
  double x = 1;
  for (int i = 0; i < 7; ++i) x -= 0.1 * (2 * (x - 1) + 0.01 * x);
  for (const torch::Tensor& end : ends) {
    if (synchronous) {
      CHECK(torch::equal(end, ends[0]));
      CHECK(end[0].item<double>() == tests::Approx(x));
    }
    CHECK(end[5].item<double>() == 1);
  }
  if (!synchronous) CHECK(ends[2][0].item<double>() > 1.5);
}

TEST_CASE(
    "Loops whose messages come back from full mailboxes end in the same bits, whoever is first",
    "[node][gossip][threads]") {
  for (int repeat = 0; repeat < 12; ++repeat) {
    std::vector<torch::Tensor> ends(3);
    const auto loop = [&](Context context) {
      Numbers model{torch::ones({64}, torch::kDouble).requires_grad_()};
      Gossip gossip(std::move(context), model);
      torch::optim::SGD optimizer(model, 0.1);
      for (int i = 0; i < 3; ++i) {
        optimizer.zero_grad();
        (model[0] - static_cast<double>(gossip.id())).square().sum().backward();
        gossip.average_gradients();
        optimizer.step();
        gossip.step();
      }
      ends[gossip.id()] = model[0].detach();
    };
    run_threads(GroupOptions(3).mailbox_capacity(1), gossamer::rule::Sync().chunks(6), loop);
    REQUIRE(torch::equal(ends[1], ends[0]));
    REQUIRE(torch::equal(ends[2], ends[0]));
  }
}

TEST_CASE("average() gives every loop the same bits, whenever others leave",
          "[node][gossip][threads]") {
  constexpr std::size_t nodes = 4;
  const bool one_leaves = GENERATE(false, true);
  std::vector<torch::Tensor> means(nodes);
  std::vector<double> ends(nodes);
  std::vector<char> left(nodes);
  run_threads(GroupOptions(nodes), rule_named("none"), [&](Context context) {
    Numbers model = numbers(0);
    Gossip gossip(std::move(context), model);
    const auto id = gossip.id();
    model[0].fill_(1.0 + id);
    gossip.step();
    if (one_leaves && id == 3) {
      left[id] = gossip.leave() ? 1 : 0;
      return;
    }
    Numbers result = numbers(0);
    gossip.average_into(result);
    means[id] = result[0].clone();
    gossip.average();
    ends[id] = model[0][0].item<double>();
  });
  if (one_leaves) {
    CHECK(left[3] == 1);
  } else {
    CHECK(means[0][0].item<double>() == 2.5);
    CHECK(ends == std::vector<double>(nodes, 2.5));
  }
  for (std::size_t i = 0; i < (one_leaves ? 3 : nodes); ++i) {
    CHECK(torch::equal(means[i], means[0]));
  }
}

TEST_CASE("A loop that leaves hands its weight over; one that finishes keeps it",
          "[node][gossip][threads]") {
  const auto hub = ThreadHub::make(2);
  std::optional<Context> zero(context_of(hub, 0, rule_named("gosgd")));
  std::optional<Context> one(context_of(hub, 1, rule_named("gosgd")));
  std::promise<void> listens;
  std::promise<void> gone;
  bool went_well = false;
  std::thread first([&] {
    Numbers model = numbers(0);
    Gossip gossip(std::move(*zero), model);
    gossip.step();
    listens.get_future().wait();
    went_well = gossip.leave();
    went_well = gossip.leave() && went_well;  // once more changes nothing
    gone.set_value();
  });
  double weight = 0;
  std::vector<Reason> told;
  bool finished = false;
  gossamer::Counters all;
  std::thread second([&] {
    Numbers model = numbers(0);
    Gossip gossip(std::move(*one), model);
    gossip.on_peer_left([&](PeerId /*always 0*/, Reason reason) { told.push_back(reason); });
    listens.set_value();
    auto end = gone.get_future();
    while (end.wait_for(std::chrono::microseconds(100)) != std::future_status::ready) {
      gossip.step(1);
    }
    gossip.step(1);
    weight = gossip.weight();
    all = gossip.totals();
    finished = gossip.peers().empty() && gossip.finish() && gossip.finish();
  });
  first.join();
  second.join();
  CHECK(went_well);
  CHECK(weight == tests::Approx(1.0).margin(tests::weight_tolerance));
  CHECK(hub->counters(0).weight == 0);
  REQUIRE(told.size() == 2);
  CHECK(told[0] == Reason::finished);
  CHECK(told[1] == Reason::left);
  CHECK(finished);
  CHECK(all.steps == hub->work_done().steps);
  CHECK(all.weight == weight);
}

TEST_CASE("A newcomer that restores a checkpoint counts its steps as the group does",
          "[node][gossip][threads]") {
  const auto hub = ThreadHub::make(2);
  std::optional<Context> zero(context_of(hub, 0, gossamer::rule::PerSyn(3)));
  std::optional<Context> one(context_of(hub, 1, gossamer::rule::PerSyn(3)));
  zero->weight = 1;
  one->weight = 0;
  gossamer::Archive saved;
  {
    Numbers model = numbers(1);
    const auto alone = ThreadHub::make(1);
    Gossip gossip(context_of(alone, 0, gossamer::rule::PerSyn(3)), model);
    for (int i = 0; i < 50; ++i) gossip.step();
    gossip.checkpoint(saved);
  }
  double apart = 1;
  const auto train = [&](Context context, double value, bool restores) {
    Numbers model = numbers(value);
    Gossip gossip(std::move(context), model);
    if (restores) {
      gossamer::Archive archive(saved.entries());
      gossip.checkpoint(archive);
    }
    for (int i = 0; i < 30; ++i) gossip.step();  // waits for the other one's at each third
    if (restores) apart = std::abs(model[0][3].item<double>() - 5);
  };
  std::thread first([&] { train(std::move(*zero), 5, false); });
  std::thread second([&] { train(std::move(*one), 2, true); });
  first.join();
  second.join();
  CHECK(apart == 0);
}

TEST_CASE("A newcomer's loop starts from a member's model, with half of its weight",
          "[node][gossip][threads]") {
  const auto hub = ThreadHub::make(2);
  std::optional<Context> zero(context_of(hub, 0, rule_named("none")));
  std::optional<Context> one(context_of(hub, 1, rule_named("none")));
  zero->weight = 1;
  one->weight = 0;
  std::promise<void> met;
  std::thread first([&] {
    Numbers model = numbers(5);
    Gossip gossip(std::move(*zero), model);
    auto end = met.get_future();
    while (end.wait_for(std::chrono::microseconds(100)) != std::future_status::ready) {
      gossip.step();
    }
  });
  double start = 0;
  double weight = 0;
  std::thread second([&] {
    Numbers model = numbers(2);
    const Gossip gossip(std::move(*one), model);
    start = model[0][3].item<double>();
    weight = gossip.weight();
    met.set_value();
  });
  first.join();
  second.join();
  CHECK(start == 5);
  CHECK(weight == 0.5);
}

TEST_CASE("A loop that was saved goes on with its parameters, counters and what is the user's",
          "[node][gossip]") {
  const auto hub = ThreadHub::make(1);
  Numbers model = numbers(0);
  gossamer::Archive saved;
  int epoch = 3;
  {
    Gossip gossip(context_of(hub, 0, rule_named("gosgd")), model);
    gossip.on_checkpoint([&](gossamer::Archive& archive) { archive("epoch", epoch); });
    model[0].fill_(8);
    gossip.step(2);
    gossip.checkpoint(saved);
  }
  Numbers other = numbers(1);
  epoch = 0;
  Gossip gossip(context_of(ThreadHub::make(1), 0, rule_named("gosgd")), other);
  gossip.on_checkpoint([&](gossamer::Archive& archive) { archive("epoch", epoch); });
  gossamer::Archive archive(saved.entries());
  gossip.checkpoint(archive);
  CHECK(other[0][1].item<double>() == 8);
  CHECK(epoch == 3);
  CHECK(gossip.counters().steps == 1);
  CHECK(gossip.weight() == 1);
}

TEST_CASE("Two models of one loop, a GAN's, meet together", "[node][gossip][threads]") {
  std::mutex mutex;
  std::set<double> ends;
  run_threads(GroupOptions(3), gossamer::rule::PerSyn(1), [&](Context context) {
    torch::nn::Linear generator(2, 2);
    torch::nn::Linear critic(2, 1);
    Gossip gossip(std::move(context), generator, critic);
    for (int i = 0; i < 3; ++i) {
      const torch::NoGradGuard no_grad;
      generator->weight += static_cast<double>(gossip.id());
      critic->bias += 2.0 * gossip.id();
      gossip.step();
    }
    const std::lock_guard lock(mutex);
    ends.insert(generator->weight.sum().item<double>());
    ends.insert(1e6 + critic->bias.item<double>());
  });
  CHECK(ends.size() == 2);
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
