// SPDX-License-Identifier: MIT
/// What a driver that sees all nodes at once reads in a delivery, beyond what a real one may.
#pragma once

#include <gossamer/transport/delivery.hpp>

#include <cstddef>
#include <cstdint>

namespace gossamer::transport {

/// Rules of delivery that may look inside it; they decide nothing.
template <class Rules>
struct LookInside : Rules {
  template <class Delivery>
  [[nodiscard]] static bool has_event(const Delivery& delivery) {
    return !delivery.home_.events.empty();
  }
  /// Whether the node has the peer among its peers.
  template <class Delivery>
  [[nodiscard]] static bool knows(const Delivery& delivery, PeerId peer) {
    return delivery.find(peer)->known_;
  }
  /// Messages to the peer that are not confirmed, those in doubt included.
  template <class Delivery>
  [[nodiscard]] static std::size_t outgoing(const Delivery& delivery, PeerId peer) {
    return delivery.find(peer)->out_.queue.size();
  }
  /// Of these, the ones in doubt.
  template <class Delivery>
  [[nodiscard]] static std::size_t in_doubt(const Delivery& delivery, PeerId peer) {
    const auto* link = delivery.find(peer);
    return link->open_ ? 0 : link->out_.in_their_hands();
  }
  /// Messages from the peer that were not polled.
  template <class Delivery>
  [[nodiscard]] static std::size_t incoming(const Delivery& delivery, PeerId peer) {
    return delivery.find(peer)->in_.messages;
  }
  /// A number that changes whenever a message has come further, either way.
  template <class Delivery>
  [[nodiscard]] static std::uint64_t progress(const Delivery& delivery, PeerId peer) {
    const auto* link = delivery.find(peer);
    return link->mine_.epoch + link->out_.confirmed + link->out_.granted + link->in_.granted +
           link->in_.polled + (link->open_ ? 1 : 0);
  }
  /// The life of the peer that `ledger(peer)` is of; 0: they have not met.
  template <class Delivery>
  [[nodiscard]] static std::uint64_t life(const Delivery& delivery, PeerId peer) {
    return delivery.find(peer)->life_;
  }
};

}  // namespace gossamer::transport
