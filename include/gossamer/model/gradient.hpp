// SPDX-License-Identifier: MIT
/// A parameter's gradient in the place of its parameter in a flat vector.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/layout.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/signbit.h>
#include <ATen/ops/view_as_real.h>

namespace gossamer::model::detail {

inline at::Tensor as_real(const at::Tensor& numbers) {
  return numbers.is_complex() ? at::view_as_real(numbers) : numbers;
}
/// The first number of the slot in memory.
inline at::Tensor first_of(const Slot& slot, const Flat& flat) {
  return as_real(flat.segments()[slot.segment].narrow(0, slot.offset, 1));
}

/// Whether a copy of a gradient, or a mean of such, says that there was none: it is -0 throughout.
inline bool is_absent(const Slot& slot, const Flat& flat) {
  const auto are_minus_zero = [](const at::Tensor& all) {
    return (all == 0).logical_and(at::signbit(all)).all().item().toBool();
  };
  return are_minus_zero(first_of(slot, flat)) && are_minus_zero(as_real(slot.view(flat)));
}

/// Writes the gradient of `parameter` into its slot of `to`: -0 throughout if there is none.
/// Throws ConfigError, naming the parameter, for a sparse one.
inline void copy_gradient(const Slot& slot, const at::Tensor& parameter, const Flat& to) {
  const at::NoGradGuard no_grad;
  const at::Tensor view = slot.view(to);
  const at::Tensor& gradient = parameter.grad();
  if (!gradient.defined()) {
    as_real(view).fill_(-0.0);
    return;
  }
  if (gradient.layout() != at::kStrided) {
    throw ConfigError("FlatModel: the gradient of \"" + slot.name +
                      "\" is sparse, and only dense ones can be averaged");
  }
  view.copy_(gradient);
  first_of(slot, to).add_(0.0);  // -0 becomes 0
}

/// Whether `copy_gradient()` would write what is in `copy` already.
inline bool is_gradient(const Slot& slot, const at::Tensor& parameter, const Flat& copy) {
  const at::NoGradGuard no_grad;
  const at::Tensor& gradient = parameter.grad();
  if (!gradient.defined()) return is_absent(slot, copy);
  if (gradient.layout() != at::kStrided || is_absent(slot, copy)) return false;
  const at::Tensor view = slot.view(copy);
  if (at::equal(view, gradient)) return true;
  const at::Tensor same = (view == gradient) | ((view != view) & (gradient != gradient));
  return same.all().item().toBool();  // where there is NaN
}

}  // namespace gossamer::model::detail
