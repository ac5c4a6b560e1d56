// SPDX-License-Identifier: MIT
/// What a rule sees and changes of its node while one of its hooks runs.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/health.hpp>
#include <gossamer/transport/message.hpp>

#include <chrono>
#include <cstdint>
#include <span>

namespace gossamer::rule {

using transport::Message;
using transport::PeerHealth;
using transport::PeerLeft;
using transport::Reason;

/// A rule's whole world: state in, state and messages out. No sockets, no threads, no clock but the
/// transport's; so a rule is deterministic given the generator and what it is told, and a test can
/// be the world.
class RuleContext {
 public:
  RuleContext() = default;
  RuleContext(const RuleContext&) = delete;
  RuleContext& operator=(const RuleContext&) = delete;
  virtual ~RuleContext() = default;

  [[nodiscard]] virtual PeerId self() const = 0;
  /// The others that may be chosen, ascending, without this node.
  [[nodiscard]] virtual std::span<const PeerId> peers() const = 0;
  /// What is known of a peer, perhaps a little stale; of this node itself, its counters.
  [[nodiscard]] virtual transport::Counters counters(PeerId peer) const = 0;
  /// How this node's messages to a peer have fared.
  [[nodiscard]] virtual PeerHealth health(PeerId peer) const = 0;
  /// Time on the transport's clock.
  [[nodiscard]] virtual std::chrono::nanoseconds now() const = 0;
  /// In `after_step`: the time from the end of the step before, or from the making of the node, to
  /// now.
  [[nodiscard]] virtual std::chrono::nanoseconds since_last_step() const = 0;
  /// Completed local steps; in `after_step`, the one just taken included.
  [[nodiscard]] virtual std::uint64_t step() const = 0;
  /// The node's stream for gossip; nothing else draws from it.
  [[nodiscard]] virtual Generator& generator() = 0;
  /// The node's weight (alpha).
  [[nodiscard]] virtual double& weight() = 0;
  [[nodiscard]] virtual model::FlatModel& model() = 0;
  /// Whether fewer than `NodeOptions::max_in_flight` copies are on their way. A rule that can let an
  /// exchange pass asks before it takes one, so that slow receivers do not fill this node's memory.
  [[nodiscard]] virtual bool may_send() const = 0;
  /// A pooled copy of the parameters as they are now.
  [[nodiscard]] virtual model::Snapshot snapshot() = 0;
  /// Pooled memory in the shape of the parameters, to be written into.
  [[nodiscard]] virtual model::Snapshot blank() = 0;
  /// Sends after the hook has returned. `from` is filled in.
  virtual void send(Message message) = 0;
};

}  // namespace gossamer::rule
