// SPDX-License-Identifier: MIT
/// The terminal, taken from this process's output for a while. Needs ncurses.
#pragma once

#include <gossamer/observe/dashboard_rows.hpp>
#include <gossamer/observe/detail/terminal_text.hpp>

#ifndef NCURSES_NOMACROS
#define NCURSES_NOMACROS  // functions, not macros of the same names: move, clear, erase, timeout
                          // ...
#endif
#include <curses.h>
#include <fcntl.h>
#include <poll.h>
#include <termcap.h>
#include <termios.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gossamer::observe::detail {

/// While it holds the terminal, ncurses draws there, and what the process writes to standard
/// output, and to standard error if that is a terminal, is read here, as lines; `release` puts them
/// on the terminal. Resizing is found out by asking, so no handler of SIGWINCH interrupts anybody.
///
/// Threads  `wake`: any; the rest: one at a time. One object at a time.
/// Throws   std::system_error from the constructor.
class TerminalHold {
 public:
  struct News {
    bool is_over = false;  ///< somebody woke it, or the terminal is gone
    bool has_keys = false;
  };

  TerminalHold() {
    std::cout.flush();
    std::cerr.flush();
    std::fflush(nullptr);
    ::tcgetattr(STDIN_FILENO, &before_);
    open_descriptors();
    catch_signals();
    begin_drawing();
    ::dup2(captured_[1], STDOUT_FILENO);
    if (::isatty(STDERR_FILENO) == 1) ::dup2(captured_[1], STDERR_FILENO);
    held().store(this);
    [[maybe_unused]] static const int at_exit = std::atexit(give_back_now);
  }
  TerminalHold(const TerminalHold&) = delete;
  TerminalHold& operator=(const TerminalHold&) = delete;
  ~TerminalHold() {
    release();
    for (const int file : {woken_[0], woken_[1]}) ::close(file);
  }

