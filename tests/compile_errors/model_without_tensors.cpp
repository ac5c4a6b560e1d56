// expect: Model needs: a torch::nn::Module (or holder, or pointer), a std::vector<at::Tensor>
// SPDX-License-Identifier: MIT
#include <gossamer/model/tensors.hpp>

namespace {
struct Clusters {
  at::Tensor centres;
};
}  // namespace

int main() { gossamer::model::check_model<Clusters>(); }
