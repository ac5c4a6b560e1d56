// SPDX-License-Identifier: MIT
/// Writes JSON, for what is served while a run goes on and must not need a library.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <string>
#include <string_view>
#include <utility>

namespace gossamer::observe {

/// JSON in the order of the calls, on one line. Numbers that are not finite are null; of text, what
/// is not ASCII becomes U+FFFD, so anybody's bytes are well-formed.
///
///     JsonText json;
///     json.open('{').key("weights").open('[').value(0.5).value(0.5).close(']').close('}');
///
/// Threads  one at a time.
class JsonText {
 public:
  /// Begins an object or a list: '{' or '['.
  JsonText& open(char bracket) {
    separate();
    text_ += bracket;
    return *this;
  }
  JsonText& close(char bracket) {
    text_ += bracket;
    return *this;
  }
  JsonText& key(std::string_view name) {
    value(name);
    text_ += ':';
    return *this;
  }
  JsonText& value(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    separate();
    text_ += '"';
    for (const char c : text) {
      const auto code = static_cast<unsigned char>(c);
      if (code < 0x20 || code == 0x7f) {
        text_ += "\\u00";
        text_ += digits[code >> 4U];
        text_ += digits[code & 15U];
      } else if (code > 0x7f) {
        text_ += "\\ufffd";
      } else {
        if (c == '"' || c == '\\') text_ += '\\';
        text_ += c;
      }
    }
    text_ += '"';
    return *this;
  }
  JsonText& value(const char* text) { return value(std::string_view(text)); }
  JsonText& value(std::same_as<bool> auto yes) {
    separate();
    text_ += yes ? "true" : "false";
    return *this;
  }
  template <class Number>
  requires(std::floating_point<Number> ||
           (std::integral<Number> && !std::same_as<Number, bool>)) JsonText& value(Number number) {
    separate();
    if constexpr (std::floating_point<Number>) {
      if (!std::isfinite(number)) {
        text_ += "null";
        return *this;
      }
    }
    std::array<char, 32> digits;  // the longest double has 24
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    text_.append(digits.data(), end);
    return *this;
  }
  /// A key and its value.
  template <class Value>
  JsonText& member(std::string_view name, const Value& one) {
    return key(name).value(one);
  }

  [[nodiscard]] std::string take() { return std::exchange(text_, {}); }

 private:
  void separate() {
    if (!text_.empty() && std::string_view("[{:").find(text_.back()) == std::string_view::npos) {
      text_ += ',';
    }
  }

  std::string text_;
};

}  // namespace gossamer::observe
