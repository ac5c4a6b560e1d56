// SPDX-License-Identifier: MIT
/// Looks at everything that a frame claims, before any of it is believed.
#pragma once

#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/delivery/frame.hpp>
#include <gossamer/transport/delivery/queues.hpp>

#include <algorithm>
#include <cstdint>

namespace gossamer::transport {

/// What a frame of `peer` for `node` must obey, whatever has happened before.
struct FrameCheck {
  const EventQueue& node;
  PeerId peer;

  [[nodiscard]] Receipt refuse(FrameRule rule, std::uint64_t value, std::uint64_t limit) const {
    return {FrameFate::refused, {node.self, peer, rule, value, limit}};
  }

  /// Whose it is; and one that is of no session claims nothing.
  [[nodiscard]] Receipt identity(const DeliveryFrame& frame) const {
    if (frame.from.incarnation == 0 || frame.from.epoch == 0) {
      return refuse(FrameRule::identity, 0, 0);
    }
    const std::uint64_t most =
        std::max({frame.accepted, frame.granted, frame.delivered, frame.seen, frame.wanted,
                  frame.withdrawn, frame.sequence, std::uint64_t{frame.offer.has_value()}});
    return !frame.open && most > 0 ? refuse(FrameRule::hello, most, 0) : Receipt{};
  }

  /// What it says of the messages of a session.
  [[nodiscard]] Receipt counters(const DeliveryFrame& frame, const DeliveryOutgoing& out,
                                 const DeliveryIncoming& in) const {
    const std::uint64_t last = in.polled + node.limits.messages;
    if (frame.accepted > out.offered) {
      return refuse(FrameRule::accepted, frame.accepted, out.offered);
    }
    if (const auto known = std::max(frame.seen, frame.wanted); known > out.offered) {
      return refuse(FrameRule::wanted, known, out.offered);
    }
    if (frame.granted > in.accepted) return refuse(FrameRule::granted, frame.granted, in.accepted);
    if (frame.delivered > out.granted) {
      return refuse(FrameRule::delivered, frame.delivered, out.granted);
    }
    if (frame.sequence > last || (frame.sequence > 0) != frame.offer.has_value()) {
      return refuse(FrameRule::sequence, frame.sequence, last);
    }
    return frame.offer ? offer(*frame.offer) : Receipt{};
  }

 private:
  [[nodiscard]] Receipt offer(const Message& offer) const {
    if (offer.from != peer) return refuse(FrameRule::sender, offer.from, peer);
    if (offer.to != node.self) return refuse(FrameRule::receiver, offer.to, node.self);
    if (offer.weight >= 0 && offer.weight <= node.limits.weight) return {};
    Receipt receipt = refuse(FrameRule::weight, 0, 0);
    receipt.error.weight = offer.weight;
    receipt.error.weight_limit = node.limits.weight;
    return receipt;
  }
};

}  // namespace gossamer::transport
