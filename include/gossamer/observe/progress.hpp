// SPDX-License-Identifier: MIT
/// One line that says how far a run is: rewritten in place on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <ostream>
#include <string>
#include <unistd.h>

namespace gossamer::observe {

/// 1234567 as "1,234,567".
inline std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, 1, ',');
  return text;
}

/// Seconds as "1:05" or "2:03:00".
inline std::string clock(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "-:--";
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  char text[32];
  if (total >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(total / 3600),
                  static_cast<long long>(total / 60 % 60), static_cast<long long>(total % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", static_cast<long long>(total / 60),
                  static_cast<long long>(total % 60));
  }
  return text;
}

/// How far a run is.
struct ProgressState {
  std::uint64_t done = 0;
  std::uint64_t total = 0;     ///< 0: not known
  double fraction = 0;         ///< of the budget, in [0, 1]
  double seconds = 0;          ///< so far
  double left = -1;            ///< seconds to go; negative: not known
  double speed = 0;            ///< units per second
  double loss = 0;             ///< mean since the last line
  double consensus_error = 0;  ///< at the last evaluation; negative: not known
  std::uint64_t messages = 0;
  std::string network;  ///< of the peers, in words; may be empty
};

/// Prints ProgressState. Not thread-safe.
class ProgressLine {
 public:
  /// `unit` is what is counted: "images". `every`: how often a plain line comes where the output is
  /// not a terminal.
  ProgressLine(std::ostream& out, bool terminal, std::string unit,
               std::chrono::seconds every = std::chrono::seconds(10))
      : out_(out), terminal_(terminal), unit_(std::move(unit)), every_(every) {}

  /// Whether this process's standard output is a terminal.
  static bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

  static std::string text(const ProgressState& state, const std::string& unit) {
    char numbers[128];
    std::string line = grouped(state.done);
    if (state.total > 0) line += " / " + grouped(state.total);
    line += " " + unit;
    std::snprintf(numbers, sizeof numbers, "  %3.0f %%  %.0f %s/s  loss %.4f", 100 * state.fraction,
                  state.speed, unit.c_str(), state.loss);
    line += numbers;
    if (state.consensus_error >= 0) {
      std::snprintf(numbers, sizeof numbers, "  consensus %.4g", state.consensus_error);
      line += numbers;
    }
    line += "  messages " + grouped(state.messages);
    if (!state.network.empty()) line += "  " + state.network;
    return line + "  left " + clock(state.left);
  }

  /// Shows the state, if it is time for it.
  void show(const ProgressState& state) {
    const auto now = std::chrono::steady_clock::now();
    if (terminal_) {
      out_ << '\r' << text(state, unit_) << "\033[K" << std::flush;
      open_ = true;
    } else if (now - last_ >= every_) {
      out_ << text(state, unit_) << std::endl;
      last_ = now;
    }
  }

  /// A line of its own; the progress line goes on below it.
  void say(const std::string& line) {
    clear();
    out_ << line << std::endl;
  }

  /// Takes the progress line away, so that others may write.
  void clear() {
    if (open_) out_ << "\r\033[K" << std::flush;
    open_ = false;
  }

 private:
  std::ostream& out_;
  bool terminal_;
  std::string unit_;
  std::chrono::steady_clock::duration every_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  bool open_ = false;
};

}  // namespace gossamer::observe
