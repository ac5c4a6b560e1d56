// SPDX-License-Identifier: MIT
/// Binds a model to flat vectors: its tensors become views into them.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/layout.hpp>
#include <gossamer/model/tensors.hpp>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::model {

/// What happens to a model's floating-point buffers (BatchNorm's running mean and variance) when
/// models meet. Integer buffers (BatchNorm's batch counter) always stay the node's own.
enum class Buffers {
  average,  ///< They travel and are averaged with the parameters. The default, since statistics
            ///< describe the parameters they were gathered under, and a mean model needs some.
  local,    ///< Each node keeps its own (as in "local BatchNorm").
  reset     ///< Set back to their first values after each meeting, to be gathered afresh; here
            ///< BatchNorm's counter of batches goes back too.
};

/// The flat vectors of one model, with the model's tensors as views into them.
///
/// Parameters that are one tensor under several names (tied weights) take one slot. Memory order is
/// kept (channels-last stays so). Each slot starts on a 64-byte boundary; the gaps are zero. The
/// model must not be moved to another device or dtype afterwards, since that cuts the views.
///
/// Threads: as a tensor. Throws: ConfigError for a model without parameters, a parameter that is
/// not floating-point, and distinct parameters that overlap in memory.
class FlatModel {
 public:
  explicit FlatModel(const Tensors& tensors, Buffers policy = Buffers::average)
      : policy_(policy), merge_(tensors.merge) {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> bound;
    collect(tensors.parameters, false, bound);
    if (layout_.slots.empty()) {
      throw ConfigError("FlatModel: a model needs at least one parameter, got none");
    }
    for (const NamedTensor& buffer : tensors.buffers) {
      if (!buffer.tensor.defined() || !buffer.tensor.is_floating_point()) {
        if (buffer.tensor.defined()) kept_buffers_.push_back(buffer);
      } else if (policy == Buffers::average) {
        collect({buffer}, true, bound);
      } else {
        kept_buffers_.push_back(buffer);
      }
    }
    refuse_overlaps(bound);
    if (policy == Buffers::reset) {
      for (const NamedTensor& buffer : kept_buffers_) first_.push_back(buffer.tensor.clone());
    }
    move_in(bound);
  }

  FlatModel(const FlatModel&) = delete;
  FlatModel& operator=(const FlatModel&) = delete;

