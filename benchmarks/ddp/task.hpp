// SPDX-License-Identifier: MIT
/// The job that all contenders do: the network, data, batch and optimizer of
/// examples/adopt/mnist, with the same first parameters and batches whoever averages the gradients.
/// ddp_python.py is its copy in Python.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>

namespace ddp {

struct Job {
  // sync, parts, overlap, gloo, or none, which averages before its first pause only
  std::string contender;
  std::string data;   // folder of MNIST's four files
  std::string store;  // file by which Gloo's processes meet
  std::string model;  // file that takes the parameters of the end
  std::int64_t rank = 0;
  std::int64_t nodes = 1;
};

struct NetImpl : torch::nn::Module {
  NetImpl() {
    register_module("convolution1", convolution1);
    register_module("convolution2", convolution2);
    register_module("linear1", linear1);
    register_module("linear2", linear2);
  }
  torch::Tensor forward(torch::Tensor x) {                              // (n, 1, 28, 28)
    x = torch::relu(torch::max_pool2d(convolution1(x), 2));             // (n, 8, 12, 12)
    x = torch::relu(torch::max_pool2d(convolution2(x), 2)).flatten(1);  // (n, 256)
    return torch::log_softmax(linear2(torch::relu(linear1(x))), 1);     // (n, 10)
  }
  torch::nn::Conv2d convolution1{torch::nn::Conv2dOptions(1, 8, 5)};
  torch::nn::Conv2d convolution2{torch::nn::Conv2dOptions(8, 16, 5)};
  torch::nn::Linear linear1{256, 64}, linear2{64, 10};
};
TORCH_MODULE(Net);

/// What makes one program of many: the calls that it adds to a loop.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual void backward(const torch::Tensor& loss) { loss.backward(); }
  /// Between that and the optimizer's step.
  virtual void average() = 0;
  /// After the optimizer's step.
  virtual void after_step(double /*loss*/) {}

  Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;
};

/// `rule::Sync`; in one part, in as many as there are nodes, or in buckets that overlap with the
/// backward pass.
std::unique_ptr<Contender> make_sync(Net& net, const Job& job);
/// c10d's Gloo by hand; nullptr where its headers are missing.
std::unique_ptr<Contender> make_gloo(Net& net, const Job& job);

}  // namespace ddp
