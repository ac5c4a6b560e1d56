// SPDX-License-Identifier: MIT
/// One link of a node: the protocol by which messages change hands between it and one peer.
#pragma once

#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/delivery/frame.hpp>
#include <gossamer/transport/delivery/ledger.hpp>
#include <gossamer/transport/delivery/queues.hpp>
#include <gossamer/transport/delivery/rules.hpp>

#include <algorithm>
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
/// deliver it. Such a promise is the end of a session:
///
///     closed -- a frame to my present side --> open
///       ^                                       |
///       +-- declared dead, or a newer side of the peer's: PeerLeft; offers Returned; what is held
///           is discarded; what was granted is in doubt; my side of the next session is a new one
///
/// A frame to my present side shows that the peer knows that side, so it has left the old session
/// too, and the count of what it delivered there, which the frame carries, is final. With this,
/// what was in doubt is settled: confirmed, or Returned, or lost with the peer if that is a new
/// incarnation. It does not matter who suspected whom, who calls first, or whether two hellos cross.
///
/// The report is about the last session in which both sides were heard. One is enough: whoever
/// opens a session has settled all before it, and in a session in which the peer was not heard
/// nothing was granted either way.
template <Deliverable Carried, class Rules>
class Session {
 public:
  using Frame = DeliveryFrame<Carried>;
  using Home = DeliveryQueue<Carried>;
  using Queued = typename Home::Queued;

  explicit Session(PeerId peer = 0, std::uint64_t incarnation = 1)
      : peer_(peer), mine_{incarnation, 1} {}

  /// The node knows the peer from the start. Only for a new link.
  void announce() { known_ = true; }

  void send(Home& home, Carried message) {
    flows_.sent.add(message.weight);
    const bool room = message.weight <= home.limits.weight &&
                      home.limits.fits(out_.queue.size(), out_.bytes, message);
    if (!known_ || !room) {
      return give_back(home, std::move(message), known_ ? Reason::queue_full : gone_);
    }
    out_.push(std::move(message));
  }

  Receipt receive(Home& home, Frame& frame) {
    const Meaning meaning = meaning_of(frame);
    if (meaning == Meaning::old) return {FrameFate::old};
    if (Receipt bad = check(home, frame, meaning); bad.fate == FrameFate::refused) return bad;
    if (theirs_ < frame.from) {
      if (open_ && Rules::follows_new_session) end_session(home);
      theirs_ = frame.from;
      forgotten_ = false;
    }
    if (meaning == Meaning::opens) open_session(home, frame);
    if (meaning != Meaning::news && frame.open) progress(home, frame);
    dirty_ = dirty_ || frame.asks;
    return {FrameFate::taken};
  }

  std::optional<Frame> next_frame(const Home& home) {
    const bool offers = open_ && out_.has_next();
    if (forgotten_ || !(offers || dirty_)) return std::nullopt;
    Frame frame;
    frame.from = mine_;
    frame.to = theirs_;
    frame.open = open_;
    frame.asks = asks_ || !open_;
    frame.leaving = home.leaving;
    frame.leaving_seen = peer_leaves_;
    frame.reported = reported_;
    frame.reported_delivered = reported_delivered_;
    if (open_) {
      frame.accepted = in_.accepted;
      frame.granted = out_.granted;
      frame.delivered = Rules::confirms_delivered_only ? in_.polled : in_.accepted;
    }
    if (offers) {
      frame.offer = out_.next();
      frame.sequence = out_.written;
    }
    asks_ = dirty_ = false;
    return frame;
  }

  void resend() {
    out_.written = out_.granted;
    asks_ = dirty_ = true;
  }

  /// The peer seems dead: news of it, what is its sender's goes home, and the session is over.
  void end_session(Home& home) {
    if (!Rules::keeps_granted) out_.granted = out_.confirmed;
    depart(home, Reason::lost, out_.in_their_hands());
    if (!open_) return;
    for (std::size_t i = 0; i < out_.queue.size(); ++i) out_.queue[i].set_aside();
    if (!Rules::discards_held) deliver(home, in_.accepted);
    discard_held();
    if (heard_ || !Rules::keeps_report) {
      reported_ = theirs_;
      reported_delivered_ = in_.granted;
    }
    last_mine_ = mine_;
    last_theirs_ = theirs_;
    open_ = heard_ = peer_leaves_ = leaving_seen_ = false;
    if (Rules::renames_sessions) ++mine_.epoch;
    dirty_ = true;
  }

  /// After `end_session()`: this incarnation of the peer is never heard again.
  void forget() {
    lose_doubt();
    forgotten_ = true;
  }

  /// Nothing more is accepted or handed to the rule. `give_up()` comes first, for what was not
  /// polled.
  void leave() {
    if (Rules::leaver_gives_back) in_.granted = in_.polled;
    discard_held();
    dirty_ = true;
  }
  [[nodiscard]] bool may_close() const {
    if (!open_) return !known_ || out_.queue.empty();
    return out_.queue.empty() && (leaving_seen_ || !Rules::leaver_waits);
  }

