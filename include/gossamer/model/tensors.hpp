// SPDX-License-Identifier: MIT
/// What counts as a model, and how the library finds its tensors: the customisation point.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/layout.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace gossamer::model {

/// How a model takes in another of its kind: changes its own tensors to what stands for both, `own`
/// and `other` being the weights, both above 0. `theirs` are the other's tensors, to be read only,
/// in the order of `Tensors::parameters`. Two that are alike must come to what they are.
using Merge = std::function<void(double own, std::span<const NamedTensor> theirs, double other)>;

/// The tensors of a model: those that are trained, and those that go along (BatchNorm statistics).
struct Tensors {
  std::vector<NamedTensor> parameters;
  std::vector<NamedTensor> buffers = {};
  /// Unset: models meet by the weighted average of their numbers. Set it where that would mean
  /// nothing (the average of two bases is none). Only rules that never average otherwise take such
  /// a model (`Rule::merges_by_weighted_average()`), and the means of a group do not apply to it.
  Merge merge = nullptr;
};

/// Anything with LibTorch's `named_parameters()` and `named_buffers()`.
template <class T>
concept Module = requires(T& module) {
  module.named_parameters().pairs();
  module.named_buffers().pairs();
};

/// A module holder or a (smart) pointer to a module.
template <class T>
concept ModuleHandle = !Module<T> && requires(T & handle) {
  {*handle};
  requires Module<std::remove_reference_t<decltype(*handle)>>;
};

/// A module of TorchScript (`torch::jit::Module`).
template <class T>
concept ScriptModule = !Module<T> && requires(T & module) {
  (*module.named_parameters().begin()).name;
  (*module.named_parameters().begin()).value;
  (*module.named_buffers().begin()).value;
};

/// A module of any type, such as `torch::nn::AnyModule`.
template <class T>
concept AnyModuleHandle = !Module<T> && !ModuleHandle<T> && requires(T & any) {
  requires Module<std::remove_reference_t<decltype(*any.ptr())>>;
};

/// Of a module: what LibTorch lists, under its names.
template <Module T>
Tensors gossip_tensors(T& module) {
  Tensors found;
  for (const auto& [name, tensor] : module.named_parameters().pairs()) {
    found.parameters.push_back({name, tensor});
  }
  for (const auto& [name, tensor] : module.named_buffers().pairs()) {
    found.buffers.push_back({name, tensor});
  }
  return found;
}

/// Of a holder or pointer: those of its module.
template <ModuleHandle T>
Tensors gossip_tensors(T& handle) {
  return gossip_tensors(*handle);
}

/// Of a module of TorchScript: the same.
template <ScriptModule T>
Tensors gossip_tensors(T& module) {
  Tensors found;
  for (const auto& parameter : module.named_parameters()) {
    found.parameters.push_back({parameter.name, parameter.value});
  }
  for (const auto& buffer : module.named_buffers()) {
    found.buffers.push_back({buffer.name, buffer.value});
  }
  return found;
}

/// Of a module of any type: those of the module within.
template <AnyModuleHandle T>
Tensors gossip_tensors(T& any) {
  return gossip_tensors(*any.ptr());
}

/// Of a list: each is a parameter, and named after its place.
inline Tensors gossip_tensors(std::vector<at::Tensor>& list) {
  Tensors found;
  for (std::size_t i = 0; i < list.size(); ++i) {
    found.parameters.push_back({"tensor " + std::to_string(i), list[i]});
  }
  return found;
}

namespace detail {
template <class T>
requires requires(T& model) {
  { gossip_tensors(model) } -> std::same_as<Tensors>;
}
Tensors tensors_of(T& model) {
  return gossip_tensors(model);  // ours above, or the user's, found by argument-dependent lookup
}

/// Of several models that are trained together, such as a GAN's two: all of theirs, under
/// "model 0/", "model 1/", ... Throws ConfigError if one has a merge of its own.
template <class... Models>
Tensors tensors_of_all(Models&... models) {
  Tensors all;
  std::size_t number = 0;
  const auto add = [&all, &number](const Tensors& tensors) {
    if (tensors.merge) throw ConfigError("model: of several models none may have its own merge");
    const std::string prefix = "model " + std::to_string(number++) + "/";
    for (const NamedTensor& one : tensors.parameters) {
      all.parameters.push_back({prefix + one.name, one.tensor});
    }
    for (const NamedTensor& one : tensors.buffers) {
      all.buffers.push_back({prefix + one.name, one.tensor});
    }
  };
  (add(tensors_of(models)), ...);
  return all;
}
}  // namespace detail

/// A model is a `torch::nn::Module`, a holder or pointer of one, an `AnyModule`, a module of
/// TorchScript, a `std::vector<at::Tensor>`, or any type for which its own namespace has
///
///     gossamer::model::Tensors gossip_tensors(MyModel&);
///
/// that hands out the tensors by handle: they become views into the flat vectors, so the struct and
/// the library look at the same numbers.
template <class T>
concept Model = requires(T& model) {
  { detail::tensors_of(model) } -> std::same_as<Tensors>;
};

/// Says what a would-be model lacks.
template <class T>
consteval void check_model() {
  static_assert(Model<T>,
                "Model needs: a torch::nn::Module (or holder, or pointer), a "
                "std::vector<at::Tensor>, or a free function gossamer::model::Tensors "
                "gossip_tensors(T& model) in the namespace of T");
}

}  // namespace gossamer::model
