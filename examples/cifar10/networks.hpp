// SPDX-License-Identifier: MIT
/// The networks of the experiments, with random numbers of their own.
#pragma once

#include <ATen/core/Generator.h>
#include <c10/core/MemoryFormat.h>
#include <torch/arg.h>
#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cifar10 {

struct NetworkOptions {
  /// Probability that a unit is dropped while training, in [0, 1); resnet18 has no dropout.
  TORCH_ARG(double, dropout) = 0.5;
  /// Seed of the initial weights and of dropout; all 64 bits count.
  TORCH_ARG(std::uint64_t, seed) = 0;
  /// Side of the input images in pixels: 28, or for resnet18 also 32.
  TORCH_ARG(std::int64_t, crop) = 28;
  /// Whether the values of all channels of a pixel lie together between the layers: other kernels,
  /// other last bits of the results. `./benchmarks/run.sh throughput` says what it gains.
  TORCH_ARG(bool, channels_last) = false;
};

/// A network whose initial weights and dropout come from its own generator, never from LibTorch's
/// global one: equal options give equal bits, whatever other threads draw. Distinct networks may be
/// used from distinct threads; one may not.
class Network : public torch::nn::Module {
 public:
  /// Class scores before the softmax.
  /// @param images (n, 3, crop, crop) float, crop as given when the network was made.
  /// @return (n, 10).
  virtual torch::Tensor forward(torch::Tensor images) = 0;

  /// Where dropout's random bits come from; a checkpoint keeps its `get_state()`.
  [[nodiscard]] at::Generator& generator() noexcept { return generator_; }

  /// Starts dropout's random bits afresh, so that nodes with equal weights drop different units.
  void reseed_dropout(std::uint64_t seed);

 protected:
  explicit Network(const NetworkOptions& options);

  /// The images with their values in the order in which the network works.
  [[nodiscard]] torch::Tensor arranged(torch::Tensor images) const;

 private:
  at::Generator generator_;
  at::MemoryFormat order_;
};

/// The names that `make_network` knows.
[[nodiscard]] std::vector<std::string> network_names();

/// Makes a network by name.
///
///     gosgd     conv 5x5x64, pool, conv 5x5x128, pool, conv 3x3x64, dropout, linear 10;
///               286,154 parameters; the network of the GoSGD papers.
///     easgd7    the same convolutions, linear 256, dropout, linear 10; 351,946 parameters; the
///               network of the EASGD paper, with ReLU after each hidden layer.
///     resnet18  residual blocks of 64, 128, 256 and 512 channels after a 3x3 stem, without the
///               first pooling; 11,173,962 parameters; He, Zhang, Ren, Sun, CVPR 2016, in the form
///               usual for CIFAR.
///
/// Convolutions and linear layers start uniform in +-1 / sqrt(fan-in), LibTorch's default.
/// @throws gossamer::ConfigError for an unknown name (the text lists the names) or a bad option.
[[nodiscard]] std::shared_ptr<Network> make_network(const std::string& name,
                                                    const NetworkOptions& options = {});

}  // namespace cifar10
