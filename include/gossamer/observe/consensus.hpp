// SPDX-License-Identifier: MIT
/// What a group of models amounts to: its mean, its weighted mean, and how far apart they are.
#pragma once

#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/mix.hpp>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

namespace gossamer::observe {

/// One node's model and its weight; only looked at.
struct Replica {
  const model::FlatModel* model;
  double weight;
};

namespace detail {

/// Throws std::runtime_error where there is no model: all nodes may have crashed.
inline const Replica& first_of(std::span<const Replica> members) {
  if (members.empty()) throw std::runtime_error("No node is left that has a model");
  return members.front();
}

}  // namespace detail

/// (1 / M) sum of x_m: "the result" of the GoSGD papers. Throws std::runtime_error without members.
inline model::Flat mean(std::span<const Replica> members) {
  model::Flat result = detail::first_of(members).model->flat().zeros_like();
  std::vector<const model::Flat*> flats;
  flats.reserve(members.size());
  for (const Replica& member : members) flats.push_back(&member.model->flat());
  model::mean(result, flats);
  return result;
}

/// (sum of a_m x_m) / (sum of a_m): what gossip conserves. Members without weight do not count; if
/// nobody has weight, the first member's model. Throws std::runtime_error without members.
inline model::Flat weighted_mean(std::span<const Replica> members) {
  model::Flat result = detail::first_of(members).model->flat().clone();
  double weight = 0;
  for (const Replica& member : members) {
    if (!(member.weight > 0)) continue;
    weight += member.weight;
    model::mix(result, member.model->flat(), member.weight / weight);
  }
  return result;
}

/// Sum over m of ||x_m - mean||^2 over the parameters (without averaged buffers), in double.
inline double consensus_error(std::span<const Replica> members) {
  double total = 0;
  for (const model::Slot& slot : detail::first_of(members).model->layout().slots) {
    if (slot.is_buffer) continue;
    std::vector<at::Tensor> xs;
    xs.reserve(members.size());
    for (const Replica& member : members) {
      at::Tensor x = slot.view(member.model->flat());
      if (x.is_complex()) x = at::view_as_real(x);
      xs.push_back(x.to(at::kCPU).to(at::kDouble));  // no doubles on a device
    }
    at::Tensor centre = xs.front().clone();
    for (std::size_t i = 1; i < xs.size(); ++i)
      centre.add_(xs[i].sub(xs.front()), 1.0 / static_cast<double>(xs.size()));
    for (const at::Tensor& x : xs) total += x.sub(centre).square().sum().item().toDouble();
  }
  return total;
}

/// 1 / (sum of squared shares of the weight): over how many nodes the weighted mean averages.
/// Between 1 and the number of members.
inline double effective_nodes(std::span<const Replica> members) {
  double sum = 0;
  double squares = 0;
  for (const Replica& member : members) {
    sum += member.weight;
    squares += member.weight * member.weight;
  }
  return squares > 0 ? sum * sum / squares : 0;
}

/// Puts `values` (a mean, say) into `target`, a model of the same shape that belongs to no node.
/// Buffers that do not travel become the mean of the members' buffers; integer ones, the first's.
template <model::Model Target>
void copy_into(Target& target, const model::Flat& values, std::span<const Replica> members) {
  const at::NoGradGuard no_grad;
  const model::FlatModel bound(model::detail::tensors_of(target), members.front().model->policy());
  bound.flat().copy_from(values);
  for (std::size_t i = 0; i < bound.kept_buffers().size(); ++i) {
    const at::Tensor& to = bound.kept_buffers()[i].tensor;
    to.copy_(members.front().model->kept_buffers()[i].tensor);
    if (!to.is_floating_point()) continue;
    for (const Replica& member : members.subspan(1)) {
      to.add_(member.model->kept_buffers()[i].tensor.to(to.device()));
    }
    to.div_(static_cast<double>(members.size()));
  }
}

}  // namespace gossamer::observe
