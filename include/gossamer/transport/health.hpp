// SPDX-License-Identifier: MIT
/// What a node has found out about a peer by sending to it.
#pragma once

#include <gossamer/fwd.hpp>

#include <concepts>
#include <cstdint>

namespace gossamer::transport {

/// How messages to one peer have fared, for choosing peers and for looking at.
struct PeerHealth {
  /// Of the last messages to that peer: when there are `window`, both counts are halved, so that
  /// old times are forgotten.
  std::uint32_t sent = 0;
  /// Of these, those that came back: its queue was full, or it could not be reached for too long.
  std::uint32_t returned = 0;
  /// A message's bytes by the time from its sending to the news that the peer has it, a sliding
  /// mean; 0: not measured.
  double bytes_per_second = 0;

  static constexpr std::uint32_t window = 64;

  void count_sent() {
    if (++sent < window) return;
    sent /= 2;
    returned /= 2;
  }
  void count_returned() { ++returned; }
};

namespace has {
template <class T>
concept speed = requires(const T& t, PeerId peer) {
  { t.speed(peer) } -> std::same_as<double>;
};
}  // namespace has

/// The speed that a transport has measured, in bytes per second; 0 if it has not, or does not. An
/// operation beyond the contract: `double speed(PeerId peer) const`.
template <class T>
double measured_speed(const T& transport, PeerId peer) {
  if constexpr (has::speed<T>) {
    return transport.speed(peer);
  } else {
    return 0;
  }
}

}  // namespace gossamer::transport
