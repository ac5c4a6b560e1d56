// SPDX-License-Identifier: MIT
/// What a simulated world counts: frames, and where the weight is that no node has in its model.
#pragma once

#include <cstdint>

namespace gossamer::transport {

/// What has passed over the network since the beginning.
struct SimulatedTraffic {
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  std::uint64_t lost = 0;         ///< frames that vanished, those to nodes that were gone included
  std::uint64_t duplicates = 0;   ///< frames that came twice
  std::uint64_t late = 0;         ///< frames that others could overtake
  std::uint64_t resends = 0;      ///< time-outs after which something was said again
  std::uint64_t withdrawals = 0;  ///< room that went to others, since its peer brought nothing
  std::uint64_t repetitions = 0;  ///< contents that were sent again without such a reason: 0
  std::uint64_t suspicions =
      0;                      ///< time-outs after which a peer was taken for dead, right or wrong
  std::uint64_t refused = 0;  ///< frames that a receiver refused: 0, unless the delivery is broken
};

/// Where the weight is, by the ledgers of the nodes that run:
///
///     weight of the live nodes' models + in_hand + on_the_way + with_the_gone
///         + what the incarnations that are over began with   =   1
struct WeightAudit {
  double in_hand = 0;        ///< in nodes' queues: theirs, but not yet in their models
  double on_the_way = 0;     ///< given away by one running node and not yet had by the other
  double with_the_gone = 0;  ///< what incarnations that are over gained until their end
  /// The smallest amount on the way of one link: negative if something was delivered that was not
  /// given, or twice.
  double least_on_the_way = 0;
  std::uint64_t in_doubt = 0;  ///< messages whose sender cannot know if they were delivered
};

}  // namespace gossamer::transport