  /// The numbers themselves: what the model computes with.
  [[nodiscard]] const Flat& flat() const noexcept { return flat_; }
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }

  /// The parts of `flat` (a snapshot, say), each in the shape of its parameter: views, no copies.
  [[nodiscard]] std::vector<NamedTensor> views(const Flat& flat) const {
    std::vector<NamedTensor> parts;
    for (const Slot& slot : layout_.slots) parts.push_back({slot.name, slot.view(flat)});
    return parts;
  }

  /// Whether the model has a way of its own to take in others (`Tensors::merge`).
  [[nodiscard]] bool has_merge() const noexcept { return static_cast<bool>(merge_); }
  /// Takes `theirs` in by it. Without weight of its own the model becomes theirs.
  void merge(double own, const Flat& theirs, double other) const {
    if (own > 0) {
      merge_(own, views(theirs), other);
    } else {
      flat_.copy_from(theirs);
    }
  }

  /// Writes the gradients into `to`; a parameter without one counts as zero. In the places of
  /// averaged buffers, their values: whoever averages gradients averages the statistics too.
  void copy_gradients_to(const Flat& to) const {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const at::Tensor view = layout_.slots[i].view(to);
      if (layout_.slots[i].is_buffer) {
        view.copy_(tensors_[i]);
      } else if (tensors_[i].grad().defined()) {
        view.copy_(tensors_[i].grad());
      } else {
        view.zero_();
      }
    }
  }

  /// The inverse of `copy_gradients_to`. Parameters that need no gradient get none.
  void set_gradients(const Flat& from) const {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const at::Tensor view = layout_.slots[i].view(from);
      if (layout_.slots[i].is_buffer) {
        tensors_[i].copy_(view);
      } else if (tensors_[i].grad().defined()) {
        tensors_[i].mutable_grad().copy_(view);
      } else if (tensors_[i].requires_grad()) {
        tensors_[i].mutable_grad() = view.clone();
      }
    }
  }

  /// Copies the places of averaged buffers, and only these.
  void copy_buffers(const Flat& to, const Flat& from) const {
    const at::NoGradGuard no_grad;
    for (const Slot& slot : layout_.slots) {
      if (slot.is_buffer) slot.view(to).copy_(slot.view(from));
    }
  }

  /// Tells the model that it has just met others: applies `Buffers::reset`.
  void on_merged() const {
    for (std::size_t i = 0; i < first_.size(); ++i) kept_buffers_[i].tensor.copy_(first_[i]);
  }

  /// The buffers that do not travel; a checkpoint must keep them as well.
  [[nodiscard]] const std::vector<NamedTensor>& kept_buffers() const noexcept {
    return kept_buffers_;
  }
  [[nodiscard]] Buffers policy() const noexcept { return policy_; }

 private:
  static constexpr std::int64_t alignment = 64;  // bytes

  void collect(const std::vector<NamedTensor>& named, bool is_buffer,
               std::vector<at::Tensor>& bound) {
    for (const auto& [name, tensor] : named) {
      if (!tensor.defined() || tensor.numel() == 0) continue;
      const bool seen = std::any_of(
          bound.begin(), bound.end(),
          [&wanted = tensor](const at::Tensor& other) { return other.is_same(wanted); });
      if (seen) continue;  // one tensor under two names
      if (!tensor.is_floating_point() && !tensor.is_complex()) {
        throw ConfigError(c10::str("FlatModel: only floating-point parameters can be averaged, \"",
                                   name, "\" is ", tensor.scalar_type()));
      }
      Slot slot{name, tensor.sizes().vec(), tensor.strides().vec(), tensor.scalar_type()};
      if (!tensor.is_non_overlapping_and_dense()) {
        slot.strides = contiguous_strides(slot.sizes);
      }
      slot.numel = tensor.numel();
      slot.is_buffer = is_buffer;
      layout_.slots.push_back(std::move(slot));
      bound.push_back(tensor);
    }
  }

  static std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& sizes) {
    std::vector<std::int64_t> strides(sizes.size(), 1);
    for (std::size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * sizes[i];
    return strides;
  }

  /// Views that share memory would come apart, silently, when each becomes a view of its own.
  void refuse_overlaps(const std::vector<at::Tensor>& bound) const {
    struct Extent {
      const char* begin;
      const char* end;
      std::size_t slot;
    };
    std::vector<Extent> extents;
    for (std::size_t i = 0; i < bound.size(); ++i) {
      std::int64_t last = 0;
      for (std::int64_t d = 0; d < bound[i].dim(); ++d) {
        last += (bound[i].size(d) - 1) * bound[i].stride(d);
      }
      const auto* begin = static_cast<const char*>(bound[i].data_ptr());
      extents.push_back(
          {begin, begin + (last + 1) * static_cast<std::int64_t>(bound[i].element_size()), i});
    }
    std::sort(extents.begin(), extents.end(),
              [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < extents.size(); ++i) {
      if (extents[i].begin < extents[i - 1].end) {
        throw ConfigError("FlatModel: parameters must not overlap in memory, \"" +
                          layout_.slots[extents[i - 1].slot].name + "\" and \"" +
                          layout_.slots[extents[i].slot].name +
                          "\" do; to tie them, use one tensor under both names");
      }
    }
  }

  /// Lays the slots out, allocates the vectors, and turns the model's tensors into views.
  void move_in(const std::vector<at::Tensor>& bound) {
    std::vector<at::TensorOptions> kinds;
    std::vector<std::int64_t> lengths;
    for (std::size_t i = 0; i < bound.size(); ++i) {
      Slot& slot = layout_.slots[i];
      std::size_t segment = 0;
      while (segment < kinds.size() && (kinds[segment].dtype() != bound[i].dtype() ||
                                        kinds[segment].device() != bound[i].device())) {
        ++segment;
      }
      if (segment == kinds.size()) {
        kinds.push_back(at::TensorOptions().dtype(bound[i].dtype()).device(bound[i].device()));
        lengths.push_back(0);
      }
      slot.segment = segment;
      slot.offset = lengths[segment];
      const auto step =
          std::max<std::int64_t>(1, alignment / static_cast<std::int64_t>(bound[i].element_size()));
      lengths[segment] += (slot.numel + step - 1) / step * step;
    }
    std::vector<at::Tensor> segments;
    for (std::size_t s = 0; s < kinds.size(); ++s) {
      segments.push_back(at::zeros({lengths[s]}, kinds[s]));
    }
    flat_ = Flat(std::move(segments));
    for (std::size_t i = 0; i < bound.size(); ++i) {
      at::Tensor tensor = bound[i];  // a handle: the model's own tensor
      const at::Tensor view = layout_.slots[i].view(flat_);
      view.copy_(tensor.detach());
      tensor.set_data(view);
      tensors_.push_back(std::move(tensor));
    }
  }

  Buffers policy_;
  Merge merge_;
  Layout layout_;
  Flat flat_;
  std::vector<at::Tensor> tensors_;        // the model's own, one per slot
  std::vector<NamedTensor> kept_buffers_;  // those that stay the node's own
  std::vector<at::Tensor> first_;          // their first values, for Buffers::reset
};

}  // namespace gossamer::model
