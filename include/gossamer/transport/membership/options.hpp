// SPDX-License-Identifier: MIT
/// What a member of a group is told when it is made: who it is, whom it knows, and its patience.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/membership/agreement.hpp>
#include <gossamer/transport/transport.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace gossamer::transport {

/// How long a member waits for what.
struct MembershipTimers {
  /// Who has said nothing for this long says that it is there.
  Time heartbeat = std::chrono::milliseconds(500);
  /// A peer that was not heard for this long is taken for dead. A peer that is dead is dialed again
  /// in this rhythm, for it may be back.
  Time dead_after = std::chrono::seconds(10);
  /// What was not answered is said again after this; doubled each time, up to `dead_after`.
  Time resend_after = std::chrono::seconds(1);
  /// An address that did not answer is dialed again after this; doubled each time.
  Time redial_after = std::chrono::milliseconds(200);
  /// Within this a connection has got through its handshake, or is closed.
  Time handshake = std::chrono::seconds(10);

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    for (const Time time : {heartbeat, dead_after, resend_after, redial_after, handshake}) {
      if (time.count() <= 0) {
        throw ConfigError(
            c10::str("MembershipTimers: times must be positive, got ", time.count(), " ns"));
      }
    }
    if (dead_after < 2 * heartbeat) {
      throw ConfigError(c10::str("MembershipTimers: dead_after must be at least twice heartbeat (",
                                 heartbeat.count(), " ns), got ", dead_after.count(), " ns"));
    }
  }

  /// How often `Membership::tick()` wants to be called.
  [[nodiscard]] Time tick() const {
    return std::max<Time>(std::min({heartbeat, dead_after, resend_after, redial_after}) / 4,
                          std::chrono::milliseconds(1));
  }
};

/// A member's place in its group.
struct MembershipOptions {
  PeerId number = 0;
  /// Of this start of the node, such as its time. A node that is told of a later one before it has
  /// met anybody takes the one after that, so that a clock which was set back does no harm.
  std::uint64_t incarnation = 1;
  std::uint32_t world_size = 0;       ///< how many nodes the run begins with; 0: not known
  std::string run = "gossamer";       ///< only nodes of the same run meet
  Agreement agreement;                ///< what else they must have in common
  std::string address;                ///< where others dial this node; empty: they cannot
  std::vector<std::string> contacts;  ///< addresses of members; any one will do
  MembershipTimers timers;
  DeliveryLimits limits;
  std::uint64_t seed = 0;  ///< of the choice whom to tell what
};

}  // namespace gossamer::transport
