// SPDX-License-Identifier: MIT
/// How long something has gone on, all stretches together.
#pragma once

#include <chrono>

namespace gossamer::observe {

/// Threads: one at a time.
class Stopwatch {
 public:
  using Seconds = std::chrono::duration<double>;

  /// Runs as long as this lives.
  class Stretch {
   public:
    explicit Stretch(Stopwatch& watch) : watch_(watch) {
      watch_.running_ = true;
      watch_.began_ = Clock::now();
    }
    Stretch(const Stretch&) = delete;
    Stretch& operator=(const Stretch&) = delete;
    ~Stretch() {
      watch_.before_ = watch_.elapsed();
      watch_.running_ = false;
    }

   private:
    Stopwatch& watch_;
  };

  [[nodiscard]] Seconds elapsed() const {
    return running_ ? before_ + Seconds(Clock::now() - began_) : before_;
  }
  /// It has gone on for so long already.
  void set(Seconds elapsed) { before_ = elapsed; }

 private:
  using Clock = std::chrono::steady_clock;

  Seconds before_{0};
  Clock::time_point began_;
  bool running_ = false;
};

}  // namespace gossamer::observe
