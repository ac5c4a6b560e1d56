// SPDX-License-Identifier: MIT
/// Unpacks what gzip has packed. Needs zlib, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/error.hpp>

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace gossamer {

/// Whether bytes begin as those of a gzip file do.
inline bool is_gzip(std::string_view bytes) { return bytes.starts_with("\x1f\x8b"); }

namespace detail {

/// One zlib stream that reads gzip, and is freed with it.
class GzipStream {
 public:
  explicit GzipStream(const std::string& where) {
    constexpr int gzip_only = 15 + 16;
    if (inflateInit2(&stream, gzip_only) != Z_OK) throw ConfigError(where + ": zlib has no memory");
  }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;
  ~GzipStream() { inflateEnd(&stream); }

  z_stream stream{};
};

}  // namespace detail

/// What was packed, whole: all members of the file, one after the other.
/// Errors   ConfigError, which begins with `where` (the file, say), for bytes that are not gzip,
///          are cut short, damaged, or followed by others, and for more than `most` bytes of
///          content.
/// Threads  safe.
/// Source   the format is RFC 1952; zlib unpacks it.
inline std::string gunzip(std::string_view bytes, const std::string& where,
                          std::size_t most = std::size_t{1} << 30U) {
  const auto refuse = [&](const std::string& why) { return ConfigError(where + ": gzip: " + why); };
  if (!is_gzip(bytes)) throw refuse("must begin with the bytes 1f 8b");
  detail::GzipStream gzip(where);
  z_stream& stream = gzip.stream;
  std::string content;
  std::string piece(std::size_t{1} << 16U, '\0');
  constexpr std::size_t bite = std::size_t{1} << 30U;  // zlib counts in 32 bits
  int status = Z_OK;
  while (status != Z_STREAM_END || !bytes.empty()) {
    if (status == Z_STREAM_END) {
      if (!is_gzip(bytes)) throw refuse(std::to_string(bytes.size()) + " bytes follow its end");
      inflateReset(&stream);
    }
    const auto offered = static_cast<uInt>(std::min(bytes.size(), bite));
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = offered;
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    status = inflate(&stream, Z_NO_FLUSH);
    bytes.remove_prefix(offered - stream.avail_in);
    content.append(piece, 0, piece.size() - stream.avail_out);
    if (content.size() > most) {
      throw refuse("must hold at most " + std::to_string(most) + " bytes, has more");
    }
    if (status == Z_BUF_ERROR) throw refuse("ends in the middle");
    if (status == Z_MEM_ERROR) throw refuse("zlib has no memory");
    if (status != Z_OK && status != Z_STREAM_END) {
      throw refuse(std::string("is damaged: ") +
                   (stream.msg != nullptr ? stream.msg : "needs a dictionary"));
    }
  }
  return content;
}

}  // namespace gossamer
