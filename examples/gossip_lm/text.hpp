// SPDX-License-Identifier: MIT
/// The text that nodes learn, byte by byte: the parts of it, and pieces of them.
#pragma once

#include <gossamer/generator.hpp>

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace language {

/// Bytes, (n,) uint8; the last tenth is held out.
struct Text {
  at::Tensor train;
  at::Tensor held_out;
};

/// Reads any file. Throws ConfigError if it cannot be read, or has less than ten pieces of
/// `context` bytes.
[[nodiscard]] Text read_text(const std::filesystem::path& file, std::int64_t context);

/// Node `node`'s part of a text, (about n / nodes,) uint8: they lie one after the other, and have
/// no byte in common. So each node reads other books. Throws ConfigError if a part is not longer
/// than `context` bytes.
[[nodiscard]] at::Tensor part_of(const at::Tensor& text, std::size_t node, std::size_t nodes,
                                 std::int64_t context);

/// `count` pieces from random places, (count, length) int64; the text is at least that long.
[[nodiscard]] at::Tensor random_pieces(const at::Tensor& text, std::int64_t count,
                                       std::int64_t length, gossamer::Generator& random);

/// Pieces that have one byte in common with the next, (m, context + 1) int64: each byte but the
/// first is once one to be predicted. At most so many bytes, from pieces that are spread evenly.
[[nodiscard]] at::Tensor even_pieces(const at::Tensor& text, std::int64_t context,
                                     std::int64_t most_bytes);

/// Bits per byte of those who know only how often each byte occurs in `train` (each counts once
/// more), over the bytes that are to be predicted in `pieces`.
[[nodiscard]] double unigram_bits(const at::Tensor& train, const at::Tensor& pieces);

}  // namespace language
