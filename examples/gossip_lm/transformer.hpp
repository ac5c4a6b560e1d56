// SPDX-License-Identifier: MIT
/// A small transformer that predicts the next byte.
#pragma once

#include <torch/arg.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace language {

struct TransformerOptions {
  /// Numbers by which a byte is known between layers; a multiple of `heads`.
  TORCH_ARG(std::int64_t, width) = 160;
  TORCH_ARG(std::int64_t, layers) = 4;
  TORCH_ARG(std::int64_t, heads) = 5;
  /// The most bytes that are looked at.
  TORCH_ARG(std::int64_t, context) = 128;
  /// Of the initial weights.
  TORCH_ARG(std::uint64_t, seed) = 0;

 public:
  /// Throws ConfigError for what makes no network.
  void check() const;
};

/// Attention to the bytes up to one's own, then two linear layers with GELU; each on what a
/// LayerNorm has made of its input, and added to it.
class Block : public torch::nn::Module {
 public:
  explicit Block(const TransformerOptions& options);
  /// @param x (n, t, width). @param mask (t, t): 0 where a row may look, else minus infinity.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& mask);

 private:
  friend class Transformer;

  std::int64_t heads_;
  torch::nn::LayerNorm norm1_, norm2_;
  torch::nn::Linear in_, out_, up_, down_;
};

/// Embeddings of 256 bytes and of places, blocks, a LayerNorm, and a linear layer to 256 scores.
/// 1,339,840 parameters by default.
///
/// Weights start normal with deviation 0.5 / sqrt(width) (about GPT-2's 0.02 at its width of 768),
/// divided by sqrt(2 layers) where a block adds to its input, from a generator of its own: equal
/// options give equal bits. Biases start at 0.
/// Source  Radford et al., "Language models are unsupervised multitask learners", 2019.
/// Threads distinct objects: safe; one object from two threads: unsafe.
/// Throws  ConfigError for options that make no network.
class Transformer : public torch::nn::Module {
 public:
  explicit Transformer(const TransformerOptions& options);

  /// Scores of what comes next, before the softmax.
  /// @param bytes (n, t) int64 in [0, 256), 1 <= t <= context. @return (n, t, 256).
  torch::Tensor forward(const torch::Tensor& bytes);

  /// The mean cross-entropy in bits, where each byte but the first is predicted from those before.
  /// @param pieces (n, t + 1) int64. @return a scalar, which can be differentiated.
  torch::Tensor bits(const torch::Tensor& pieces);

  [[nodiscard]] std::int64_t parameter_count() const;

 private:
  void draw_weights(const TransformerOptions& options);

  torch::nn::Embedding byte_, place_;
  std::vector<std::shared_ptr<Block>> blocks_;
  torch::nn::LayerNorm norm_;
  torch::nn::Linear head_;
  torch::Tensor mask_, places_;  // no buffers: they are the same everywhere, and are not averaged
};

/// Mean bits per byte over (m, t + 1) pieces, a few at a time, without gradients.
[[nodiscard]] double measured_bits(Transformer& network, const torch::Tensor& pieces);

}  // namespace language
