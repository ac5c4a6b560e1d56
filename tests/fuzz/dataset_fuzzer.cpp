// SPDX-License-Identifier: MIT
/// Fuzzes the reader of CIFAR-10 records: any bytes are images or a ConfigError.
#include <cifar10/dataset.hpp>
#include <gossamer/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto images = cifar10::parse_records(std::as_bytes(std::span(data, size)), "input");
    // What was accepted must be the input, record by record.
    const auto record = static_cast<std::size_t>(cifar10::record_bytes);
    const auto n = static_cast<std::size_t>(images.size());
    if (n * record != size) std::abort();
    const auto* labels = images.labels.data_ptr<std::int64_t>();
    const auto* pixels = images.pixels.data_ptr<std::uint8_t>();
    for (std::size_t i = 0; i < n; ++i) {
      if (labels[i] != data[i * record] || labels[i] >= cifar10::class_count) std::abort();
      if (std::memcmp(pixels + i * (record - 1), data + i * record + 1, record - 1) != 0) {
        std::abort();
      }
    }
  } catch (const gossamer::ConfigError&) {
  }
  return 0;
}