  /// The node takes an event of this link.
  void polled(const Queued& queued) {
    if (const auto* delivered = delivered_in(queued)) {
      in_.unload(*delivered);
      if (of_session(queued)) {
        ++in_.polled;
        dirty_ = true;
      }
    } else if (!std::holds_alternative<typename Home::Events::Returned>(queued.event)) {
      --news_;
    }
  }
  /// Takes an event back if its message is the sender's as long as the node has not polled it.
  bool give_up(const Queued& queued) {
    const Carried* delivered = delivered_in(queued);
    if (delivered == nullptr || !of_session(queued) || !Rules::leaver_gives_back) return false;
    in_.unload(*delivered);
    flows_.delivered.take(delivered->weight);
    flows_.discarded.add(delivered->weight);
    return true;
  }

  [[nodiscard]] bool is_open() const { return open_; }
  [[nodiscard]] bool waits(const Home& home) const {
    if (forgotten_) return false;
    if (!open_) return gone_ != Reason::left;
    return !out_.queue.empty() || !in_.held.empty() || (home.leaving && !leaving_seen_);
  }
  /// Messages that wait here for the peer's answer, and those of the peer that were not polled.
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
  [[nodiscard]] const Flows& past() const { return past_; }

 private:
  friend Rules;  // the tests' rules look inside, to tell two states apart

  /// What a frame is to a link.
  enum class Meaning {
    old,     ///< of a session or a incarnation that is over
    news,    ///< the peer has a new side, and does not know mine
    opens,   ///< the peer knows my present side: the session begins
    present  ///< of the session that is open
  };

  /// A peer that comes and goes faster than the node polls must wait: memory is bounded.
  static constexpr unsigned most_news = 16;

  [[nodiscard]] static const Carried* delivered_in(const Queued& queued) {
    const auto* delivered = std::get_if<typename Home::Events::Delivered>(&queued.event);
    return delivered != nullptr ? &delivered->message : nullptr;
  }
  [[nodiscard]] bool of_session(const Queued& queued) const {
    return open_ && queued.epoch == mine_.epoch;
  }

  [[nodiscard]] Meaning meaning_of(const Frame& frame) const {
    if (!Rules::tells_sessions_apart && open_ && frame.open) return Meaning::present;
    if (frame.from < theirs_) return Meaning::old;
    if (forgotten_ && frame.from.incarnation == theirs_.incarnation) return Meaning::old;
    if (open_) {
      if (theirs_ < frame.from) return Meaning::news;
      return frame.to == mine_ ? Meaning::present : Meaning::old;
    }
    return frame.to == mine_ && news_ < most_news ? Meaning::opens : Meaning::news;
  }

  /// Looks at everything that a frame claims, before any of it is believed.
  [[nodiscard]] Receipt check(const Home& home, const Frame& frame, Meaning meaning) const {
    const auto refuse = [&](FrameRule rule, std::uint64_t value, std::uint64_t limit) -> Receipt {
      return {FrameFate::refused, {home.self, peer_, rule, value, limit}};
    };
    if (frame.from.incarnation == 0 || frame.from.epoch == 0) {
      return refuse(FrameRule::identity, 0, 0);
    }
    const std::uint64_t counters =
        std::max({frame.accepted, frame.granted, frame.delivered, frame.sequence,
                  std::uint64_t{frame.offer.has_value()}});
    if (!frame.open && counters > 0) return refuse(FrameRule::hello, counters, 0);
    if (meaning == Meaning::news) return {};  // no more of it is used
    const bool opens = meaning == Meaning::opens;
    if (opens && out_.in_their_hands() > 0 && same_life(frame) &&
        !(frame.reported == last_mine_ && frame.reported_delivered >= out_.confirmed &&
          frame.reported_delivered <= out_.granted)) {
      return refuse(FrameRule::report, frame.reported_delivered, out_.granted);
    }
    const std::uint64_t offered = opens ? 0 : out_.offered;
    const std::uint64_t granted = opens ? 0 : out_.granted;
    const std::uint64_t accepted = opens ? 0 : in_.accepted;
    const std::uint64_t last = (opens ? 0 : in_.polled) + home.limits.messages;
    if (frame.accepted > offered) return refuse(FrameRule::accepted, frame.accepted, offered);
    if (frame.granted > accepted) return refuse(FrameRule::granted, frame.granted, accepted);
    if (frame.delivered > granted && Rules::checks_confirms) {
      return refuse(FrameRule::delivered, frame.delivered, granted);
    }
    if (frame.sequence > last || (frame.sequence > 0) != frame.offer.has_value()) {
      return refuse(FrameRule::sequence, frame.sequence, last);
    }
    if (!frame.offer) return {};
    if (frame.offer->from != peer_) return refuse(FrameRule::sender, frame.offer->from, peer_);
    if (frame.offer->to != home.self)
      return refuse(FrameRule::receiver, frame.offer->to, home.self);
    if (!(frame.offer->weight >= 0 && frame.offer->weight <= home.limits.weight)) {
      Receipt receipt = refuse(FrameRule::weight, 0, 0);
      receipt.error.weight = frame.offer->weight;
      receipt.error.weight_limit = home.limits.weight;
      return receipt;
    }
    return {};
  }

