// SPDX-License-Identifier: MIT
/// What the user of the library writes: one node that trains the transformer on its part of a text.
#pragma once

#include <gossamer/node/gossip_node.hpp>
#include <gossamer/optim/kept_state.hpp>
#include <gossip_lm/text.hpp>
#include <gossip_lm/transformer.hpp>

#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numbers>
#include <tuple>
#include <utility>
#include <vector>

namespace language {

/// How a node trains.
struct Training {
  std::int64_t batch = 8;  ///< pieces for one step
  double learning_rate = 2e-3;
  double warm_up = 0.1;       ///< share of the run in which the learning rate rises
  double last_rate = 0.1;     ///< the learning rate at the end, as a share of the highest
  double weight_decay = 0.1;  ///< of matrices
  double clip = 1;            ///< the longest gradient
  std::uint64_t pieces = 0;   ///< of the whole run, over all nodes
  std::uint64_t nodes = 1;    ///< how many begin

  /// The learning rate when a share in [0, 1] of the run is done: linear warm-up, then a half
  /// cosine.
  [[nodiscard]] double rate_at(double done) const {
    if (done < warm_up) return learning_rate * std::max(done / warm_up, 0.01);
    const double rest = std::min(1.0, (done - warm_up) / (1 - warm_up));
    const double wave = (1 + std::cos(std::numbers::pi * rest)) / 2;
    return learning_rate * (last_rate + (1 - last_rate) * wave);
  }
};

/// AdamW (0.9, 0.95) on random pieces of the node's own part of the text. The learning rate follows
/// what the group has done, so that a slow node's falls with the others'; under a synchronous rule
/// its own steps, so that all have the same.
class LanguageNode : public gossamer::GradientNode<std::shared_ptr<Transformer>> {
 public:
  LanguageNode(gossamer::Context context, const TransformerOptions& shape, const Training& training,
               at::Tensor text)
      : GradientNode(std::move(context), std::make_shared<Transformer>(shape)),
        training_(training),
        length_(shape.context() + 1),
        text_(std::move(text)),
        random_(generator()),
        optimizer_(groups(), options_with(training.weight_decay)) {}

 protected:
  void prepare_step() override {
    pieces_ = random_pieces(text_, training_.batch, length_, random_);
  }

  /// Bits per byte of a batch; the gradients are those of its cross-entropy in nats.
  double gradient() override {
    optimizer_.zero_grad();
    const torch::Tensor bits = model()->bits(pieces_);
    (bits * std::numbers::ln2).backward();
    return bits.item<double>();
  }

  void apply() override {
    torch::nn::utils::clip_grad_norm_(model()->parameters(), training_.clip);
    for (auto& group : optimizer_.param_groups()) group.options().set_lr(training_.rate_at(done()));
    if (takes_back_) kept_.keep(optimizer_);
    optimizer_.step();
  }

 private:
  void on_restart() override {
    if (takes_back_) kept_.restore(optimizer_);
  }

  static torch::optim::AdamWOptions options_with(double weight_decay) {
    return torch::optim::AdamWOptions()
        .betas(std::make_tuple(0.9, 0.95))
        .weight_decay(weight_decay);
  }
  /// Matrices, which decay, and the rest.
  std::vector<torch::optim::OptimizerParamGroup> groups() {
    std::vector<at::Tensor> matrices;
    std::vector<at::Tensor> others;
    for (const at::Tensor& one : model()->parameters()) {
      (one.dim() > 1 ? matrices : others).push_back(one);
    }
    std::vector<torch::optim::OptimizerParamGroup> all;
    all.emplace_back(std::move(matrices));
    all.emplace_back(std::move(others),
                     std::make_unique<torch::optim::AdamWOptions>(options_with(0)));
    return all;
  }

  /// The share of the run that is done.
  [[nodiscard]] double done() {
    const std::uint64_t samples =
        engine().rule().is_synchronous()
            ? engine().step() * training_.nodes * static_cast<std::uint64_t>(training_.batch)
            : engine().transport().work_done().samples;
    return static_cast<double>(samples) / static_cast<double>(training_.pieces);
  }

  Training training_;
  std::int64_t length_;
  at::Tensor text_;
  gossamer::Generator random_;
  at::Tensor pieces_;  // of the next step
  torch::optim::AdamW optimizer_;
  gossamer::optim::KeptState kept_;  // for a rule that takes steps back
  bool takes_back_ = engine().rule().name() == "acco";
};

}  // namespace language
