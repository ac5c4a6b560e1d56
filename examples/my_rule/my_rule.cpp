// SPDX-License-Identifier: MIT
// Four nodes learn y = 3 x - 1 under a rule of our own; the last one's samples are very noisy.
#include <gossamer/gossamer.hpp>

#include <my_rule/my_rule.hpp>
#include <torch/torch.h>

#include <iostream>

class Line final : public gossamer::GossipNode<torch::nn::Linear> {
 public:
  explicit Line(gossamer::Context context)
      : GossipNode(std::move(context), torch::nn::Linear(1, 1)),
        optimizer_(model()->parameters(), /*lr=*/0.05) {}

 private:
  double local_step() override {
    const auto x = torch::rand({16, 1});
    const auto y = 3 * x - 1 + (id() == 3 ? 5 : 0.1) * torch::randn({16, 1});
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
  for (const rule::AnyRule& rule :
       {rule::AnyRule(rule::GossipingPush(0.2)), rule::AnyRule(Listen(0.2))}) {
    ThreadGroup<Line> group(GroupOptions(4), rule);
    group.run(StopCondition().steps(2000));
    std::cout << rule->name() << '\n';
    for (std::size_t i = 0; i < group.size(); ++i) {
      const auto& line = group[i].model();
      std::cout << "  node " << i << ": y = " << line->weight.item<double>() << " x + "
                << line->bias.item<double>() << '\n';
    }
  }
}
