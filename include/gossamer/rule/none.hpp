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
  [[nodiscard]] bool merges_by_weighted_average() const { return true; }

  void on_messages(RuleContext& context, std::span<const Message> messages) {
    for (const Message& message : messages) inherit(context, message);
  }
  void on_returned(RuleContext& context, const Message& message) { inherit(context, message); }
  void on_leave(RuleContext& context) { bequeath(context, 0); }
};

}  // namespace gossamer::rule
