// SPDX-License-Identifier: MIT
/// Nodes whose models are loaded, moved, shared, partly unused, or sick.
#include <gossamer/error.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>

#include <tests/support.hpp>
#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Context;
using gossamer::GossipNode;
using gossamer::GradientNode;
using gossamer::GroupOptions;
using gossamer::NodeError;
using gossamer::NodeOptions;
using gossamer::StopCondition;
using gossamer::ThreadGroup;
using gossamer::rule::AnyRule;

/// What a test waits for comes at once or never; this is when it gives up.
constexpr auto long_enough = std::chrono::seconds(60);

/// Adds its number to its weight at each step; `meddle` is called before the step of that number.
class Adder final : public GossipNode<torch::nn::Linear> {
 public:
  using Meddle = std::function<void(Adder&, std::uint64_t step)>;

  Adder(Context context, torch::nn::Linear net, Meddle meddle)
      : GossipNode(std::move(context), std::move(net)), meddle_(std::move(meddle)) {
    meddle_(*this, 0);
  }

 private:
  double local_step() override {
    const torch::NoGradGuard no_grad;
    meddle_(*this, counters().steps + 1);
    model()->weight.add_(static_cast<double>(id()));
    return 0;
  }
  Meddle meddle_;
};

void run_adders(
    const StopCondition& until, const AnyRule& rule, const Adder::Meddle& meddle,
    const std::function<void(ThreadGroup<Adder>&)>& look = [](auto&) {}) {
  ThreadGroup<Adder> group(GroupOptions(4), rule, [&](Context context) {
    return std::make_unique<Adder>(std::move(context), torch::nn::Linear(1, 1), meddle);
  });
  group.run(until);
  look(group);
}

TEST_CASE("A model that is loaded into a node goes on to be exchanged", "[node][threads]") {
  const std::uint64_t when = GENERATE(0, 1, 4);  // in the constructor, or before a step
  CAPTURE(when);
  run_adders(
      StopCondition().steps(6), gossamer::rule::PerSyn(2),
      [when](Adder& node, std::uint64_t step) {
        if (step != when) return;
        torch::nn::Linear trained(1, 1);
        {
          const torch::NoGradGuard no_grad;
          trained->weight.fill_(100);
        }
        std::stringstream file;
        torch::save(trained, file);
        torch::load(node.model(), file);
      },
      [when](ThreadGroup<Adder>& group) {
        // After the load 6, 6 or 3 steps of 1.5 on average.
        const double expected = 100 + 1.5 * (when == 4 ? 3 : 6);
        for (std::size_t i = 0; i < 4; ++i) {
          CHECK(group[i].model()->weight.item<double>() == tests::Approx(expected));
        }
        CHECK(gossamer::observe::consensus_error(group.replicas()) == 0);
        CHECK(group.mean().segments()[0][0].item<double>() == tests::Approx(expected));
      });
}

TEST_CASE("A node whose model is converted on the way ends by an error that names it",
          "[node][threads]") {
  const auto run = [] {
    run_adders(StopCondition().steps(9), gossamer::rule::PerSyn(1),
               [](Adder& node, std::uint64_t step) {
                 if (step == 3 && node.id() == 2) node.model()->to(torch::kDouble);
               });
  };
  CHECK_THROWS_WITH(run(), tests::contains("node 2: FlatModel: \"weight\" was Float [1, 1] on cpu "
                                           "when the node was made, and is Double [1, 1] on cpu"));
}

TEST_CASE("A layer that a node registers later ends it by an error that names it",
          "[node][threads]") {
  const std::uint64_t when = GENERATE(1, 16, 17, 40);
  std::uint64_t steps = 0;
  const auto run = [&] {
    run_adders(StopCondition().steps(64), gossamer::rule::PerSyn(1),
               [&](Adder& node, std::uint64_t step) {
                 if (node.id() != 1) return;
                 steps = step;
                 if (step == when) node.model()->register_parameter("late", torch::ones({2}));
               });
  };
  CHECK_THROWS_WITH(run(), tests::contains("node 1: FlatModel: \"late\" was registered after"));
  CHECK(steps >= when);
  CHECK(steps <= (when + 15) / 16 * 16);
}

