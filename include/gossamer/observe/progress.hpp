// SPDX-License-Identifier: MIT
/// One line that says how far a run is: rewritten in place on a terminal, plain lines elsewhere.
#pragma once

#include <gossamer/node/stop_condition.hpp>
#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/connections.hpp>
#include <gossamer/observe/group_state.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <ostream>
#include <string>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

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

/// All peers in a few words.
inline std::string in_words(const std::vector<transport::PeerView>& peers) {
  std::size_t connected = 0;
  std::size_t gone = 0;
  std::uint64_t bytes = 0;
  double slowest = 0;
  for (const transport::PeerView& peer : peers) {
    using transport::wire::Presence;
    connected += peer.connected ? 1 : 0;
    gone += peer.presence == Presence::left || peer.presence == Presence::lost ? 1 : 0;
    bytes += peer.traffic.bytes_sent + peer.traffic.bytes_received;
    slowest = std::max(slowest, static_cast<double>(peer.round_trip.count()) / 1e6);
  }
  char text[96];
  std::snprintf(text, sizeof text, "peers %zu up, %zu gone, %.1f MB, slowest %.1f ms", connected,
                gone, static_cast<double>(bytes) / 1e6, slowest);
  return text;
}

/// Shows a group's progress towards a goal while it trains. Speed counts from the first run that it
/// is told of, the loss from the last evaluation, of which it also takes "consensus_error".
///
///     auto progress = std::make_shared<observe::Progress>(
///         observe::ProgressLine(std::cout, observe::ProgressLine::stdout_is_terminal(), "images"),
///         StopCondition().samples(500'000));
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(progress), rule::GoSgd(0.02));
///
/// Threads  the one that owns the group.
class Progress final : public Callback {
 public:
  /// Of the goal, samples and duration are looked at; the duration, if both are there.
  Progress(ProgressLine line, StopCondition goal) : line_(std::move(line)), goal_(goal) {}

  [[nodiscard]] ProgressLine& line() { return line_; }

  void on_run_begin(Time, const GroupState& state) override {
    if (std::exchange(begun_, true)) return;
    first_ = evaluated_ = state.totals;
    wall_before_ = state.wall;
  }
  void on_tick(Time, const GroupState& state) override { line_.show(progress_of(state)); }
  void on_evaluation(Time, const Evaluation& found, const GroupState& state) override {
    loss_ = loss_since_evaluation(state.totals);
    evaluated_ = state.totals;
    for (const auto& [name, value] : found) {
      if (name != "consensus_error") continue;
      if (const double* error = std::get_if<double>(&value)) consensus_error_ = *error;
    }
  }

  /// How far the group is.
  [[nodiscard]] ProgressState progress_of(const GroupState& group) const {
    ProgressState state;
    state.done = group.totals.samples;
    state.seconds = (group.wall - wall_before_).count();
    const auto fresh = static_cast<double>(state.done - std::min(state.done, first_.samples));
    state.speed = fresh / std::max(state.seconds, 1e-9);
    state.messages = group.totals.messages_sent;
    state.loss = loss_since_evaluation(group.totals);
    state.consensus_error = consensus_error_;
    if (group.connections) state.network = in_words(group.connections->peers);
    if (goal_.samples()) {
      state.total = *goal_.samples();
      const auto total = static_cast<double>(std::max<std::uint64_t>(state.total, 1));
      state.fraction = static_cast<double>(state.done) / total;
      const auto rest = static_cast<double>(state.total - std::min(state.total, state.done));
      state.left = rest / std::max(state.speed, 1e-9);
    }
    if (goal_.duration()) {
      state.fraction = group.elapsed / std::chrono::duration<double>(*goal_.duration());
      state.left = state.fraction > 0 ? group.wall.count() * (1 / state.fraction - 1) : -1;
    }
    return state;
  }

 private:
  [[nodiscard]] double loss_since_evaluation(const Counters& totals) const {
    if (totals.steps <= evaluated_.steps) return loss_;
    return (totals.loss_sum - evaluated_.loss_sum) /
           static_cast<double>(totals.steps - evaluated_.steps);
  }

  ProgressLine line_;
  StopCondition goal_;
  bool begun_ = false;
  Counters first_;      // at the first run,
  Counters evaluated_;  // and at the last evaluation
  std::chrono::duration<double> wall_before_{0};
  double loss_ = 0;
  double consensus_error_ = -1;  // not known
};

}  // namespace gossamer::observe
