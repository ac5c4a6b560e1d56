// SPDX-License-Identifier: MIT
/// The role of a centre: which node it is, and how its variable stays with the group.
#pragma once

#include <gossamer/rule/roles.hpp>
#include <gossamer/rule/scope.hpp>

#include <cstdint>
#include <utility>

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
class Centre {
 public:
  /// Whom to ask; this node itself if it is the centre.
  static PeerId of(const Scope& scope) { return lowest_live(scope); }
  static bool is(const Scope& scope) { return !scope.peers().empty() && of(scope) == scope.self(); }
  /// As many as take steps.
  static std::size_t workers(const Scope& scope) {
    return scope.peers().empty() ? 1 : scope.peers().size();
  }

  /// Say it each time that this node has served others.
  void has_served() noexcept { ++served_; }

  /// From `on_peer_joined`. True if this node was the centre, and is it no more.
  bool on_peer_joined(Scope& scope, PeerId newcomer, std::uint32_t kind) const {
    if (of(scope) != newcomer) return false;
    for (const PeerId peer : scope.peers()) {
      if (peer != newcomer && peer < scope.self()) return false;
    }
    scope.send({.to = newcomer, .kind = kind, .round = served_, .payload = scope.snapshot()});
    return true;
  }
  /// From `on_leave`: the weight goes, too, and from a centre its variable.
  void on_leave(Scope& scope, std::uint32_t kind) const {
    if (!is(scope)) return bequeath(scope, kind);
    Message message = split(scope, scope.peers().front(), 1, kind);
    message.round = served_;
    scope.send(std::move(message));
  }
  /// For messages of that kind, whoever sent them. A centre variable is taken by who has served
  /// less often than its sender: so a newcomer, or a worker, and not a centre that only seemed
  /// gone.
  void on_message(Scope& scope, const Message& message) {
    if (message.round > served_ && message.payload) {
      served_ = message.round;
      inherited_ = message.payload;
    }
    inherit(scope, message);
    settle_in(scope);
  }
  /// From `may_step`, and before this node serves: a newcomer has a model of its own by then, which
  /// the centre variable replaces.
  void settle_in(Scope& scope) {
    if (!inherited_ || scope.weight() == 0) return;
    scope.model().flat().copy_from(*inherited_);
    inherited_ = {};
  }

  void checkpoint(Archive& archive) { archive("served", served_); }

 private:
  std::uint64_t served_ = 0;
  model::Snapshot inherited_;
};

}  // namespace gossamer::rule
