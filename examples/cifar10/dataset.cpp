// SPDX-License-Identifier: MIT
/// Reads and checks the CIFAR-10 files.
#include <cifar10/dataset.hpp>
#include <gossamer/error.hpp>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

namespace cifar10 {
namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

/// Reads one file of 10,000 records.
Images load_file(const fs::path& file) {
  constexpr std::uintmax_t expected = records_per_file * record_bytes;
  std::error_code error;
  const auto status = fs::status(file, error);
  if (!fs::exists(status)) {
    throw ConfigError(c10::str("CIFAR-10: ", file.string(), " is missing; expected a file of ",
                               expected, " bytes"));
  }
  if (!fs::is_regular_file(status)) {
    throw ConfigError(c10::str("CIFAR-10: ", file.string(), " is not a regular file; expected ",
                               expected, " bytes"));
  }
  const auto size = fs::file_size(file, error);
  if (error) {
    throw ConfigError(c10::str("CIFAR-10: cannot read ", file.string(), ": ", error.message()));
  }
  if (size != expected) {
    throw ConfigError(c10::str("CIFAR-10: ", file.string(), " must hold ", records_per_file,
                               " records of ", record_bytes, " bytes, ", expected,
                               " bytes in all, got ", size, " bytes"));
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw ConfigError(
        c10::str("CIFAR-10: cannot read ", file.string(), ": ", std::strerror(errno)));
  }
  std::vector<std::byte> bytes(expected);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (stream.gcount() != static_cast<std::streamsize>(expected)) {
    throw ConfigError(c10::str("CIFAR-10: reading ", file.string(), " stopped after ",
                               stream.gcount(), " of ", expected, " bytes"));
  }
  return parse_records(bytes, file.string());
}

}  // namespace

Images parse_records(std::span<const std::byte> bytes, const std::string& name) {
  if (bytes.size() % record_bytes != 0) {
    throw ConfigError(c10::str("CIFAR-10: ", name, " must hold whole records of ", record_bytes,
                               " bytes, got ", bytes.size(),
                               " bytes: ", bytes.size() / record_bytes, " records and ",
                               bytes.size() % record_bytes, " bytes more"));
  }
  const auto n = static_cast<std::int64_t>(bytes.size() / record_bytes);
  Images images{at::empty({n, channel_count, image_side, image_side}, at::kByte),
                at::empty({n}, at::kLong)};
  auto* pixels = images.pixels.data_ptr<std::uint8_t>();
  auto* labels = images.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < n; ++i) {
    const auto* record = bytes.data() + i * record_bytes;
    labels[i] = std::to_integer<std::int64_t>(*record);
    if (labels[i] >= class_count) {
      throw ConfigError(c10::str("CIFAR-10: ", name, ": record ", i,
                                 " (counted from 0) must have a label from 0 to ", class_count - 1,
                                 ", got ", labels[i]));
    }
    std::memcpy(pixels + i * image_pixels, record + 1, image_pixels);
  }
  return images;
}

Dataset load(const fs::path& directory) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored)) {
    throw ConfigError(c10::str("CIFAR-10: ", directory.string(),
                               " is not a folder; expected the one that holds data_batch_1.bin, "
                               "or its parent"));
  }
  const auto inner = directory / "cifar-10-batches-bin";
  const bool here = fs::exists(directory / "data_batch_1.bin", ignored);
  const auto folder = !here && fs::is_directory(inner, ignored) ? inner : directory;
  std::vector<at::Tensor> pixels;
  std::vector<at::Tensor> labels;
  for (int batch = 1; batch <= 5; ++batch) {
    auto images = load_file(folder / c10::str("data_batch_", batch, ".bin"));
    pixels.push_back(std::move(images.pixels));
    labels.push_back(std::move(images.labels));
  }
  return {"cifar10", {at::cat(pixels), at::cat(labels)}, load_file(folder / "test_batch.bin")};
}

}  // namespace cifar10
