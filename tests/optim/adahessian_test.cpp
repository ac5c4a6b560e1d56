// SPDX-License-Identifier: MIT
/// AdaHessian: the diagonal where it is known, one step by hand, and training.
#include <gossamer/error.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/optim/adahessian.hpp>
#include <gossamer/rule/easgd.hpp>
#include <gossamer/simulation/group.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/serialize.h>

#include <cmath>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using gossamer::CheckpointError;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::optim::AdaHessian;
using gossamer::optim::AdaHessianOptions;
using gossamer::optim::hutchinson;
using tests::Approx;

at::Tensor random(at::IntArrayRef sizes, std::uint64_t stream) {
  Generator generator(tests::seed, stream);
  at::Tensor tensor = at::empty(sizes, at::kDouble);
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.data_ptr<double>()[i] = generator.uniform() + 0.5;
  }
  return tensor;
}

void backward(const at::Tensor& loss) { loss.backward({}, true, true); }

TEST_CASE("The diagonal of a Hessian that is diagonal is exact from one sample",
          "[optim][adahessian]") {
  const at::Tensor h = random({7}, 1);
  const at::Tensor x = random({7}, 2).requires_grad_();
  const at::Tensor still = random({3}, 3).requires_grad_();  // a linear term: no curvature
  const at::Tensor unused = random({2}, 4).requires_grad_();
  backward((h * x * x).sum() / 2 + still.sum());
  Generator signs(tests::seed);
  const auto diagonal = hutchinson({x, still, unused}, signs);
  CHECK(at::allclose(diagonal[0], h, 1e-12));
  CHECK(diagonal[1].count_nonzero().item<std::int64_t>() == 0);
  CHECK_FALSE(diagonal[2].defined());
}

TEST_CASE("The mean of many samples is the diagonal of any Hessian", "[optim][adahessian]") {
  const at::Tensor a = random({4, 4}, 5);
  const at::Tensor h = a.matmul(a.t());
  const at::Tensor x = random({4}, 6).requires_grad_();
  Generator signs(tests::seed);
  at::Tensor sum = at::zeros({4}, at::kDouble);
  const int samples = 4000;
  for (int i = 0; i < samples; ++i) {
    x.mutable_grad() = at::Tensor();
    backward(x.dot(h.matmul(x)) / 2);
    sum += hutchinson({x}, signs)[0];
  }
  // Four deviations of the mean: the variance of a sample is the sum of the squares off the
  // diagonal.
  const at::Tensor off = (h - h.diag().diag()).square().sum(1);
  const at::Tensor apart = (sum / samples - h.diag()).abs();
  CHECK((apart <= 4 * (off / samples).sqrt()).all().item<bool>());
}

TEST_CASE("Two steps are those of the formula", "[optim][adahessian]") {
  const at::Tensor x = at::tensor({2.0, -1.0}, at::kDouble).requires_grad_();
  const at::Tensor h = at::tensor({3.0, 5.0}, at::kDouble);
  AdaHessian optimizer({x}, AdaHessianOptions(0.1).weight_decay(0.01).eps(0.5));
  double m[2] = {0, 0};
  double s[2] = {0, 0};
  double expected[2] = {2, -1};
  const double curvature[2] = {3, 5};
  for (int t = 1; t <= 2; ++t) {
    const at::Tensor loss = optimizer.step([&] {
      optimizer.zero_grad();
      at::Tensor value = (h * x * x).sum() / 2;
      backward(value);
      return value;
    });
    CHECK(loss.defined());
    for (int i = 0; i < 2; ++i) {
      m[i] = 0.9 * m[i] + 0.1 * curvature[i] * expected[i];
      s[i] = 0.999 * s[i] + 0.001 * curvature[i] * curvature[i];
      const double mean = m[i] / (1 - std::pow(0.9, t));
      const double root = std::sqrt(s[i] / (1 - std::pow(0.999, t)));
      expected[i] -= 0.1 * (mean / (root + 0.5) + 0.01 * expected[i]);
      CHECK(x[i].item<double>() == Approx(expected[i]).epsilon(1e-12));
    }
    CHECK_FALSE(x.grad().requires_grad());  // the graph is let go
  }
}

