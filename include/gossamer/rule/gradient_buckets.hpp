// SPDX-License-Identifier: MIT
/// Gradients that are handed to an all-reduce piece by piece, while others are being computed.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/context.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gossamer::rule {

/// One backward pass after the other: a piece of the flat vector is handed in as soon as the
/// gradients of all parameters that reach into it have been taken. Averaged buffers count as taken
/// at the end of the pass only, parameters that need no gradient from its beginning.
///
/// Cost      the gradients that were taken early are compared with what was sent, at the end.
/// Threads   as a rule.
/// Source    S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel
///           training", VLDB 2020, arXiv:2006.15704, section 3.2.3.
/// Differs   buckets are equal stretches of the vector, in any order; no node waits for another
///           one's order, or for parameters that its own loss does not use.
class GradientBuckets {
 public:
  /// A pass has begun, and not ended.
  [[nodiscard]] bool is_open() const noexcept { return static_cast<bool>(own_); }

  /// Begins a pass, and that round of `average`.
  void open(RuleContext& context, AllReduce& average, std::uint64_t round) {
    const model::FlatModel& model = context.model();
    const std::size_t slots = model.layout().slots.size();
    if (pieces_.empty()) find_pieces(model, average.chunks());
    missing_ = slots_in_;
    is_taken_.assign(slots, false);
    is_handed_in_.assign(missing_.size(), false);
    own_ = context.blank();
    average.begin(context, round, own_);
    for (std::size_t i = 0; i < slots; ++i) {
      const bool has_none = !model.tensors()[i].requires_grad();
      if (has_none && !model.layout().slots[i].is_buffer) take(context, average, i);
    }
  }

  /// The gradient of that slot is final. A second time changes nothing: `close()` finds out whether
  /// it was.
  void take(RuleContext& context, AllReduce& average, std::size_t slot) {
    if (is_taken_[slot]) return;
    context.model().copy_gradient_to(slot, own_.writable());
    is_taken_[slot] = true;
    for (std::size_t i = pieces_[slot].first; i < pieces_[slot].end; ++i) {
      if (--missing_[i] == 0) hand_in(context, average, i);
    }
  }

  /// All gradients are final: hands the rest in. Throws ConfigError, naming the parameter, if one
  /// that was taken has changed since.
  void close(RuleContext& context, AllReduce& average) {
    const model::FlatModel& model = context.model();
    for (std::size_t i = 0; i < is_taken_.size(); ++i) {
      if (!is_taken_[i]) {
        model.copy_gradient_to(i, own_.writable());
      } else if (!model.is_gradient(i, *own_)) {
        throw ConfigError("GradientBuckets: the gradient of \"" + model.layout().slots[i].name +
                          "\" has changed since its bucket was sent; overlap only the last "
                          "backward() before average_gradients(), and change gradients after that");
      }
    }
    for (std::size_t i = 1; i <= missing_.size(); ++i) {  // as `AllReduce` does
      const std::size_t piece = (context.self() + i) % missing_.size();
      if (!is_handed_in_[piece]) hand_in(context, average, piece);
    }
    own_ = {};
  }

 private:
  /// The pieces into which a slot reaches.
  struct Range {
    std::size_t first = 0;
    std::size_t end = 0;
  };

  void find_pieces(const model::FlatModel& model, std::size_t count) {
    slots_in_.assign(count, 0);
    for (const model::Slot& slot : model.layout().slots) {
      const std::int64_t numbers = model.flat().segments()[slot.segment].numel();
      const auto end_of = [&](std::size_t piece) {
        return model::Chunk{static_cast<std::uint32_t>(piece), static_cast<std::uint32_t>(count)}
            .end(numbers);
      };
      Range range;
      while (end_of(range.first) <= slot.offset) ++range.first;
      range.end = range.first + 1;
      while (end_of(range.end - 1) < slot.offset + slot.numel) ++range.end;
      for (std::size_t i = range.first; i < range.end; ++i) ++slots_in_[i];
      pieces_.push_back(range);
    }
  }

  void hand_in(RuleContext& context, AllReduce& average, std::size_t piece) {
    is_handed_in_[piece] = true;
    average.hand_in(context, piece);
  }

  std::vector<Range> pieces_;            // of each slot
  std::vector<std::uint32_t> slots_in_;  // each piece
  std::vector<std::uint32_t> missing_;   // of these, not yet taken
  std::vector<bool> is_taken_;           // each slot
  std::vector<bool> is_handed_in_;       // each piece
  model::Snapshot own_;                  // this node's gradients, during a pass
};

}  // namespace gossamer::rule
