// SPDX-License-Identifier: MIT
/// What all links of one node share: its number, the limits, and the events that wait for it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/transport/delivery/ring.hpp>
#include <gossamer/transport/message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace gossamer::transport {

/// What a link to one peer may hold in each direction; the same on all nodes of a group.
struct DeliveryLimits {
  std::size_t messages = 64;                 ///< that are not yet confirmed, >= 1
  std::size_t bytes = std::size_t{1} << 28;  ///< of these; one message may be larger if it is alone
  double weight = 2;                         ///< of one message; the total is 1, but for rounding
  /// What a node may hold of all its peers together: asked for, or here and not polled. Messages of
  /// up to a quarter of it, and the first `budget_messages` of any size, find room.
  std::size_t budget = std::size_t{1} << 28U;
  std::size_t budget_messages = 4;
  std::size_t eager = std::size_t{1} << 14U;  ///< up to so many bytes are sent unasked
  std::size_t doubt = std::size_t{1} << 26U;  ///< of content that is kept for peers that are gone

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (messages == 0) throw ConfigError("DeliveryLimits: messages must be at least 1, got 0");
    if (!(weight > 0)) {
      throw ConfigError("DeliveryLimits: weight must be positive, got " + std::to_string(weight));
    }
  }

  /// Whether `next` has room beside that many messages and bytes.
  [[nodiscard]] bool fits(std::size_t count, std::size_t size, const Message& next) const {
    return count == 0 ||
           (count < messages && next.bytes() <= bytes && size <= bytes - next.bytes());
  }
};

/// One per node; its links write into it.
struct EventQueue {
  /// An event that the node has not polled, and the link that it is of.
  struct Queued {
    Event event;
    PeerId peer = 0;
    std::uint64_t epoch = 0;  ///< this node's side of the session in which it was delivered

    /// The message of a Delivered; else null.
    [[nodiscard]] const Message* delivered() const {
      const auto* one = std::get_if<Delivered>(&event);
      return one != nullptr ? &one->message : nullptr;
    }
  };

  PeerId self = 0;
  DeliveryLimits limits = {};
  bool leaving = false;
  Ring<Queued> events = {};
  std::size_t taken = 0;      ///< of the budget, in bytes
  Ring<PeerId> waiting = {};  ///< peers whose next offer has had no room in it
  std::size_t doubtful = 0;   ///< bytes of content that is in doubt
  Ring<PeerId> doubted = {};  ///< with whom, the oldest first

  [[nodiscard]] bool has_room(std::size_t bytes) const {
    return taken == 0 || taken + bytes <= std::max(limits.budget, limits.budget_messages * bytes);
  }

  /// The peer's next offer has no room: it waits behind those who do.
  void wait(PeerId peer) {
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i] == peer) return;
    }
    waiting.push(peer);
  }
  /// It waits behind all others, whether it has waited before or not.
  void wait_last(PeerId peer) {
    for (std::size_t i = waiting.size(); i > 0; --i) {
      if (const PeerId one = waiting.pop(); one != peer) waiting.push(one);
    }
    waiting.push(peer);
  }

  void deliver(PeerId peer, std::uint64_t epoch, Message message) {
    events.push({Delivered{std::move(message)}, peer, epoch});
  }
  void give_back(Message message, Reason reason) {
    const PeerId peer = message.to;
    events.push({Returned{std::move(message), reason}, peer, 0});
  }
  void tell(PeerId peer, Event news) { events.push({std::move(news), peer, 0}); }
};

}  // namespace gossamer::transport