TEST_CASE("The diagonal is averaged over filters and rows, and not over vectors",
          "[optim][adahessian]") {
  const auto shape =
      GENERATE(std::vector<std::int64_t>{5}, std::vector<std::int64_t>{3, 4},
               std::vector<std::int64_t>{2, 3, 4}, std::vector<std::int64_t>{2, 3, 4, 5});
  const at::Tensor h = random(shape, 7);
  const at::Tensor mean = gossamer::optim::spatial_mean(h);
  REQUIRE(mean.sizes() == h.sizes());
  at::Tensor expected = h;
  if (shape.size() == 2) expected = h.sum(1, true) / 4;
  if (shape.size() == 3) expected = h.sum(2, true) / 4;
  if (shape.size() == 4) expected = h.sum({2, 3}, true) / 20;
  CHECK(at::allclose(mean, expected.expand_as(h), 1e-12));
  const at::Tensor x = random(shape, 8).requires_grad_();
  const at::Tensor before = x.detach().clone();
  AdaHessian optimizer({x}, AdaHessianOptions(1).eps(1e-12));
  backward((h * x * x).sum() / 2);
  optimizer.step();
  CHECK(at::allclose(x.detach(), before - h * before / expected, 1e-9, 1e-9));
}

TEST_CASE("A step on a quadratic of any condition goes to its minimum", "[optim][adahessian]") {
  const at::Tensor h = at::tensor({1e-3, 1.0, 1e4}, at::kDouble);
  const at::Tensor x = at::ones({3}, at::kDouble).requires_grad_();
  AdaHessian optimizer({x}, AdaHessianOptions(1).beta1(0).eps(1e-10));
  for (int i = 0; i < 2; ++i) {
    optimizer.zero_grad();
    backward((h * x * x).sum() / 2);
    optimizer.step();
  }
  CHECK(x.detach().abs().max().item<double>() < 1e-6);
}

TEST_CASE("A small network with convolutions and BatchNorm learns", "[optim][adahessian]") {
  torch::nn::Sequential net(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 4, 3)),
                            torch::nn::BatchNorm2d(4), torch::nn::Tanh(), torch::nn::Flatten(),
                            torch::nn::Linear(16, 1));
  net->to(torch::kDouble);
  {
    const torch::NoGradGuard no_grad;
    std::uint64_t stream = 20;
    for (auto& p : net->parameters()) p.copy_((random(p.sizes(), stream++) - 1) * 0.5);
  }
  const at::Tensor images = random({32, 1, 4, 4}, 10) - 1;
  const at::Tensor labels = images.select(2, 0).sum(2);
  AdaHessian optimizer(net->parameters(), AdaHessianOptions(0.05));
  double first = 0;
  double last = 0;
  for (int i = 0; i < 120; ++i) {
    optimizer.zero_grad();
    const at::Tensor loss = torch::mse_loss(net->forward(images), labels);
    backward(loss);
    optimizer.step();
    last = loss.item<double>();
    if (i == 0) first = last;
  }
  INFO("loss " << first << " at first, " << last << " at last");
  CHECK(last < 0.05 * first);
}

