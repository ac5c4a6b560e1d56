// SPDX-License-Identifier: MIT
// Handwritten digits, a training program as one finds it: LibTorch's DataLoader, and a sampler.
//
//     adopt_mnist_before FOLDER [EPOCHS]     FOLDER has MNIST's four files, unpacked
#include <torch/torch.h>

#include <cstdlib>
#include <iostream>
#include <string>

namespace data = torch::data;
using Sampler = data::samplers::DistributedRandomSampler;

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

auto digits(const std::string& folder, data::datasets::MNIST::Mode mode) {
  return data::datasets::MNIST(folder, mode)
      .map(data::transforms::Normalize<>(0.1307, 0.3081))
      .map(data::transforms::Stack<>());
}

double accuracy(Net& net, const std::string& folder) {
  const torch::NoGradGuard no_grad;
  auto test = digits(folder, data::datasets::MNIST::Mode::kTest);
  auto loader = data::make_data_loader<data::samplers::SequentialSampler>(std::move(test), 500);
  double right = 0;
  for (auto& batch : *loader) {
    right += net(batch.data).argmax(1).eq(batch.target).sum().item<double>();
  }
  return right / 10'000;
}

int main(int argc, char* argv[]) {
  const std::string folder = argc > 1 ? argv[1] : "mnist";
  const int epochs = argc > 2 ? std::atoi(argv[2]) : 1;
  at::set_num_threads(1);
  torch::manual_seed(1);
  Net net;
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.02).momentum(0.5));
  auto train = digits(folder, data::datasets::MNIST::Mode::kTrain);
  const std::size_t size = train.size().value();
  Sampler sampler(size, 1, 0);
  auto loader = data::make_data_loader(std::move(train), sampler, 50);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (auto& batch : *loader) {
      optimizer.zero_grad();
      const auto loss = torch::nll_loss(net(batch.data), batch.target);
      loss.backward();
      optimizer.step();
    }
  }
  std::cout << "accuracy " << accuracy(net, folder) << std::endl;
  return 0;
}
