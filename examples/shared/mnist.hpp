// SPDX-License-Identifier: MIT
/// MNIST's training images as points, a synthetic set of the same shape, and shares of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace examples {

/// Grey images as points, one a row. May be read from any number of threads.
struct Points {
  std::string name;   ///< "mnist" or "synthetic"
  at::Tensor values;  ///< (n, 784) float, in [0, 1]
};

/// Reads train-images-idx3-ubyte, or the same with .gz, from a folder, or from `mnist`, `raw` or
/// `MNIST/raw` in it, as torchvision has them; 60,000 images of 28 x 28 in the real one, any number
/// of that shape is taken. Throws gossamer::ConfigError.
[[nodiscard]] Points load_mnist(const std::filesystem::path& directory);

/// Images of the same shape for trials without the real ones: each is one of 40 figures of three
/// blobs, brighter or darker, with noise. Integer arithmetic: one seed gives the same bytes on
/// every machine. `count` >= 1.
[[nodiscard]] Points synthetic_points(std::uint64_t seed, std::int64_t count);

/// The points that the options name: those in `directory`, or, if that is empty, synthetic ones and
/// a loud word about it on standard error.
[[nodiscard]] Points find_points(const std::filesystem::path& directory, std::uint64_t seed,
                                 const std::string& program);

/// Cuts n rows into one share per node, without gaps: of equal size but for one row, or, if
/// `unequal`, node i's i + 1 times as large as node 0's. Views, no copies.
[[nodiscard]] std::vector<at::Tensor> shares(const at::Tensor& rows, std::size_t nodes,
                                             bool unequal);

}  // namespace examples
