// SPDX-License-Identifier: MIT
// A user's program: two nodes, each with a number of its own, agree on one. All ways to build it
// share this file; it includes no <torch/torch.h>, which would take most of the time.
#include <gossamer/gossamer.hpp>

#include <ATen/ops/zeros.h>

#include <cmath>
#include <iostream>
#include <utility>
#include <vector>

using Numbers = std::vector<at::Tensor>;

class Node final : public gossamer::GossipNode<Numbers> {
 public:
  explicit Node(gossamer::Context context)
      : GossipNode(std::move(context), Numbers{at::zeros({1})}) {}

 private:
  double local_step() override {
    at::Tensor& x = model().front();
    const at::Tensor error = x.sub(static_cast<double>(id()));
    x.sub_(error, /*alpha=*/0.1);
    return error.abs().item<double>();
  }
};

int main() {
  gossamer::ThreadGroup<Node> group(gossamer::GroupOptions(2), gossamer::rule::GoSgd(0.1));
  group.run(gossamer::StopCondition().steps(200));
  const double weight = group.total_weight();
  std::cout << "total weight " << weight << '\n';
  return std::abs(weight - 1) < 1e-9 ? 0 : 1;
}
