// SPDX-License-Identifier: MIT
/// One link of a node: the protocol by which messages change hands between it and one peer.
#pragma once

#include <gossamer/transport/delivery/doubt.hpp>
#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/delivery/frame.hpp>
#include <gossamer/transport/delivery/frame_check.hpp>
#include <gossamer/transport/delivery/ledger.hpp>
#include <gossamer/transport/delivery/queues.hpp>
#include <gossamer/transport/message.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

namespace gossamer::transport {

/// The messages of one session that go one way are numbered 1, 2, ... Three cumulative counters say
/// how far they have come, and every frame carries all three, so that a frame may be lost, repeated
/// or overtaken:
///
///     sender    waiting -- offer --> offered -- accepted --> granted -- delivered --> done
///     receiver               held ---- granted ----> queued for the rule -- poll --> confirmed
///
/// Until it is granted a message is its sender's, and the receiver may not use it; from then on it
/// is the receiver's, and the sender may not take it back unless the receiver has promised not to
/// deliver it. Such a promise is the end of a session: see `SessionSide`.
class Session {
 public:
  using Queued = EventQueue::Queued;

  explicit Session(PeerId peer = 0, std::uint64_t incarnation = 1)
      : peer_(peer), mine_{incarnation, 1} {}

  /// The node knows the peer from the start. Only for a new link.
  void announce() { known_ = true; }

  void send(EventQueue& queue, Message message) {
    flows_.sent.add(message.weight);
    const bool room = message.weight <= queue.limits.weight &&
                      queue.limits.fits(out_.queue.size(), out_.bytes, message);
    if (!known_ || !room) {
      return give_back(queue, std::move(message), known_ ? Reason::queue_full : gone_);
    }
    out_.push(std::move(message));
  }

  Receipt receive(EventQueue& queue, DeliveryFrame& frame) {
    const Meaning meaning = meaning_of(frame);
    if (meaning == Meaning::old) return {FrameFate::old};
    if (Receipt bad = check(queue, frame, meaning); bad.fate == FrameFate::refused) return bad;
    if (theirs_ < frame.from) {
      if (open_) end_session(queue);  // as the peer has done
      theirs_ = frame.from;
      forgotten_ = false;
    }
    if (meaning == Meaning::opens) open_session(queue, frame);
    if (meaning != Meaning::news && frame.open) advance(queue, frame);
    dirty_ = dirty_ || frame.asks;
    return {FrameFate::taken};
  }

  std::optional<DeliveryFrame> next_frame(const EventQueue& queue, Load load) {
    const bool offers = open_ && out_.has_next(load);
    if (forgotten_ || !(offers || dirty_)) return std::nullopt;
    DeliveryFrame frame;
    frame.from = mine_;
    frame.to = theirs_;
    frame.open = open_;
    frame.asks = asks_ || !open_;
    frame.leaving = queue.leaving;
    frame.leaving_seen = peer_leaves_;
    frame.reported = reported_;
    frame.reported_delivered = reported_delivered_;
    if (open_) {
      frame.accepted = in_.accepted;
      frame.granted = out_.granted;
      frame.delivered = in_.polled;  // not what is held, and may yet be given up
      frame.seen = in_.seen();
      frame.wanted = in_.wanted();
      frame.withdrawn = in_.withdrawn;
    }
    if (offers) out_.write_next(frame, load, queue.limits.eager);
    asks_ = dirty_ = false;
    return frame;
  }

  /// A new connection: what was under way on the one before is lost.
  void resend() {
    out_.rewind();
    asks_ = dirty_ = true;
  }
  /// Wants an answer. `reminds`: the peer may not have been ready for what it has not seen.
  void ask(bool reminds) {
    if (reminds) out_.rewind_unseen();
    asks_ = dirty_ = true;
  }
  /// Asks for content as far as there is room; false if it must wait. `in_turn`: nobody does
  /// longer.
  bool make_room(EventQueue& queue, bool in_turn) {
    while (open_ && in_.asked < in_.announced.size()) {
      if (!in_.ask(queue, in_turn)) return false;
      dirty_ = true;
    }
    return true;
  }
  void take_room_back(EventQueue& queue) {
    in_.withdraw(queue);
    dirty_ = true;
  }
  bool drop_doubtful(EventQueue& queue) { return doubt_.drop(queue, out_); }

