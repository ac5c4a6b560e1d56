// SPDX-License-Identifier: MIT
/// PerSyn: all nodes take the mean of their parameters every tau steps.
#pragma once

#include <gossamer/rule/exact_average.hpp>
#include <gossamer/rule/rule.hpp>

#include <cstdint>
#include <span>
#include <string>

namespace gossamer::rule {

/// Periodic averaging, also known as local SGD:
///
///     every tau steps  x_m <- (1/M) sum over k of x_k, for all m
///
/// The mean is taken before the next step, with all messages that belong to it; training stands
/// still meanwhile. Momentum buffers stay local.
///
/// Invariant  sum of x.
/// Cost       2 (M - 1) vectors per tau steps over the group, through one node or, in `parts`,
///            evenly; every node waits for the slowest.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when tau or parts is 0, and when a peer turns out to use another number
/// of
///            parts.
/// Source     "PerSyn" in Blot et al., arXiv:1804.01852. Compare at p = 1 / tau.
class PerSyn : public Neutral {
 public:
  explicit PerSyn(std::uint64_t tau) : tau_(tau) {
    if (tau == 0) throw ConfigError("PerSyn: tau must be at least 1, got 0");
  }

  /// Into how many pieces the parameters are cut, each reduced by another node; >= 1, on all nodes
  /// the same. 1 is right within one process, the number of nodes on a network: see `ExactAverage`.
  PerSyn& parts(std::uint32_t parts) {
    average_ = ExactAverage(parts, "PerSyn");
    return *this;
  }

  [[nodiscard]] std::string name() const { return "persyn"; }
  [[nodiscard]] bool lockstep() const { return true; }

  bool may_step(Scope& scope) {
    const bool due = scope.step() % tau_ == 0 && scope.step() / tau_ > averaged_;
    if (due && !average_.waiting()) {
      average_.contribute(scope, scope.step() / tau_, scope.snapshot());
      take(scope);
    }
    return !average_.waiting();
  }
  void on_messages(Scope& scope, std::span<const Message> messages) {
    average_.on_messages(scope, messages);
    take(scope);
  }
  void on_returned(Scope& scope, const Message& message) {
    average_.on_returned(scope, message);
    take(scope);
  }
  void on_leave(Scope& scope) { average_.on_leave(scope); }
  void on_peer_joined(Scope& scope, PeerId peer) { average_.on_peer_joined(scope, peer); }
  void on_peer_left(Scope& scope, const PeerLeft& gone) {
    average_.on_peer_left(scope, gone);
    take(scope);
  }
  void checkpoint(Archive& archive) { archive("averaged", averaged_); }

 private:
  /// Puts the mean in place as soon as it is there.
  void take(Scope& scope) {
    if (average_.waiting() || average_.round() <= averaged_) return;
    scope.model().flat().copy_from(average_.result());
    scope.model().met();
    averaged_ = average_.round();
  }

  std::uint64_t tau_;
  std::uint64_t averaged_ = 0;  // the last round whose mean is in place
  ExactAverage average_;
};

}  // namespace gossamer::rule
