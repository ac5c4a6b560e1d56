// SPDX-License-Identifier: MIT
/// What MLflow's files are written in: names, YAML, addresses of files.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer::observe::detail {

/// How many bytes of text the UTF-8 character at its beginning has; 0 if it is none, or one that
/// YAML does not have: U+0080 to U+009F, U+FFFE and U+FFFF.
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return 0;
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  }
  const bool too_long = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool surrogate = first == 0xED && byte(1) > 0x9F;
  const bool beyond = first == 0xF4 && byte(1) > 0x8F;
  const bool control = first == 0xC2 && byte(1) < 0xA0;
  const bool no_character = first == 0xEF && byte(1) == 0xBF && byte(2) >= 0xBE;
  return too_long || surrogate || beyond || control || no_character ? 0 : length;
}

/// Text in which every byte that is none of UTF-8 is a question mark.
inline std::string valid_utf8(std::string_view text) {
  std::string valid;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      valid += '?';
    } else {
      valid += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return valid;
}

/// Text as YAML's double-quoted scalar, on one line.
inline std::string yaml(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : valid_utf8(text)) {
    const auto code = static_cast<unsigned char>(c);
    if (code < 0x20 || code == 0x7f) {
      quoted += "\\x";
      quoted += digits[code >> 4U];
      quoted += digits[code & 15U];
    } else {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
  }
  return quoted + '"';
}

/// An absolute path as file:// and so on.
inline std::string file_uri(const std::filesystem::path& path) {
  constexpr char digits[] = "0123456789ABCDEF";
  constexpr std::string_view plain = "-._~/";
  std::string uri = "file://";
  for (const char c : path.string()) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (alphanumeric || plain.find(c) != std::string_view::npos) {
      uri += c;
    } else {
      const auto code = static_cast<unsigned char>(c);
      uri += '%';
      uri += digits[code >> 4U];
      uri += digits[code & 15U];
    }
  }
  return uri;
}

/// The name in an experiment's meta.yaml as MLflow writes it: plain or in quotes, long ones on
/// several lines. Nothing if there is none.
inline std::optional<std::string> mlflow_experiment_name(const std::string& text) {
  const std::string key = "\nname:";
  const std::string all = "\n" + text;
  const std::size_t at = all.find(key);
  if (at == std::string::npos) return std::nullopt;
  std::string value;  // its lines, joined
  std::size_t begin = at + key.size();
  for (bool first = true; begin < all.size(); first = false) {
    const std::size_t end = std::min(all.find('\n', begin), all.size());
    std::string_view line(all.data() + begin, end - begin);
    if (!first && (line.empty() || line.front() != ' ')) break;
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
    const bool goes_on = !value.empty() && value.front() == '"' && value.back() == '\\';
    if (goes_on) value.pop_back();
    if (!first && !goes_on) value += ' ';
    value += line;
    begin = end + 1;
  }
  const char quote = value.empty() ? '\0' : value.front();
  if (quote != '\'' && quote != '"') return value;
  std::string name;
  for (std::size_t i = 1; i + 1 < value.size(); ++i) {
    if (value[i] == (quote == '"' ? '\\' : '\'')) ++i;  // the second of two counts
    name += value[i];
  }
  return name;
}

/// Of 18 digits, as MLflow's own; 0, which MLflow makes itself, for "Default". FNV-1a.
inline std::uint64_t mlflow_experiment_number(std::string_view name) {
  if (name == "Default") return 0;
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  constexpr std::uint64_t least = 100'000'000'000'000'000;
  return least + hash % (8 * least);
}

/// A name that MLflow allows, and that names a file beside those of `taken`.
inline std::string mlflow_name(std::string_view name, const std::vector<std::string>& taken) {
  std::string file(name.substr(0, 240));  // 250 is the most, with a number
  if (file.empty()) file = "_";
  for (char& c : file) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (!alphanumeric && std::string_view("_-. /").find(c) == std::string_view::npos) c = '_';
  }
  const auto is_below = [](const std::string& path, const std::string& folder) {
    return path.size() > folder.size() && path.compare(0, folder.size(), folder) == 0 &&
           path[folder.size()] == '/';
  };
  const auto clashes = [&](const std::string& with) {
    return std::any_of(taken.begin(), taken.end(), [&](const std::string& other) {
      return other == with || is_below(other, with) || is_below(with, other);
    });
  };
  const bool stays = std::filesystem::path(file).lexically_normal().string() == file &&
                     file.front() != '/' && file.back() != '/' && file.compare(0, 2, "..") != 0 &&
                     file != ".";
  if (!stays || clashes(file)) std::replace(file.begin(), file.end(), '/', '_');
  if (file == "." || file.compare(0, 2, "..") == 0) file.insert(0, "_");
  std::string free = file;
  for (int number = 2; clashes(free); ++number) free = file + "_" + std::to_string(number);
  return free;
}

}  // namespace gossamer::observe::detail
