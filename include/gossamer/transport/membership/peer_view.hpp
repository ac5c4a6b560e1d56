// SPDX-License-Identifier: MIT
/// What is known of a peer, and what passes between it and a member, for those who look on.
#pragma once

#include <gossamer/peers.hpp>
#include <gossamer/transport/delivery/ledger.hpp>
#include <gossamer/transport/wire/presence.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace gossamer::transport {

/// What a member knows of one peer, for those who look on.
struct MembershipView {
  PeerId peer = 0;
  std::string address;
  wire::Presence presence = wire::Presence::live;
  bool connected = false;
  std::chrono::nanoseconds round_trip{0};  ///< 0: not measured yet
  double bytes_per_second = 0;             ///< of messages to it; 0: not measured yet
  Counters status;
  Ledger ledger;  ///< with the incarnation that was met last
};

/// Bytes and frames to and from one peer.
struct Traffic {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;

  Traffic& operator+=(const Traffic& other) {
    bytes_sent += other.bytes_sent;
    bytes_received += other.bytes_received;
    frames_sent += other.frames_sent;
    frames_received += other.frames_received;
    return *this;
  }
};

/// What is known of one peer.
struct PeerView : MembershipView {
  Traffic traffic;
};

}  // namespace gossamer::transport
