// SPDX-License-Identifier: MIT
/// Fuzzes the reader of IDX files: any bytes are an array or a ConfigError.
#include <gossamer/error.hpp>
#include <shared/idx.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (std::size_t dimensions = 1; dimensions <= 3; ++dimensions) {
    try {
      const auto array =
          examples::parse_idx(std::as_bytes(std::span(data, size)), dimensions, "input");
      // What was accepted is the rest of the input, byte by byte.
      const std::size_t header = 4 + 4 * dimensions;
      if (static_cast<std::size_t>(array.dim()) != dimensions) std::abort();
      if (header + static_cast<std::size_t>(array.numel()) != size) std::abort();
      if (std::memcmp(array.data_ptr(), data + header, size - header) != 0) std::abort();
    } catch (const gossamer::ConfigError&) {
    }
  }
  return 0;
}
