// SPDX-License-Identifier: MIT
/// Gradients that travel while the backward pass computes others.
#include <gossamer/distributed.hpp>
#include <gossamer/node/gradient_overlap.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/sync.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/transport/threads.hpp>

#include <tests/launch/variable_map.hpp>
#include <tests/node/descender.hpp>
#include <tests/node/side_by_side.hpp>
#include <tests/support.hpp>
#include <torch/torch.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::Gossip;
using gossamer::GradientOverlap;
using gossamer::GroupOptions;
using gossamer::NodeError;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::run_threads;
using gossamer::rule::AnyRule;
using gossamer::rule::Sync;
using gossamer::transport::ThreadHub;
using Numbers = std::vector<torch::Tensor>;

/// A model of three parameters, of which a backward pass reaches the last one first.
constexpr std::int64_t width = 64;
Numbers three() {
  Numbers model;
  for (int i = 0; i < 3; ++i) {
    model.push_back(torch::full({width}, 0.5 + 0.25 * i, torch::kDouble).requires_grad_());
  }
  return model;
}
/// A bucket for each.
Sync in_buckets() { return Sync().bucket_cap_mb(width * sizeof(double) / (1024.0 * 1024)); }

torch::Tensor loss_of(const Numbers& model, double target) {
  torch::Tensor x = torch::linspace(-1, 1, width, torch::kDouble);
  for (const torch::Tensor& parameter : model) x = torch::tanh(x * parameter + 0.1 * target);
  return (x - target).square().sum();
}

/// A node of a group in one thread. Make them in the order of their numbers.
struct Node {
  Node(const std::shared_ptr<ThreadHub>& hub, PeerId id, const AnyRule& rule)
      : model(three()),
        gossip({hub->endpoint(id), rule, NodeOptions().seed(tests::seed),
                1 / static_cast<double>(hub->size())},
               model),
        overlap(gossip) {}
  Numbers model;
  Gossip gossip;
  GradientOverlap overlap;
};

std::vector<torch::Tensor> gradients_of(const Numbers& model) {
  std::vector<torch::Tensor> all;
  for (const torch::Tensor& one : model) {
    all.push_back(one.grad().defined() ? one.grad().clone() : torch::Tensor());
  }
  return all;
}
bool equal(const std::vector<torch::Tensor>& a, const std::vector<torch::Tensor>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].defined() != b[i].defined()) return false;
    if (a[i].defined() && !torch::allclose(a[i], b[i], 0, 0, true)) return false;
  }
  return a.size() == b.size();
}

void finish(Node& zero, Node& one) {
  std::thread other([&] { one.gossip.finish(); });
  zero.gossip.finish();
  other.join();
}

/// What two nodes have after one step, whose gradients `first` and `second` make, with the overlap
/// or with none.
template <class First, class Second>
std::vector<torch::Tensor> mean_of(First first, Second second, bool overlaps) {
  const auto hub = ThreadHub::make(2);
  Node zero(hub, 0, in_buckets());
  Node one(hub, 1, in_buckets());
  const auto pass = [overlaps](Node& node, auto compute) {
    if (!overlaps) return compute(node.model);
    const auto last = node.overlap.last_backward();
    compute(node.model);
  };
  pass(one, second);
  pass(zero, first);
  std::thread other([&] { one.gossip.average_gradients(); });
  zero.gossip.average_gradients();
  other.join();
  CHECK(equal(gradients_of(zero.model), gradients_of(one.model)));
  finish(zero, one);
  return gradients_of(zero.model);
}

/// How two loops end, with the same bits: `pass(model, id, overlap)` takes each step's gradients.
template <class Pass>
torch::Tensor end_of_two(Pass pass) {
  std::vector<torch::Tensor> ends(2);
  run_threads(GroupOptions(2), in_buckets(), [&](Context context) {
    Numbers model = three();
    Gossip gossip(std::move(context), model);
    GradientOverlap overlap(gossip);
    torch::optim::SGD optimizer(model, 0.1);
    for (int i = 0; i < 10; ++i) {
      pass(model, gossip.id(), overlap);
      gossip.average_gradients();
      optimizer.step();
      gossip.step();
    }
    ends[gossip.id()] = torch::cat(model).detach();
  });
  CHECK(torch::equal(ends[0], ends[1]));
  return ends[0];
}

}  // namespace

