// SPDX-License-Identifier: MIT
/// Reads and checks IDX files.
#include <gossamer/error.hpp>
#include <gossamer/gzip.hpp>
#include <shared/idx.hpp>

#include <ATen/ops/empty.h>
#include <c10/util/StringUtil.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace examples {
namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;

constexpr std::uintmax_t most_bytes = std::uintmax_t{1} << 30U;

[[noreturn]] void refuse(const std::string& name, std::size_t offset, const std::string& expected,
                         const std::string& got) {
  throw ConfigError(
      c10::str("IDX: ", name, ": at byte ", offset, ": expected ", expected, ", got ", got));
}

unsigned at(std::span<const std::byte> bytes, std::size_t offset) {
  return std::to_integer<unsigned>(bytes[offset]);
}

}  // namespace

at::Tensor parse_idx(std::span<const std::byte> bytes, std::size_t dimensions,
                     const std::string& name) {
  const std::size_t header = 4 + 4 * dimensions;
  if (bytes.size() < header) {
    refuse(name, bytes.size(), c10::str("a header of ", header, " bytes"), "the end of the file");
  }
  for (std::size_t i = 0; i < 2; ++i) {
    if (at(bytes, i) != 0) refuse(name, i, "0", std::to_string(at(bytes, i)));
  }
  if (at(bytes, 2) != 8) refuse(name, 2, "8 (unsigned bytes)", std::to_string(at(bytes, 2)));
  if (at(bytes, 3) != dimensions) {
    refuse(name, 3, c10::str(dimensions, ", the number of dimensions"),
           std::to_string(at(bytes, 3)));
  }
  const std::uint64_t there = bytes.size() - header;
  std::vector<std::int64_t> sizes;
  std::uint64_t count = 1;
  for (std::size_t d = 0; d < dimensions; ++d) {
    const std::size_t offset = 4 + 4 * d;
    std::uint64_t size = 0;
    for (std::size_t i = 0; i < 4; ++i) size = size << 8U | at(bytes, offset + i);
    if (size == 0) refuse(name, offset, "a size of at least 1", "0");
    // Divided, since the product of the sizes may not fit 64 bits.
    if (size > there / count) {
      refuse(name, offset,
             c10::str("sizes whose product is the ", there, " bytes after the header"),
             c10::str("size ", size, " after a product of ", count));
    }
    count *= size;
    sizes.push_back(static_cast<std::int64_t>(size));
  }
  if (count != there) {
    refuse(name, header + count, "the end of the file", c10::str(there - count, " bytes more"));
  }
  at::Tensor array = at::empty(sizes, at::kByte);
  std::memcpy(array.data_ptr(), bytes.data() + header, count);
  return array;
}

at::Tensor read_idx(const fs::path& file, std::size_t dimensions) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    throw ConfigError("IDX: " + file.string() + " must be a regular file, and is " +
                      (fs::exists(file, error) ? "none" : "missing"));
  }
  const std::uintmax_t size = fs::file_size(file, error);
  if (error) throw ConfigError("IDX: cannot read " + file.string() + ": " + error.message());
  if (size > most_bytes) {
    throw ConfigError(
        c10::str("IDX: ", file.string(), " must have at most ", most_bytes, " bytes, got ", size));
  }
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw ConfigError("IDX: cannot read " + file.string() + ": " + std::strerror(errno));
  }
  std::vector<std::byte> bytes(size);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (stream.gcount() != static_cast<std::streamsize>(size)) {
    throw ConfigError(c10::str("IDX: reading ", file.string(), " stopped after ", stream.gcount(),
                               " of ", size, " bytes"));
  }
  const std::string_view packed(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!gossamer::is_gzip(packed)) return parse_idx(bytes, dimensions, file.string());
  const std::string content = gossamer::gunzip(packed, "IDX: " + file.string(), most_bytes);
  return parse_idx(std::as_bytes(std::span(content)), dimensions, file.string());
}

}  // namespace examples
