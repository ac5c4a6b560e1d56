// SPDX-License-Identifier: MIT
// The program of before.cpp in any number of processes: three lines more, and one changed, so that
// each draws data of its own.
//
//     ./examples/launch.sh -n 4 adopt_lstm FILE [STEPS]     FILE has any text in ASCII
#include <gossamer/distributed.hpp>  // added

#include <torch/torch.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

constexpr std::int64_t characters = 128;

struct LanguageModelImpl : torch::nn::Module {
  LanguageModelImpl() {
    register_module("embedding", embedding);
    register_module("lstm", lstm);
    register_module("decoder", decoder);
  }
  torch::Tensor forward(const torch::Tensor& text) {                     // (n, length)
    return decoder(std::get<0>(lstm(embedding(text)))).transpose(1, 2);  // (n, 128, length)
  }
  torch::nn::Embedding embedding{characters, 32};
  torch::nn::LSTM lstm{torch::nn::LSTMOptions(32, 128).batch_first(true)};
  torch::nn::Linear decoder{128, characters};
};
TORCH_MODULE(LanguageModel);

// The codes of a file's characters: (length,).
torch::Tensor read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::int64_t> codes;
  for (std::istreambuf_iterator<char> at(file), end; at != end; ++at) codes.push_back(*at & 127);
  if (codes.size() < 1000) throw std::runtime_error(path + ": a text needs 1000 characters");
  return torch::tensor(codes);
}

// Pieces from random places of the text: (n, length).
torch::Tensor pieces(const torch::Tensor& text, std::int64_t n, std::int64_t length) {
  const auto begin = torch::randint(text.size(0) - length, {n, 1});
  return text.index({begin + torch::arange(length)});
}

int main(int argc, char* argv[]) {
  const auto text = read(argc > 1 ? argv[1] : "README.md");
  const int steps = argc > 2 ? std::atoi(argv[2]) : 500;
  at::set_num_threads(1);
  LanguageModel model;
  gossamer::Gossip gossip(gossamer::join_run(gossamer::rule::GoSgd(0.1)), model);  // added
  torch::manual_seed(1 + gossip.place());  // changed: of the data
  torch::optim::Adam optimizer(model->parameters(), 3e-3);
  double mean = 0;
  for (int step = 0; step < steps; ++step) {
    const auto batch = pieces(text, 16, 65);
    const auto input = batch.slice(1, 0, 64);
    const auto next = batch.slice(1, 1, 65);
    optimizer.zero_grad();
    const auto loss = torch::cross_entropy_loss(model(input), next);
    loss.backward();
    torch::nn::utils::clip_grad_norm_(model->parameters(), 1.0);
    optimizer.step();
    gossip.step(loss.item<double>());  // added
    mean += 0.05 * (loss.item<double>() - mean);
  }
  std::cout << "loss per character " << mean << std::endl;
  return 0;
}
