// SPDX-License-Identifier: MIT
/// AdaHessian: an optimizer that divides by an estimate of the Hessian's diagonal.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>

#include <ATen/core/grad_mode.h>
#include <c10/util/StringUtil.h>
#include <torch/arg.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gossamer::optim {

/// Options of AdaHessian; the defaults are those of the authors' runs on CIFAR-10.
struct AdaHessianOptions : torch::optim::OptimizerCloneableOptions<AdaHessianOptions> {
  explicit AdaHessianOptions(double lr = 0.15) : lr_(lr) {}

  /// Learning rate, > 0.
  TORCH_ARG(double, lr);
  /// Decay of the running mean of the gradients, in [0, 1).
  TORCH_ARG(double, beta1) = 0.9;
  /// Decay of the running mean of the squared diagonal, in [0, 1).
  TORCH_ARG(double, beta2) = 0.999;
  /// Added to what is divided by, > 0.
  TORCH_ARG(double, eps) = 1e-4;
  /// Chunk of the parameters that a step takes away, times the learning rate; >= 0.
  TORCH_ARG(double, weight_decay) = 0;
  /// Exponent of the diagonal, in [0, 1]; 0 leaves momentum SGD.
  TORCH_ARG(double, hessian_power) = 1;
  /// Whether the diagonal is averaged over the numbers that a filter or a row has.
  TORCH_ARG(bool, spatial_averaging) = true;
  /// Of the random signs. Nodes that share a model's randomness take the same one.
  TORCH_ARG(std::uint64_t, seed) = 0;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    const auto refuse = [](const char* what, double got) {
      throw ConfigError(c10::str("AdaHessianOptions: ", what, ", got ", got));
    };
    if (!(lr_ > 0)) refuse("lr must be above 0", lr_);
    if (!(beta1_ >= 0 && beta1_ < 1)) refuse("beta1 must lie in [0, 1)", beta1_);
    if (!(beta2_ >= 0 && beta2_ < 1)) refuse("beta2 must lie in [0, 1)", beta2_);
    if (!(eps_ > 0)) refuse("eps must be above 0", eps_);
    if (!(weight_decay_ >= 0)) refuse("weight_decay must not be negative", weight_decay_);
    if (!(hessian_power_ >= 0 && hessian_power_ <= 1)) {
      refuse("hessian_power must lie in [0, 1]", hessian_power_);
    }
  }
  [[nodiscard]] double get_lr() const override { return lr_; }
  void set_lr(const double value) override { lr_ = value; }
};

/// One sample of Hutchinson's estimate of the Hessian's diagonal, for each parameter: v * (H v),
/// where v has random signs and H v is the derivative of the gradients along v. Exact if H is
/// diagonal, unbiased if not. The gradients must have been computed with their graph, which is
/// spent. A parameter without a gradient gets an undefined tensor; one whose gradient depends on
/// nothing, zeros. Throws std::runtime_error if no gradient has a graph.
inline std::vector<at::Tensor> hutchinson(const std::vector<at::Tensor>& parameters,
                                          Generator& generator) {
  std::vector<at::Tensor> with_graph;
  std::vector<at::Tensor> gradients;
  std::vector<at::Tensor> signs;
  std::vector<std::size_t> places;
  bool any = false;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& gradient = parameters[i].grad();
    any = any || gradient.defined();
    if (!gradient.defined() || !gradient.requires_grad()) continue;
    at::Tensor sign = at::empty(gradient.sizes(), at::kFloat);
    auto* const numbers = sign.data_ptr<float>();
    std::uint32_t bits = 0;
    for (std::int64_t k = 0; k < sign.numel(); ++k) {
      bits = k % 32 == 0 ? generator() : bits >> 1U;
      numbers[k] = (bits & 1U) != 0 ? 1.0F : -1.0F;
    }
    with_graph.push_back(parameters[i]);
    gradients.push_back(gradient);
    signs.push_back(sign.to(gradient.options().requires_grad(false)));
    places.push_back(i);
  }
  if (any && gradients.empty()) {
    throw std::runtime_error(
        "AdaHessian: the gradients have no graph; compute them with "
        "loss.backward({}, /*retain_graph=*/true, /*create_graph=*/true)");
  }
  std::vector<at::Tensor> diagonal(parameters.size());
  if (!gradients.empty()) {
    const auto products = torch::autograd::grad(gradients, with_graph, signs, false, false, true);
    for (std::size_t k = 0; k < places.size(); ++k) {
      if (products[k].defined()) diagonal[places[k]] = products[k].detach() * signs[k];
    }
  }
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& gradient = parameters[i].grad();
    if (gradient.defined() && !diagonal[i].defined()) diagonal[i] = at::zeros_like(gradient);
  }
  return diagonal;
}

