// SPDX-License-Identifier: MIT
/// Ctrl+C, as a question that a group can ask. Apart from <gossamer/gossamer.hpp>, since Asio takes
/// as long to compile as the rest of the library.
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <csignal>
#include <system_error>

namespace gossamer {

/// Catches SIGINT, SIGTERM and SIGHUP, and ignores SIGPIPE, for as long as it lives:
///
///     gossamer::Signals signals;
///     GroupOptions(8).stop_when([&] { return signals.received() != 0; });
///
/// The first signal is kept until somebody asks. After that, a second SIGINT or SIGTERM has its
/// usual effect and ends the process; SIGHUP, which a closed terminal may send several times (the
/// kernel, and the shell), never does. Where SIGHUP was ignored already, as nohup does, it stays
/// so. Who writes to a closed pipe gets an error, not a signal.
///
/// Threads  `received()` by one at a time. One object at a time.
class Signals {
 public:
  Signals() : signals_(io_, SIGINT, SIGTERM), hang_up_(io_) {
    struct sigaction hang_up {};
    ::sigaction(SIGHUP, nullptr, &hang_up);
    if (hang_up.sa_handler != SIG_IGN) hang_up_.add(SIGHUP);
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &pipe_before_);
    wait(signals_);
    wait(hang_up_);
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals() { ::sigaction(SIGPIPE, &pipe_before_, nullptr); }

  /// The signal that came first, SIGINT, SIGTERM or SIGHUP, or 0. Never blocks.
  [[nodiscard]] int received() {
    io_.poll();
    return number_;
  }

 private:
  void wait(asio::signal_set& set) {
    set.async_wait([this](const std::error_code& error, int number) {
      if (error || number_ != 0) return;
      number_ = number;
      signals_.clear();
    });
  }

  asio::io_context io_;
  asio::signal_set signals_;
  asio::signal_set hang_up_;  // apart: what is caught here is caught to the end
  int number_ = 0;
  struct sigaction pipe_before_ {};
};

}  // namespace gossamer
