// SPDX-License-Identifier: MIT
/// What all links of one node share: its number, the limits, and the events that wait for it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/transport/delivery/ring.hpp>
#include <gossamer/transport/message.hpp>

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
  };

  PeerId self = 0;
  DeliveryLimits limits = {};
  bool leaving = false;
  Ring<Queued> events = {};

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
