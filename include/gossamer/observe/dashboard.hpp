// SPDX-License-Identifier: MIT
/// A table of nodes in the terminal. Needs ncurses, whose macros come with it, hence not part of
/// gossamer.hpp.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/observe/dashboard_rows.hpp>
#include <gossamer/observe/detail/terminal_hold.hpp>
#include <gossamer/observe/watch_state.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <utility>

namespace gossamer::observe {

/// Shows what a `WatchState`, or the live page's `Watch`, has been told, in the whole of the
/// terminal:
///
///     auto state = std::make_shared<observe::WatchState>();
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(state), rule::GoSgd(0.02));
///     observe::Dashboard dashboard(state);
///     ... train; `dashboard.leave()` where Ctrl+C is noticed ...
///
/// While it shows, what the process writes to standard output, and to standard error if that is the
/// terminal too, goes to the last lines of the view, and all of it, but for lines beyond the last
/// 256 KiB, to the terminal when the view is left. What `ProgressLine` rewrites is one row of the
/// view. Keys: q leaves, j, k, arrows and page keys scroll, Home and End, s changes the sorting;
/// Ctrl+Z stops the process as usual.
///
/// The terminal is as it was after `leave()`, the destructor, `exit`, and, as far as a signal's
/// handler can do that, after a signal that ends the process and has its usual effect (SIGABRT,
/// SIGSEGV, SIGINT ...).
///
/// Cost     a copy of the state, and a page, four times a second, on a thread of its own.
/// Threads  any may call `leave`. One object at a time.
/// Throws   ConfigError from the constructor: `obstacle()`; std::system_error without a pipe.
class Dashboard {
 public:
  explicit Dashboard(std::shared_ptr<const WatchState> state)
      : state_(std::move(state)), hold_(checked()) {
    thread_ = std::thread([this] { show(); });
  }
  Dashboard(const Dashboard&) = delete;
  Dashboard& operator=(const Dashboard&) = delete;
  ~Dashboard() {
    leave();
    if (thread_.joinable()) thread_.join();
  }

  /// Gives the terminal back; returns when that is done. Again and after q: nothing.
  void leave() {
    hold_.wake();
    is_left_.wait(false);
  }

  /// Why this process cannot have one, in a sentence; empty: it can.
  static std::string obstacle() {
    if (::isatty(STDOUT_FILENO) != 1) return "needs a terminal, and standard output is none";
    if (::isatty(STDIN_FILENO) != 1) return "needs a terminal, and standard input is none";
    const char* name = std::getenv("TERM");
    const std::string terminal = name != nullptr ? name : "";
    if (terminal.empty()) return "needs to know the terminal, and TERM is not set";
    if (terminal == "dumb") return "needs a terminal whose cursor moves, and TERM is dumb";
    if (::tgetent(nullptr, name) != 1) {
      return "needs to know the terminal, and terminfo has no " + terminal;
    }
    std::array<char, 1024> room{};
    char* at = room.data();
    const bool moves = ::tgetstr("cm", &at) != nullptr;
    return moves ? ""
                 : "needs a terminal whose cursor moves, and that of " + terminal + " does not";
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds every{250};
  static constexpr std::size_t most_log = 50;

  static detail::TerminalHold checked() {
    const std::string why = obstacle();
    if (!why.empty()) throw ConfigError("Dashboard: " + why);
    return {};
  }

  // All below: on the view's thread.

  void show() {
    sigset_t all;
    ::sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::sigdelset(&all, fault);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);  // they are for others
    auto next = Clock::now();
    while (true) {
      const auto left = std::max(next - Clock::now(), Clock::duration::zero());
      const auto wait = std::chrono::ceil<std::chrono::milliseconds>(left);
      const detail::TerminalHold::News news = hold_.wait(wait);
      for (std::string& line : hold_.take_lines()) log_.push_back(std::move(line));
      while (log_.size() > most_log) log_.pop_front();
      if (news.is_over) break;
      bool stays = true;
      while (const int key = hold_.key()) stays = stays && press(key);
      if (!stays) break;
      if (news.has_keys || Clock::now() >= next) {
        draw();
        next = Clock::now() + every;
      }
    }
    hold_.release();
    is_left_ = true;
    is_left_.notify_all();
  }

  /// Returns whether the view stays.
  bool press(int key) {
    const std::size_t page = std::max<std::size_t>(shown_, 1);
    switch (key) {
      case 'q':
        return false;
      case 's': {
        const int next = static_cast<int>(look_.order) + 1;
        look_.order = DashboardOrder(next % (static_cast<int>(DashboardOrder::state) + 1));
        break;
      }
      case 'j':
      case KEY_DOWN:
        ++look_.first;
        break;
      case 'k':
      case KEY_UP:
        look_.first -= std::min<std::size_t>(look_.first, 1);
        break;
      case ' ':
      case KEY_NPAGE:
        look_.first += page;
        break;
      case KEY_PPAGE:
        look_.first -= std::min(look_.first, page);
        break;
      case KEY_HOME:
        look_.first = 0;
        break;
      case KEY_END:
        look_.first = state_->view().nodes.size();
        break;
      case 'Z' & 0x1f:
        hold_.stop();
        break;
      default:
        break;
    }
    return true;
  }

  void draw() {
    std::tie(look_.width, look_.height) = hold_.size();
    look_.progress = hold_.open_line();
    look_.log.assign(log_.begin(), log_.end());
    look_.rates = &rates_;
    const WatchView view = state_->view();
    rates_.look_at(view);
    const DashboardPage page = dashboard_page(view, look_);
    look_.first = page.first;
    shown_ = page.shown;
    hold_.draw(page);
  }

  std::shared_ptr<const WatchState> state_;
  detail::TerminalHold hold_;
  DashboardLook look_;
  DashboardRates rates_;
  std::deque<std::string> log_;
  std::size_t shown_ = 0;  // rows of the table
  std::atomic<bool> is_left_ = false;
  std::thread thread_;
};

}  // namespace gossamer::observe
