// SPDX-License-Identifier: MIT
/// The state of an optimizer of LibTorch's, kept so that its next step can be taken back.
#pragma once

#include <gossamer/error.hpp>

#include <ATen/core/Tensor.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/optimizer.h>
#include <torch/optim/sgd.h>

#include <memory>
#include <type_traits>
#include <utility>

namespace gossamer::optim {

/// Momentum and counts of `SGD`, `Adam` or `AdamW`, as they were. Parameters and options (learning
/// rates) are not in it. With a rule that takes steps back, `rule::Acco`:
///
///     void apply() override { kept_.keep(optimizer_); optimizer_.step(); }
///     void on_restart() override { kept_.restore(optimizer_); }
///
/// Cost     a copy of the state each time.
/// Threads  as a tensor.
/// Throws   ConfigError for another optimizer, whose state it does not know.
class KeptState {
 public:
  void keep(const torch::optim::Optimizer& optimizer) {
    refuse_unknown(optimizer);
    kept_ = copy(optimizer.state());
  }
  /// Nothing changes before the first `keep()`: then there is no step to be taken back.
  void restore(torch::optim::Optimizer& optimizer) const {
    if (kept_) optimizer.state() = std::move(*copy(*kept_));
  }

 private:
  // Its keys are not those of all LibTorch's versions.
  using States = std::remove_cvref_t<decltype(std::declval<torch::optim::Optimizer&>().state())>;

  static void refuse_unknown(const torch::optim::Optimizer& optimizer) {
    const bool is_known = dynamic_cast<const torch::optim::SGD*>(&optimizer) != nullptr ||
                          dynamic_cast<const torch::optim::Adam*>(&optimizer) != nullptr ||
                          dynamic_cast<const torch::optim::AdamW*>(&optimizer) != nullptr;
    if (!is_known) {
      throw ConfigError(
          "KeptState: takes back steps of SGD, Adam and AdamW, got another optimizer");
    }
  }

  static void own(at::Tensor& tensor) {
    if (tensor.defined()) tensor = tensor.clone();
  }
  template <class State>
  static void own_means(torch::optim::OptimizerParamState& state) {
    auto* adam = dynamic_cast<State*>(&state);
    if (adam == nullptr) return;
    own(adam->exp_avg());
    own(adam->exp_avg_sq());
    own(adam->max_exp_avg_sq());
  }
  /// LibTorch's clone shares the tensors, which steps change in place.
  static std::unique_ptr<States> copy(const States& states) {
    auto all = std::make_unique<States>();
    for (const auto& [key, state] : states) {
      auto one = state->clone();
      if (auto* sgd = dynamic_cast<torch::optim::SGDParamState*>(one.get())) {
        own(sgd->momentum_buffer());
      }
      own_means<torch::optim::AdamParamState>(*one);
      own_means<torch::optim::AdamWParamState>(*one);
      all->emplace(key, std::move(one));
    }
    return all;
  }

  std::unique_ptr<States> kept_;
};

}  // namespace gossamer::optim
