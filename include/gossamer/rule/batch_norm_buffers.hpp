// SPDX-License-Identifier: MIT
/// What becomes of BatchNorm's statistics when a rule adds differences to a model.
#pragma once

#include <gossamer/rule/context.hpp>

#include <cstddef>
#include <vector>

namespace gossamer::rule {

/// Lets `change()` change the parameters, and gives each averaged buffer the value that
/// `value(slot)` had before; a variance that is moved by stale differences could become negative.
/// Models without such buffers pay nothing.
template <class Value, class Change>
void with_statistics(RuleContext& context, Value value, Change change) {
  std::vector<at::Tensor> values;
  for (const model::Slot& slot : context.model().layout().slots) {
    if (slot.is_buffer) values.push_back(value(slot));
  }
  change();
  std::size_t i = 0;
  for (const model::Slot& slot : context.model().layout().slots) {
    if (slot.is_buffer) slot.view(context.model().flat()).copy_(values[i++]);
  }
}

}  // namespace gossamer::rule
