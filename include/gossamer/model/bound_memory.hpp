// SPDX-License-Identifier: MIT
/// The memory behind a model's tensors once a flat vector has them.
#pragma once

#include <gossamer/model/flat.hpp>
#include <gossamer/model/layout.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <atomic>
#include <memory>
#include <utility>

namespace gossamer::model::detail {

/// A slot's place in a flat vector as a storage of its own: what is saved of a tensor there is that
/// place alone, not the whole vector; and whoever finds the storage can ask whose it is.
/// Threads: may be asked by any.
class BoundMemory {
 public:
  /// One per flat vector; not `is_live` once that is gone.
  struct Owner {
    std::atomic<bool> is_live{true};
  };

  /// The slot's tensor: the same numbers as `slot.view(flat)`, and the vector lives as long as it.
  static at::Tensor view(const Slot& slot, const Flat& flat, const std::shared_ptr<Owner>& owner) {
    const at::Tensor& segment = flat.segments()[slot.segment];
    auto* const first = static_cast<char*>(segment.data_ptr()) +
                        slot.offset * static_cast<std::int64_t>(segment.element_size());
    auto memory = std::make_unique<BoundMemory>(segment, owner);
    return at::for_blob(first, slot.sizes)
        .strides(slot.strides)
        .context(memory.release(), &release)
        .options(segment.options())
        .make_tensor();
  }

  /// Whether a flat vector that is still in use has the tensor's memory.
  static bool is_taken(const at::Tensor& tensor) {
    const c10::DataPtr& data = tensor.storage().data_ptr();
    return data.get_deleter() == &release &&
           static_cast<const BoundMemory*>(data.get_context())->owner_->is_live;
  }

  BoundMemory(at::Tensor segment, std::shared_ptr<Owner> owner)
      : segment_(std::move(segment)), owner_(std::move(owner)) {}

 private:
  static void release(void* memory) { delete static_cast<BoundMemory*>(memory); }

  at::Tensor segment_;
  std::shared_ptr<Owner> owner_;
};

}  // namespace gossamer::model::detail
