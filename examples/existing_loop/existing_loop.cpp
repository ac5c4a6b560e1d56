// SPDX-License-Identifier: MIT
// The loop of before.cpp on four nodes: three lines more, two changed (marked).
#include <gossamer/gossamer.hpp>  // added

#include <torch/torch.h>

#include <iostream>

// Points on two spirals, with noise: (n, 2) and their labels, (n,).
std::pair<torch::Tensor, torch::Tensor> spirals(std::int64_t n) {
  const auto labels = torch::randint(2, {n});
  const auto angle = 0.5 + 7 * torch::rand({n});
  const auto turned = angle + 3.14159265 * labels;
  const auto points = torch::stack({angle * turned.cos(), angle * turned.sin()}, 1) / 4;
  return {points + 0.02 * torch::randn({n, 2}), labels.to(torch::kLong)};
}

void train(gossamer::Context context) {  // changed
  torch::nn::Sequential model(torch::nn::Linear(2, 64), torch::nn::Tanh(),
                              torch::nn::Linear(64, 64), torch::nn::Tanh(),
                              torch::nn::Linear(64, 2));
  torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  gossamer::Gossip gossip(std::move(context), model);  // added
  for (int step = 0; step < 1500; ++step) {
    const auto [points, labels] = spirals(32);
    optimizer.zero_grad();
    const auto loss = torch::cross_entropy_loss(model->forward(points), labels);
    loss.backward();
    optimizer.step();
    gossip.step(loss.item<double>());  // added
  }
  const auto [points, labels] = spirals(2000);
  const auto right = model->forward(points).argmax(1).eq(labels).to(torch::kDouble).mean();
  std::cout << "accuracy " + std::to_string(right.item<double>()) + "\n";
}

int main() {
  gossamer::run_threads(gossamer::GroupOptions(4), gossamer::rule::GoSgd(0.1), train);  // changed
  return 0;
}
