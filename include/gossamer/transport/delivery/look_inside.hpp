// SPDX-License-Identifier: MIT
/// What a driver that sees all nodes at once reads in a delivery, beyond what a real one may.
#pragma once

#include <gossamer/transport/delivery/delivery.hpp>

#include <cstddef>
#include <cstdint>

namespace gossamer::transport {

/// Rules of delivery that may look inside it; they decide nothing.
template <class Rules>
struct LookInside : Rules {
  /// The link to the peer, which the functions below look at; there must be one.
  template <class Delivery>
  [[nodiscard]] static const auto& link(const Delivery& delivery, PeerId peer) {
    return *delivery.find(peer);
  }
  /// Whether the node has the peer among its peers.
  template <class Link>
  [[nodiscard]] static bool knows(const Link& link) {
    return link.known_;
  }
  /// Messages to the peer that are not confirmed, those in doubt included.
  template <class Link>
  [[nodiscard]] static std::size_t outgoing(const Link& link) {
    return link.out_.queue.size();
  }
  /// Of these, the ones that are still this node's.
  template <class Link>
  [[nodiscard]] static std::size_t not_accepted(const Link& link) {
    return link.out_.queue.size() - link.out_.in_their_hands();
  }
  /// Of the others, the ones in doubt.
  template <class Link>
  [[nodiscard]] static std::size_t in_doubt(const Link& link) {
    return link.open_ ? 0 : link.out_.in_their_hands();
  }
  /// A number that changes whenever a message has come further, either way.
  template <class Link>
  [[nodiscard]] static std::uint64_t progress(const Link& link) {
    return link.mine_.epoch + link.out_.confirmed + link.out_.granted + link.in_.granted +
           link.in_.polled + (link.open_ ? 1 : 0);
  }
  /// The session, and how many messages the peer has accepted in it.
  template <class Link>
  [[nodiscard]] static std::uint64_t epoch(const Link& link) {
    return link.mine_.epoch;
  }
  template <class Link>
  [[nodiscard]] static std::uint64_t accepted(const Link& link) {
    return link.out_.granted;
  }
  /// The incarnation of the peer that `ledger(peer)` is of; 0: they have not met.
  template <class Link>
  [[nodiscard]] static std::uint64_t incarnation(const Link& link) {
    return link.incarnation_;
  }
  /// What has passed between this node and that incarnation.
  template <class Link>
  [[nodiscard]] static const Flows& flows(const Link& link) {
    return link.flows_;
  }
};

}  // namespace gossamer::transport