TEST_CASE("A bucket is on its way before the pass has ended, and back before others begin",
          "[node][gradient_overlap][threads]") {
  const auto hub = ThreadHub::make(2);
  Node zero(hub, 0, in_buckets());
  Node one(hub, 1, in_buckets());
  std::vector<std::uint64_t> sent;
  const auto watched = [&sent](Node& node, double target) {
    torch::Tensor x = torch::linspace(-1, 1, width, torch::kDouble).requires_grad_();
    for (const torch::Tensor& parameter : node.model) {
      x.register_hook([&](const torch::Tensor& gradient) {
        sent.push_back(node.gossip.counters().messages_sent);
        return gradient;
      });
      x = torch::tanh(x * parameter);
    }
    return (x - target).square().sum();
  };
  const auto loss_one = watched(one, 1);
  const auto loss_zero = watched(zero, 0);
  const std::uint64_t before_one = one.gossip.counters().messages_sent;
  const std::uint64_t before_zero = zero.gossip.counters().messages_sent;
  one.overlap.backward(loss_one);
  REQUIRE(sent.size() == 3);
  CHECK(sent[2] >= before_one + 2);
  CHECK(one.gossip.counters().messages_sent == before_one + 3);
  zero.overlap.backward(loss_zero);
  REQUIRE(sent.size() == 6);
  CHECK(sent[5] >= before_zero + 2);  // means, as node 0 reduces all
  CHECK(zero.gossip.counters().messages_sent == before_zero + 3);
  zero.gossip.average_gradients();  // does not wait any more
  one.gossip.average_gradients();
  CHECK(equal(gradients_of(zero.model), gradients_of(one.model)));
  finish(zero, one);
}

TEST_CASE("With the overlap all nodes end in the bits that they end in without",
          "[node][gradient_overlap][threads]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U);
  const std::uint32_t chunks = GENERATE(1U, 3U);
  const double cap = GENERATE(0.0001, 0.0005, 25.0);
  CAPTURE(nodes, chunks, cap);
  const auto train = [&](bool overlaps) {
    std::vector<torch::Tensor> ends(nodes);
    run_threads(
        GroupOptions(nodes), Sync().chunks(chunks).bucket_cap_mb(cap), [&](Context context) {
          torch::nn::Sequential model(torch::nn::Linear(5, 16), torch::nn::BatchNorm1d(16),
                                      torch::nn::Linear(16, 16), torch::nn::Linear(16, 2));
          {
            const torch::NoGradGuard no_grad;
            for (auto& parameter : model->parameters()) {
              parameter.copy_(torch::linspace(-0.5, 0.7, parameter.numel()).view_as(parameter));
            }
          }
          Gossip gossip(std::move(context), model);
          GradientOverlap overlap(gossip);
          torch::optim::Adam optimizer(model->parameters(), 0.01);
          const auto images = torch::linspace(-1, 1.0 + gossip.id(), 40).view({8, 5}).sin();
          for (int i = 0; i < 6; ++i) {
            optimizer.zero_grad();
            const auto loss = (model->forward(images * (1 + i)) - 1).square().mean();
            if (overlaps) {
              overlap.backward(loss);
            } else {
              loss.backward();
            }
            gossip.average_gradients();
            optimizer.step();
            gossip.step(loss.item<double>());
          }
          ends[gossip.id()] = gossip.parameters().flat().segments()[0].clone();
        });
    for (const torch::Tensor& end : ends) CHECK(torch::equal(end, ends[0]));
    return ends[0];
  };
  CHECK(torch::equal(train(true), train(false)));
}