/// The mean over what shares a filter (4 dimensions: the last two; 3: the last) or a row (2: the
/// second), in the shape of the parameter; vectors and scalars stay as they are.
inline at::Tensor spatial_mean(const at::Tensor& diagonal) {
  switch (diagonal.dim()) {
    case 2:
      return diagonal.mean(1, true).expand_as(diagonal);
    case 3:
      return diagonal.mean(2, true).expand_as(diagonal);
    case 4:
      return diagonal.mean({2, 3}, true).expand_as(diagonal);
    default:
      return diagonal;
  }
}

/// AdaHessian, a `torch::optim::Optimizer`:
///
///     D <- spatial mean of |v * (H v)|, v random signs
///     m <- beta1 m + (1 - beta1) g,  s <- beta2 s + (1 - beta2) D^2
///     x <- x - lr (m / (1 - beta1^t) / ((s / (1 - beta2^t))^(k / 2) + eps) + weight_decay x)
///
///     optimizer.zero_grad();
///     const auto loss = ...;
///     loss.backward({}, /*retain_graph=*/true, /*create_graph=*/true);
///     optimizer.step();
///
/// or `step(closure)` with the first three lines in the closure. `step()` cuts the gradients from
/// their graph, which would otherwise hold itself alive (LibTorch warns of that once). It must come
/// right after `backward`: a rule that acts between gradient and apply (`rule::Sync`) changes the
/// gradients, whose graph does not know of it, and cannot be used with it.
///
/// Cost     a second backward pass per step; two copies of the parameters.
/// Threads  as any optimizer.
/// Throws   ConfigError for options that cannot work; std::runtime_error from `step` when the
///          gradients have no graph.
/// Source   Yao, Gholami, Shen, Mustafa, Keutzer, Mahoney, "AdaHessian: an adaptive second order
///          optimizer for machine learning", AAAI 2021, arXiv:2006.00719, and the authors' code.
/// Differs  the signs come from a generator of its own, so that runs repeat.
class AdaHessian final : public torch::optim::Optimizer {
 public:
  explicit AdaHessian(std::vector<torch::optim::OptimizerParamGroup> groups,
                      AdaHessianOptions options = AdaHessianOptions())
      : Optimizer(std::move(groups),
                  std::make_unique<AdaHessianOptions>((options.check(), options))),
        generator_(options.seed()) {
    for (const auto& group : param_groups_) options_of(group).check();
  }
  explicit AdaHessian(std::vector<at::Tensor> parameters,
                      AdaHessianOptions options = AdaHessianOptions())
      : AdaHessian({torch::optim::OptimizerParamGroup(std::move(parameters))}, options) {}

  at::Tensor step(LossClosure closure = nullptr) override {
    at::Tensor loss;
    if (closure) {
      const at::AutoGradMode with_gradients(true);
      loss = closure();
    }
    const std::vector<at::Tensor> parameters = all_parameters();
    const std::vector<at::Tensor> diagonal = hutchinson(parameters, generator_);
    const at::NoGradGuard no_grad;
    std::size_t i = 0;
    for (const auto& group : param_groups_) {
      for (const at::Tensor& parameter : group.params()) {
        if (diagonal[i].defined()) update(parameter, diagonal[i], options_of(group));
        ++i;
      }
    }
    return loss;
  }

  /// State of all parameters, options of all groups, and the generator.
  void save(torch::serialize::OutputArchive& archive) const override {
    std::size_t i = 0;
    for (const at::Tensor& parameter : all_parameters()) {
      const auto known = states_.find(parameter.unsafeGetTensorImpl());
      const std::string key = std::to_string(i++);
      const bool is_known = known != states_.end();
      archive.write(key + ".steps",
                    at::scalar_tensor(is_known ? known->second.steps : 0, at::kLong));
      if (!is_known) continue;
      archive.write(key + ".mean", known->second.mean);
      archive.write(key + ".square", known->second.square);
    }
    archive.write("count", at::scalar_tensor(static_cast<std::int64_t>(i), at::kLong));
    for (std::size_t g = 0; g < param_groups_.size(); ++g) {
      const AdaHessianOptions& o = options_of(param_groups_[g]);
      archive.write("group" + std::to_string(g),
                    numbers({o.lr(), o.beta1(), o.beta2(), o.eps(), o.weight_decay(),
                             o.hessian_power(), o.spatial_averaging() ? 1.0 : 0.0}));
    }
    const Generator::State state = generator_.state();
    at::Tensor random = at::empty({3}, at::kLong);
    auto* const words = random.data_ptr<std::int64_t>();
    words[0] = static_cast<std::int64_t>(state.seed);
    words[1] = static_cast<std::int64_t>(state.stream);
    words[2] = static_cast<std::int64_t>(state.drawn);
    archive.write("generator", random);
  }

