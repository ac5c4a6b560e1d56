// SPDX-License-Identifier: MIT
/// Decoupled greedy learning: each module of a network learns by a head of its own.
#pragma once

#include <gossamer/pipeline/replay_buffer.hpp>

#include <ATen/core/Tensor.h>
#include <torch/optim/optimizer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace gossamer::pipeline {

/// What goes from one module to the next. Nothing goes back.
struct Activations {
  at::Tensor values;   ///< (batch, ...), without history
  at::Tensor targets;  ///< (batch, ...)
};

/// One module f_j of a network with its auxiliary head h_j:
///
///     loss   l(h_j(f_j(x)), y),  whose gradient moves f_j and h_j
///     next   f_j(x), detached, with y
///
/// Modules share no gradient, so each can be trained on a device of its own at its own pace
/// (`train`). The last one's head is the network's.
///
/// Module, Head  anything that is called as m->forward(tensor) and gives a tensor: holders of
///               torch::nn::Module, or pointers to them. `optimizer` has the parameters of both.
/// Cost       that of the module and its head; activations are not copied.
/// Threads    one object by one thread at a time; different modules on different threads: safe.
/// Throws     what the module, the head, the loss and the optimizer throw.
/// Source     Belilovsky, Eickenberg, Oyallon, "Decoupled greedy learning of CNNs", ICML 2020,
///            arXiv:1901.08164; Belilovsky et al., 2021, arXiv:2106.06401.
/// Differs    the output is the one before the module's step, as in the authors' code; whoever
///            wants activations on the CPU, or in code, moves them between `step` and `put`.
template <class Module, class Head>
class Decoupled {
 public:
  using Loss = std::function<at::Tensor(const at::Tensor& output, const at::Tensor& targets)>;

  Decoupled(Module module, Head head, std::shared_ptr<torch::optim::Optimizer> optimizer, Loss loss)
      : module_(std::move(module)),
        head_(std::move(head)),
        optimizer_(std::move(optimizer)),
        loss_(std::move(loss)) {}

  /// Trains on a batch, and gives what the next module gets.
  Activations step(const Activations& batch) {
    optimizer_->zero_grad();
    const at::Tensor output = module_->forward(batch.values.detach());
    const at::Tensor loss = loss_(head_->forward(output), batch.targets);
    loss.backward();
    optimizer_->step();
    last_loss_ = loss.item().toDouble();
    ++steps_;
    return {output.detach(), batch.targets};
  }
  /// The same without training, for a module that has trained enough and feeds those after it.
  Activations pass(const Activations& batch) {
    const at::NoGradGuard no_grad;
    return {module_->forward(batch.values), batch.targets};
  }
  /// What its head makes of a batch.
  at::Tensor predict(const at::Tensor& values) {
    const at::NoGradGuard no_grad;
    return head_->forward(module_->forward(values));
  }

  [[nodiscard]] const Module& module() const noexcept { return module_; }
  [[nodiscard]] const Head& head() const noexcept { return head_; }
  /// Of the last step; 0 before the first.
  [[nodiscard]] double last_loss() const noexcept { return last_loss_; }
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

 private:
  Module module_;
  Head head_;
  std::shared_ptr<torch::optim::Optimizer> optimizer_;
  Loss loss_;
  double last_loss_ = 0;
  std::uint64_t steps_ = 0;
};

using ActivationBuffer = ReplayBuffer<Activations>;  ///< from a module to the next

/// A module's whole work, on the thread that calls it: trains on what comes, at most `steps` times
/// in all, and passes more on without training, until there is no more; then `to`, if there is one,
/// is closed. Modules that follow each other run so beside each other. `from` gives a batch, or
/// nothing at the end: `ReplayBuffer::take`, or whatever reads the data.
///
/// Where an exception ends it, `to` is closed, too, so that nobody waits for ever.
template <class Module, class Head>
void train(Decoupled<Module, Head>& decoupled,
           const std::function<std::optional<Activations>()>& from, ActivationBuffer* to,
           std::uint64_t steps) {
  struct Closing {
    ActivationBuffer* to;
    ~Closing() {
      if (to != nullptr) to->close();
    }
  } const closing{to};
  while (const auto batch = from()) {
    const bool trains = decoupled.steps() < steps;
    if (!trains && to == nullptr) return;
    Activations next = trains ? decoupled.step(*batch) : decoupled.pass(*batch);
    if (to != nullptr) to->put(std::move(next));
  }
}

}  // namespace gossamer::pipeline
