// SPDX-License-Identifier: MIT
/// Quasi-global momentum: momentum of the way that a model has gone, gossip included.
#pragma once

#include <gossamer/error.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/StringUtil.h>
#include <torch/arg.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gossamer::optim {

/// The momentum m of each parameter's displacement from one step to the next:
///
///     m <- mu m + (1 - mu) (x_previous - x) / eta_previous
///
/// where x is read right before a step, with everything that gossip has done to it since the last
/// one, and eta_previous is the learning rate of that last step. Two copies of the parameters.
class DisplacementMomentum {
 public:
  /// Folds in the way from the last step, if there was one, and begins another at x. The momentum
  /// may be read until the next call. A last step of learning rate 0 made no way: nothing is folded
  /// in.
  const at::Tensor& advance(const at::Tensor& x, double eta, double mu) {
    const at::NoGradGuard no_grad;
    State& state = states_[x.unsafeGetTensorImpl()];
    if (!state.mean.defined()) {
      state.mean = at::zeros_like(x);
      state.previous = x.detach().clone();
    } else {
      if (state.eta > 0) {
        state.previous.sub_(x);
        state.mean.mul_(mu).add_(state.previous, (1 - mu) / state.eta);
      }
      state.previous.copy_(x);
    }
    state.eta = eta;
    return state.mean;
  }

  /// Forgets all, as after a restart from other parameters.
  void reset() { states_.clear(); }

  void save(torch::serialize::OutputArchive& archive,
            const std::vector<at::Tensor>& parameters) const {
    const auto count = static_cast<std::int64_t>(parameters.size());
    archive.write("count", at::scalar_tensor(count, at::kLong));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto known = states_.find(parameters[i].unsafeGetTensorImpl());
      const std::string key = std::to_string(i);
      const bool is_known = known != states_.end();
      archive.write(key + ".known", at::scalar_tensor(is_known ? 1 : 0, at::kLong));
      if (!is_known) continue;
      archive.write(key + ".eta", at::scalar_tensor(known->second.eta, at::kDouble));
      archive.write(key + ".mean", known->second.mean);
      archive.write(key + ".previous", known->second.previous);
    }
  }
  /// What `save` has written for as many parameters, of the same shapes. Throws c10::Error for
  /// values that are missing, CheckpointError for other parameters.
  void load(torch::serialize::InputArchive& archive, const std::vector<at::Tensor>& parameters) {
    const auto read = [&archive](const std::string& key) {
      at::Tensor value;
      archive.read(key, value);
      return value;
    };
    const auto count = read("count").item().toLong();
    if (count != static_cast<std::int64_t>(parameters.size())) {
      throw CheckpointError(c10::str("DisplacementMomentum: the state is of ", count,
                                     " parameters, this optimizer has ", parameters.size()));
    }
    states_.clear();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string key = std::to_string(i);
      if (read(key + ".known").item().toLong() == 0) continue;
      const at::Tensor& x = parameters[i];
      State state{read(key + ".eta").item().toDouble(), read(key + ".mean").to(x.device()),
                  read(key + ".previous").to(x.device())};
      if (state.mean.sizes() != x.sizes() || state.previous.sizes() != x.sizes()) {
        throw CheckpointError(c10::str("DisplacementMomentum: the state of parameter ", i, " is ",
                                       state.mean.sizes(), ", the parameter ", x.sizes()));
      }
      states_[x.unsafeGetTensorImpl()] = std::move(state);
    }
  }

 private:
  struct State {
    double eta = 0;       // of the last step
    at::Tensor mean;      // m
    at::Tensor previous;  // x right before the last step
  };

  std::unordered_map<c10::TensorImpl*, State> states_;
};

/// Options of QuasiGlobalSgd; the defaults are those of the paper.
struct QuasiGlobalSgdOptions : torch::optim::OptimizerCloneableOptions<QuasiGlobalSgdOptions> {
  explicit QuasiGlobalSgdOptions(double lr) : lr_(lr) {}

