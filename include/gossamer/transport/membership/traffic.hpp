// SPDX-License-Identifier: MIT
/// What passes between a member and one peer, for those who look on.
#pragma once

#include <gossamer/transport/membership/membership.hpp>

#include <cstdint>

namespace gossamer::transport {

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
