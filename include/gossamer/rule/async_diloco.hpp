// SPDX-License-Identifier: MIT
/// Asynchronous DiLoCo: workers of any speed, and a centre with delayed Nesterov momentum.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/downpour.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <ATen/core/Tensor.h>
#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace gossamer::rule {

/// What asynchronous DiLoCo is told.
struct AsyncDilocoOptions {
  /// Local steps of the fastest worker from one exchange to the next (H), >= 1.
  TORCH_ARG(std::uint64_t, tau) = 50;
  /// Outer learning rate (epsilon), > 0, and momentum (beta), in [0, 1): in the long run N
  /// exchanges move the centre by epsilon / (1 - beta) times their mean. NoLoCo's, for 50 local
  /// steps. DiLoCo's beta of 0.9 is for 500, and for workers that all begin at the last c: those
  /// here begin at one that is up to N exchanges old, and with five or more of them it runs away
  /// even from the minimum of a quadratic, if local steps reach that.
  TORCH_ARG(double, rate) = 0.7;
  TORCH_ARG(double, beta) = 0.5;
  /// After how many exchanges momentum is applied (N); 0: as many as there are workers.
  TORCH_ARG(std::uint64_t, delay) = 0;
  /// Whether slower workers take fewer steps, so that all exchange equally often.
  TORCH_ARG(bool, by_speed) = true;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (tau_ == 0) throw ConfigError("AsyncDilocoOptions: tau must be at least 1, got 0");
    if (!(rate_ > 0)) {
      throw ConfigError(c10::str("AsyncDilocoOptions: rate must be above 0, got ", rate_));
    }
    if (!(beta_ >= 0 && beta_ < 1)) {
      throw ConfigError(c10::str("AsyncDilocoOptions: beta must lie in [0, 1), got ", beta_));
    }
  }
};

/// A `Downpour` whose centre takes in what a worker's steps have added up to, d, by delayed
/// Nesterov momentum:
///
///     centre   b <- b + d;  of every N-th d  m <- beta m + b / N,  b <- 0
///              c <- c + epsilon d / N,  and then  + epsilon beta m
///
/// so that N of them are one step of Nesterov's on their mean; m starts at 0. A worker sends after
/// floor(H v / v_max) steps, at least one, where v is its speed and v_max that of the fastest
/// worker: the steps they have taken since they began, as far as it knows.
///
/// Invariant  none.
/// Cost       as `Downpour`, a worker waits for the way to the centre and back; two vectors more at
///            the centre.
/// Needs      nodes that run by themselves (`GossipNode`), as `Downpour`.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError for options that cannot work; nothing after construction.
/// Source     Liu et al., "Asynchronous local-SGD training for language modeling", 2024,
///            arXiv:2401.09135, delayed Nesterov and dynamic local updates, from a library's
///            implementation that quotes its Algorithm 3; the paper was not at hand.
/// Differs    momentum is applied at every N-th exchange only (the paper's c = 0), and there is no
///            period of grace. A centre that is lost takes its momentum along, and one that leaves
///            does not hand it over.
class AsyncDiloco : public Downpour {
 public:
  explicit AsyncDiloco(AsyncDilocoOptions options = {})
      : Downpour(1), options_((options.check(), options)) {}

  [[nodiscard]] std::string name() const override { return "async_diloco"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(rate ", options_.rate(), ", beta ", options_.beta(), ", delay ",
                    options_.delay(), ")");
  }
  void checkpoint(Archive& archive) override {
    Downpour::checkpoint(archive);
    sum_.checkpoint(archive, "sum");
    momentum_.checkpoint(archive, "momentum");
    archive("exchanges", exchanges_);
    archive("sent_at", sent_at_);
  }
  /// After how many steps of this node it is to send.
  [[nodiscard]] std::uint64_t local_steps(const RuleContext& context) const {
    if (!options_.by_speed()) return options_.tau();
    const std::uint64_t own = std::max<std::uint64_t>(context.step(), 1);
    std::uint64_t most = own;
    for (const PeerId peer : context.peers()) most = std::max(most, context.counters(peer).steps);
    const double share = static_cast<double>(own) / static_cast<double>(most);
    return std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(share * static_cast<double>(options_.tau())));
  }

 protected:
  bool is_due(RuleContext& context) override {
    if (context.step() - std::min(sent_at_, context.step()) < local_steps(context)) return false;
    sent_at_ = context.step();
    return true;
  }
  void add_steps(RuleContext& context, const model::Flat& d) override {
    const model::Flat& c = context.model().flat();
    const std::uint64_t n =
        options_.delay() > 0 ? options_.delay() : ParameterServer::workers(context);
    const double part = 1 / static_cast<double>(n);
    model::add(sum_.get(context), d);
    model::add(c, d, options_.rate() * part);
    if (++exchanges_ < n) return;
    exchanges_ = 0;
    const model::Flat& momentum = momentum_.get(context);
    for (const at::Tensor& segment : momentum.segments()) segment.mul_(options_.beta());
    model::add(momentum, sum_.get(context), part);
    for (const at::Tensor& segment : sum_.get(context).segments()) segment.zero_();
    model::add(c, momentum, options_.rate() * options_.beta());
  }

 private:
  AsyncDilocoOptions options_;
  KeptFlat sum_;                 // b
  KeptFlat momentum_;            // m
  std::uint64_t exchanges_ = 0;  // since the last momentum
  std::uint64_t sent_at_ = 0;    // step
};

}  // namespace gossamer::rule
