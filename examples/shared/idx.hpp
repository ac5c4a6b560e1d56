// SPDX-License-Identifier: MIT
/// Reads IDX files, the format of MNIST: arrays of bytes with their sizes in front.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace examples {

/// Reads one array: two zero bytes, the type (8: unsigned byte, the only one taken), the number of
/// dimensions, each size as four bytes with the highest first, and the numbers, the last dimension
/// running fastest.
/// @param dimensions how many dimensions there must be, 1 to 3.
/// @param name where the bytes come from, for the texts of errors.
/// @return uint8, contiguous, on the CPU.
/// @throws gossamer::ConfigError for anything else; the text names the place, the offset of the
///         byte, what was expected and what is there.
[[nodiscard]] at::Tensor parse_idx(std::span<const std::byte> bytes, std::size_t dimensions,
                                   const std::string& name);

/// Reads a file of at most 1 GiB, or one that gzip has packed and that holds no more. Throws
/// gossamer::ConfigError, also if it cannot be read.
[[nodiscard]] at::Tensor read_idx(const std::filesystem::path& file, std::size_t dimensions);

}  // namespace examples