TEST_CASE("What the overlap makes of a pass is what averaging after it makes",
          "[node][gradient_overlap][threads]") {
  const auto plain = [](const Numbers& model) { loss_of(model, 0).backward(); };
  const auto check = [&](auto first, auto second) {
    const auto with = mean_of(first, second, true);
    CHECK(equal(with, mean_of(first, second, false)));
    return with;
  };
  SECTION("a plain one") {
    check(plain, [](const Numbers& model) { loss_of(model, 1).backward(); });
  }
  SECTION("a parameter that one node does not use") {
    const auto mean = check(plain, [](const Numbers& model) {
      loss_of({model[0], model[2]}, 1).backward();
    });
    CHECK(mean[1].defined());
  }
  SECTION("a parameter that no node uses keeps no gradient") {
    const auto two = [](const Numbers& model) { loss_of({model[0], model[2]}, 1).backward(); };
    CHECK_FALSE(check(two, two)[1].defined());
  }
  SECTION("a parameter that is used twice") {
    check(plain, [](const Numbers& model) {
      loss_of({model[2], model[0], model[2], model[1]}, 1).backward();
    });
  }
  SECTION("a parameter that is frozen") {
    const auto frozen = [](const Numbers& model) {
      model[1].set_requires_grad(false);
      loss_of(model, 1).backward();
    };
    CHECK_FALSE(check(frozen, frozen)[1].defined());
  }
  SECTION("a gradient that is not a number") {
    const auto mean = check(plain, [](const Numbers& model) {
      (loss_of(model, 1) + (model[1] * std::nan("")).sum()).backward();
    });
    CHECK(mean[0].isfinite().all().item<bool>());
  }
}

TEST_CASE("Passes before the last one are accumulated", "[node][gradient_overlap][threads]") {
  const bool to_none = GENERATE(false, true);  // what zero_grad() makes
  const auto end = [&](bool overlaps) {
    return end_of_two([&](const Numbers& model, double id, GradientOverlap& overlap) {
      for (const torch::Tensor& one : model) {
        if (to_none) {
          one.mutable_grad() = torch::Tensor();
        } else if (one.grad().defined()) {
          one.grad().zero_();
        }
      }
      for (int part = 0; part < 3; ++part) {
        const auto loss = loss_of(model, 0.1 * part + id);
        overlaps&& part == 2 ? overlap.backward(loss) : loss.backward();
      }
    });
  };
  CHECK(torch::equal(end(true), end(false)));
}

TEST_CASE("A gradient that changes after its bucket was sent is an error, never a wrong mean",
          "[node][gradient_overlap]") {
  const auto hub = ThreadHub::make(1);
  Node node(hub, 0, in_buckets());
  node.overlap.backward(loss_of(node.model, 1));
  const std::string rest =
      " has changed since its bucket was sent; overlap only the last backward() before "
      "average_gradients(), and change gradients after that";
  std::string which = "\"tensor 0\"";
  SECTION("by another pass") { loss_of(node.model, 0.5).backward(); }
  SECTION("by another pass with the overlap") { node.overlap.backward(loss_of(node.model, 0.5)); }
  SECTION("by clipping") { torch::nn::utils::clip_grad_norm_(node.model, 1e-3); }
  SECTION("by zeros") { node.model[0].grad().zero_(); }
  SECTION("by zero_grad(set_to_none)") { node.model[0].mutable_grad() = torch::Tensor(); }
  SECTION("in one number of the last parameter, out of autograd's sight") {
    node.model[2].grad().data()[7] = 3;
    which = "\"tensor 2\"";
  }
  CHECK(tests::message_of<ConfigError>([&] { node.gossip.average_gradients(); }) ==
        "GradientBuckets: the gradient of " + which + rest);
}

TEST_CASE("Clipping after average_gradients(), and passes between it and step(), are free",
          "[node][gradient_overlap]") {
  const auto hub = ThreadHub::make(1);
  Node node(hub, 0, in_buckets());
  const auto last = node.overlap.last_backward();  // open all the time
  for (int i = 0; i < 3; ++i) {
    for (const torch::Tensor& one : node.model) one.mutable_grad() = torch::Tensor();
    loss_of(node.model, 1).backward();
    node.gossip.average_gradients();
    torch::nn::utils::clip_grad_norm_(node.model, 1e-3);
    loss_of(node.model, 2).backward();
    node.gossip.step();
  }
  CHECK(node.gossip.counters().steps == 3);
}

TEST_CASE("Several threads may compute gradients of different parameters at once",
          "[node][gradient_overlap][threads]") {
  const auto end = [](bool overlaps) {
    return end_of_two([&](const Numbers& model, double id, GradientOverlap& overlap) {
      for (const torch::Tensor& one : model) one.mutable_grad() = torch::Tensor();
      const auto compute = [&] {
        std::thread other([&] { loss_of({model[0], model[1]}, id).backward(); });
        loss_of({model[2]}, id).backward();
        other.join();
      };
      if (!overlaps) return compute();
      const auto last = overlap.last_backward();
      compute();
    });
  };
  CHECK(torch::equal(end(true), end(false)));
}

