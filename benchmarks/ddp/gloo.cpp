// SPDX-License-Identifier: MIT
/// What a LibTorch user writes without Gossamer: all gradients as one vector, which c10d's
/// ProcessGroupGloo sums up.
#include "task.hpp"

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <utility>
#include <vector>

namespace ddp {
namespace {

class Gloo final : public Contender {
 public:
  Gloo(const Net& net, const Job& job) : parameters_(net->parameters()), nodes_(job.nodes) {
    std::int64_t numbers = 0;
    for (const auto& parameter : parameters_) numbers += parameter.numel();
    gradients_ = torch::zeros({numbers});
    auto options = c10d::ProcessGroupGloo::Options::create();
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::FileStore>(job.store, static_cast<int>(job.nodes)),
        static_cast<int>(job.rank), static_cast<int>(job.nodes), options);
  }

  void average() override {
    const torch::NoGradGuard no_grad;
    std::int64_t at = 0;
    for (const auto& parameter : parameters_) {
      gradients_.narrow(0, at, parameter.numel()).copy_(parameter.grad().flatten());
      at += parameter.numel();
    }
    std::vector<torch::Tensor> tensors{gradients_};
    group_->allreduce(tensors)->wait();
    gradients_.div_(nodes_);
    at = 0;
    for (const auto& parameter : parameters_) {
      parameter.grad().copy_(gradients_.narrow(0, at, parameter.numel()).view_as(parameter));
      at += parameter.numel();
    }
  }

 private:
  std::vector<torch::Tensor> parameters_;
  torch::Tensor gradients_;
  std::int64_t nodes_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::unique_ptr<Contender> make_gloo(Net& net, const Job& job) {
  return std::make_unique<Gloo>(net, job);
}

}  // namespace ddp
