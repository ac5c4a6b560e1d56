// SPDX-License-Identifier: MIT
/// An optimizer that goes back to a state that was kept.
#include <gossamer/error.hpp>
#include <gossamer/optim/adahessian.hpp>
#include <gossamer/optim/kept_state.hpp>

#include <tests/support.hpp>

#include <memory>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::optim::KeptState;
using torch::optim::Optimizer;

std::unique_ptr<Optimizer> make(const std::string& name, const at::Tensor& x) {
  const std::vector<at::Tensor> all{x};
  if (name == "sgd") {
    return std::make_unique<torch::optim::SGD>(all, torch::optim::SGDOptions(0.1).momentum(0.9));
  }
  if (name == "adam") {
    return std::make_unique<torch::optim::Adam>(all, torch::optim::AdamOptions(0.1).amsgrad(true));
  }
  return std::make_unique<torch::optim::AdamW>(all, torch::optim::AdamWOptions(0.1));
}

void step(Optimizer& optimizer, const at::Tensor& x, double gradient) {
  x.mutable_grad() = at::full_like(x, gradient);
  optimizer.step();
}

}  // namespace

TEST_CASE("A step that is taken back leaves nothing behind in the optimizer", "[optim][kept]") {
  const std::string name = GENERATE("sgd", "adam", "adamw");
  const int before = GENERATE(0, 3);
  CAPTURE(name, before);
  const at::Tensor x = at::ones({3}, at::kDouble).requires_grad_();
  const at::Tensor y = at::ones({3}, at::kDouble).requires_grad_();
  const auto other = make(name, y);
  const auto optimizer = make(name, x);
  for (int i = 0; i < before; ++i) {
    step(*optimizer, x, 0.5 - i);
    step(*other, y, 0.5 - i);
  }
  KeptState kept;
  kept.keep(*optimizer);
  for (const double wrong : {7.0, -2.0}) {  // taken back twice
    const at::Tensor place = x.detach().clone();
    step(*optimizer, x, wrong);
    CHECK_FALSE(at::equal(x, place));
    const at::NoGradGuard no_grad;
    x.copy_(place);
    kept.restore(*optimizer);
  }
  for (int i = 0; i < 2; ++i) {
    step(*optimizer, x, 1 + i);
    step(*other, y, 1 + i);
    CHECK(at::equal(x, y));
  }
}

TEST_CASE("An optimizer whose state is not known is refused, and nothing kept changes nothing",
          "[optim][kept]") {
  const at::Tensor x = at::ones({3}, at::kDouble).requires_grad_();
  KeptState kept;
  gossamer::optim::AdaHessian hessian({x}, gossamer::optim::AdaHessianOptions(0.1));
  CHECK(tests::message_of<ConfigError>([&] { kept.keep(hessian); }) ==
        "KeptState: takes back steps of SGD, Adam and AdamW, got another optimizer");
  const auto optimizer = make("sgd", x);
  step(*optimizer, x, 1);
  kept.restore(*optimizer);
  CHECK(optimizer->state().size() == 1);
}