  /// Learning rate, > 0.
  TORCH_ARG(double, lr);
  /// How much of the momentum a step takes: beta, in [0, 1).
  TORCH_ARG(double, momentum) = 0.9;
  /// How much of the momentum is kept from step to step: mu, in [0, 1).
  TORCH_ARG(double, decay) = 0.9;
  /// Times the parameters, added to their gradients; >= 0.
  TORCH_ARG(double, weight_decay) = 0;
  /// Whether the gradient is taken, with momentum, at where the momentum leads.
  TORCH_ARG(bool, nesterov) = false;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    const auto refuse = [](const char* what, double got) {
      throw ConfigError(c10::str("QuasiGlobalSgdOptions: ", what, ", got ", got));
    };
    if (!(lr_ > 0)) refuse("lr must be above 0", lr_);
    if (!(momentum_ >= 0 && momentum_ < 1)) refuse("momentum must lie in [0, 1)", momentum_);
    if (!(decay_ >= 0 && decay_ < 1)) refuse("decay must lie in [0, 1)", decay_);
    if (!(weight_decay_ >= 0)) refuse("weight_decay must not be negative", weight_decay_);
  }
  [[nodiscard]] double get_lr() const override { return lr_; }
  void set_lr(const double value) override { lr_ = value; }
};

/// SGD with quasi-global momentum, a `torch::optim::Optimizer`:
///
///     m <- mu m + (1 - mu) (x_previous - x) / eta_previous   if a step was taken before
///     x_previous <- x,  d <- g + weight_decay x
///     x <- x - eta (beta m + d)                              Nesterov: d + beta (beta m + d)
///
/// x is what it is now, with all gossip since the last step; so m follows where the nodes go
/// together, without a byte. It works with every rule. Alone it is another optimizer than momentum
/// SGD: m <- 0.99 m + 0.1 d, steps 0.9 m + d; the same sum of 10, spread over 100 steps, not 10. It
/// needs other learning rates, so compare like with like.
///
/// Memory   two copies of the parameters, one more than momentum SGD.
/// Threads  as any optimizer.
/// Throws   ConfigError for options that cannot work.
/// Source   Lin, Karimireddy, Stich, Jaggi, "Quasi-global momentum: accelerating decentralized deep
///          learning on heterogeneous data", ICML 2021, arXiv:2102.04761, Algorithm 1.
/// Differs  folds the displacement in right before the next step, not after the gossip of the same
///          step, since here gossip has no round; and divides by the learning rate of the step that
///          made the displacement.
class QuasiGlobalSgd final : public torch::optim::Optimizer {
 public:
  explicit QuasiGlobalSgd(std::vector<torch::optim::OptimizerParamGroup> groups,
                          QuasiGlobalSgdOptions options)
      : Optimizer(std::move(groups),
                  std::make_unique<QuasiGlobalSgdOptions>((options.check(), options))) {
    for (const auto& group : param_groups_) options_of(group).check();
  }
  explicit QuasiGlobalSgd(std::vector<at::Tensor> parameters, QuasiGlobalSgdOptions options)
      : QuasiGlobalSgd({torch::optim::OptimizerParamGroup(std::move(parameters))}, options) {}

  at::Tensor step(LossClosure closure = nullptr) override {
    at::Tensor loss;
    if (closure) {
      const at::AutoGradMode with_gradients(true);
      loss = closure();
    }
    const at::NoGradGuard no_grad;
    for (const auto& group : param_groups_) {
      for (const at::Tensor& parameter : group.params()) {
        if (parameter.grad().defined()) update(parameter, options_of(group));
      }
    }
    return loss;
  }

  /// Forgets the momentum and where the last step began.
  void reset_momentum() { displacement_.reset(); }

  /// State of all parameters, and options of all groups.
  void save(torch::serialize::OutputArchive& archive) const override {
    displacement_.save(archive, all_parameters());
    for (std::size_t g = 0; g < param_groups_.size(); ++g) {
      const QuasiGlobalSgdOptions& o = options_of(param_groups_[g]);
      at::Tensor values = at::zeros({5}, at::kDouble);
      auto* const v = values.data_ptr<double>();
      v[0] = o.lr();
      v[1] = o.momentum();
      v[2] = o.decay();
      v[3] = o.weight_decay();
      v[4] = o.nesterov() ? 1 : 0;
      archive.write("group" + std::to_string(g), values);
    }
  }
  /// What `save` has written, see `DisplacementMomentum::load`.
  void load(torch::serialize::InputArchive& archive) override {
    displacement_.load(archive, all_parameters());
    for (std::size_t g = 0; g < param_groups_.size(); ++g) {
      at::Tensor values;
      archive.read("group" + std::to_string(g), values);
      const auto* const v = values.data_ptr<double>();
      options_of(param_groups_[g])
          .lr(v[0])
          .momentum(v[1])
          .decay(v[2])
          .weight_decay(v[3])
          .nesterov(v[4] != 0);
    }
  }

 private:
  /// A group that was made without options has the optimizer's; the base class sees to it.
  static const QuasiGlobalSgdOptions& options_of(const torch::optim::OptimizerParamGroup& group) {
    return static_cast<const QuasiGlobalSgdOptions&>(group.options());
  }
  static QuasiGlobalSgdOptions& options_of(torch::optim::OptimizerParamGroup& group) {
    return static_cast<QuasiGlobalSgdOptions&>(group.options());
  }