TEST_CASE("An optimizer that was saved goes on in the same bits", "[optim][adahessian]") {
  const at::Tensor h = random({5, 5}, 11);
  const auto loss_of = [&](const at::Tensor& x) {
    return (h * x * x).sum() / 2 + x.matmul(x).sum() / 8;
  };
  const auto train = [&](AdaHessian& optimizer, const at::Tensor& x, int steps) {
    for (int i = 0; i < steps; ++i) {
      optimizer.zero_grad();
      backward(loss_of(x));
      optimizer.step();
    }
  };
  const at::Tensor x = random({5, 5}, 12).requires_grad_();
  AdaHessian optimizer({x}, AdaHessianOptions(0.1).seed(3));
  train(optimizer, x, 4);
  std::stringstream file;
  torch::save(optimizer, file);
  const at::Tensor y = x.detach().clone().requires_grad_();
  AdaHessian other({y}, AdaHessianOptions(0.7));
  torch::load(other, file);
  train(optimizer, x, 4);
  train(other, y, 4);
  CHECK(at::equal(x, y));
  AdaHessian larger({y, h.clone().requires_grad_()});
  file.clear();
  file.seekg(0);
  CHECK(tests::message_of<CheckpointError>([&] { torch::load(larger, file); }) ==
        "AdaHessian: the state is of 1 parameters, this optimizer has 2");
}

TEST_CASE("Gradients without a graph are refused with what to write instead",
          "[optim][adahessian]") {
  const at::Tensor x = random({2}, 13).requires_grad_();
  AdaHessian optimizer({x});
  x.square().sum().backward();
  CHECK_THAT(tests::message_of<std::runtime_error>([&] { optimizer.step(); }),
             tests::contains("create_graph=*/true"));
  AdaHessian idle({random({2}, 14).requires_grad_()});
  CHECK_FALSE(idle.step().defined());  // nothing to do, as with other optimizers
}

TEST_CASE("Options of AdaHessian that cannot work are refused", "[optim][adahessian]") {
  const auto refusal = [](const AdaHessianOptions& options) {
    return tests::message_of<ConfigError>(
        [&] { AdaHessian({at::zeros({1}).requires_grad_()}, options); });
  };
  CHECK(refusal(AdaHessianOptions(0)) == "AdaHessianOptions: lr must be above 0, got 0");
  CHECK(refusal(AdaHessianOptions().beta1(1)) ==
        "AdaHessianOptions: beta1 must lie in [0, 1), got 1");
  CHECK(refusal(AdaHessianOptions().beta2(-1)) ==
        "AdaHessianOptions: beta2 must lie in [0, 1), got -1");
  CHECK(refusal(AdaHessianOptions().eps(0)) == "AdaHessianOptions: eps must be above 0, got 0");
  CHECK(refusal(AdaHessianOptions().weight_decay(-1)) ==
        "AdaHessianOptions: weight_decay must not be negative, got -1");
  CHECK(refusal(AdaHessianOptions().hessian_power(2)) ==
        "AdaHessianOptions: hessian_power must lie in [0, 1], got 2");
}

/// Descends on h (x - id)^2 / 2 with AdaHessian.
class Descender final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Descender(gossamer::Context context)
      : GossipNode(std::move(context), {at::zeros({2}, at::kDouble).requires_grad_()}),
        optimizer_(model(), AdaHessianOptions(0.05)) {}

 private:
  double local_step() override {
    const at::Tensor h = at::tensor({0.01, 100.0}, at::kDouble);
    optimizer_.zero_grad();
    const at::Tensor loss = (h * (model()[0] - static_cast<double>(id())).square()).sum() / 2;
    backward(loss);
    optimizer_.step();
    return loss.item<double>();
  }
  AdaHessian optimizer_;
};

TEST_CASE("Nodes with AdaHessian train around a centre", "[optim][adahessian][simulated]") {
  gossamer::SimulatedGroup<Descender> group(
      gossamer::SimulatedGroupOptions(3),
      gossamer::rule::Easgd(gossamer::rule::EasgdOptions().tau(2)));
  group.run(gossamer::StopCondition().steps(300));
  for (int i = 0; i < 2; ++i) {  // at the same speed, whatever the curvature
    CHECK(group[0].model()[0][i].item<double>() == Approx(1.5).margin(0.2));
  }
}

}  // namespace