namespace {

/// A port that was free a moment ago.
std::string free_port() {
  gossamer::transport::Tcp tcp{gossamer::transport::TcpOptions()};
  return tcp.address().substr(tcp.address().rfind(':') + 1);
}

/// A pass that throws when the last parameter's gradient is there, and may be on its way.
void throw_halfway(GradientOverlap& overlap, const Numbers& model, double target) {
  const auto half = torch::tanh(model[0] * model[1]);
  half.register_hook([](const torch::Tensor& gradient) -> torch::Tensor {
    if (gradient.defined()) throw std::out_of_range("broken in the middle");
    return gradient;
  });
  overlap.backward((half * torch::tanh(model[2]) - target).square().sum());
}

}  // namespace

TEST_CASE("A node that throws in the middle of a pass is lost to the others, which go on",
          "[node][gradient_overlap][threads]") {
  const std::uint32_t chunks = GENERATE(1U, 3U);
  const PeerId victim = GENERATE(0U, 1U, 2U);
  CAPTURE(chunks, victim);
  std::vector<torch::Tensor> ends(3);
  const auto run = [&] {
    run_threads(GroupOptions(3), in_buckets().chunks(chunks), [&](Context context) {
      Numbers model = three();
      Gossip gossip(std::move(context), model);
      GradientOverlap overlap(gossip);
      torch::optim::SGD optimizer(model, 0.1);
      for (int i = 0; i < 5; ++i) {
        optimizer.zero_grad();
        if (gossip.id() == victim && i == 2) throw_halfway(overlap, model, 1);
        overlap.backward(loss_of(model, gossip.id()));
        gossip.average_gradients();
        optimizer.step();
        gossip.step();
      }
      ends[gossip.id()] = torch::cat(model).detach();
    });
  };
  CHECK(tests::message_of<NodeError>(run) ==
        "node " + std::to_string(victim) + ": broken in the middle");
  const PeerId a = victim == 0 ? 1 : 0;
  const PeerId b = 3 - victim - a;
  CHECK_FALSE(ends[victim].defined());
  CHECK(torch::equal(ends[a], ends[b]));
}

TEST_CASE("A pass that threw may be taken again with the same numbers, and with no others",
          "[node][gradient_overlap]") {
  const auto hub = ThreadHub::make(1);
  Node node(hub, 0, in_buckets());
  CHECK_THROWS_AS(throw_halfway(node.overlap, node.model, 1), std::out_of_range);
  const auto clear = [&] {
    for (const torch::Tensor& one : node.model) one.mutable_grad() = torch::Tensor();
  };
  clear();
  const auto half = torch::tanh(node.model[0] * node.model[1]);
  SECTION("the same") {
    (half * torch::tanh(node.model[2]) - 1).square().sum().backward();
    const auto expected = gradients_of(node.model);
    node.gossip.average_gradients();
    CHECK(equal(gradients_of(node.model), expected));
  }
  SECTION("others") {
    (half * torch::tanh(node.model[2]) - 1.5).square().sum().backward();
    CHECK_THROWS_AS(node.gossip.average_gradients(), ConfigError);
  }
}

TEST_CASE("A sparse gradient is an error from within the pass", "[node][gradient_overlap]") {
  torch::nn::Embedding table(torch::nn::EmbeddingOptions(4, 3).sparse(true));
  Gossip gossip({ThreadHub::make(1)->endpoint(0), Sync(), NodeOptions(), 1}, table);
  GradientOverlap overlap(gossip);
  const auto loss = table(torch::tensor({1, 2})).sum();
  CHECK(tests::message_of<ConfigError>([&] { overlap.backward(loss); }) ==
        "FlatModel: the gradient of \"weight\" is sparse, and only dense ones can be averaged");
}

TEST_CASE("Peers come and go in average_gradients(), not within the pass",
          "[node][gradient_overlap]") {
  const auto hub = ThreadHub::make(2);
  Node zero(hub, 0, in_buckets());
  std::vector<PeerId> gone;
  zero.gossip.on_peer_left([&](PeerId peer, gossamer::transport::Reason) { gone.push_back(peer); });
  auto other = hub->endpoint(1);
  other.close(gossamer::transport::Reason::left);
  zero.overlap.backward(loss_of(zero.model, 1));
  CHECK(gone.empty());
  CHECK(zero.gossip.nodes() == 2);
  const auto own = gradients_of(zero.model);
  zero.gossip.average_gradients();
  CHECK(gone == std::vector<PeerId>{1});
  CHECK(equal(gradients_of(zero.model), own));
}

