// SPDX-License-Identifier: MIT
/// The networks of the decoupled-greedy experiments, cut into modules with heads of their own.
#pragma once

#include <torch/nn/modules/container/sequential.h>

#include <cstdint>
#include <string>
#include <vector>

namespace decoupled {

/// A network and how it is cut.
struct NetworkPlan {
  std::string name = "three";
  std::int64_t width = 128;  ///< channels of the first convolution
  std::int64_t modules = 3;  ///< the blocks are dealt out in order, the first ones get one more
  std::uint64_t seed = 1;    ///< of the initial weights
};

/// One module and its head.
struct Part {
  torch::nn::Sequential body;
  torch::nn::Sequential head;
  std::vector<std::int64_t> input;   ///< sizes of one image: channels, height, width
  std::vector<std::int64_t> output;  ///< of what the module makes of it
};

/// The names of the networks.
[[nodiscard]] std::vector<std::string> network_names();

/// How many blocks, and so how many modules at most, it has.
/// @throws gossamer::ConfigError for a name that is none.
[[nodiscard]] std::int64_t block_count(const std::string& network);

/// Makes one module of a network for images of (3, 32, 32), always the same, whatever was drawn
/// before. LibTorch's global generator is used, so nobody else may draw meanwhile.
///
///     three  the small network: convolutions 5x5 of `width` channels with BatchNorm and ReLU,
///     after
///            each a pooling of 3x3 (the maximum, then twice the mean). Heads: three convolutions
///            5x5, the last one from zero, mean, linear; the last module's is linear.
///     six    convolutions 3x3 with BatchNorm and ReLU, of `width` channels, doubled at the third
///            and the fifth, before which there is a max-pooling of 2x2. Heads: mean over a grid of
///            2x2, three linear layers with BatchNorm and ReLU, linear.
///
/// Source   Belilovsky, Eickenberg, Oyallon, ICML 2020; checked against the authors' code
///          (eugenium/DGL): dni_comparisons/cifar_dgl.py, and buffer_experiments/model_greedy.py
///          with the default options of cifar_buffer.py. There `width` is 128.
/// Differs  a module may have several blocks.
/// @throws gossamer::ConfigError for an unknown name, or numbers that cannot work.
[[nodiscard]] Part make_part(const NetworkPlan& plan, std::int64_t index);

}  // namespace decoupled
