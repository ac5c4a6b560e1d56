// SPDX-License-Identifier: MIT
/// Small files for the tests, and bytes to fill them with.
#pragma once

#include <gossamer/generator.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

inline void write_file(const std::filesystem::path& file, std::string_view content) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
}

inline std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Bytes that do not compress.
inline std::string random_bytes(std::size_t n, std::uint64_t seed) {
  gossamer::Generator generator(seed);
  std::string bytes(n, '\0');
  for (auto& byte : bytes) byte = static_cast<char>(generator.below(256));
  return bytes;
}
