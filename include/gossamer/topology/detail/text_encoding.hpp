// SPDX-License-Identifier: MIT
/// Text files in the encodings that programs write, as UTF-8.
#pragma once

#include <gossamer/error.hpp>

#include <array>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gossamer::topology::detail {

inline std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

/// Throws ConfigError for bytes that another program has packed, and says which.
inline void refuse_packed(std::string_view bytes, const std::string& where) {
  using namespace std::string_view_literals;
  constexpr std::array<std::pair<std::string_view, const char*>, 5> kinds{
      {{"\x1f\x8b"sv, "gzip (topology/graph_file.hpp reads it)"},
       {"BZh"sv, "bzip2"},
       {"\xfd\x37zXZ\0"sv, "xz"},
       {"\x28\xb5\x2f\xfd"sv, "zstd"},
       {"PK\x03\x04"sv, "zip"}}};
  for (const auto& [magic, name] : kinds) {
    if (bytes.starts_with(magic)) {
      throw ConfigError(where + ": must be unpacked, is compressed with " + name);
    }
  }
}

inline void append_utf8(std::string& out, std::uint32_t code) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | (code >> shift & 0x3fU));
  };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | code >> 6U);
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | code >> 12U);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0U | code >> 18U);
    tail(12);
    tail(6);
    tail(0);
  }
}

inline std::string from_utf16(std::string_view bytes, bool big_endian, const std::string& where) {
  const auto refuse = [&](std::size_t at, const char* what) {
    return ConfigError(where + ": is not UTF-16: at byte " + std::to_string(at) + " " + what);
  };
  if (bytes.size() % 2 == 1) throw refuse(bytes.size() - 1, "half a character ends it");
  const auto unit = [&](std::size_t at) {
    const std::uint32_t first = static_cast<unsigned char>(bytes[at]);
    const std::uint32_t second = static_cast<unsigned char>(bytes[at + 1]);
    return big_endian ? first << 8U | second : second << 8U | first;
  };
  std::string text;
  for (std::size_t at = 0; at < bytes.size(); at += 2) {
    std::uint32_t code = unit(at);
    if (code >= 0xd800 && code < 0xe000) {
      const std::uint32_t low = code < 0xdc00 && at + 2 < bytes.size() ? unit(at + 2) : 0;
      if (low < 0xdc00 || low >= 0xe000) throw refuse(at, "stands half of a pair");
      code = 0x10000U + ((code - 0xd800U) << 10U) + (low - 0xdc00U);
      at += 2;
    }
    append_utf8(text, code);
  }
  return text;
}

/// Latin-1 is its own code; windows-1252 has signs where that has control characters.
inline std::string from_latin1(std::string_view bytes, bool windows) {
  constexpr std::array<std::uint16_t, 32> signs{
      0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
      0x2039, 0x0152, 0x8d,   0x017d, 0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
      0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};
  std::string text;
  for (const char c : bytes) {
    std::uint32_t code = static_cast<unsigned char>(c);
    if (windows && code >= 0x80 && code < 0xa0) code = signs[code - 0x80];
    append_utf8(text, code);
  }
  return text;
}

/// The first byte that cannot stand where it does in UTF-8; the size if there is none.
inline std::size_t first_not_utf8(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t at = 0;
  while (at < bytes.size()) {
    const unsigned lead = byte(at);
    std::size_t length = 1;
    if (lead >= 0x80) length = lead < 0xe0 ? 2 : (lead < 0xf0 ? 3 : 4);
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || at + length > bytes.size()) return at;
    for (std::size_t i = 1; i < length; ++i) {
      if ((byte(at + i) & 0xc0U) != 0x80U) return at;
    }
    const unsigned second = length > 2 ? byte(at + 1) : 0;
    const bool too_long = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool too_high = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
    if (too_long || too_high) return at;
    at += length;
  }
  return at;
}

/// The encoding that an XML declaration names, in lower case; empty without one.
inline std::string declared_encoding(std::string_view text) {
  if (!text.starts_with("<?xml")) return {};
  text = text.substr(0, text.find("?>"));
  const std::size_t name = text.find("encoding");
  if (name == std::string_view::npos) return {};
  const std::size_t begin = text.find_first_of("\"'", name);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  return in_lower_case(text.substr(1, text.find(text[0], 1) - 1));
}

/// Text without its byte order mark, as UTF-8: from UTF-16 with a mark or, of XML, without, and
/// from what an XML declaration names: ISO-8859-1 (Latin-1) or windows-1252. Other text is taken as
/// it is. Throws ConfigError, which begins with `where`, for bytes that are packed, for UTF-16 that
/// is none, for a declaration of another encoding, and for a zero, which text has not.
inline std::string as_utf8(std::string_view bytes, const std::string& where) {
  using namespace std::string_view_literals;
  refuse_packed(bytes, where);
  const bool is_marked = bytes.starts_with("\xfe\xff"sv) || bytes.starts_with("\xff\xfe"sv);
  const bool is_big = bytes.starts_with("\xfe\xff"sv) || bytes.starts_with("\0<"sv);
  std::string text;
  if (is_marked || is_big || bytes.starts_with("<\0"sv)) {
    text = from_utf16(bytes.substr(is_marked ? 2 : 0), is_big, where);
  } else {
    if (bytes.starts_with("\xef\xbb\xbf"sv)) bytes.remove_prefix(3);
    const std::string named = declared_encoding(bytes);
    const bool is_latin1 = named == "iso-8859-1" || named == "latin1" || named == "latin-1";
    if (is_latin1 || named == "windows-1252" || named == "cp1252") {
      text = from_latin1(bytes, !is_latin1);
    } else if (named.empty() || named == "utf-8" || named == "utf8" || named == "us-ascii") {
      text = bytes;
    } else {
      throw ConfigError(where +
                        ": must be in UTF-8, UTF-16, ISO-8859-1 or windows-1252, and be what it "
                        "says, got the encoding '" +
                        named + "'");
    }
  }
  if (const std::size_t zero = text.find('\0'); zero != std::string::npos) {
    throw ConfigError(where + ": is not text: byte " + std::to_string(zero) + " is 0");
  }
  return text;
}

}  // namespace gossamer::topology::detail
