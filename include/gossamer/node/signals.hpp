// SPDX-License-Identifier: MIT
/// Ctrl+C, as a question that a group can ask. Apart from <gossamer/gossamer.hpp>, since Asio takes
/// as long to compile as the rest of the library.
#pragma once

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>

#include <csignal>
#include <system_error>

namespace gossamer {

/// Catches SIGINT and SIGTERM for as long as it lives:
///
///     gossamer::Signals signals;
///     GroupOptions(8).stop_when([&] { return signals.received() != 0; });
///
/// The first signal is kept until somebody asks; after that, a second one has its usual effect and
/// ends the process. Threads: `received()` by one at a time.
class Signals {
 public:
  Signals() : signals_(io_, SIGINT, SIGTERM) {
    signals_.async_wait([this](const std::error_code& error, int number) {
      if (error) return;
      number_ = number;
      signals_.clear();
    });
  }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// The signal that came, SIGINT or SIGTERM, or 0. Never blocks.
  [[nodiscard]] int received() {
    io_.poll();
    return number_;
  }

 private:
  asio::io_context io_;
  asio::signal_set signals_;
  int number_ = 0;
};

}  // namespace gossamer
