// SPDX-License-Identifier: MIT
/// Layers and initial weights of the transformer.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossip_lm/transformer.hpp>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace language {
namespace {

using torch::Tensor;
constexpr std::int64_t symbols = 256;

torch::nn::LayerNorm make_norm(std::int64_t width) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions(std::vector<std::int64_t>{width}));
}

}  // namespace

void TransformerOptions::check() const {
  for (const auto& [name, value] : {std::pair("width", width_), std::pair("layers", layers_),
                                    std::pair("heads", heads_), std::pair("context", context_)}) {
    if (value < 1) {
      throw gossamer::ConfigError(
          c10::str("TransformerOptions: ", name, " must be at least 1, got ", value));
    }
  }
  if (width_ % heads_ != 0) {
    throw gossamer::ConfigError(c10::str("TransformerOptions: width must be a multiple of heads, ",
                                         heads_, ", got ", width_));
  }
}

Block::Block(const TransformerOptions& options)
    : heads_(options.heads()),
      norm1_(register_module("norm1", make_norm(options.width()))),
      norm2_(register_module("norm2", make_norm(options.width()))),
      in_(register_module("in", torch::nn::Linear(options.width(), 3 * options.width()))),
      out_(register_module("out", torch::nn::Linear(options.width(), options.width()))),
      up_(register_module("up", torch::nn::Linear(options.width(), 4 * options.width()))),
      down_(register_module("down", torch::nn::Linear(4 * options.width(), options.width()))) {}

Tensor Block::forward(const Tensor& x, const Tensor& mask) {
  const auto n = x.size(0);
  const auto t = x.size(1);
  const auto width = x.size(2);
  // (3, n, heads, t, width / heads)
  const Tensor all =
      in_(norm1_(x)).view({n, t, 3, heads_, width / heads_}).permute({2, 0, 3, 1, 4});
  const double scale = 1 / std::sqrt(static_cast<double>(width / heads_));
  const Tensor looks = (all[0].mul(scale).matmul(all[1].transpose(2, 3)) + mask).softmax(-1);
  const Tensor seen = looks.matmul(all[2]).transpose(1, 2).reshape({n, t, width});
  const Tensor y = x + out_(seen);
  return y + down_(at::gelu(up_(norm2_(y))));
}

Transformer::Transformer(const TransformerOptions& options)
    : byte_((options.check(), torch::nn::Embedding(symbols, options.width()))),
      place_(options.context(), options.width()),
      norm_(make_norm(options.width())),
      head_(torch::nn::LinearOptions(options.width(), symbols).bias(false)),
      mask_(
          at::full({options.context(), options.context()}, -std::numeric_limits<float>::infinity())
              .triu(1)),
      places_(at::arange(options.context())) {
  register_module("byte", byte_);
  register_module("place", place_);
  for (std::int64_t i = 0; i < options.layers(); ++i) {
    blocks_.push_back(
        register_module("block" + std::to_string(i), std::make_shared<Block>(options)));
  }
  register_module("norm", norm_);
  register_module("head", head_);
  draw_weights(options);
}

void Transformer::draw_weights(const TransformerOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(
      gossamer::Generator(options.seed(), 0)());  // it looks at the low 32 bits alone
  const double deviation = 0.5 / std::sqrt(static_cast<double>(options.width()));
  for (auto& named : named_parameters()) {
    Tensor& parameter = named.value();
    if (parameter.dim() > 1) {
      parameter.normal_(0, deviation, generator);
    } else if (named.key().ends_with("bias")) {
      parameter.zero_();
    }
  }
  const double less = 1 / std::sqrt(2.0 * static_cast<double>(options.layers()));
  for (const auto& block : blocks_) {
    block->out_->weight.mul_(less);
    block->down_->weight.mul_(less);
  }
}

Tensor Transformer::forward(const Tensor& bytes) {
  const auto t = bytes.size(1);
  const Tensor mask = mask_.narrow(0, 0, t).narrow(1, 0, t);
  Tensor x = byte_(bytes) + place_(places_.narrow(0, 0, t));
  for (const auto& block : blocks_) x = block->forward(x, mask);
  return head_(norm_(x));
}

Tensor Transformer::bits(const Tensor& pieces) {
  const auto t = pieces.size(1) - 1;
  const Tensor scores = forward(pieces.narrow(1, 0, t)).view({-1, symbols});
  return at::cross_entropy_loss(scores, pieces.narrow(1, 1, t).reshape({-1})) / std::log(2.0);
}

std::int64_t Transformer::parameter_count() const {
  std::int64_t count = 0;
  for (const Tensor& parameter : parameters()) count += parameter.numel();
  return count;
}

double measured_bits(Transformer& network, const Tensor& pieces) {
  const torch::NoGradGuard no_grad;
  constexpr std::int64_t at_once = 16;
  double sum = 0;
  for (std::int64_t i = 0; i < pieces.size(0); i += at_once) {
    const auto count = std::min(at_once, pieces.size(0) - i);
    sum += network.bits(pieces.narrow(0, i, count)).item<double>() * static_cast<double>(count);
  }
  return sum / static_cast<double>(pieces.size(0));
}

}  // namespace language