  /// The peer seems dead: news of it, what is its sender's is returned, and the session is over.
  void end_session(EventQueue& queue) {
    depart(queue, Reason::lost, out_.in_their_hands());  // what was granted stays, in doubt
    if (!open_) return;
    for (std::size_t i = 0; i < out_.queue.size(); ++i) out_.queue[i].set_aside();
    discard_held(queue);  // and it is never delivered
    doubt_.begin(queue, peer_, out_);
    if (heard_) {  // else the peer may still need the report before
      reported_ = theirs_;
      reported_delivered_ = in_.granted;
    }
    last_mine_ = mine_;
    last_theirs_ = theirs_;
    open_ = heard_ = peer_leaves_ = leaving_seen_ = false;
    ++mine_.epoch;  // no number comes twice
    dirty_ = true;
  }

  /// After `end_session()`: this incarnation of the peer is never heard again.
  void forget(EventQueue& queue) {
    lose_doubt();
    doubt_.end(queue);
    forgotten_ = true;
  }

  /// See `Delivery::recall()`.
  bool recall(EventQueue& queue) {
    return out_.recall([&](Message message) {
      flows_.sent.add(0);  // for what stands in its place
      give_back(queue, std::move(message), Reason::queue_full);
    });
  }

  /// Nothing more is accepted or handed to the rule. `give_up()` comes first, for what waits.
  void leave(EventQueue& queue) {
    in_.granted = in_.polled;  // the rest is the peer's again
    discard_held(queue);
    dirty_ = true;
  }
  [[nodiscard]] bool may_close() const {
    if (!open_) return !known_ || out_.queue.empty();
    return out_.queue.empty() && leaving_seen_;  // the peer knows what it gets back
  }

  /// The node takes an event of this link.
  void polled(EventQueue& queue, const Queued& queued) {
    if (const Message* delivered = queued.delivered()) {
      in_.unload(queue, *delivered);
      const bool is_new = of_session(queued);
      in_.polled += is_new ? 1 : 0;
      dirty_ = dirty_ || is_new;
    } else if (!std::holds_alternative<Returned>(queued.event)) {
      --news_;
    }
  }
  /// Takes an event back if its message is the sender's as long as the node has not polled it.
  bool give_up(EventQueue& queue, const Queued& queued) {
    const Message* delivered = queued.delivered();
    if (delivered == nullptr || !of_session(queued)) return false;
    in_.unload(queue, *delivered);
    flows_.delivered.take(delivered->weight);
    flows_.discarded.add(delivered->weight);
    return true;
  }

  [[nodiscard]] bool is_open() const { return open_; }
  [[nodiscard]] bool waits(const EventQueue& queue) const {
    if (!open_ || forgotten_) return !forgotten_ && gone_ != Reason::left;
    return !out_.queue.empty() || !in_.held.empty() || in_.asked > 0 ||
           (queue.leaving && !leaving_seen_);
  }
  [[nodiscard]] bool waits_for_fence() const { return open_ && out_.waits_for_fence(); }
  [[nodiscard]] bool is_known() const { return known_; }
  /// The peer's incarnation that was met last; 0: none yet.
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  /// Whether the peer has room here that it has not used, and how often such was taken back.
  [[nodiscard]] bool has_room() const { return in_.asked > 0; }
  [[nodiscard]] std::uint64_t withdrawn() const { return in_.withdrawn; }
  /// This node's number of the session, and how many of its messages the peer has accepted in it.
  [[nodiscard]] std::uint64_t epoch() const { return mine_.epoch; }
  [[nodiscard]] std::uint64_t accepted() const { return out_.granted; }
  /// Whether the content of the peer's message `sequence`, if it has so many bytes, has a place.
  [[nodiscard]] bool expects(std::uint64_t sequence, std::size_t bytes,
                             const DeliveryLimits& limits) const {
    return bytes <= limits.eager || (open_ && sequence <= in_.wanted());
  }
  /// A number that changes whenever a message has come further, either way.
  [[nodiscard]] std::uint64_t progress() const {
    return mine_.epoch + out_.confirmed + out_.granted + out_.seen + out_.wanted + in_.granted +
           in_.polled + in_.seen() + in_.wanted() + (open_ ? 1 : 0);
  }

