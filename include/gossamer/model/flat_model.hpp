// SPDX-License-Identifier: MIT
/// Binds a model to flat vectors: its tensors become views into them.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/bound_memory.hpp>
#include <gossamer/model/finite.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/gradient.hpp>
#include <gossamer/model/layout.hpp>
#include <gossamer/model/tensors.hpp>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
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
/// kept (channels-last stays so). Each slot starts on a 64-byte boundary; the gaps are zero. Each
/// tensor has a storage of its own, its place in the vector, so that `torch::save` writes no more.
/// What cuts a tensor off (`torch::load`, `set_data`, a move to another device) `adopt()` mends.
///
/// Threads: as a tensor. Throws: ConfigError for a model without parameters; for a parameter that
/// is not floating-point, sparse, or bound already by another one that is still in use; and for
/// distinct parameters that overlap in memory.
class FlatModel {
 public:
  explicit FlatModel(const Tensors& tensors, Buffers policy = Buffers::average)
      : policy_(policy), merge_(tensors.merge) {
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> bound;
    for (const NamedTensor& parameter : tensors.parameters) collect(parameter, false, bound);
    if (layout_.slots.empty()) {
      throw ConfigError("FlatModel: a model needs at least one parameter, got none");
    }
    for (const NamedTensor& buffer : tensors.buffers) {
      const bool travels = policy == Buffers::average && buffer.tensor.defined() &&
                           buffer.tensor.is_floating_point();
      if (travels) {
        collect(buffer, true, bound);
      } else {
        listed_.push_back({.name = buffer.name});
        if (!buffer.tensor.defined()) continue;
        listed_.back().kept = kept_buffers_.size();
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
  ~FlatModel() { owner_->is_live = false; }

  /// Binds again what has been given other memory since (`torch::load`, `set_data`,
  /// `vector_to_parameters`), with the numbers that it has now: one comparison of pointers per
  /// tensor if there is nothing of that kind. Throws ConfigError, naming the tensor, if it has
  /// another shape, dtype or device now.
  void adopt() const {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (!is_bound(i)) take_in(i, tensors_[i]);
    }
  }
  /// The same for a tensor in whose place the model has another one now; `now` is what the model
  /// lists. Throws ConfigError, naming it, also for one that was not there at the beginning, or
  /// that is gone.
  void adopt(const Tensors& now) {
    std::size_t at = 0;
    for (const NamedTensor& parameter : now.parameters) replace(at++, parameter);
    for (const NamedTensor& buffer : now.buffers) replace(at++, buffer);
    if (at < listed_.size()) {
      throw ConfigError("FlatModel: \"" + listed_[at].name + "\" is no longer in the model");
    }
    adopt();
  }

  /// The name of a tensor that has numbers which are not finite; nothing if all are.
  [[nodiscard]] std::optional<std::string> not_finite() const {
    if (is_finite(flat_)) return std::nullopt;
    for (std::size_t i = 0; i < homes_.size(); ++i) {
      if (!is_finite(homes_[i].contiguous())) return layout_.slots[i].name;
    }
    return std::nullopt;
  }

  /// The numbers themselves: what the model computes with.
  [[nodiscard]] const Flat& flat() const noexcept { return flat_; }
  [[nodiscard]] const Layout& layout() const noexcept { return layout_; }
  /// The model's own tensors, one per slot.
  [[nodiscard]] const std::vector<at::Tensor>& tensors() const noexcept { return tensors_; }

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

  /// Writes the gradients into `to`; a parameter without one counts as zero, which is written as
  /// -0, so that the mean of many shows whether any had one. In the places of averaged buffers,
  /// their values: whoever averages gradients averages the statistics too. Throws ConfigError,
  /// naming the parameter, for a sparse gradient.
  void copy_gradients_to(const Flat& to) const {
    for (std::size_t i = 0; i < tensors_.size(); ++i) copy_gradient_to(i, to);
  }
  /// The same for slot `i` only.
  void copy_gradient_to(std::size_t i, const Flat& to) const {
    const at::NoGradGuard no_grad;
    const Slot& slot = layout_.slots[i];
    if (slot.is_buffer) {
      slot.view(to).copy_(tensors_[i]);
    } else {
      detail::copy_gradient(slot, tensors_[i], to);
    }
  }
  /// Whether the gradient of slot `i`, no buffer's, is still what was copied into `copy`.
  [[nodiscard]] bool is_gradient(std::size_t i, const Flat& copy) const {
    return detail::is_gradient(layout_.slots[i], tensors_[i], copy);
  }

  /// The inverse of `copy_gradients_to`. Parameters that need no gradient get none, nor do those
  /// for which `from`, a mean, shows that nobody had one: optimizers leave them alone then.
  void set_gradients(const Flat& from) const {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const at::Tensor view = layout_.slots[i].view(from);
      if (layout_.slots[i].is_buffer) {
        tensors_[i].copy_(view);
      } else if (tensors_[i].grad().defined()) {
        tensors_[i].mutable_grad().copy_(view);
      } else if (tensors_[i].requires_grad() && !detail::is_absent(layout_.slots[i], from)) {
        tensors_[i].mutable_grad() = view.clone().to(tensors_[i].device());
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
  using BoundMemory = detail::BoundMemory;
  static constexpr std::int64_t alignment = 64;  // bytes

  /// A tensor that the model lists, and what became of it.
  struct Listed {
    std::string name;
    std::optional<std::size_t> slot = {};  // it is there
    std::optional<std::size_t> kept = {};  // or among `kept_buffers_`
  };

  void collect(const NamedTensor& named, bool is_buffer, std::vector<at::Tensor>& bound) {
    const auto& [name, tensor] = named;
    listed_.push_back({.name = name});
    if (!tensor.defined() || tensor.numel() == 0) return;
    refuse_unfit(name, tensor);
    std::size_t slot_number = 0;
    while (slot_number < bound.size() && !bound[slot_number].is_same(tensor)) ++slot_number;
    listed_.back().slot = slot_number;
    if (slot_number < bound.size()) return;  // one tensor under two names
    Slot slot{name, tensor.sizes().vec(), tensor.strides().vec(), tensor.scalar_type()};
    if (!tensor.is_non_overlapping_and_dense()) {
      slot.strides = contiguous_strides(slot.sizes);
    }
    slot.numel = tensor.numel();
    slot.is_buffer = is_buffer;
    layout_.slots.push_back(std::move(slot));
    bound.push_back(tensor);
  }

  static void refuse_unfit(const std::string& name, const at::Tensor& tensor) {
    if (tensor.layout() != at::kStrided) {
      throw ConfigError(c10::str("FlatModel: only dense parameters can be averaged, \"", name,
                                 "\" is ", tensor.layout()));
    }
    if (!tensor.is_floating_point() && !tensor.is_complex()) {
      throw ConfigError(c10::str("FlatModel: only floating-point parameters can be averaged, \"",
                                 name, "\" is ", tensor.scalar_type()));
    }
    if (BoundMemory::is_taken(tensor)) {
      throw ConfigError("FlatModel: \"" + name +
                        "\" is another node's already; each needs a module of its own, and a "
                        "copied holder or pointer is the same module");
    }
  }

  /// Whether the tensor still has its place in the vector.
  [[nodiscard]] bool is_bound(std::size_t i) const {
    const at::Tensor& tensor = tensors_[i];
    return tensor.has_storage() &&
           tensor.storage().unsafeGetStorageImpl() == homes_[i].storage().unsafeGetStorageImpl() &&
           tensor.sizes() == homes_[i].sizes();
  }
  /// Gives `tensor` the place of slot `i`, with its numbers.
  void take_in(std::size_t i, const at::Tensor& tensor) const {
    const at::NoGradGuard no_grad;
    const Slot& slot = layout_.slots[i];
    const at::Tensor& home = homes_[i];
    const auto description = [](const at::Tensor& one) {
      return one.defined()
                 ? c10::str(one.scalar_type(), " [", c10::Join(", ", one.sizes()), "] on ",
                            one.device(), one.layout() == at::kStrided ? "" : ", sparse")
                 : std::string("undefined");
    };
    if (description(tensor) != description(home)) {
      throw ConfigError("FlatModel: \"" + slot.name + "\" was " + description(home) +
                        " when the node was made, and is " + description(tensor) +
                        " now; convert and move a model before its node is made");
    }
    home.copy_(tensor.detach());
    tensor.set_data(home);
  }
  /// The model lists that tensor now as its `at`-th.
  void replace(std::size_t at, const NamedTensor& now) {
    if (at == listed_.size() || listed_[at].name != now.name) {
      const bool is_known = std::any_of(listed_.begin(), listed_.end(), [&](const Listed& known) {
        return known.name == now.name;
      });
      throw ConfigError("FlatModel: \"" + (is_known ? listed_[at].name : now.name) +
                        (is_known ? "\" is no longer in the model"
                                  : "\" was registered after the node was made, which would not "
                                    "exchange it; make the whole model first"));
    }
    const Listed& known = listed_[at];
    if (known.slot) {
      if (tensors_[*known.slot].is_same(now.tensor)) return;
      if (known.name != layout_.slots[*known.slot].name) {
        throw ConfigError("FlatModel: \"" + known.name + "\" was one tensor with \"" +
                          layout_.slots[*known.slot].name + "\", and is another one now");
      }
      take_in(*known.slot, now.tensor);
      tensors_[*known.slot] = now.tensor;
    } else if (known.kept) {
      at::Tensor& kept = kept_buffers_[*known.kept].tensor;
      if (kept.is_same(now.tensor)) return;
      if (!now.tensor.defined() || now.tensor.sizes() != kept.sizes() ||
          now.tensor.scalar_type() != kept.scalar_type()) {
        throw ConfigError("FlatModel: the buffer \"" + known.name +
                          "\" has another shape or dtype than when the node was made");
      }
      kept = now.tensor;
    } else if (now.tensor.defined() && now.tensor.numel() > 0) {
      throw ConfigError("FlatModel: \"" + known.name + "\" was empty when the node was made");
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
      homes_.push_back(BoundMemory::view(layout_.slots[i], flat_, owner_));
      homes_.back().copy_(bound[i].detach());
      bound[i].set_data(homes_.back());
      tensors_.push_back(bound[i]);
    }
  }

  Buffers policy_;
  Merge merge_;
  Layout layout_;
  Flat flat_;
  std::shared_ptr<BoundMemory::Owner> owner_ = std::make_shared<BoundMemory::Owner>();
  std::vector<at::Tensor> tensors_;        // the model's own, one per slot
  std::vector<at::Tensor> homes_;          // their places in the vector
  std::vector<Listed> listed_;             // all that the model listed at the beginning
  std::vector<NamedTensor> kept_buffers_;  // those that stay the node's own
  std::vector<at::Tensor> first_;          // their first values, for Buffers::reset
};

}  // namespace gossamer::model
