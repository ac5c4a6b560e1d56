// SPDX-License-Identifier: MIT
/// At most one request of a node is under way: what the rules that ask have in common.
#pragma once

#include <gossamer/rule/scope.hpp>

#include <optional>
#include <utility>

namespace gossamer::rule {

/// With several requests under way, answers that know nothing of each other add up and the asker
/// overshoots. A request ends with an answer, when it comes back, or with a peer that is gone.
/// Threads: as a rule.
class OneRequest {
 public:
  [[nodiscard]] bool open() const noexcept { return asked_.has_value(); }

  void ask(Scope& scope, Message request) {
    asked_ = request.to;
    scope.send(std::move(request));
  }
  /// That peer has answered, or the request to it has come back. Others' late ones change nothing.
  void end(PeerId peer) {
    if (asked_ == peer) asked_.reset();
  }
  /// A peer that has finished still answers; one that is gone does not.
  void on_peer_left(const PeerLeft& gone) {
    if (gone.reason != Reason::finished) end(gone.peer);
  }

 private:
  std::optional<PeerId> asked_;
};

}  // namespace gossamer::rule
