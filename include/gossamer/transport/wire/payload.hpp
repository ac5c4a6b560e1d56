// SPDX-License-Identifier: MIT
/// Where a payload, or a part of it, lies in memory.
#pragma once

#include <gossamer/model/chunk.hpp>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>

namespace gossamer::transport::wire {

/// The bytes of a part of a vector in this machine's memory.
inline std::span<std::byte> bytes_of(const at::Tensor& segment, model::Chunk part) {
  const auto each = static_cast<std::size_t>(segment.element_size());
  const auto begin = static_cast<std::size_t>(part.begin(segment.numel()));
  const auto end = static_cast<std::size_t>(part.end(segment.numel()));
  return {static_cast<std::byte*>(segment.data_ptr()) + each * begin, each * (end - begin)};
}

}  // namespace gossamer::transport::wire
