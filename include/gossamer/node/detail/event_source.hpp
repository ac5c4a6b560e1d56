// SPDX-License-Identifier: MIT
/// What a node's transport has for it, of which one event may have to wait.
#pragma once

#include <gossamer/node/detail/join_and_leave.hpp>
#include <gossamer/node/detail/node_context.hpp>
#include <gossamer/transport/transport.hpp>

#include <optional>
#include <utility>
#include <variant>

namespace gossamer::detail {

/// What has come, in its order; while gradients are being computed, what is the rule's only, up to
/// the first event that is not. Tells the observer. Threads: as the engine.
class EventSource {
 public:
  explicit EventSource(const NodeContext& node) : node_(node) {}

  /// The next event, or nothing; if `rule_only`, one that is not of the rule stays the next.
  std::optional<transport::Event> next(bool rule_only) {
    if (!next_) next_ = node_.transport().poll();
    if (rule_only && next_ && !is_of_rule(*next_)) return std::nullopt;
    if (next_ && node_.callback() != nullptr) tell(*next_);
    return std::exchange(next_, std::nullopt);
  }
  /// Forgets the event that waits; returns its weight.
  double forget() {
    const auto event = std::exchange(next_, std::nullopt);
    const transport::Message* message = event ? message_of(*event) : nullptr;
    return message != nullptr ? message->weight : 0;
  }

 private:
  static const transport::Message* message_of(const transport::Event& event) {
    if (const auto* delivered = std::get_if<transport::Delivered>(&event)) {
      return &delivered->message;
    }
    const auto* returned = std::get_if<transport::Returned>(&event);
    return returned != nullptr ? &returned->message : nullptr;
  }
  static bool is_of_rule(const transport::Event& event) {
    const transport::Message* message = message_of(event);
    return message != nullptr && !JoinAndLeave::is_reserved(*message);
  }

  void tell(const transport::Event& event) const {
    if (const auto* delivered = std::get_if<transport::Delivered>(&event)) {
      node_.callback()->on_deliver(node_.now(), delivered->message);
    } else if (const auto* returned = std::get_if<transport::Returned>(&event)) {
      node_.callback()->on_return(node_.now(), *returned);
    }
  }

  const NodeContext& node_;
  std::optional<transport::Event> next_;
};

}  // namespace gossamer::detail
