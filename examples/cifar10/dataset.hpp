// SPDX-License-Identifier: MIT
/// CIFAR-10 in memory: the official binary files, or a synthetic data set of the same format.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace cifar10 {

inline constexpr std::int64_t class_count = 10;
inline constexpr std::int64_t channel_count = 3;  ///< red, green, blue
inline constexpr std::int64_t image_side = 32;    ///< pixels
inline constexpr std::int64_t image_pixels = channel_count * image_side * image_side;
inline constexpr std::int64_t record_bytes = 1 + image_pixels;  ///< a label byte, then three planes
inline constexpr std::int64_t records_per_file = 10'000;

/// Labelled images. The tensors may be read from any number of threads.
struct Images {
  at::Tensor pixels;  ///< (n, 3, 32, 32) uint8, contiguous, on the CPU
  at::Tensor labels;  ///< (n,) int64, each in [0, 10)

  /// The number of images, n.
  [[nodiscard]] std::int64_t size() const { return labels.defined() ? labels.size(0) : 0; }
};

/// A training set and a test set.
struct Dataset {
  std::string name;  ///< "cifar10" or "synthetic"
  Images train;
  Images test;
};

/// Reads the six files of the binary version of CIFAR-10: 50,000 training images, 10,000 test
/// images.
/// @param directory the folder that holds data_batch_1.bin to data_batch_5.bin and test_batch.bin,
///        or its parent, which holds cifar-10-batches-bin/.
/// @throws gossamer::ConfigError when a folder or file is missing, unreadable or of the wrong size,
///         or holds an impossible label; the text names the file, what was expected, and what is
///         there.
[[nodiscard]] Dataset load(const std::filesystem::path& directory);

/// Reads records (a label byte, then 3,072 bytes: red, green, blue planes, row by row).
/// @param bytes any whole number of records; none is allowed.
/// @param name  where the bytes come from, for the texts of errors.
/// @throws gossamer::ConfigError when the last record is cut short or a label is above 9.
[[nodiscard]] Images parse_records(std::span<const std::byte> bytes, const std::string& name);

/// A data set for trials without the real one. A class is a shape (disc, square, triangle, ring,
/// cross) filled with a texture (stripes, checks): label = 2 * shape + texture. Colour, contrast,
/// place, size, rotation, background, clutter and noise are random. Each ten images in a row hold
/// every class once. Integer arithmetic: one seed gives the same bytes on every machine, and a
/// smaller set is the beginning of a larger one.
/// @throws gossamer::ConfigError when a size is below 1.
[[nodiscard]] Dataset synthetic(std::uint64_t seed, std::int64_t train_size = 50'000,
                                std::int64_t test_size = 10'000);

}  // namespace cifar10
