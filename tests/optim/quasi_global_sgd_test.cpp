// SPDX-License-Identifier: MIT
/// Quasi-global momentum: steps by hand, with what gossip does in between, and its state.
#include <gossamer/error.hpp>
#include <gossamer/optim/quasi_global_sgd.hpp>

#include <tests/support.hpp>
#include <torch/optim/adam.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <sstream>
#include <vector>

namespace {

using gossamer::CheckpointError;
using gossamer::ConfigError;
using gossamer::optim::QuasiGlobal;
using gossamer::optim::QuasiGlobalSgd;
using gossamer::optim::QuasiGlobalSgdOptions;
using tests::Approx;

at::Tensor parameter(const std::vector<double>& values) {
  return at::tensor(values, at::kDouble).requires_grad_();
}
void set_gradient(const at::Tensor& x, const std::vector<double>& values) {
  x.mutable_grad() = at::tensor(values, at::kDouble);
}
double at_place(const at::Tensor& x, std::int64_t i) { return x[i].item<double>(); }

/// The equations, for one number.
struct ByHand {
  double x;
  double m = 0;
  double previous = 0;
  double eta_previous = 0;
  bool stepped = false;

  void step(double g, double eta, double mu, double beta, double decay, bool nesterov) {
    if (stepped) m = mu * m + (1 - mu) * (previous - x) / eta_previous;
    stepped = true;
    previous = x;
    eta_previous = eta;
    const double d = g + decay * x;
    const double way = beta * m + d;
    x -= eta * (nesterov ? d + beta * way : way);
  }
};

TEST_CASE("The first steps of quasi-global momentum are those written down by hand",
          "[optim][quasi_global]") {
  const at::Tensor x = parameter({1.0});
  QuasiGlobalSgd optimizer({x}, QuasiGlobalSgdOptions(0.1));
  set_gradient(x, {2});
  optimizer.step();
  CHECK(at_place(x, 0) == Approx(0.8).epsilon(1e-14));  // m = 0: 1 - 0.1 * 2
  {
    const at::NoGradGuard no_grad;
    x.add_(0.3);  // gossip
  }
  optimizer.step();  // m = 0.1 (1 - 1.1) / 0.1 = -0.1; 1.1 - 0.1 (0.9 * -0.1 + 2)
  CHECK(at_place(x, 0) == Approx(0.909).epsilon(1e-14));
  optimizer.step();  // m = 0.9 * -0.1 + 0.1 (1.1 - 0.909) / 0.1 = 0.101
  CHECK(at_place(x, 0) == Approx(0.909 - 0.1 * (0.9 * 0.101 + 2)).epsilon(1e-14));
}

TEST_CASE("Steps follow the equations through gossip and changed learning rates",
          "[optim][quasi_global]") {
  const bool nesterov = GENERATE(false, true);
  const double decay = GENERATE(0.0, 0.01);
  const at::Tensor x = parameter({1.0, -2.0});
  QuasiGlobalSgd optimizer(
      {x},
      QuasiGlobalSgdOptions(0.1).momentum(0.8).decay(0.7).weight_decay(decay).nesterov(nesterov));
  std::vector<ByHand> hand{{1.0}, {-2.0}};
  for (int t = 0; t < 12; ++t) {
    const double eta = t < 4 ? 0.1 : t < 8 ? 0.02 : 0.5;
    optimizer.param_groups()[0].options().set_lr(eta);
    std::vector<double> gradients;
    for (int i = 0; i < 2; ++i) {
      if (t % 3 == 1) hand[i].x += 0.05 * (t - 2 * i);
      gradients.push_back(hand[i].x * (1 + i) + 0.3);
    }
    if (t % 3 == 1) {
      const at::NoGradGuard no_grad;
      x.add_(0.05 * (t - at::tensor({0.0, 2.0}, at::kDouble)));
    }
    set_gradient(x, gradients);
    optimizer.step();
    for (int i = 0; i < 2; ++i) {
      hand[i].step(gradients[i], eta, 0.7, 0.8, decay, nesterov);
      CHECK(at_place(x, i) == Approx(hand[i].x).epsilon(1e-12));
    }
  }
}

TEST_CASE("Alone it is momentum SGD with m <- 0.99 m + 0.1 d", "[optim][quasi_global]") {
  const at::Tensor x = parameter({0.0});
  QuasiGlobalSgd optimizer({x}, QuasiGlobalSgdOptions(0.01));
  double m = 0;
  double expected = 0;
  for (int t = 0; t < 50; ++t) {
    const double g = 1 + 0.1 * t;
    set_gradient(x, {g});
    optimizer.step();
    expected -= 0.01 * (0.9 * m + g);
    m = 0.99 * m + 0.1 * g;
    CHECK(at_place(x, 0) == Approx(expected).epsilon(1e-12));
  }
}

TEST_CASE("A step of learning rate 0 makes no way, and no NaN", "[optim][quasi_global]") {
  const at::Tensor x = parameter({1.0});
  QuasiGlobalSgd optimizer({x}, QuasiGlobalSgdOptions(0.1));
  set_gradient(x, {1});
  optimizer.param_groups()[0].options().set_lr(0);
  optimizer.step();
  CHECK(at_place(x, 0) == 1);
  optimizer.param_groups()[0].options().set_lr(0.1);
  optimizer.step();
  CHECK(at_place(x, 0) == Approx(0.9).epsilon(1e-14));
}

TEST_CASE("A parameter without a gradient stays, and gets no momentum", "[optim][quasi_global]") {
  const at::Tensor x = parameter({1.0});
  const at::Tensor still = parameter({5.0});
  QuasiGlobalSgd optimizer({x, still}, QuasiGlobalSgdOptions(0.1).weight_decay(0.1));
  const at::Tensor loss = optimizer.step([&] {
    optimizer.zero_grad();
    at::Tensor value = x.square().sum();
    value.backward();
    return value;
  });
  CHECK(loss.item<double>() == 1);
  CHECK(at_place(x, 0) == Approx(1 - 0.1 * (2 + 0.1)).epsilon(1e-14));
  CHECK(at_place(still, 0) == 5);
}

/// Twenty steps on a quadratic, half of them after a detour through a file.
template <class Make>
void check_round_trip(Make make) {
  const auto train = [](auto& optimizer, const at::Tensor& x, int steps) {
    for (int i = 0; i < steps; ++i) {
      optimizer.zero_grad();
      (x.square() * at::tensor({1.0, 3.0}, at::kDouble)).sum().backward();
      optimizer.step();
      const at::NoGradGuard no_grad;
      x.mul_(0.99);  // gossip
    }
  };
  const at::Tensor x = parameter({1.0, -2.0});
  auto optimizer = make(x, 0.05);
  train(optimizer, x, 10);
  std::stringstream file;
  torch::save(optimizer, file);
  const at::Tensor y = x.detach().clone().requires_grad_();
  auto other = make(y, 0.7);
  torch::load(other, file);
  train(optimizer, x, 10);
  train(other, y, 10);
  CHECK(at::equal(x, y));
}

TEST_CASE("A saved optimizer goes on in the same bits", "[optim][quasi_global]") {
  check_round_trip([](const at::Tensor& x, double lr) {
    return QuasiGlobalSgd({x}, QuasiGlobalSgdOptions(lr).nesterov(lr < 0.5));
  });
  check_round_trip([](const at::Tensor& x, double /*lr*/) {  // LibTorch's own do not load theirs
    return QuasiGlobal<torch::optim::Adam>(torch::optim::Adam({x}, 0.05));
  });
}

TEST_CASE("The state of other parameters is refused", "[optim][quasi_global]") {
  const at::Tensor x = parameter({1.0, 2.0});
  set_gradient(x, {1, 1});
  QuasiGlobalSgd optimizer({x}, QuasiGlobalSgdOptions(0.1));
  optimizer.step();
  std::stringstream file;
  torch::save(optimizer, file);
  QuasiGlobalSgd two({x, parameter({1.0})}, QuasiGlobalSgdOptions(0.1));
  CHECK(tests::message_of<CheckpointError>([&] { torch::load(two, file); }) ==
        "DisplacementMomentum: the state is of 1 parameters, this optimizer has 2");
  file.clear();
  file.seekg(0);
  QuasiGlobalSgd longer({parameter({1, 2, 3})}, QuasiGlobalSgdOptions(0.1));
  CHECK(tests::message_of<CheckpointError>([&] { torch::load(longer, file); }) ==
        "DisplacementMomentum: the state of parameter 0 is [2], the parameter [3]");
}

TEST_CASE("Around plain SGD the wrapper is QuasiGlobalSgd", "[optim][quasi_global]") {
  const at::Tensor x = parameter({1.0, -2.0});
  const at::Tensor y = parameter({1.0, -2.0});
  QuasiGlobalSgd own({x}, QuasiGlobalSgdOptions(0.1).momentum(0.8).decay(0.7).weight_decay(0.01));
  QuasiGlobal<torch::optim::SGD> wrapped(
      torch::optim::SGD({y}, torch::optim::SGDOptions(0.1).weight_decay(0.01)), 0.8, 0.7);
  for (int t = 0; t < 20; ++t) {
    if (t == 10) {
      own.param_groups()[0].options().set_lr(0.03);
      wrapped.base().param_groups()[0].options().set_lr(0.03);
    }
    own.zero_grad();
    wrapped.zero_grad();
    x.square().sum().backward();
    own.step();
    wrapped.step([&] {
      at::Tensor loss = y.square().sum();
      loss.backward();
      return loss;
    });
    const at::NoGradGuard no_grad;
    x.add_(0.01);
    y.add_(0.01);
    CHECK(at::allclose(x, y, 1e-12, 1e-14));
  }
}

TEST_CASE("Around Adam, the momentum of the way is added to Adam's step", "[optim][quasi_global]") {
  const at::Tensor x = parameter({1.0});
  const at::Tensor y = parameter({1.0});
  torch::optim::Adam plain({x}, 0.1);
  QuasiGlobal<torch::optim::Adam> wrapped(torch::optim::Adam({y}, 0.1));
  double m = 0;
  double before = 1;
  for (int t = 0; t < 10; ++t) {
    const double now = at_place(y, 0);
    if (t > 0) m = 0.9 * m + 0.1 * (before - now) / 0.1;
    before = now;
    {
      const at::NoGradGuard no_grad;
      x.copy_(y);  // Adam's step depends on the gradients alone
    }
    set_gradient(x, {now});
    set_gradient(y, {now});
    plain.step();
    wrapped.step();
    CHECK(at_place(y, 0) == Approx(at_place(x, 0) - 0.1 * 0.9 * m).epsilon(1e-12));
  }
  CHECK(m != 0);
  wrapped.reset_momentum();
}

TEST_CASE("Options of quasi-global momentum that cannot work are refused",
          "[optim][quasi_global]") {
  const auto refusal = [](const QuasiGlobalSgdOptions& options) {
    return tests::message_of<ConfigError>([&] { QuasiGlobalSgd({parameter({1})}, options); });
  };
  CHECK(refusal(QuasiGlobalSgdOptions(0)) == "QuasiGlobalSgdOptions: lr must be above 0, got 0");
  CHECK(refusal(QuasiGlobalSgdOptions(1).momentum(1)) ==
        "QuasiGlobalSgdOptions: momentum must lie in [0, 1), got 1");
  CHECK(refusal(QuasiGlobalSgdOptions(1).decay(-1)) ==
        "QuasiGlobalSgdOptions: decay must lie in [0, 1), got -1");
  CHECK(refusal(QuasiGlobalSgdOptions(1).weight_decay(-1)) ==
        "QuasiGlobalSgdOptions: weight_decay must not be negative, got -1");
  CHECK(tests::message_of<ConfigError>([] {
          QuasiGlobal<torch::optim::SGD>(torch::optim::SGD({parameter({1})}, 0.1), 1.5);
        }) == "QuasiGlobalSgdOptions: momentum must lie in [0, 1), got 1.5");
}

}  // namespace
