// SPDX-License-Identifier: MIT
/// Which part of the flat vectors is which parameter.
#pragma once

#include <gossamer/model/flat.hpp>

#include <c10/util/StringUtil.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gossamer::model {

/// A tensor of a model, and the name by which errors call it.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// Where one tensor lives in the flat vectors.
struct Slot {
  std::string name;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
  at::ScalarType dtype = at::kFloat;
  std::size_t segment = 0;  ///< which flat vector
  std::int64_t offset = 0;  ///< in elements from its start
  std::int64_t numel = 0;
  bool is_buffer = false;  ///< averaged with the parameters, but without a gradient

  /// The slot's tensor inside `flat`: a view, not a copy.
  [[nodiscard]] at::Tensor view(const Flat& flat) const {
    return flat.segments()[segment].as_strided(sizes, strides, offset);
  }

  /// One line that tells equal slots from different ones: name, dtype, shape and memory order.
  [[nodiscard]] std::string description() const {
    std::vector<std::int64_t> steps = strides;  // that of a dimension of size 1 says nothing
    for (std::size_t i = 0; i < steps.size(); ++i) steps[i] = sizes[i] == 1 ? 0 : steps[i];
    return c10::str(name, " ", dtype, " [", c10::Join(", ", sizes), "], strides [",
                    c10::Join(", ", steps), "]");
  }
};

/// The slots of a model, in the model's own order.
struct Layout {
  std::vector<Slot> slots;

  /// How many numbers are trained: parameters, without averaged buffers and padding.
  [[nodiscard]] std::int64_t parameter_count() const {
    std::int64_t count = 0;
    for (const Slot& slot : slots) count += slot.is_buffer ? 0 : slot.numel;
    return count;
  }

  /// One line per slot. Two models can meet exactly if these are equal.
  [[nodiscard]] std::string description() const {
    std::string text;
    for (const Slot& slot : slots) text += slot.description() + "\n";
    return text;
  }
};

}  // namespace gossamer::model
