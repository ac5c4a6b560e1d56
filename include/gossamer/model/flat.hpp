// SPDX-License-Identifier: MIT
/// A model as numbers: one contiguous vector per dtype and device.
#pragma once

#include <gossamer/model/chunk.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace gossamer::model {

/// What flat vectors have in common that lie in host memory apart from their models', for a
/// transport that reads and writes there: see `HostCopies`. Threads: any.
struct Apart {
  bool pinned = false;                   ///< in memory that a device reads and writes by itself
  std::atomic<std::uint64_t> staged{0};  ///< bytes copied between it and other memory, either way
};

/// What is gossiped: one 1-D contiguous tensor per dtype and device. Which part of which vector is
/// which parameter, the `Layout` knows. Copying a `Flat` copies handles, not numbers.
class Flat {
 public:
  Flat() = default;
  explicit Flat(std::vector<at::Tensor> segments) : segments_(std::move(segments)) {}
  /// Vectors that lie apart; null if they do not.
  Flat(std::vector<at::Tensor> segments, std::shared_ptr<Apart> apart)
      : segments_(std::move(segments)), apart_(std::move(apart)) {}

  /// A copy in memory of its own.
  [[nodiscard]] Flat clone() const {
    Flat copy = zeros_like();
    copy.copy_from(*this);
    return copy;
  }
  /// Zeroed vectors of the same lengths and dtypes in the same memory. (Zeroed, since the gaps
  /// between parameters travel too.)
  [[nodiscard]] Flat zeros_like() const {
    std::vector<at::Tensor> copy;
    copy.reserve(segments_.size());
    for (const auto& segment : segments_) {
      at::TensorOptions options = segment.options();
      if (apart_ && apart_->pinned) options = options.pinned_memory(true);
      copy.push_back(at::zeros(segment.sizes(), options));
    }
    return {std::move(copy), apart_};
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
    if (apart_ != other.apart_) count_staged(other, bytes(part));
  }

  [[nodiscard]] const std::vector<at::Tensor>& segments() const noexcept { return segments_; }
  [[nodiscard]] bool empty() const noexcept { return segments_.empty(); }
  /// One of them by itself.
  [[nodiscard]] Flat segment(std::size_t s) const { return Flat({segments_[s]}, apart_); }

  /// What it has in common with others that lie apart; null if it lies where its model does.
  [[nodiscard]] const std::shared_ptr<Apart>& apart() const noexcept { return apart_; }
  /// Counts bytes that were copied between this and `other`, of which one lies apart.
  void count_staged(const Flat& other, std::size_t bytes) const {
    if (const auto& one = apart_ ? apart_ : other.apart_) one->staged += bytes;
  }

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
  std::shared_ptr<Apart> apart_;
};

}  // namespace gossamer::model
