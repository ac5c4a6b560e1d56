// SPDX-License-Identifier: MIT
/// A model as numbers: one contiguous vector per dtype and device.
#pragma once

#include <gossamer/model/chunk.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cstddef>
#include <cstdint>
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

  /// A copy in memory of its own.
  [[nodiscard]] Flat clone() const {
    Flat copy = zeros_like();
    copy.copy_from(*this);
    return copy;
  }
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

  /// Copies the numbers of `other`, or that part of them; it has the same lengths and dtypes, the
  /// device may differ. Numbers outside the part are neither read nor written.
  void copy_from(const Flat& other, Chunk part = {}) const {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const at::Tensor& to = segments_[i];
      const at::Tensor& from = other.segments_[i];
      const std::int64_t begin = part.begin(to.numel());
      const std::int64_t length = part.end(to.numel()) - begin;
      if (length == 0) continue;
      if (to.is_cpu() && from.is_cpu()) {  // `copy_` allocates
        const std::size_t size = to.itemsize();
        const std::size_t offset = static_cast<std::size_t>(begin) * size;
        std::memcpy(static_cast<char*>(to.data_ptr()) + offset,
                    static_cast<const char*>(from.data_ptr()) + offset,
                    static_cast<std::size_t>(length) * size);
      } else {
        to.narrow(0, begin, length).copy_(from.narrow(0, begin, length));
      }
    }
  }

  [[nodiscard]] const std::vector<at::Tensor>& segments() const noexcept { return segments_; }
  [[nodiscard]] bool empty() const noexcept { return segments_.empty(); }

  /// Bytes that one copy, or that part of it, takes.
  [[nodiscard]] std::size_t bytes(Chunk part = {}) const {
    std::size_t total = 0;
    for (const auto& segment : segments_) {
      const std::int64_t length = part.end(segment.numel()) - part.begin(segment.numel());
      total += static_cast<std::size_t>(length) * segment.itemsize();
    }
    return total;
  }

 private:
  std::vector<at::Tensor> segments_;
};

}  // namespace gossamer::model
