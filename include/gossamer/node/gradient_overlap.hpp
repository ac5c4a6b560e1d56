// SPDX-License-Identifier: MIT
/// Gradients that travel while the backward pass computes others. Includes autograd's headers,
/// which torch/torch.h includes, too.
#pragma once

#include <gossamer/node/gossip.hpp>

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gossamer {

/// Overlaps `Gossip::average_gradients()` with the backward pass, as DistributedDataParallel does:
///
///     gossamer::Gossip gossip(gossamer::join_run(
///         gossamer::rule::Sync().chunks(nodes).bucket_cap_mb(25)), model);
///     gossamer::GradientOverlap overlap(gossip);       // before the loop
///     ...
///     overlap.backward(loss);                          // in place of loss.backward()
///     gossip.average_gradients();                      // waits for what is still under way
///     optimizer.step();
///
/// A bucket is sent when the gradients in it are final: each parameter's own, once autograd has
/// accumulated it. So only the last `backward()` of a step may be overlapped; those before it,
/// which accumulate, are called as ever (DDP's `no_sync`). What the pass does not reach (an unused
/// parameter) goes out in `average_gradients()`, and so do averaged buffers. The mean has the same
/// bits as without overlap: see `rule::Sync`. Under other rules, and rules that are made of it
/// (`SlowMo`, `SwitchAfter`), all goes on as without.
///
/// A gradient that changes after its bucket was sent (another `backward()`, one by reentrant
/// checkpointing, clipping before `average_gradients()`, another batch after an exception) would
/// make a wrong mean. `average_gradients()` compares what is there with what was sent, and throws
/// ConfigError, naming the parameter; the node cannot go on then, and the others go on without it.
///
/// Nothing here waits for the network. While a pass is under way messages of the rule are taken in,
/// and nothing else: peers come and go, as the model sees it, in `average_gradients()`.
///
/// Cost     a lock per parameter and pass; a comparison of the gradients with those sent.
/// Threads  one at a time, the one that uses the `Gossip`, which nobody else uses during the pass.
///          Autograd may run it in any threads, several at once if they share no parameter. One
///          object per `Gossip`, which must outlive it.
/// Throws   from within `backward()` what `average_gradients()` throws: ConfigError for a sparse
///          gradient, or a peer that cuts its gradients otherwise.
class GradientOverlap {
  struct Pass;

 public:
  explicit GradientOverlap(Gossip& gossip) : pass_(std::make_shared<Pass>(gossip)) {}
  GradientOverlap(const GradientOverlap&) = delete;
  GradientOverlap& operator=(const GradientOverlap&) = delete;
  ~GradientOverlap() {
    for (Hooked& one : hooked_) one.remove();
  }

  /// While it lives, gradients that are accumulated are final.
  class [[nodiscard]] Scope {
   public:
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    ~Scope() { pass_.open(false); }

   private:
    friend class GradientOverlap;
    explicit Scope(Pass& pass) : pass_(pass) { pass_.open(true); }
    Pass& pass_;
  };

  /// Around the last `backward()` before `average_gradients()`, if that is more than a call:
  ///
  ///     {
  ///       const auto last = overlap.last_backward();
  ///       torch::autograd::backward({loss, other_loss});
  ///     }
  Scope last_backward() {
    add_hooks();
    return Scope(*pass_);
  }
  /// `loss.backward()`, the last one before `average_gradients()`.
  void backward(const at::Tensor& loss) {
    const Scope last = last_backward();
    loss.backward();
  }

 private:
  using Node = torch::autograd::Node;

  /// What the hooks of all parameters share.
  struct Pass {
    explicit Pass(Gossip& of) : gossip(of) {}
    void open(bool now) {
      const std::lock_guard lock(mutex);
      is_open = now;
    }
    void ready(std::size_t slot) {
      const std::lock_guard lock(mutex);
      if (is_open) gossip.gradients_ready({&slot, 1});
    }
    std::mutex mutex;
    Gossip& gossip;
    bool is_open = false;
  };

  /// Called when autograd has accumulated the gradient of a parameter.
  struct Hook final : torch::autograd::FunctionPostHook {
    Hook(std::shared_ptr<Pass> of, std::size_t number) : pass(std::move(of)), slot(number) {}
    torch::autograd::variable_list operator()(
        const torch::autograd::variable_list& outputs,
        const torch::autograd::variable_list& /*inputs*/) override {
      pass->ready(slot);
      return outputs;
    }
    std::shared_ptr<Pass> pass;
    std::size_t slot;
  };

  /// A parameter's node in autograd's graphs, which lives as long as somebody holds it.
  struct Hooked {
    void remove() {
      if (node) node->del_post_hook(key);
      node.reset();
    }
    std::shared_ptr<Node> node;
    std::uintptr_t key = 0;
  };

  /// To all parameters that have none yet, or have become others since.
  void add_hooks() {
    const auto& tensors = pass_->gossip.parameters().tensors();
    hooked_.resize(tensors.size());
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (!tensors[i].requires_grad() || !tensors[i].is_leaf()) continue;
      auto node = torch::autograd::impl::grad_accumulator(tensors[i]);
      if (hooked_[i].node == node) continue;
      hooked_[i].remove();
      hooked_[i].key = node->add_post_hook(std::make_unique<Hook>(pass_, i));
      hooked_[i].node = std::move(node);
    }
  }

  std::shared_ptr<Pass> pass_;
  std::vector<Hooked> hooked_;  // one per slot
};

}  // namespace gossamer