  /// What `save` has written for as many parameters, of the same shapes. Throws c10::Error for
  /// values that are missing, CheckpointError for another number of parameters.
  void load(torch::serialize::InputArchive& archive) override {
    const std::vector<at::Tensor> parameters = all_parameters();
    const auto read = [&archive](const std::string& key) {
      at::Tensor value;
      archive.read(key, value);
      return value;
    };
    const auto count = read("count").item().toLong();
    if (count != static_cast<std::int64_t>(parameters.size())) {
      throw CheckpointError(c10::str("AdaHessian: the state is of ", count,
                                     " parameters, this optimizer has ", parameters.size()));
    }
    states_.clear();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string key = std::to_string(i);
      const auto steps = read(key + ".steps").item().toLong();
      if (steps == 0) continue;
      states_[parameters[i].unsafeGetTensorImpl()] = {
          steps, read(key + ".mean").to(parameters[i].device()),
          read(key + ".square").to(parameters[i].device())};
    }
    for (std::size_t g = 0; g < param_groups_.size(); ++g) {
      const at::Tensor values = read("group" + std::to_string(g));
      const auto* const o = values.data_ptr<double>();
      options_of(param_groups_[g])
          .lr(o[0])
          .beta1(o[1])
          .beta2(o[2])
          .eps(o[3])
          .weight_decay(o[4])
          .hessian_power(o[5])
          .spatial_averaging(o[6] != 0);
    }
    const at::Tensor random = read("generator");
    const auto* const words = random.data_ptr<std::int64_t>();
    generator_ = Generator(Generator::State{static_cast<std::uint64_t>(words[0]),
                                            static_cast<std::uint64_t>(words[1]),
                                            static_cast<std::uint64_t>(words[2])});
  }

 private:
  struct State {
    std::int64_t steps = 0;
    at::Tensor mean;    // m
    at::Tensor square;  // s
  };

  /// A group that was made without options has the optimizer's; the base class sees to it.
  static const AdaHessianOptions& options_of(const torch::optim::OptimizerParamGroup& group) {
    return static_cast<const AdaHessianOptions&>(group.options());
  }
  static AdaHessianOptions& options_of(torch::optim::OptimizerParamGroup& group) {
    return static_cast<AdaHessianOptions&>(group.options());
  }

  static at::Tensor numbers(const std::vector<double>& values) {
    at::Tensor tensor = at::empty({static_cast<std::int64_t>(values.size())}, at::kDouble);
    std::copy(values.begin(), values.end(), tensor.data_ptr<double>());
    return tensor;
  }

  [[nodiscard]] std::vector<at::Tensor> all_parameters() const {
    std::vector<at::Tensor> all;
    for (const auto& group : param_groups_) {
      all.insert(all.end(), group.params().begin(), group.params().end());
    }
    return all;
  }

  void update(at::Tensor parameter, const at::Tensor& sample, const AdaHessianOptions& o) {
    const at::Tensor gradient = parameter.grad().detach();
    parameter.mutable_grad() = gradient;
    State& state = states_[parameter.unsafeGetTensorImpl()];
    if (state.steps == 0) {
      state.mean = at::zeros_like(parameter);
      state.square = at::zeros_like(parameter);
    }
    ++state.steps;
    at::Tensor diagonal = sample.abs();
    if (o.spatial_averaging()) diagonal = spatial_mean(diagonal);
    state.mean.mul_(o.beta1()).add_(gradient, 1 - o.beta1());
    state.square.mul_(o.beta2()).addcmul_(diagonal, diagonal, 1 - o.beta2());
    const auto t = static_cast<double>(state.steps);
    const double first = 1 - std::pow(o.beta1(), t);
    const double second = 1 - std::pow(o.beta2(), t);
    const at::Tensor divisor = (state.square / second).pow_(o.hessian_power() / 2).add_(o.eps());
    if (o.weight_decay() > 0) parameter.mul_(1 - o.lr() * o.weight_decay());
    parameter.addcdiv_(state.mean, divisor, -o.lr() / first);
  }

  Generator generator_;
  std::unordered_map<c10::TensorImpl*, State> states_;
};

}  // namespace gossamer::optim
