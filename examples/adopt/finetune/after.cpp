// SPDX-License-Identifier: MIT
// The program of before.cpp in any number of processes, backbone and head together: three lines
// more, and one changed, so that each draws data of its own. The frozen layer starts, and stays,
// the same everywhere.
//
//     ./examples/launch.sh -n 4 adopt_finetune [BACKBONE.pt] [STEPS]
#include <gossamer/distributed.hpp>  // added

#include <torch/script.h>
#include <torch/torch.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

// Points on two spirals, with noise: (n, 2) and their labels, (n,).
std::pair<torch::Tensor, torch::Tensor> spirals(std::int64_t n) {
  const auto labels = torch::randint(2, {n});
  const auto angle = 0.5 + 7 * torch::rand({n});
  const auto turned = angle + 3.14159265 * labels;
  const auto points = torch::stack({angle * turned.cos(), angle * turned.sin()}, 1) / 4;
  return {points + 0.02 * torch::randn({n, 2}), labels.to(torch::kLong)};
}

// Stands in for what somebody has trained and saved: (n, 2) to (n, 64).
torch::jit::Module make_backbone() {
  torch::jit::Module made("Backbone");
  made.register_parameter("first", 2 * torch::randn({2, 64}), /*is_buffer=*/false);
  made.register_parameter("second", 0.2 * torch::randn({64, 64}), /*is_buffer=*/false);
  made.define("def forward(self, x):\n  return ((x @ self.first).tanh() @ self.second).tanh()\n");
  return made;
}

int main(int argc, char* argv[]) {
  const std::string file = argc > 1 ? argv[1] : "";
  const int steps = argc > 2 ? std::atoi(argv[2]) : 1500;
  at::set_num_threads(1);
  auto backbone = file.empty() ? make_backbone() : torch::jit::load(file);
  torch::nn::Linear head(64, 2);
  std::vector<torch::Tensor> trained = head->parameters();
  for (const auto& parameter : backbone.named_parameters()) {
    parameter.value.requires_grad_(parameter.name != "first");
    if (parameter.name != "first") trained.push_back(parameter.value);
  }
  gossamer::Gossip gossip(gossamer::join_run(gossamer::rule::GoSgd(0.1)), backbone, head);  // added
  torch::manual_seed(1 + gossip.place());  // changed: of the data
  torch::optim::SGD optimizer(trained, torch::optim::SGDOptions(0.05).momentum(0.9));
  for (int step = 0; step < steps; ++step) {
    const auto [points, labels] = spirals(32);
    optimizer.zero_grad();
    const auto loss =
        torch::cross_entropy_loss(head(backbone.forward({points}).toTensor()), labels);
    loss.backward();
    optimizer.step();
    gossip.step(loss.item<double>());  // added
  }
  const auto [points, labels] = spirals(2000);
  const auto right = head(backbone.forward({points}).toTensor()).argmax(1).eq(labels);
  std::cout << "accuracy " << right.to(torch::kDouble).mean().item<double>() << std::endl;
  return 0;
}
