// SPDX-License-Identifier: MIT
// Four nodes learn y = 3 x - 1 together, each from noisy samples of its own.
#include <gossamer/gossamer.hpp>

#include <torch/torch.h>

#include <iostream>

class Line final : public gossamer::GossipNode<torch::nn::Linear> {
 public:
  explicit Line(gossamer::Context context)
      : GossipNode(std::move(context), torch::nn::Linear(1, 1)),
        optimizer_(model()->parameters(), /*lr=*/0.05) {}

 private:
  double local_step() override {  // one mini-batch, on this node's own thread
    const auto x = torch::rand({16, 1});
    const auto y = 3 * x - 1 + 0.1 * torch::randn({16, 1});
    optimizer_.zero_grad();
    const auto loss = torch::mse_loss(model()->forward(x), y);
    loss.backward();
    optimizer_.step();
    return loss.item<double>();
  }

  torch::optim::SGD optimizer_;
};

int main() {
  using namespace gossamer;
  ThreadGroup<Line> group(GroupOptions(4), rule::GoSgd(/*probability=*/0.1));
  group.run(StopCondition().steps(2000));  // per node
  for (std::size_t i = 0; i < group.size(); ++i) {
    const auto& line = group[i].model();
    std::cout << "node " << i << ": y = " << line->weight.item<double>() << " x + "
              << line->bias.item<double>() << ", weight " << group[i].weight() << '\n';
  }
  std::cout << "total weight " << group.total_weight() << '\n';
}
