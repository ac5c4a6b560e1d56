// SPDX-License-Identifier: MIT
/// The role of a centre: which node it is, and how its variable stays with the group.
#pragma once

#include <gossamer/rule/context.hpp>
#include <gossamer/rule/peer_queries.hpp>

#include <cstdint>

namespace gossamer::rule {

/// The live node with the lowest number is the centre: it takes no steps and serves the others, the
/// workers, and its parameters are the centre variable. A node alone is a worker.
///
/// If the centre is lost, the next lowest node is the centre, with its own parameters: they are
/// near the lost ones, and no older than its last exchange. A centre that leaves hands its
/// variable to the next; when a node with a lower number comes (node 0 restarted, say), the centre
/// hands it over and trains on as a worker. Two nodes that take themselves for the centre, while
/// news is under way, do no harm: a rule serves whoever asks.
///
/// Threads: as a rule.
class ParameterServer {
 public:
  /// Whom to ask; this node itself if it is the centre.
  static PeerId of(const RuleContext& context) { return lowest_live(context); }
  static bool is(const RuleContext& context) {
    return !context.peers().empty() && of(context) == context.self();
  }
  /// As many as take steps.
  static std::size_t workers(const RuleContext& context) {
    return context.peers().empty() ? 1 : context.peers().size();
  }

  /// Say it each time that this node has served others.
  void has_served() noexcept { ++served_; }

  /// From `on_peer_joined`. True if this node was the centre, and is it no more.
  bool on_peer_joined(RuleContext& context, PeerId newcomer, std::uint32_t kind) const {
    if (of(context) != newcomer) return false;
    for (const PeerId peer : context.peers()) {
      if (peer != newcomer && peer < context.self()) return false;
    }
    send_variable(context, newcomer, kind);
    return true;
  }
  /// From `on_leave`: a centre hands its variable to the next.
  void on_leave(RuleContext& context, std::uint32_t kind) const {
    if (is(context)) send_variable(context, context.peers().front(), kind);
  }
  /// For messages of that kind, whoever sent them. A centre variable is taken by who has served
  /// less often than its sender: so a newcomer, or a worker, and not a centre that only seemed
  /// gone.
  void on_message(RuleContext& context, const Message& message) {
    if (message.round > served_ && message.payload) {
      served_ = message.round;
      variable_ = message.payload;
    }
    settle_in(context);
  }
  /// From `may_step`, and before this node serves: a newcomer has a model of its own by then, which
  /// the centre variable replaces.
  void settle_in(RuleContext& context) {
    if (!variable_ || context.weight() == 0) return;
    context.model().flat().copy_from(*variable_);
    variable_ = {};
  }

  void checkpoint(Archive& archive) { archive("served", served_); }

 private:
  void send_variable(RuleContext& context, PeerId to, std::uint32_t kind) const {
    context.send({.to = to, .kind = kind, .round = served_, .payload = context.snapshot()});
  }

  std::uint64_t served_ = 0;
  model::Snapshot variable_;  // handed to this node, and not yet in place
};

}  // namespace gossamer::rule