  [[nodiscard]] std::vector<at::Tensor> all_parameters() const {
    std::vector<at::Tensor> all;
    for (const auto& group : param_groups_) {
      all.insert(all.end(), group.params().begin(), group.params().end());
    }
    return all;
  }

  void update(at::Tensor parameter, const QuasiGlobalSgdOptions& o) {
    const at::Tensor& mean = displacement_.advance(parameter, o.lr(), o.decay());
    at::Tensor gradient = parameter.grad();
    if (o.weight_decay() > 0) gradient = gradient.add(parameter, o.weight_decay());
    at::Tensor way = gradient.add(mean, o.momentum());
    if (o.nesterov()) way = gradient.add(way, o.momentum());
    parameter.sub_(way, o.lr());
  }

  DisplacementMomentum displacement_;
};

/// Any optimizer of LibTorch's kind, with quasi-global momentum beside it: before its step m is
/// brought up to date with the displacement, as in `QuasiGlobalSgd`, and after it
///
///     x <- x - eta beta m
///
/// with eta the learning rate that the parameter's group has (`get_lr()`). Around SGD without
/// momentum it is `QuasiGlobalSgd`.
///
///     QuasiGlobal<torch::optim::Adam> optimizer(torch::optim::Adam(net->parameters(), 1e-3));
///
/// `torch::save` and `torch::load` take it, with the state of what it wraps; options are those of
/// the constructors, since LibTorch's own optimizers do not load theirs. An optimizer whose `step`
/// needs a closure (LBFGS) cannot be wrapped.
///
/// Memory   two copies of the parameters, beside those of what it wraps.
/// Throws   ConfigError unless `momentum` and `decay` lie in [0, 1).
template <class Optimizer>
class QuasiGlobal {
 public:
  explicit QuasiGlobal(Optimizer base, double momentum = 0.9, double decay = 0.9)
      : base_(std::move(base)), momentum_(momentum), decay_(decay) {
    QuasiGlobalSgdOptions(1).momentum(momentum).decay(decay).check();
  }

  at::Tensor step(const torch::optim::Optimizer::LossClosure& closure = nullptr) {
    at::Tensor loss;
    if (closure) {
      const at::AutoGradMode with_gradients(true);
      loss = closure();
    }
    std::vector<Way> ways;
    for (auto& group : base_.param_groups()) {
      const double eta = group.options().get_lr();
      for (const at::Tensor& parameter : group.params()) {
        if (!parameter.grad().defined()) continue;
        ways.push_back({parameter, displacement_.advance(parameter, eta, decay_), eta});
      }
    }
    base_.step();
    const at::NoGradGuard no_grad;
    for (Way& way : ways) way.parameter.sub_(way.mean, way.eta * momentum_);
    return loss;
  }
  void zero_grad() { base_.zero_grad(); }

  /// What is wrapped, with its groups and their learning rates.
  Optimizer& base() { return base_; }
  /// Forgets the momentum and where the last step began.
  void reset_momentum() { displacement_.reset(); }

  friend torch::serialize::OutputArchive& operator<<(torch::serialize::OutputArchive& archive,
                                                     const QuasiGlobal& optimizer) {
    torch::serialize::OutputArchive base(archive.compilation_unit());
    optimizer.base_.save(base);
    archive.write("base", base);
    torch::serialize::OutputArchive displacement(archive.compilation_unit());
    optimizer.displacement_.save(displacement, optimizer.parameters());
    archive.write("displacement", displacement);
    return archive;
  }
  friend torch::serialize::InputArchive& operator>>(torch::serialize::InputArchive& archive,
                                                    QuasiGlobal& optimizer) {
    torch::serialize::InputArchive base;
    archive.read("base", base);
    optimizer.base_.load(base);
    torch::serialize::InputArchive displacement;
    archive.read("displacement", displacement);
    optimizer.displacement_.load(displacement, optimizer.parameters());
    return archive;
  }

 private:
  struct Way {
    at::Tensor parameter;
    at::Tensor mean;
    double eta;
  };

  [[nodiscard]] std::vector<at::Tensor> parameters() const {
    std::vector<at::Tensor> all;
    for (const auto& group : base_.param_groups()) {
      all.insert(all.end(), group.params().begin(), group.params().end());
    }
    return all;
  }

  Optimizer base_;
  double momentum_;
  double decay_;
  DisplacementMomentum displacement_;
};

}  // namespace gossamer::optim
