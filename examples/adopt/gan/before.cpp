// SPDX-License-Identifier: MIT
// A generative adversarial network, a training program as one finds it: two models, two
// optimizers. It learns to draw points of a ring of eight clusters.
//
//     adopt_gan_before [STEPS]
#include <torch/torch.h>

#include <cstdlib>
#include <iostream>

constexpr std::int64_t batch = 128;
constexpr double turn = 6.28318530718;

// Points near one of eight places on a circle: (n, 2).
torch::Tensor real_points(std::int64_t n) {
  const auto angle = torch::randint(8, {n}) * (turn / 8);
  return torch::stack({angle.cos(), angle.sin()}, 1) + 0.05 * torch::randn({n, 2});
}

torch::nn::Sequential network(std::int64_t in, std::int64_t out) {
  using torch::nn::Linear;
  return torch::nn::Sequential(Linear(in, 64), torch::nn::ReLU(), Linear(64, 64), torch::nn::ReLU(),
                               Linear(64, out));
}

int main(int argc, char* argv[]) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 2000;
  at::set_num_threads(1);
  auto generator = network(8, 2);
  auto discriminator = network(2, 1);
  torch::manual_seed(1);  // of the data
  const auto options = torch::optim::AdamOptions(1e-3).betas({0.5, 0.999});
  torch::optim::Adam generator_optimizer(generator->parameters(), options);
  torch::optim::Adam discriminator_optimizer(discriminator->parameters(), options);
  const auto yes = torch::ones({batch, 1});
  const auto no = torch::zeros({batch, 1});
  const auto judge = [&](const torch::Tensor& points, const torch::Tensor& truth) {
    return torch::binary_cross_entropy_with_logits(discriminator->forward(points), truth);
  };
  for (int step = 0; step < steps; ++step) {
    const auto fakes = generator->forward(torch::randn({batch, 8}));
    discriminator_optimizer.zero_grad();
    const auto loss = judge(real_points(batch), yes) + judge(fakes.detach(), no);
    loss.backward();
    discriminator_optimizer.step();

    generator_optimizer.zero_grad();
    judge(fakes, yes).backward();
    generator_optimizer.step();
  }
  const torch::NoGradGuard no_grad;
  const auto radius = generator->forward(torch::randn({2000, 8})).norm(2, 1);
  std::cout << "radius " << radius.mean().item<double>() << " (of the real points: 1)" << std::endl;
  return 0;
}