  /// Messages to the peer that are not confirmed, those in doubt included.
  [[nodiscard]] std::size_t unconfirmed() const { return out_.queue.size(); }
  /// Of these, the ones that are still this node's, and of the others, the ones in doubt.
  [[nodiscard]] std::size_t not_accepted() const { return unconfirmed() - out_.in_their_hands(); }
  [[nodiscard]] std::size_t in_doubt() const { return open_ ? 0 : out_.in_their_hands(); }
  [[nodiscard]] std::size_t outgoing() const { return open_ || known_ ? out_.queue.size() : 0; }
  [[nodiscard]] std::size_t incoming() const { return in_.messages; }
  [[nodiscard]] std::size_t held() const { return in_.held.size(); }

  /// All columns but those of the messages that are among the node's events.
  [[nodiscard]] Ledger ledger() const {
    Ledger ledger;
    static_cast<Flows&>(ledger) = flows_;
    CompensatedSum& theirs = open_ ? ledger.granted : ledger.in_doubt;
    for (std::size_t i = 0; i < out_.queue.size(); ++i) {
      (i < out_.in_their_hands() ? theirs : ledger.offered).add(out_.queue[i].weight);
    }
    for (std::size_t i = 0; i < in_.held.size(); ++i) ledger.held.add(in_.held[i].weight);
    return ledger;
  }
  /// What has passed between this node and the peer's `incarnation()`, and the ones before it.
  [[nodiscard]] const Flows& flows() const { return flows_; }
  [[nodiscard]] const Flows& past() const { return past_; }

 private:
  /// What a frame is: of a session or incarnation that is over; from a new side of the peer that
  /// does not know mine; knowing mine, so that a session begins; of the session that is open.
  enum class Meaning { old, news, opens, present };
  static constexpr unsigned most_news = 16;  // who comes and goes faster than that must wait

  [[nodiscard]] bool of_session(const Queued& queued) const {
    return open_ && queued.epoch == mine_.epoch;
  }

  [[nodiscard]] Meaning meaning_of(const DeliveryFrame& frame) const {
    if (frame.from < theirs_) return Meaning::old;
    if (forgotten_ && frame.from.incarnation == theirs_.incarnation) return Meaning::old;
    if (open_) {
      if (theirs_ < frame.from) return Meaning::news;
      return frame.to == mine_ ? Meaning::present : Meaning::old;  // of another session
    }
    return frame.to == mine_ && news_ < most_news ? Meaning::opens : Meaning::news;
  }

  [[nodiscard]] Receipt check(const EventQueue& queue, const DeliveryFrame& frame,
                              Meaning meaning) const {
    const FrameCheck check{queue, peer_};
    const Receipt identity = check.identity(frame);
    if (identity.fate == FrameFate::refused || meaning == Meaning::news) return identity;
    const bool opens = meaning == Meaning::opens;
    if (opens && out_.in_their_hands() > 0 && same_incarnation(frame) &&
        !(frame.reported == last_mine_ && frame.reported_delivered >= out_.confirmed &&
          frame.reported_delivered <= out_.granted)) {
      return check.refuse(FrameRule::report, frame.reported_delivered, out_.granted);
    }
    return opens ? check.counters(frame, {}, {}) : check.counters(frame, out_, in_);
  }

  /// Whether the peer is in the incarnation in which it was granted what is in doubt: a new one
  /// cannot say what that delivered.
  [[nodiscard]] bool same_incarnation(const DeliveryFrame& frame) const {
    return last_theirs_.incarnation == frame.from.incarnation;
  }

  void give_back(EventQueue& queue, Message message, Reason reason) {
    flows_.returned.add(message.weight);
    if (message.kind == Message::recalled) return;  // what it stands for has come back already
    queue.give_back(std::move(message), reason);
  }

  /// The peer takes nothing more: the news, then all from the `first` in the queue is returned.
  void depart(EventQueue& queue, Reason reason, std::size_t first) {
    if (known_) {
      known_ = false;
      gone_ = reason;
      ++news_;
      queue.tell(peer_, PeerLeft{peer_, reason});
    }
    out_.take_back(first, [&](Message message) { give_back(queue, std::move(message), reason); });
  }

  void discard_held(EventQueue& queue) {
    for (; !in_.held.empty(); in_.discard(queue)) flows_.discarded.add(in_.held[0].weight);
    in_.forget_offers(queue);
  }

  void lose_doubt() {
    while (out_.in_their_hands() > 0) flows_.lost_with_peer.add(out_.pop().weight);
  }