  /// Whether the peer lives the incarnation in which it was granted what is in doubt.
  [[nodiscard]] bool same_life(const Frame& frame) const {
    return last_theirs_.incarnation == frame.from.incarnation || !Rules::tells_lives_apart;
  }

  void give_back(Home& home, Carried message, Reason reason) {
    flows_.returned.add(message.weight);
    home.give_back(std::move(message), reason);
  }

  /// The peer takes nothing more: the news, then all messages home from the `first` in the queue.
  void depart(Home& home, Reason reason, std::size_t first) {
    if (known_) {
      known_ = false;
      gone_ = reason;
      ++news_;
      home.tell(peer_, PeerLeft{peer_, reason});
    }
    out_.take_back(first, [&](Carried message) {
      if (Rules::returns_offers) give_back(home, std::move(message), reason);
    });
  }

  void discard_held() {
    for (; !in_.held.empty(); in_.discard()) flows_.discarded.add(in_.held[0].weight);
  }

  void lose_doubt() {
    while (out_.in_their_hands() > 0) flows_.lost_with_peer.add(out_.pop().weight);
  }

  void confirm(std::uint64_t delivered) {
    while (out_.confirmed < delivered) flows_.confirmed.add(out_.pop().weight);
  }

  /// First what was in doubt is settled.
  void open_session(Home& home, const Frame& frame) {
    if (!same_life(frame)) lose_doubt();
    if (out_.in_their_hands() > 0) {
      confirm(Rules::asks_for_report ? frame.reported_delivered : out_.granted);
    }
    while (out_.in_their_hands() > 0) {
      Carried message = out_.pop();
      if (Rules::returns_undelivered) give_back(home, std::move(message), Reason::lost);
    }
    if (incarnation_ != theirs_.incarnation) {
      if (incarnation_ != 0) past_ += std::exchange(flows_, Flows{});
      incarnation_ = theirs_.incarnation;
    }
    out_.restart();
    in_.restart();
    open_ = dirty_ = true;
    if (frame.leaving) {
      say_farewell(home);
    } else if (!known_) {
      known_ = true;
      ++news_;
      home.tell(peer_, PeerJoined{peer_});
    }
  }

  /// The peer leaves, and has said how much it delivered: the rest comes home.
  void say_farewell(Home& home) {
    if (!known_) gone_ = Reason::left;
    depart(home, Reason::left, 0);
    out_.confirmed = out_.granted;  // nothing is left to be confirmed
    peer_leaves_ = dirty_ = true;
  }

  void deliver(Home& home, std::uint64_t last) {
    for (; in_.granted < last && !in_.held.empty(); ++in_.granted) {
      flows_.delivered.add(in_.held[0].weight);
      home.deliver(peer_, mine_.epoch, in_.held.pop());
    }
  }

  /// A frame of the session that is open.
  void progress(Home& home, Frame& frame) {
    heard_ = true;
    leaving_seen_ = leaving_seen_ || frame.leaving_seen;
    if (!peer_leaves_) {
      if (frame.accepted > out_.granted || !Rules::counters_only_grow) {
        out_.granted = std::max(frame.accepted, out_.confirmed);
        dirty_ = true;
      }
      confirm(frame.delivered);
      if (frame.leaving) say_farewell(home);
    }
    if (home.leaving) return;
    deliver(home, frame.granted);
    if (frame.offer && takes(home, frame)) {
      in_.accepted = Rules::drops_repetitions ? frame.sequence : in_.accepted + 1;
      in_.push(std::move(*frame.offer));
      dirty_ = true;
      if (!Rules::waits_for_grant) deliver(home, in_.accepted);
    }
  }

  [[nodiscard]] bool takes(const Home& home, const Frame& frame) const {
    if (!home.limits.fits(in_.messages, in_.bytes, *frame.offer)) return false;  // comes again
    if (frame.sequence <= in_.accepted) return !Rules::drops_repetitions;
    return frame.sequence == in_.accepted + 1 || !Rules::accepts_in_order;
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
  unsigned news_ = 0;          // PeerJoined and PeerLeft that were not polled
  SessionSide mine_;           // of the session that is open, or will be
  SessionSide theirs_;         // the newest that was heard of
  SessionSide reported_;       // the last session in which the peer was heard, by its own name,
  std::uint64_t reported_delivered_ = 0;  // and how much of what it sent was delivered
  DeliveryOutgoing<Carried> out_;
  DeliveryIncoming<Carried> in_;
  Flows flows_;
  Flows past_;
  std::uint64_t incarnation_ = 0;  // the peer's incarnation that `flows_` are of
  SessionSide last_mine_;   // the last session that was open here
  SessionSide last_theirs_;
};

}  // namespace gossamer::transport
