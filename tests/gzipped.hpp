// SPDX-License-Identifier: MIT
/// Packs bytes as gzip does, for tests of what unpacks them.
#pragma once

#include <zlib.h>

#include <stdexcept>
#include <string>

namespace tests {

inline std::string gzipped(std::string text) {
  z_stream stream{};
  constexpr int as_gzip = 15 + 16;
  if (deflateInit2(&stream, 6, Z_DEFLATED, as_gzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("zlib has no memory");
  }
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&stream, Z_FINISH);
  packed.erase(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("zlib has not packed all");
  return packed;
}

}  // namespace tests