  void confirm(std::uint64_t delivered) {
    while (out_.confirmed < delivered) flows_.confirmed.add(out_.pop().weight);
  }

  /// First what was in doubt is settled: the peer says how much of it was delivered.
  void open_session(EventQueue& queue, const DeliveryFrame& frame) {
    if (!same_incarnation(frame)) lose_doubt();
    if (out_.in_their_hands() > 0) confirm(frame.reported_delivered);
    while (out_.in_their_hands() > 0) give_back(queue, out_.pop(), Reason::lost);
    doubt_.end(queue);
    if (incarnation_ != theirs_.incarnation) {
      if (incarnation_ != 0) past_ += std::exchange(flows_, Flows{});
      incarnation_ = theirs_.incarnation;
    }
    out_.restart();
    in_.restart();
    open_ = dirty_ = true;
    if (frame.leaving) {
      say_farewell(queue);
    } else if (!known_) {
      known_ = true;
      ++news_;
      queue.tell(peer_, PeerJoined{peer_});
    }
  }

  /// The peer leaves, and has said how much it delivered: the rest is returned.
  void say_farewell(EventQueue& queue) {
    if (!known_) gone_ = Reason::left;
    depart(queue, Reason::left, 0);
    out_.confirmed = out_.granted;  // nothing is left to be confirmed
    peer_leaves_ = dirty_ = true;
  }

  void deliver(EventQueue& queue, std::uint64_t last) {
    for (; in_.granted < last && !in_.held.empty(); ++in_.granted) {
      flows_.delivered.add(in_.held[0].weight);
      queue.deliver(peer_, mine_.epoch, in_.held.pop());
    }
  }

  /// A frame of the session that is open.
  void advance(EventQueue& queue, DeliveryFrame& frame) {
    heard_ = true;
    leaving_seen_ = leaving_seen_ || frame.leaving_seen;
    if (!peer_leaves_) {
      if (frame.accepted > out_.granted) {  // an old frame takes nothing back
        out_.grant(frame.accepted);
        dirty_ = true;
      }
      out_.hear(frame);
      confirm(frame.delivered);
      if (frame.leaving) say_farewell(queue);
    }
    if (queue.leaving) return;
    deliver(queue, frame.granted);
    if (frame.offer) take_offer(queue, frame);
    if (!make_room(queue, queue.waiting.empty())) queue.wait(peer_);
  }

  void take_offer(EventQueue& queue, DeliveryFrame& frame) {
    if (frame.sequence == in_.seen() + 1) {
      in_.announced.push(frame.later > 0 ? frame.later : frame.offer->bytes());
      dirty_ = true;
      make_room(queue, queue.waiting.empty());
    }
    if (frame.later > 0 || !takes(frame)) return;
    in_.accepted = frame.sequence;
    in_.push(queue, std::move(*frame.offer));  // held until it is granted
    dirty_ = true;
  }

  [[nodiscard]] bool takes(const DeliveryFrame& frame) const {
    if (in_.asked == 0) return false;           // it has no room, and will be asked for
    return frame.sequence == in_.accepted + 1;  // in its turn, and once
  }

  PeerId peer_;
  Reason gone_ = Reason::lost;
  bool known_ = false;         // the node has it among its peers
  bool open_ = false;          // a session is open here
  bool heard_ = false;         // and at the peer
  bool dirty_ = true;          // there is something to say
  bool asks_ = false;          // and an answer is wanted
  bool peer_leaves_ = false;   // it takes no more messages
  bool leaving_seen_ = false;  // it knows that this node leaves
  bool forgotten_ = false;     // this incarnation of the peer is not heard
  Doubt doubt_;
  unsigned news_ = 0;     // PeerJoined and PeerLeft that were not polled
  SessionSide mine_;      // of the session that is open, or will be
  SessionSide theirs_;    // the newest that was heard of
  SessionSide reported_;  // the last session in which the peer was heard, by its own name,
  std::uint64_t reported_delivered_ = 0;  // and how much of what it sent was delivered
  DeliveryOutgoing out_;
  DeliveryIncoming in_;
  Flows flows_;
  Flows past_;
  std::uint64_t incarnation_ = 0;  // the peer's incarnation that `flows_` are of
  SessionSide last_mine_;          // the last session that was open here
  SessionSide last_theirs_;
};

}  // namespace gossamer::transport
