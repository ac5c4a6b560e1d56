// SPDX-License-Identifier: MIT
/// What readers that share nothing with the library find in what it has written.
#pragma once

#include <tests/support.hpp>

#include <array>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <string>

namespace tests {

/// What the script prints of `path`; its words, if it finds a fault.
inline std::string read_by_python(const std::string& script, const std::filesystem::path& path) {
  const std::string command = "python3 -B '" + script + "' '" + path.string() + "' 2>&1";
  FILE* const out = popen(command.c_str(), "r");
  REQUIRE(out != nullptr);
  std::string text;
  std::array<char, 4096> part{};
  while (const std::size_t size = std::fread(part.data(), 1, part.size(), out)) {
    text.append(part.data(), size);
  }
  pclose(out);
  return text;
}

}  // namespace tests
