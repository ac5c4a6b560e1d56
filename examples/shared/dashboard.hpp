// SPDX-License-Identifier: MIT
/// The table of nodes in the terminal, where the program was built with ncurses.
#pragma once

#include <memory>
#include <string>

namespace gossamer::observe {
class WatchState;
}

namespace examples {

/// `gossamer::observe::Dashboard` without ncurses' macros.
class Dashboard {
 public:
  /// Why there can be none, in a sentence; empty: there can.
  static std::string obstacle();
  /// Throws ConfigError where there can be none.
  explicit Dashboard(std::shared_ptr<const gossamer::observe::WatchState> state);
  Dashboard(const Dashboard&) = delete;
  Dashboard& operator=(const Dashboard&) = delete;
  ~Dashboard();

  /// Gives the terminal back.
  void leave();

 private:
  struct Shown;
  std::unique_ptr<Shown> shown_;
};

}  // namespace examples
