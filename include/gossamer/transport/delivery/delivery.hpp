// SPDX-License-Identifier: MIT
/// How messages cross a network that fails: each exactly once, or back to its sender.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/delivery/frame.hpp>
#include <gossamer/transport/delivery/ledger.hpp>
#include <gossamer/transport/delivery/session.hpp>
#include <gossamer/transport/message.hpp>
#include <gossamer/transport/peer_map.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// One node's end of all its links: which message is whose, and what is to be said next. It knows
/// no socket, no thread and no clock. A driver (TCP, the simulator) carries its frames, however
/// badly, and tells it when a peer seems dead:
///
///     send() ---> next_frame(peer) - - network - -> receive(peer, frame) ---> poll()
///
/// A message is its sender's until the receiver has said that it is there, then the receiver's; it
/// reaches the receiver's rule only after that, a round trip later than its bytes (`Session`
/// draws the states). If the receiver is declared dead, what is still the sender's is returned
/// at once. What was granted and not confirmed is in doubt until the two meet again; then it is
/// confirmed, or returned, or is booked as lost with the peer if that has lost its memory.
///
/// Connections may break and come back within a session: call `resend()`. A peer that was declared
/// dead is not believed in the old session any more; it is back, with PeerJoined, when it has
/// answered a hello, which both sides' `resend()` repeats.
///
/// Invariant  Each message is polled at most once, and never both by its receiver and, returned, by
///            its sender. Weight of a live node is lost only if granted to an incarnation of a peer
///            that is over. PeerLeft comes before what that peer returns. Messages of one sender
///            come in their order.
/// Cost       Four frames per message, of which three can ride on others; O(log peers) per call
///            unless said otherwise. Payloads go by handle; nothing is allocated once the queues
///            have had their greatest length.
/// Memory     Per peer and direction what `DeliveryLimits` say, what is in doubt and what the node
///            has not polled included.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Errors     ConfigError from the constructor; std::invalid_argument from `send()` for a weight
///            that is negative or not finite. A bad frame is a `FrameError`, and changes nothing.
/// Source     After two-phase commit (Gray, "Notes on data base operating systems", 1978) with the
///            answer to each failure fixed in advance; numbers that both sides choose, after
///            Tomlinson, "Selecting sequence numbers", 1975.
class Delivery {
 public:
  using Frame = DeliveryFrame;

  /// Node `self` in its incarnation >= 1, a number larger than that of any before: the time of its
  /// start will do, or a count that is kept on disk.
  Delivery(PeerId self, std::uint64_t incarnation, DeliveryLimits limits = {})
      : incarnation_(incarnation), queue_{self, limits} {
    limits.check();
    if (incarnation == 0) throw ConfigError("Delivery: incarnation must be at least 1, got 0");
  }

  [[nodiscard]] PeerId self() const { return queue_.self; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }

  /// A peer that the node knows from the start: what is sent to it waits for the first session.
  void add(PeerId peer) {
    const auto [session, is_new] = sessions_.add(peer, peer, incarnation_);
    if (is_new) session.announce();
  }
  /// A peer that the node learns of by PeerJoined, when the first session opens.
  void admit(PeerId peer) { sessions_.add(peer, peer, incarnation_); }

  /// Takes a message to `message.to`. It comes back at once if that is unknown, gone, or slow, or
  /// if its weight is above the limit, so that no peer would take it.
  void send(Message message) {
    if (!(message.weight >= 0 && std::isfinite(message.weight))) {
      throw std::invalid_argument(
          "node " + std::to_string(self()) + ": a message to peer " + std::to_string(message.to) +
          " must have a finite weight of at least 0, got " + std::to_string(message.weight));
    }
    message.from = self();
    if (Session* session = find(message.to)) {
      session->send(queue_, std::move(message));
    } else {
      queue_.give_back(std::move(message), Reason::left);
    }
  }

