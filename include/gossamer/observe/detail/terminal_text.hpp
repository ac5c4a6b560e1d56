// SPDX-License-Identifier: MIT
/// What a program has written to its terminal, as lines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer::observe::detail {

/// Takes bytes as a terminal would: a carriage return begins the line anew, escape sequences are
/// left out.
///
/// Threads  one at a time.
class TerminalText {
 public:
  /// The lines that these bytes complete, without their ends.
  std::vector<std::string> add(std::string_view bytes) {
    std::vector<std::string> lines;
    for (const char c : bytes) {
      if (c == '\n') {
        lines.push_back(std::exchange(line_, {}));
        begins_anew_ = false;
      } else if (c == '\r') {
        begins_anew_ = true;
      } else {
        if (std::exchange(begins_anew_, false)) line_.clear();
        if (!is_escaped(c) && line_.size() < most) line_ += c;
      }
    }
    return lines;
  }
  /// The line that is not complete.
  [[nodiscard]] const std::string& open_line() const { return line_; }

 private:
  static constexpr std::size_t most = 4096;  // bytes of a line; no terminal is wider

  /// Whether the character belongs to an escape sequence: ESC, then one character, or `[` and all
  /// up to a letter.
  bool is_escaped(char c) {
    if (escape_ == Escape::none) {
      if (c == '\033') escape_ = Escape::begun;
      return c == '\033';
    }
    if (escape_ == Escape::begun) {
      escape_ = c == '[' ? Escape::inside : Escape::none;
    } else if (c >= '@' && c <= '~') {
      escape_ = Escape::none;
    }
    return true;
  }

  enum class Escape { none, begun, inside };
  std::string line_;
  bool begins_anew_ = false;
  Escape escape_ = Escape::none;
};

}  // namespace gossamer::observe::detail
