// SPDX-License-Identifier: MIT
/// Finds the images, makes synthetic ones, and deals them out.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <shared/idx.hpp>
#include <shared/mnist.hpp>

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <system_error>

namespace examples {
namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;
using gossamer::Generator;

constexpr std::int64_t side = 28;
constexpr const char* train_images = "train-images-idx3-ubyte";
constexpr std::size_t figures = 40;

at::Tensor as_points(const at::Tensor& images) {
  return images.view({images.size(0), side * side}).to(at::kFloat).div_(255);
}

/// The file of MNIST's training images: packed or not, in the folder, in `mnist` in it, or where
/// torchvision puts it. Where it should be if it is nowhere.
fs::path find_images(const fs::path& directory) {
  std::error_code ignored;
  for (const char* folder : {"", "mnist", "raw", "MNIST/raw"}) {
    for (const char* ending : {"", ".gz"}) {
      const fs::path file = directory / folder / (std::string(train_images) + ending);
      if (fs::exists(file, ignored)) return file;
    }
  }
  return directory / train_images;
}

/// Three round blobs, brightest in their middle.
std::array<std::int32_t, side * side> figure(Generator& random) {
  std::array<std::int32_t, side * side> pixels{};
  for (int blob = 0; blob < 3; ++blob) {
    const auto x = static_cast<std::int32_t>(4 + random.below(20));
    const auto y = static_cast<std::int32_t>(4 + random.below(20));
    const auto radius = static_cast<std::int32_t>(3 + random.below(5));
    for (std::int32_t row = 0; row < side; ++row) {
      for (std::int32_t column = 0; column < side; ++column) {
        const std::int32_t distance = (column - x) * (column - x) + (row - y) * (row - y);
        const std::int32_t value = 200 * (radius * radius - distance) / (radius * radius);
        auto& pixel = pixels[static_cast<std::size_t>(row * side + column)];
        pixel = std::max(pixel, value);
      }
    }
  }
  return pixels;
}

}  // namespace

Points load_mnist(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) {
    throw ConfigError("MNIST: " + directory.string() +
                      " is not a folder; expected the one that holds " + train_images +
                      ", its parent, or the one that torchvision was given");
  }
  const fs::path file = find_images(directory);
  const at::Tensor images = read_idx(file, 3);
  if (images.size(1) != side || images.size(2) != side) {
    throw ConfigError(c10::str("MNIST: ", file.string(), ": expected images of ", side, " x ", side,
                               " pixels, got ", images.size(1), " x ", images.size(2)));
  }
  return {"mnist", as_points(images)};
}

Points synthetic_points(std::uint64_t seed, std::int64_t count) {
  if (count < 1) throw ConfigError(c10::str("synthetic points: expected at least 1, got ", count));
  Generator random(seed, 784);
  std::vector<std::array<std::int32_t, side * side>> shapes;
  for (std::size_t i = 0; i < figures; ++i) shapes.push_back(figure(random));
  at::Tensor images = at::empty({count, side, side}, at::kByte);
  auto* pixel = images.data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const auto& shape = shapes[random.below(figures)];
    const auto light = static_cast<std::int32_t>(60 + random.below(60));  // in hundredths
    for (const std::int32_t value : shape) {
      const std::uint32_t noise = random();  // the sum of four bytes: nearly a normal law
      const auto sum = static_cast<std::int32_t>((noise & 255U) + (noise >> 8U & 255U) +
                                                 (noise >> 16U & 255U) + (noise >> 24U));
      *pixel++ = static_cast<std::uint8_t>(
          std::clamp(value * light / 100 + (sum - 510) / 8, std::int32_t{0}, std::int32_t{255}));
    }
  }
  return {"synthetic", as_points(images)};
}

Points find_points(const fs::path& directory, std::uint64_t seed, const std::string& program) {
  if (!directory.empty()) return load_mnist(directory);
  std::cerr << "\n*** " << program << ": NOT MNIST: this run uses synthetic images. ***\n"
            << "*** For the real ones: --data DIR, or GOSSAMER_DATA=DIR. ***\n\n";
  return synthetic_points(seed, 20'000);
}

std::vector<at::Tensor> shares(const at::Tensor& rows, std::size_t nodes, bool unequal) {
  const auto m = static_cast<std::int64_t>(nodes);
  const std::int64_t n = rows.size(0);
  const auto end_of = [&](std::int64_t i) {
    return unequal ? n * ((i + 1) * (i + 2) / 2) / (m * (m + 1) / 2) : n * (i + 1) / m;
  };
  std::vector<at::Tensor> parts;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < m; ++i) {
    parts.push_back(rows.narrow(0, begin, end_of(i) - begin));
    begin = end_of(i);
  }
  return parts;
}

}  // namespace examples