  /// Takes in a frame that came from `peer`. `next_frame(peer)` may have an answer.
  Receipt receive(PeerId peer, Frame frame) {
    if (Session* session = find(peer)) {
      const Receipt receipt = session->receive(queue_, frame);
      share();
      return receipt;
    }
    return {FrameFate::refused, {self(), peer, FrameRule::known_peer}};
  }

  /// What to write to `peer` now, with at most one message. Ask until there is nothing, after each
  /// call that concerns the peer, when `found_room()` names it, and when the connection has room.
  std::optional<Frame> next_frame(PeerId peer, Load load = Load::content) {
    Session* session = find(peer);
    return session != nullptr ? session->next_frame(queue_, load) : std::nullopt;
  }

  /// Says again what `peer` is not known to have heard: when a connection is new, or has lost
  /// something.
  void resend(PeerId peer) {
    if (Session* session = find(peer)) session->resend();
  }
  /// Wants an answer, from time to time while `waits_for(peer)`; nothing that is under way is said
  /// again. See `Session::ask`.
  void ask(PeerId peer, bool reminds = false) {
    if (Session* session = find(peer)) session->ask(reminds);
  }

  /// The peer seems dead: PeerLeft, and what is not granted is returned.
  void declare_dead(PeerId peer) {
    if (Session* session = find(peer)) session->end_session(queue_);
    share();
  }
  /// Whether others wait for room that the peer was given and has not used.
  [[nodiscard]] bool holds_up_others(PeerId peer) const {
    const Session* session = find(peer);
    const std::size_t waiting = queue_.waiting.size();
    return session != nullptr && session->has_room() && waiting > 0 &&
           (waiting > 1 || queue_.waiting[0] != peer);
  }
  /// Gives that room to those who wait; the peer waits behind them. For one that brings nothing for
  /// long: what it has on its way is dropped, and crosses once more when there is room again.
  void take_room_back(PeerId peer) {
    Session* session = find(peer);
    if (session == nullptr || !session->has_room()) return;
    session->take_room_back(queue_);
    queue_.wait_last(peer);
    share();
  }
  /// Peers that there is something to say to, since others have made room for them.
  std::vector<PeerId> found_room() { return std::exchange(found_room_, {}); }

  /// Declares a peer dead that is known to be gone for good. What is in doubt is booked as lost
  /// with it, its memory freed, and this incarnation of the peer never heard again: if it runs
  /// after all, that weight is lost with a live node, so a time-out is no reason.
  void forget(PeerId peer) {
    if (Session* session = find(peer)) {
      session->end_session(queue_);
      session->forget(queue_);
    }
    share();
  }

  /// What has been sent to anybody, and whose content has not begun to cross, is returned at once:
  /// in its place something empty crosses, when its turn comes. True if there is any. O(messages).
  bool recall() {
    bool any = false;
    sessions_.for_each([&](Session& session) { any = session.recall(queue_) || any; });
    return any;
  }

  /// Begins to leave, after the node has handed its weight over. What it has not polled of the open
  /// sessions is its senders' again, and nothing more is accepted; what it has sent goes on.
  /// Carry frames until `may_close()`, and poll: what is returned, or came from a peer that is
  /// gone, can be sent to somebody else.
  void leave() {
    if (std::exchange(queue_.leaving, true)) return;
    for (std::size_t i = queue_.events.size(); i > 0; --i) {
      auto queued = queue_.events.pop();
      Session* session = find(queued.peer);
      if (session == nullptr || !session->give_up(queue_, queued)) {
        queue_.events.push(std::move(queued));
      }
    }
    sessions_.for_each([this](Session& session) { session.leave(queue_); });
  }

  /// Whether a leaver may go: all that it sent is settled, and every peer in touch knows how much
  /// it gives back. O(peers).
  [[nodiscard]] bool may_close() const {
    bool may = queue_.leaving;
    sessions_.for_each([&may](const Session& session) { may = may && session.may_close(); });
    return may;
  }

