// SPDX-License-Identifier: MIT
/// A vector in the shape of the model that a rule keeps from step to step.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/rule/context.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// Made at its first use, since a rule knows no model before its first hook; restored then, too.
/// Threads: as a rule. Throws CheckpointError when a checkpoint's vector has another size.
class KeptFlat {
 public:
  /// Of the model's own dtypes; or of that one, with two numbers for each complex one.
  KeptFlat() = default;
  explicit KeptFlat(at::ScalarType dtype) : dtype_(dtype) {}

  /// Whether there is something in it.
  [[nodiscard]] bool exists() const { return !flat_.empty() || !saved_.empty(); }

  /// The vector; zero at first.
  const model::Flat& get(RuleContext& context) {
    if (flat_.empty()) {
      flat_ = dtype_ ? like(context.model().flat(), *dtype_) : context.model().flat().zeros_like();
      restore();
    }
    return flat_;
  }

  void checkpoint(Archive& archive, const std::string& name) {
    std::vector<std::string> bytes = saved_;
    if (!flat_.empty()) {
      bytes.clear();
      for (const at::Tensor& segment : flat_.segments()) {
        const at::Tensor cpu = segment.to(at::kCPU);
        bytes.emplace_back(static_cast<const char*>(cpu.data_ptr()), cpu.nbytes());
      }
    }
    std::uint64_t segments = bytes.size();
    archive(name + "/segments", segments);
    if (archive.loading()) {
      bytes.clear();
      flat_ = {};
    }
    for (std::uint64_t s = 0; s < segments; ++s) {
      std::string segment = s < bytes.size() ? bytes[s] : std::string();
      archive(name + "/" + std::to_string(s), segment);
      if (archive.loading()) bytes.push_back(std::move(segment));
    }
    if (archive.loading()) saved_ = std::move(bytes);
  }

 private:
  static model::Flat like(const model::Flat& flat, at::ScalarType dtype) {
    std::vector<at::Tensor> all;
    for (const at::Tensor& segment : flat.segments()) {
      const std::int64_t numbers = segment.numel() * (segment.is_complex() ? 2 : 1);
      all.push_back(at::zeros({numbers}, segment.options().dtype(dtype)));
    }
    return model::Flat(std::move(all));
  }
  void restore() {
    if (saved_.empty()) return;
    if (saved_.size() != flat_.segments().size()) refuse(flat_.segments().size(), saved_.size());
    for (std::size_t s = 0; s < saved_.size(); ++s) {
      const at::Tensor& segment = flat_.segments()[s];
      if (saved_[s].size() != segment.nbytes()) refuse(segment.nbytes(), saved_[s].size());
      at::Tensor cpu = segment.to(at::kCPU);  // the same one, if it is there
      std::memcpy(cpu.data_ptr(), saved_[s].data(), saved_[s].size());
      if (!cpu.is_same(segment)) segment.copy_(cpu);
    }
    saved_.clear();
  }
  [[noreturn]] static void refuse(std::size_t expected, std::size_t got) {
    throw CheckpointError("checkpoint: a rule's vector must have " + std::to_string(expected) +
                          " segments or bytes, got " + std::to_string(got));
  }

  std::optional<at::ScalarType> dtype_;
  model::Flat flat_;
  std::vector<std::string> saved_;  // from a checkpoint, until there is a model
};

}  // namespace gossamer::rule
