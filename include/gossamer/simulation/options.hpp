// SPDX-License-Identifier: MIT
/// What a simulated world is told when it is made: how many nodes, and the network between them.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/simulation/rate_law.hpp>
#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/transport.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace gossamer::transport {

/// One direction of a link.
struct SimulatedLink {
  Time latency = std::chrono::microseconds(100);
  double bytes_per_second = 0;  ///< 0: no limit of its own
  double loss = 0;              ///< share of the frames that vanish
};

/// What the network does to frames, on all links alike, beside the links' own loss.
struct SimulatedNoise {
  double loss = 0;       ///< share of the frames that vanish,
  double duplicate = 0;  ///< that arrive twice,
  double reorder = 0;    ///< and that are late, by up to `late_by`, so that others overtake them
  Time late_by = std::chrono::milliseconds(1);
};

/// A node's own way to the network and from it, by laws; null: what `SimulatedOptions` says of all.
struct SimulatedAccess {
  std::shared_ptr<RateLaw> uplink;
  std::shared_ptr<RateLaw> downlink;
};

/// Options of a simulated world.
struct SimulatedOptions {
  explicit SimulatedOptions(std::size_t nodes = 1) : nodes_(nodes) {}

  /// How many nodes are members from the start, >= 1.
  TORCH_ARG(std::size_t, nodes);
  /// Feeds all that is random in the network.
  TORCH_ARG(std::uint64_t, seed) = 0;
  /// Every link, unless `link_of` is set.
  TORCH_ARG(SimulatedLink, link) = {};
  /// The link from one node to another; asked once for each pair that talks.
  TORCH_ARG(std::function<SimulatedLink(PeerId, PeerId)>, link_of) = nullptr;
  TORCH_ARG(SimulatedNoise, noise) = {};
  /// Bytes per second that a node can send, and receive, over all its links; 0: no limit.
  TORCH_ARG(double, uplink) = 0;
  TORCH_ARG(double, downlink) = 0;
  /// The same of nodes that have laws of their own; asked once for each node of each world.
  TORCH_ARG(std::function<SimulatedAccess(PeerId)>, access_of) = nullptr;
  /// Whom a node knows from the start, ascending, without itself; unset: everybody. In a large
  /// world name a few for each, for memory grows with the number of pairs.
  TORCH_ARG(std::function<std::vector<PeerId>(PeerId)>, peers_of) = nullptr;
  /// How long it takes until the others know what a node publishes of itself (`Counters`); >= 0. In
  /// a real network that news rides on messages and heartbeats. `work_done()` are known at once.
  TORCH_ARG(Time, status_delay) = Time(0);
  /// What a link may hold.
  TORCH_ARG(DeliveryLimits, limits) = {};
  /// After how long a silence, beyond the way there and back, something is said again; > 0.
  /// Doubled each time, up to an eighth of `dead_after`, and to the whole with a peer that is gone.
  TORCH_ARG(Time, resend_after) = std::chrono::milliseconds(20);
  /// After how long a silence of a peer that should answer it is taken for dead; > 0.
  TORCH_ARG(Time, dead_after) = std::chrono::milliseconds(500);

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (nodes_ == 0) throw ConfigError("SimulatedOptions: nodes must be at least 1, got 0");
    if (resend_after_.count() <= 0 || dead_after_.count() <= 0) {
      throw ConfigError(
          c10::str("SimulatedOptions: resend_after and dead_after must be positive, got ",
                   resend_after_.count(), " ns and ", dead_after_.count(), " ns"));
    }
    if (status_delay_.count() < 0) {
      throw ConfigError(c10::str("SimulatedOptions: status_delay must not be negative, got ",
                                 status_delay_.count(), " ns"));
    }
    for (const double share : {noise_.loss, noise_.duplicate, noise_.reorder, link_.loss}) {
      if (!(share >= 0 && share <= 1)) {
        throw ConfigError(
            c10::str("SimulatedOptions: a share of the frames must lie in [0, 1], got ", share));
      }
    }
    for (const double rate : {uplink_, downlink_, link_.bytes_per_second}) {
      if (!(rate >= 0)) {
        throw ConfigError(
            c10::str("SimulatedOptions: bytes per second must not be negative, got ", rate));
      }
    }
    limits_.check();
  }
};

/// Seconds as virtual time.
inline Time seconds(double s) { return Time(static_cast<Time::rep>(s * 1e9)); }

}  // namespace gossamer::transport
