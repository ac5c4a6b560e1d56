// SPDX-License-Identifier: MIT
/// A node for tests of what groups tell.
#pragma once

#include <gossamer/node/gossip_node.hpp>

#include <torch/types.h>

#include <utility>
#include <vector>

namespace tests {

/// Moves to its own number, counted from 1, so that models differ.
class Mover final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Mover(gossamer::Context context)
      : GossipNode(std::move(context), {torch::zeros({4}, torch::kDouble)}) {}

 private:
  double local_step() override {
    model()[0].mul_(0.9).add_(0.1 * (id() + 1));
    return 0;
  }
};

}  // namespace tests
