// SPDX-License-Identifier: MIT
/// No exchange at all: the baseline that every exchange must beat.
#pragma once

#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>

#include <span>

namespace gossamer::rule {

/// Each node trains alone; with one node, plain single-thread SGD. A leaver's weight goes to a
/// peer.
struct None : Neutral {
  [[nodiscard]] std::string name() const { return "none"; }
  [[nodiscard]] bool uses_merge() const { return true; }

  void on_messages(Scope& scope, std::span<const Message> messages) {
    for (const Message& message : messages) inherit(scope, message);
  }
  void on_returned(Scope& scope, const Message& message) { inherit(scope, message); }
  void on_leave(Scope& scope) { bequeath(scope, 0); }
};

}  // namespace gossamer::rule