TEST_CASE("One module for all nodes is refused by name", "[node][threads]") {
  torch::nn::Linear net(1, 1);
  const auto make = [&] {
    ThreadGroup<Adder>(GroupOptions(3), gossamer::rule::None(), [&](Context context) {
      return std::make_unique<Adder>(std::move(context), net, [](auto&, auto) {});
    });
  };
  CHECK_THROWS_WITH(make(), tests::contains("\"weight\" is another node's already; each needs a"));
}

TEST_CASE("A node with numbers that are not finite is found out whatever its loss says",
          "[node][threads]") {
  const double bad = GENERATE(std::nan(""), std::numeric_limits<double>::infinity());
  double weight_before = 0;
  const auto run = [&] {
    run_adders(StopCondition().duration(long_enough), gossamer::rule::GoSgd(0.5),
               [&](Adder& node, std::uint64_t step) {
                 if (node.id() != 3 || step != 10) return;
                 node.model()->bias.fill_(bad);
                 weight_before = node.weight();
               });
  };
  try {
    run();
    FAIL("expected NodeError");
  } catch (const NodeError& error) {
    CHECK(error.what() == std::string("node 3: \"bias\" has numbers that are not finite at step "
                                      "10; a lower learning rate may help"));
  }
  CHECK(weight_before < 1);
}

TEST_CASE("A sick node leaves the others' numbers and weights alone", "[node][threads]") {
  ThreadGroup<Adder> group(GroupOptions(4), gossamer::rule::GoSgd(1), [&](Context context) {
    return std::make_unique<Adder>(std::move(context), torch::nn::Linear(1, 1),
                                   [](Adder& node, std::uint64_t step) {
                                     if (node.id() == 1 && step == 7) {
                                       node.model()->bias.fill_(std::nan(""));
                                     }
                                   });
  });
  CHECK_THROWS_AS(group.run_until(StopCondition().duration(long_enough)), NodeError);
  CHECK_NOTHROW(group.run_for(StopCondition().steps(400)));
  CHECK(group.total_weight() == tests::Approx(1.0).margin(tests::weight_tolerance));
  CHECK_FALSE(group.is_live(1));
  const double lost = group[1].weight();
  group.run_for(StopCondition().steps(400));
  CHECK(group[1].weight() == lost);  // it takes in nothing more
  for (const std::size_t i : {0, 2, 3}) {
    CHECK(torch::isfinite(group[i].parameters().flat().segments()[0]).all().item<bool>());
  }
}

TEST_CASE("A node may be allowed numbers that are not finite", "[node][threads]") {
  ThreadGroup<Adder> group(
      GroupOptions(1).node(NodeOptions().stop_on_bad_loss(false)), gossamer::rule::None(),
      [&](Context context) {
        return std::make_unique<Adder>(
            std::move(context), torch::nn::Linear(1, 1),
            [](Adder& node, auto) { node.model()->bias.detach().fill_(std::nan("")); });
      });
  group.run(StopCondition().steps(5));
  CHECK(group.totals().steps == 5);
}

/// Uses the first of its parameters; the second only where `uses_second` says so.
class TwoHeads final : public GradientNode<std::vector<at::Tensor>> {
 public:
  TwoHeads(Context context, std::function<bool(gossamer::PeerId)> uses_second)
      : GradientNode(std::move(context),
                     {torch::ones({4, 4}).requires_grad_(), torch::ones({4}).requires_grad_()}),
        optimizer_(model(), torch::optim::SGDOptions(0.05).weight_decay(0.1)),
        uses_second_(std::move(uses_second)) {}

 private:
  double gradient() override {
    for (auto& parameter : model()) parameter.mutable_grad() = torch::Tensor();
    auto loss = torch::full({8, 4}, 0.1 + id()).matmul(model()[0]).square().mean();
    if (uses_second_(id())) loss = loss + model()[1].square().sum();
    loss.backward();
    return loss.item<double>();
  }
  void apply() override { optimizer_.step(); }