TEST_CASE("A rule that averages models is left alone by the pass", "[node][gradient_overlap]") {
  const auto hub = ThreadHub::make(2);
  Node zero(hub, 0, gossamer::rule::GoSgd(1));
  Node one(hub, 1, gossamer::rule::GoSgd(1));
  one.gossip.step();  // pushes
  const auto before = torch::cat(zero.model).detach().clone();
  const double weight = zero.gossip.weight();
  zero.overlap.backward(loss_of(zero.model, 1));
  CHECK(zero.gossip.weight() == weight);
  CHECK(torch::equal(torch::cat(zero.model), before));
  CHECK(zero.gossip.counters().messages_merged == 0);
  zero.gossip.step();
  CHECK(zero.gossip.counters().messages_merged == 1);
  finish(zero, one);
}

TEST_CASE("Parameters may get other memory between passes, and the object may go before the Gossip",
          "[node][gradient_overlap]") {
  Node node(ThreadHub::make(1), 0, in_buckets());
  auto overlap = std::make_unique<GradientOverlap>(node.gossip);
  for (int i = 0; i < 3; ++i) {
    if (i == 1) node.model[1].set_data(torch::ones({width}, torch::kDouble));
    if (i == 2) overlap.reset();
    for (const torch::Tensor& one : node.model) one.mutable_grad() = torch::Tensor();
    const auto loss = loss_of(node.model, 1);
    overlap ? overlap->backward(loss) : loss.backward();
    const auto expected = gradients_of(node.model);
    node.gossip.average_gradients();
    CHECK(equal(gradients_of(node.model), expected));
    node.gossip.step();
  }
}

TEST_CASE("Simulated nodes end in the same bits, however their gradients are cut",
          "[node][gradient_overlap][simulated]") {
  const auto train = [](const Sync& rule) {
    gossamer::SimulatedGroup<tests::Descender> group(
        gossamer::SimulatedGroupOptions(3).node(NodeOptions().seed(tests::seed)), rule,
        tests::descenders({.length = 40}));
    group.run(gossamer::StopCondition().steps(20));
    std::vector<torch::Tensor> ends;
    for (std::size_t i = 0; i < 3; ++i) {
      ends.push_back(group[i].parameters().flat().segments()[0].clone());
      CHECK(torch::equal(ends[i], ends[0]));
    }
    return ends[0];
  };
  const torch::Tensor whole = train(Sync());
  CHECK(torch::equal(train(Sync().chunks(3).bucket_cap_mb(100.0 / (1024 * 1024))), whole));
}

TEST_CASE("Over TCP the overlap gives the bits that averaging after the pass gives",
          "[node][gradient_overlap][tcp][threads]") {
  constexpr std::size_t m = 3;
  const auto train = [&](bool overlaps) {
    const std::string port = free_port();
    std::vector<torch::Tensor> ends(m);
    tests::side_by_side(m, [&](std::size_t i) {
      const tests::VariableMap map{{"RANK", std::to_string(i)},
                                   {"WORLD_SIZE", std::to_string(m)},
                                   {"LOCAL_WORLD_SIZE", std::to_string(m)},
                                   {"MASTER_ADDR", "127.0.0.1"},
                                   {"MASTER_PORT", port}};
      Numbers model = three();
      Gossip gossip(gossamer::join_run(in_buckets().chunks(m),
                                       gossamer::RunOptions().variables(tests::variables(map))),
                    model);
      GradientOverlap overlap(gossip);
      torch::optim::SGD optimizer(model, 0.1);
      for (int step = 0; step < 20; ++step) {
        optimizer.zero_grad();
        const auto loss = loss_of(model, static_cast<double>(i));
        overlaps ? overlap.backward(loss) : loss.backward();
        gossip.average_gradients();
        optimizer.step();
        gossip.step(loss.item<double>());
      }
      ends[i] = torch::cat(model).detach();
    });
    for (const torch::Tensor& end : ends) CHECK(torch::equal(end, ends[0]));
    return ends[0];
  };
  CHECK(torch::equal(train(true), train(false)));
}