  /// Whether `poll()` has an event, but for what was recalled by its sender.
  [[nodiscard]] bool has_event() const { return !queue_.events.empty(); }

  /// The next event for the node. For a Delivered this is the moment that its sender is told.
  std::optional<Event> poll() {
    while (!queue_.events.empty()) {
      auto queued = queue_.events.pop();
      if (Session* session = find(queued.peer)) session->polled(queue_, queued);
      share();
      const Message* delivered = queued.delivered();
      if (delivered == nullptr || delivered->kind != Message::recalled) {
        return std::move(queued.event);
      }
    }
    return std::nullopt;
  }

  /// Whether a session with the peer is open here.
  [[nodiscard]] bool is_open(PeerId peer) const {
    const Session* session = find(peer);
    return session != nullptr && session->is_open();
  }

  /// Whether this side needs to hear from the peer: if it is silent for a while, `resend()`; for
  /// long, `declare_dead()`.
  [[nodiscard]] bool waits_for(PeerId peer) const {
    const Session* session = find(peer);
    return session != nullptr && session->waits(queue_);
  }

  /// Messages under way to or from the peer, unpolled ones included; nothing is under way on a link
  /// if this is 0 on both sides. What is in doubt with a peer that is gone does not count.
  [[nodiscard]] std::size_t under_way(PeerId peer) const {
    const Session* session = find(peer);
    return session != nullptr ? session->outgoing() + session->incoming() : 0;
  }
  /// The same over all peers, and whatever else was not polled. O(peers).
  [[nodiscard]] std::size_t under_way() const {
    std::size_t sum = queue_.events.size();
    sessions_.for_each(
        [&sum](const Session& session) { sum += session.outgoing() + session.held(); });
    return sum;
  }

  /// The books with the incarnation of the peer that was last met. O(messages that wait here).
  [[nodiscard]] Ledger ledger(PeerId peer) const {
    const Session* session = find(peer);
    if (session == nullptr) return {};
    Ledger ledger = session->ledger();
    for (std::size_t i = 0; i < queue_.events.size(); ++i) {
      const auto& queued = queue_.events[i];
      if (queued.peer != peer) continue;
      if (const auto* returned = std::get_if<Returned>(&queued.event)) {
        ledger.returning.add(returned->message.weight);
      } else if (const auto* delivered = std::get_if<Delivered>(&queued.event)) {
        ledger.waiting.add(delivered->message.weight);
      }
    }
    return ledger;
  }
  /// The books with all incarnations of the peer before that one, together.
  [[nodiscard]] Flows past(PeerId peer) const {
    const Session* session = find(peer);
    return session != nullptr ? session->past() : Flows{};
  }

  /// What stands between the node and a peer that was added or admitted.
  [[nodiscard]] const Session& session(PeerId peer) const { return *find(peer); }

 private:
  [[nodiscard]] Session* find(PeerId peer) { return sessions_.find(peer); }
  [[nodiscard]] const Session* find(PeerId peer) const { return sessions_.find(peer); }

  /// Room goes to those who have waited longest, and doubt costs no more than its budget.
  void share() {
    while (!queue_.waiting.empty()) {
      const PeerId peer = queue_.waiting[0];
      Session& session = *find(peer);
      const std::uint64_t before = session.progress();
      const bool is_served = session.make_room(queue_, true);
      if (session.progress() != before) found_room_.push_back(peer);
      if (!is_served) break;
      queue_.waiting.pop();
    }
    while (queue_.doubtful > queue_.limits.doubt && !queue_.doubted.empty()) {
      Session* session = find(queue_.doubted[0]);
      if (!session->drop_doubtful(queue_)) queue_.doubted.pop();
    }
  }

  std::uint64_t incarnation_;
  EventQueue queue_;
  PeerMap<Session> sessions_;
  std::vector<PeerId> found_room_;
};

}  // namespace gossamer::transport