  torch::optim::SGD optimizer_;
  std::function<bool(gossamer::PeerId)> uses_second_;
};

TEST_CASE("Sync leaves a parameter alone that no node uses, and moves one that some use",
          "[node][threads]") {
  const bool some = GENERATE(false, true);
  ThreadGroup<TwoHeads> group(GroupOptions(3), gossamer::rule::Sync(), [&](Context context) {
    return std::make_unique<TwoHeads>(std::move(context),
                                      [some](gossamer::PeerId id) { return some && id == 1; });
  });
  group.run(StopCondition().steps(20));
  CHECK(gossamer::observe::consensus_error(group.replicas()) == 0);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(torch::equal(group[i].model()[1], group[0].model()[1]));
    if (some) {
      CHECK(group[i].model()[1][0].item<double>() < 0.5);
    } else {
      CHECK(group[i].model()[1][0].item<double>() == 1);
      CHECK_FALSE(group[i].model()[1].grad().defined());
    }
    CHECK(group[i].model()[0][0][0].item<double>() < 1);
  }
}

/// A network with most of what people have: convolution in another memory order, BatchNorm, a
/// frozen layer, LSTM, two dtypes.
struct MixedImpl final : torch::nn::Module {
  MixedImpl() {
    register_module("convolution", convolution);
    register_module("norm", norm);
    register_module("lstm", lstm);
    register_module("frozen", frozen);
    register_module("wide", wide);
    for (auto& parameter : frozen->parameters()) parameter.set_requires_grad(false);
    wide->to(torch::kDouble);
    convolution->weight.set_data(convolution->weight.contiguous(at::MemoryFormat::ChannelsLast));
  }
  torch::Tensor forward(const torch::Tensor& images) {
    auto x = norm(convolution(images)).relu().mean({2, 3});    // (n, 4)
    x = std::get<0>(lstm(frozen(x).unsqueeze(1))).squeeze(1);  // (n, 3)
    return wide(x.to(torch::kDouble));                         // (n, 1)
  }
  torch::nn::Conv2d convolution{torch::nn::Conv2dOptions(3, 4, 3)};
  torch::nn::BatchNorm2d norm{4};
  torch::nn::Linear frozen{4, 4};
  torch::nn::LSTM lstm{torch::nn::LSTMOptions(4, 3).batch_first(true)};
  torch::nn::Linear wide{3, 1};
};
TORCH_MODULE(Mixed);

class MixedNode final : public GossipNode<Mixed> {
 public:
  explicit MixedNode(Context context)
      : GossipNode(std::move(context), Mixed()), optimizer_(trained(), 1e-2) {}

 private:
  std::vector<at::Tensor> trained() {
    std::vector<at::Tensor> some;
    for (auto& parameter : model()->parameters()) {
      if (parameter.requires_grad()) some.push_back(parameter);
    }
    return some;
  }
  double local_step() override {
    optimizer_.zero_grad();
    const auto images = torch::full({2, 3, 5, 5}, 1.0 + id());
    const auto loss = (model()->forward(images) - static_cast<double>(id())).square().mean();
    loss.backward();
    optimizer_.step();
    return loss.item<double>();
  }
  torch::optim::Adam optimizer_;
};

TEST_CASE("Convolution, BatchNorm, LSTM, frozen layers and two dtypes in one model meet",
          "[node][threads]") {
  ThreadGroup<MixedNode> group(GroupOptions(3), gossamer::rule::PerSyn(3));
  const auto frozen = group[0].model()->frozen->weight.clone();
  group.run(StopCondition().steps(9));
  CHECK(gossamer::observe::consensus_error(group.replicas()) == 0);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& net = group[i].model();
    CHECK(torch::allclose(net->frozen->weight, frozen));  // (x + x + x) / 3 is rounded
    CHECK(net->convolution->weight.is_contiguous(at::MemoryFormat::ChannelsLast));
    CHECK(torch::equal(net->norm->running_mean, group[0].model()->norm->running_mean));
    CHECK(net->wide->weight.dtype() == torch::kDouble);
  }
  CHECK(group[0].parameters().flat().segments().size() == 2);
}

}  // namespace
