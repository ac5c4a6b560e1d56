// SPDX-License-Identifier: MIT
/// At most one request of a node is under way: what the rules that ask have in common.
#pragma once

#include <gossamer/rule/context.hpp>

#include <cstdint>
#include <optional>
#include <utility>

namespace gossamer::rule {

/// With several requests under way, answers that know nothing of each other add up and the asker
/// overshoots. A request ends with an answer, when it comes back, or with a peer that is gone.
/// Requests are numbered in the lower half of their `round`, which an answer repeats.
/// Threads: as a rule.
class OneRequest {
 public:
  [[nodiscard]] bool open() const noexcept { return asked_.has_value(); }
  /// Who is asked; nobody if no request is open.
  [[nodiscard]] std::optional<PeerId> asked() const noexcept { return asked_; }
  /// The number of the last request; 0: there was none.
  [[nodiscard]] std::uint32_t round() const noexcept { return round_; }

  void ask(RuleContext& context, Message request) {
    asked_ = request.to;
    request.round = request.round >> 32U << 32U | ++round_;
    context.send(std::move(request));
  }
  /// That peer has answered the request of that number, or it has come back from there. A late
  /// answer to an earlier one changes nothing.
  void end(PeerId peer, std::uint64_t round) {
    if (asked_ == peer && round_ == (round & 0xffffffffU)) asked_.reset();
  }
  /// One that is gone does not answer any more; one that has finished does, some time, for who is
  /// patient.
  void on_peer_left(const PeerLeft& gone, bool is_patient = true) {
    if (asked_ != gone.peer || (is_patient && gone.reason == Reason::finished)) return;
    asked_.reset();
  }

 private:
  std::optional<PeerId> asked_;
  std::uint32_t round_ = 0;
};

}  // namespace gossamer::rule