  /// Ends a `wait`, this one or the next.
  void wake() {
    const char byte = 0;
    [[maybe_unused]] const ssize_t ignored = ::write(woken_[1], &byte, 1);  // full: it is awake
  }
  /// Until there are keys, output or a `wake`, or so long.
  News wait(std::chrono::milliseconds time) {
    std::array<pollfd, 3> files{
        {{STDIN_FILENO, POLLIN, 0}, {captured_[0], POLLIN, 0}, {woken_[0], POLLIN, 0}}};
    if (::poll(files.data(), files.size(), static_cast<int>(time.count())) <= 0) return {};
    if (files[1].revents != 0) read_captured(most_at_once);
    const bool is_gone = (files[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
    return {files[2].revents != 0 || is_gone, (files[0].revents & POLLIN) != 0};
  }
  /// The lines that were written since the last call.
  std::vector<std::string> take_lines() { return std::exchange(lines_, {}); }
  /// What was written after the last line, as a progress line is.
  [[nodiscard]] const std::string& open_line() const { return text_.open_line(); }

  /// The next key as ncurses numbers them; 0: there is none.
  int key() {
    const int key = ::getch();
    return key == ERR ? 0 : key;
  }
  /// Columns and rows.
  std::pair<std::size_t, std::size_t> size() {
    winsize now{};
    const bool is_known = ::ioctl(terminal_, TIOCGWINSZ, &now) == 0 && now.ws_row > 0;
    if (is_known && now.ws_col > 0 && ::is_term_resized(now.ws_row, now.ws_col)) {
      ::resizeterm(now.ws_row, now.ws_col);
      ::clear();
    }
    return {static_cast<std::size_t>(std::max(::getmaxx(stdscr), 0)),
            static_cast<std::size_t>(std::max(::getmaxy(stdscr), 0))};
  }
  void draw(const DashboardPage& page) {
    if (held().load() != this || ::tcgetpgrp(terminal_) != ::getpgrp()) return;  // not ours now
    const auto width = static_cast<std::size_t>(std::max(::getmaxx(stdscr), 0));
    ::erase();
    int y = 0;
    for (const DashboardPage::Row& row : page.rows) {
      std::string text = row.text;
      if (row.style == DashboardPage::Style::reverse) text.resize(width, ' ');
      ::attrset(static_cast<int>(look_of(row.style)));
      ::mvaddnstr(y++, 0, text.c_str(), static_cast<int>(text.size()));
    }
    ::refresh();
  }
  /// As Ctrl+Z does; returns when the process goes on.
  void stop() {
    ::endwin();
    struct sigaction ignore {};
    struct sigaction before {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGTSTP, &ignore, &before);
    ::kill(0, SIGTSTP);  // the others of this job
    ::sigaction(SIGTSTP, &before, nullptr);
    ::pthread_kill(::pthread_self(), SIGSTOP);
  }
  /// Gives the terminal back, as it was, with all that was written since. Again: nothing.
  void release() {
    if (!std::exchange(holds_, false)) return;
    const bool is_ours = held().exchange(nullptr) == this;
    ::endwin();
    let_signals_be();
    if (is_ours) {
      ::dup2(terminal_, STDOUT_FILENO);
      ::dup2(standard_error_, STDERR_FILENO);
      read_captured(std::string::npos);
      write_all(kept_.get(), kept_size_);
      const std::string rest = "\r" + text_.open_line();
      if (rest.size() > 1) write_all(rest.data(), rest.size());
      ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    }
    ::delscreen(screen_);
    std::fclose(out_);  // and with it terminal_
    for (const int file : {captured_[0], captured_[1], standard_error_}) ::close(file);
  }

 private:
  static constexpr std::array<int, 9> signals{SIGINT,  SIGTERM, SIGHUP, SIGQUIT, SIGABRT,
                                              SIGSEGV, SIGBUS,  SIGFPE, SIGILL};
  static constexpr std::size_t most_kept = std::size_t{1} << 18;
  static constexpr std::size_t most_at_once = std::size_t{1} << 16;

  /// For handlers of signals.
  static std::atomic<TerminalHold*>& held() {
    static std::atomic<TerminalHold*> hold = nullptr;
    return hold;
  }

  void open_descriptors() {
    terminal_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    standard_error_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const bool good = terminal_ >= 0 && standard_error_ >= 0 &&
                      ::pipe2(captured_.data(), O_CLOEXEC) == 0 &&
                      ::fcntl(captured_[0], F_SETFL, O_NONBLOCK) == 0 &&
                      ::pipe2(woken_.data(), O_CLOEXEC | O_NONBLOCK) == 0 &&
                      (out_ = ::fdopen(terminal_, "w")) != nullptr;
    if (!good) throw std::system_error(errno, std::generic_category(), "Dashboard: a pipe");
  }
  void begin_drawing() {
    // ncurses would catch these two, and call what no handler may call.
    struct sigaction ignore {};
    std::array<struct sigaction, 2> before{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGTSTP, &ignore, &before[0]);
    ::sigaction(SIGWINCH, &ignore, &before[1]);
    screen_ = ::newterm(nullptr, out_, stdin);
    ::sigaction(SIGTSTP, &before[0], nullptr);
    ::sigaction(SIGWINCH, &before[1], nullptr);
    if (screen_ == nullptr) {
      let_signals_be();
      throw std::system_error(errno, std::generic_category(), "Dashboard: the terminal");
    }
    ::cbreak();
    ::noecho();
    ::keypad(stdscr, TRUE);
    ::nodelay(stdscr, TRUE);
    ::set_escdelay(25);
    ::curs_set(0);
    if (::has_colors()) {
      ::start_color();
      ::use_default_colors();
      ::init_pair(alarm, COLOR_RED, -1);
    }
    termios mode{};
    ::tcgetattr(STDIN_FILENO, &mode);
    mode.c_cc[VSUSP] = _POSIX_VDISABLE;  // Ctrl+Z is a key here: see stop()
    ::tcsetattr(STDIN_FILENO, TCSANOW, &mode);
    ::def_prog_mode();
    for (const char* name : {"me", "ve", "ke", "te"}) {  // attributes, cursor, keypad, screen
      std::array<char, 256> room{};
      char* at = room.data();
      const char* text = ::tgetstr(name, &at);
      if (text != nullptr && std::strchr(text, '$') == nullptr) ending_ += text;
    }
    ending_ += "\r\n";
  }
  static unsigned long look_of(DashboardPage::Style style) {
    switch (style) {
      case DashboardPage::Style::strong:
        return A_BOLD;
      case DashboardPage::Style::reverse:
        return A_REVERSE;
      case DashboardPage::Style::dim:
        return A_DIM;
      case DashboardPage::Style::alarm:
        return A_BOLD | (::has_colors() ? static_cast<unsigned long>(COLOR_PAIR(alarm)) : 0UL);
      default:
        return A_NORMAL;
    }
  }

  void read_captured(std::size_t most) {
    std::array<char, 4096> part;
    for (std::size_t read = 0; read < most;) {
      const ssize_t size = ::read(captured_[0], part.data(), part.size());
      if (size <= 0) return;
      read += static_cast<std::size_t>(size);
      for (std::string& line : text_.add({part.data(), static_cast<std::size_t>(size)})) {
        keep(line);
        lines_.push_back(std::move(line));
      }
    }
  }
  /// For the terminal, when it is given back.
  void keep(const std::string& line) {
    std::size_t size = kept_size_;
    if (size + line.size() + 1 > most_kept) {  // the older half goes
      const char* const middle = kept_.get() + size / 2;
      const char* const end = kept_.get() + size;
      const char* const from = std::min(std::find(middle, end, '\n') + 1, end);
      size = static_cast<std::size_t>(end - from);
      std::memmove(kept_.get(), from, size);
    }
    std::memcpy(kept_.get() + size, line.data(), line.size());
    kept_[size + line.size()] = '\n';
    kept_size_ = size + line.size() + 1;
  }
  void write_all(const char* bytes, std::size_t size) const {
    while (size > 0) {
      const ssize_t written = ::write(terminal_, bytes, size);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;  // it is gone
      bytes += written;
      size -= static_cast<std::size_t>(written);
    }
  }

  // At exit, and in handlers of signals: calls only what may be called there.

  static void give_back_now() {
    TerminalHold* const hold = held().exchange(nullptr);
    if (hold == nullptr) return;
    hold->write_all(hold->ending_.data(), hold->ending_.size());
    ::tcsetattr(STDIN_FILENO, TCSANOW, &hold->before_);
    ::dup2(hold->terminal_, STDOUT_FILENO);
    ::dup2(hold->standard_error_, STDERR_FILENO);
    hold->write_all(hold->kept_.get(), hold->kept_size_);
    std::array<char, 4096> part;
    for (ssize_t size = 1; size > 0;) {
      size = ::read(hold->captured_[0], part.data(), part.size());
      if (size > 0) hold->write_all(part.data(), static_cast<std::size_t>(size));
    }
  }
  static void on_signal(int number) {
    give_back_now();
    ::signal(number, SIG_DFL);
    ::raise(number);
  }
  /// Those that would end the process.
  void catch_signals() {
    struct sigaction ours {};
    ours.sa_handler = on_signal;
    for (const int number : signals) {
      struct sigaction before {};
      ::sigaction(number, nullptr, &before);
      if (before.sa_handler == SIG_DFL) ::sigaction(number, &ours, nullptr);
    }
  }
  void let_signals_be() {
    for (const int number : signals) {
      struct sigaction now {};
      ::sigaction(number, nullptr, &now);
      if (now.sa_handler == on_signal) ::signal(number, SIG_DFL);
    }
  }

  static constexpr short alarm = 1;  // ncurses' number of the pair of colours
  bool holds_ = true;
  int terminal_ = -1;
  int standard_error_ = -1;
  std::array<int, 2> captured_{-1, -1};
  std::array<int, 2> woken_{-1, -1};
  std::FILE* out_ = nullptr;
  SCREEN* screen_ = nullptr;
  termios before_{};
  std::string ending_;  // what gives the screen back
  TerminalText text_;
  std::vector<std::string> lines_;
  std::unique_ptr<char[]> kept_ = std::make_unique<char[]>(most_kept);
  std::atomic<std::size_t> kept_size_ = 0;
};

}  // namespace gossamer::observe::detail
