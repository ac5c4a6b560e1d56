// SPDX-License-Identifier: MIT
/// A model as numbers: one contiguous vector per dtype and device.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace gossamer::model {

/// What is gossiped: one 1-D contiguous tensor per dtype and device. Which part of which vector is
/// which parameter, the `Layout` knows. Copying a `Flat` copies handles, not numbers.
class Flat {
 public:
  Flat() = default;
  explicit Flat(std::vector<at::Tensor> segments) : segments_(std::move(segments)) {}

  /// Zeroed vectors of the same lengths, dtypes and devices. (Zeroed, since the gaps between
  /// parameters travel too.)
  [[nodiscard]] Flat zeros_like() const {
    std::vector<at::Tensor> copy;
    copy.reserve(segments_.size());
    for (const auto& segment : segments_) {
      copy.push_back(at::zeros(segment.sizes(), segment.options()));
    }
    return Flat(std::move(copy));
  }

  /// Copies the numbers of `other`, which has the same lengths and dtypes; the device may differ.
  void copy_from(const Flat& other) const {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const at::Tensor& to = segments_[i];
      const at::Tensor& from = other.segments_[i];
      if (to.is_cpu() && from.is_cpu()) {
        std::memcpy(to.data_ptr(), from.data_ptr(), to.nbytes());  // `copy_` allocates
      } else {
        to.copy_(from);
      }
    }
  }

  [[nodiscard]] const std::vector<at::Tensor>& segments() const noexcept { return segments_; }
  [[nodiscard]] bool empty() const noexcept { return segments_.empty(); }

  /// Bytes that one copy takes.
  [[nodiscard]] std::size_t bytes() const {
    std::size_t total = 0;
    for (const auto& segment : segments_) total += segment.nbytes();
    return total;
  }

 private:
  std::vector<at::Tensor> segments_;
};

}  // namespace gossamer::model
