// SPDX-License-Identifier: MIT
/// All that two nodes and a bad network between them can do, searched state by state.
#pragma once

#include <gossamer/transport/delivery/delivery.hpp>
#include <gossamer/transport/message.hpp>

#include <tests/transport/delivery/session_state.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace tests::delivery {

using gossamer::PeerId;
using gossamer::transport::Delivered;
using gossamer::transport::DeliveryFrame;
using gossamer::transport::DeliveryIncoming;
using gossamer::transport::DeliveryLimits;
using gossamer::transport::DeliveryOutgoing;
using gossamer::transport::Event;
using gossamer::transport::Flows;
using gossamer::transport::FrameFate;
using gossamer::transport::Ledger;
using gossamer::transport::Message;
using gossamer::transport::PeerJoined;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using gossamer::transport::SessionSide;

/// 64 bits of all words that are put in. Two of ten million states share a value with a probability
/// of 3e-6.
class Hash {
 public:
  void add(std::uint64_t word) {
    value_ = (value_ ^ word) * 0x9e3779b97f4a7c15U;
    value_ ^= value_ >> 29U;
  }
  template <class... Words>
  void all(Words... words) {
    (add(static_cast<std::uint64_t>(words)), ...);
  }
  void part(const SessionSide& side) { all(side.incarnation, side.epoch); }
  void part(const DeliveryOutgoing& out) {
    const auto& [queue, bytes, confirmed, granted, offered, written, carried, crossed, seen, wanted,
                 withdrawn] = out;
    all(queue.size(), bytes, confirmed, granted, offered, written, carried, crossed, seen, wanted,
        withdrawn);
    for (std::size_t i = 0; i < queue.size(); ++i) add(queue[i].round);
  }
  void part(const DeliveryIncoming& in) {
    const auto& [announced, asked, held, messages, bytes, accepted, granted, polled, withdrawn] =
        in;
    all(announced.size(), asked, held.size(), messages, bytes, accepted, granted, polled,
        withdrawn);
    for (std::size_t i = 0; i < held.size(); ++i) add(held[i].round);
  }
  void part(Reason reason) { all(reason); }
  void part(const gossamer::transport::Doubt& doubt) { add(doubt.bytes()); }
  void part(std::uint64_t word) { add(word); }
  [[nodiscard]] std::uint64_t value() const { return value_ ^ (value_ >> 32U); }

 private:
  std::uint64_t value_ = 0x2545f4914f6cdd1dU;
};

inline std::uint64_t hash_of(const DeliveryFrame& frame) {
  Hash hash;
  hash.part(frame.from);
  hash.part(frame.to);
  hash.part(frame.reported);
  hash.all(frame.open, frame.asks, frame.leaving, frame.leaving_seen, frame.reported_delivered);
  hash.all(frame.accepted, frame.granted, frame.delivered, frame.sequence);
  hash.all(frame.seen, frame.wanted, frame.withdrawn, frame.later);
  hash.add(frame.offer ? frame.offer->round + 1U : 0U);
  return hash.value();
}

/// How far a search goes. Frames may be lost, repeated and overtaken without limit; this many can
/// be in flight at once in each direction.
struct Bounds {
  std::array<unsigned, 2> messages = {1, 1};  // that each node sends
  std::array<unsigned, 2> suspicions = {1, 1};
  std::array<unsigned, 2> crashes = {0, 0};
  std::array<unsigned, 2> leaves = {0, 0};
  std::array<unsigned, 2> withdrawals = {0, 0};  // of room that the other one has not used
  std::array<unsigned, 2> recalls = {0, 0};      // of what has not begun to cross
  bool asks = false;                             // offers come without their content first
  bool forgeries = false;   // in each state, frames whose counters are too high
  bool may_refuse = false;  // a frame that a node wrote, if it is changed in that way
  unsigned heal_every = 1;  // a state in so many is healed, to see what comes of it
  std::size_t frames = 2;
  std::size_t most_states = 100'000'000;
};

enum class Action {
  send,
  write,
  write_again,
  arrive,
  forge,
  poll,
  suspect,
  withdraw,
  recall,
  crash,
  restart,
  leave,
  close
};
struct Step {
  Action action;
  PeerId node;
  std::size_t frame;

  [[nodiscard]] std::string text() const {
    static constexpr std::array names = {
        "sends",    "writes",   "writes again",    "'s frame arrives", "'s frame arrives forged",
        "polls",    "suspects", "takes room back", "recalls",          "crashes",
        "restarts", "leaves",   "closes"};
    return std::string(node == 0 ? "A " : "B ") + names[static_cast<std::size_t>(action)] + " " +
           std::to_string(frame);
  }
};

/// Two nodes, the frames between them, and what became of each message, as nobody in it can know.
/// A message's name is its `round`.
class TwoNodes {
 public:
  using Node = Delivery;
  using Frame = DeliveryFrame;
  static constexpr double start_weight = 0.5;

  explicit TwoNodes(const Bounds& bounds) : left_(bounds), limits_(limits_of(bounds)) {
    for (PeerId x = 0; x < 2; ++x) {
      sides_[x].node.emplace(x, 1U, limits_);
      sides_[x].node->add(1 - x);
    }
  }

  [[nodiscard]] static DeliveryLimits limits_of(const Bounds& bounds) {
    DeliveryLimits limits{.messages = 8};
    if (bounds.asks) limits.eager = 0;
    return limits;
  }

  /// The first promise that does not hold; empty if all do.
  [[nodiscard]] const std::string& broken() const { return broken_; }

  /// Every step that some node or the network could take now. A frame stays in the network until
  /// another takes its place, so it can arrive never, at once, late, or several times.
  [[nodiscard]] std::vector<Step> steps() const {
    std::vector<Step> all;
    const auto may = [&all](Action action, PeerId x, std::size_t i = 0) {
      all.push_back({action, x, i});
    };
    for (PeerId x = 0; x < 2; ++x) {
      const Side& side = sides_[x];
      if (side.node) {
        if (left_.messages[x] > 0) may(Action::send, x);
        const std::size_t room = std::min(side.net.size() + 1, left_.frames);
        for (std::size_t i = 0; i < room; ++i) {
          if (has_frame(session_of(x))) may(Action::write, x, i);
          if (side.node->waits_for(1 - x)) may(Action::write_again, x, i);
        }
        if (!queue_of(*side.node).events.empty()) may(Action::poll, x);
        if (left_.suspicions[x] > 0 && side.node->is_open(1 - x)) may(Action::suspect, x);
        if (left_.withdrawals[x] > 0 && session_of(x).has_room()) may(Action::withdraw, x);
        if (left_.recalls[x] > 0 && out_of(x).queue.size() > 0) may(Action::recall, x);
        if (left_.crashes[x] > 0) may(Action::crash, x);
        if (left_.leaves[x] > 0) may(Action::leave, x);
        if (side.node->may_close()) may(Action::close, x);
      } else if (!side.closed) {
        may(Action::restart, x);
      }
      if (!sides_[1 - x].node) continue;
      for (std::size_t i = 0; i < side.net.size(); ++i) {
        may(Action::arrive, x, i);
        if (!left_.forgeries) continue;
        for (std::size_t kind = 0; kind < 5; ++kind) may(Action::forge, x, 5 * i + kind);
      }
    }
    return all;
  }

  void take(const Step& step) {
    const auto [action, x, i] = step;
    if (action == Action::send) send(x);
    if (action == Action::write) write(x, i);
    if (action == Action::write_again) {
      sides_[x].node->resend(1 - x);
      write(x, i);
    }
    if (action == Action::arrive) receive(x, Frame(sides_[x].net[i].frame));
    if (action == Action::forge) forge(x, i / 5, i % 5);
    if (action == Action::poll) poll(x);
    if (action == Action::suspect) suspect(x);
    if (action == Action::withdraw) {
      --left_.withdrawals[x];
      sides_[x].node->take_room_back(1 - x);
    }
    if (action == Action::recall) {
      --left_.recalls[x];
      sides_[x].node->recall();
    }
    if (action == Action::crash) crash(x);
    if (action == Action::restart) restart(x);
    if (action == Action::leave) leave(x);
    if (action == Action::close) close(x);
  }

  /// Ends all trouble: the network is perfect from here on, the crashed start again. Everything
  /// must be settled then, and the books of both must agree.
  void heal() {
    for (PeerId x = 0; x < 2; ++x) {
      left_.suspicions[x] = left_.crashes[x] = left_.messages[x] = 0;
      sides_[x].net.clear();
      if (!sides_[x].node && !sides_[x].closed) restart(x);
    }
    for (PeerId x = 0; x < 2; ++x) {  // the one that stays learns that the other is gone
      if (sides_[x].closed && sides_[1 - x].node) sides_[1 - x].node->declare_dead(x);
    }
    for (int round = 0; round < 8; ++round) {
      for (PeerId x = 0; x < 2; ++x) {
        Side& side = sides_[x];
        if (!side.node) continue;
        poll(x);
        if (side.node->waits_for(1 - x)) side.node->resend(1 - x);
        while (auto frame = side.node->next_frame(1 - x)) {
          if (sides_[1 - x].node) receive(x, *frame);
        }
      }
    }
    check();
    if (!broken_.empty()) return;
    if (sides_[0].closed || sides_[1].closed) return check_left();
    check_healed();
  }

  [[nodiscard]] std::uint64_t hash() const {
    Hash hash;
    for (PeerId x = 0; x < 2; ++x) {
      const Side& side = sides_[x];
      hash.all(left_.messages[x], left_.suspicions[x], left_.crashes[x], left_.leaves[x],
               left_.withdrawals[x], left_.recalls[x], side.incarnation, side.closed,
               side.node.has_value());
      std::uint64_t frames = 0;  // in any order
      for (const Written& written : side.net) frames += written.hash;
      hash.all(frames, side.net.size());
      if (side.node) add_node(hash, x);
    }
    for (const Fate& fate : fates_) {
      hash.all(fate.from, fate.incarnation, fate.delivered, fate.returned, fate.granted_to);
    }
    return hash.value();
  }

  /// Checks all that must hold at any moment.
  void check() {
    if (!broken_.empty()) return;
    for (std::uint32_t name = 0; name < fates_.size(); ++name) check_message(name);
    for (PeerId x = 0; x < 2; ++x) {
      if (sides_[x].node) check_ledger(x);
    }
  }

 private:
  struct Written {
    Frame frame;
    std::uint64_t hash;
  };
  struct Side {
    std::optional<Node> node;
    std::uint64_t incarnation = 1;
    bool closed = false;       // left in order
    bool peer_known = true;    // as the events say
    std::vector<Written> net;  // by this node
    double weight = start_weight;
  };
  struct Fate {
    PeerId from = 0;
    std::uint64_t incarnation = 0;  // of the sender
    double weight = 0;
    unsigned delivered = 0;        // polled by the receiver
    unsigned returned = 0;         // polled by the sender
    std::uint64_t granted_to = 0;  // incarnation of the receiver
  };

  void fail(const std::string& text) {
    if (broken_.empty()) broken_ = text;
  }

  [[nodiscard]] const Session& session_of(PeerId x) const { return sides_[x].node->session(1 - x); }
  [[nodiscard]] const DeliveryOutgoing& out_of(PeerId x) const {
    return outgoing_of(session_of(x));
  }

  void send(PeerId x) {
    const auto name = static_cast<std::uint32_t>(fates_.size());
    const double weight = std::ldexp(1.0, -static_cast<int>(name) - 4);
    --left_.messages[x];
    fates_.push_back({.from = x, .incarnation = sides_[x].incarnation, .weight = weight});
    sides_[x].weight -= weight;
    sides_[x].node->send({.to = 1 - x, .round = name, .weight = weight, .payload = {}});
  }

  /// In place of frame `i`, which is lost.
  void write(PeerId x, std::size_t i) {
    Side& side = sides_[x];
    Frame frame = *side.node->next_frame(1 - x);
    const std::uint64_t hash = hash_of(frame);
    for (const Written& other : side.net) {
      if (other.hash == hash) return;
    }
    if (i == side.net.size()) side.net.emplace_back();
    side.net[i] = {std::move(frame), hash};
  }

  void receive(PeerId from, const Frame& frame) {
    const auto receipt = sides_[1 - from].node->receive(from, frame);
    // Where a decision is turned around that alone is no damage: wait for what comes of it.
    const bool is_refused = receipt.fate == FrameFate::refused;
    if (is_refused && !left_.may_refuse) fail(receipt.error.text());
    note_grants();
  }
  /// A frame in which one number is higher than its writer could have made it.
  void forge(PeerId from, std::size_t i, std::size_t kind) {
    const PeerId to = 1 - from;
    const auto& out = out_of(to);
    const auto& in = incoming_of(session_of(to));
    const bool open = sides_[to].node->is_open(from);
    Frame frame = sides_[from].net[i].frame;
    if (kind == 0) frame.accepted = (open ? out.offered : 0) + 1;
    if (kind == 1) frame.granted = (open ? in.accepted : 0) + 1;
    if (kind == 2) frame.delivered = (open ? out.granted : 0) + 1;
    if (kind == 2 && out.queue.size() <= out.in_their_hands()) return;  // nothing to take away
    if (kind == 3) frame.sequence = (open ? in.polled : 0) + 9;
    if (kind == 4) frame.from.incarnation = 0;
    const std::uint64_t before = hash();
    const auto receipt = sides_[to].node->receive(from, frame);
    note_grants();
    check();
    if (receipt.fate != FrameFate::taken && hash() != before) fail("a refused frame left a trace");
    if (receipt.fate == FrameFate::taken && sides_[to].node->is_open(from) && open) {
      fail("a forged frame was believed");
    }
  }

  void poll(PeerId x) {
    Side& side = sides_[x];
    while (auto event = side.node->poll()) {
      if (const auto* delivered = std::get_if<Delivered>(&*event)) {
        side.weight += delivered->message.weight;
        ++fates_[delivered->message.round].delivered;
        if (delivered->message.to != x) fail("a message reached the wrong node");
      } else if (const auto* returned = std::get_if<Returned>(&*event)) {
        side.weight += returned->message.weight;
        ++fates_[returned->message.round].returned;
        if (returned->message.from != x) fail("a message was returned to the wrong node");
        const bool is_recalled = returned->reason == Reason::queue_full;  // no queue here is full
        if (side.peer_known && returned->reason != Reason::lost && !is_recalled)
          fail("Returned before PeerLeft");
      } else if (std::holds_alternative<PeerJoined>(*event)) {
        if (side.peer_known) fail("PeerJoined twice");
        side.peer_known = true;
      } else {
        if (!side.peer_known) fail("PeerLeft twice");
        side.peer_known = false;
      }
    }
  }

  void suspect(PeerId x) {
    --left_.suspicions[x];
    sides_[x].node->declare_dead(1 - x);
  }
  void crash(PeerId x) {
    --left_.crashes[x];
    sides_[x].node.reset();
    sides_[x].weight = 0;
  }
  void restart(PeerId x) {
    Side& side = sides_[x];
    side.node.emplace(x, ++side.incarnation, limits_);
    side.node->add(1 - x);
    side.peer_known = true;
  }
  void leave(PeerId x) {
    --left_.leaves[x];
    left_.messages[x] = 0;
    sides_[x].node->leave();
  }
  void close(PeerId x) {
    Side& side = sides_[x];
    poll(x);
    const bool in_touch = side.node->is_open(1 - x);
    side.node.reset();
    side.closed = true;
    if (!in_touch) return;
    // Nothing may be missing: what it was sent is delivered there or at home again.
    for (std::uint32_t name = 0; name < fates_.size(); ++name) {
      const Fate& fate = fates_[name];
      const bool is_of_a_live_node =
          fate.from == x ||
          (fate.incarnation == sides_[fate.from].incarnation && sides_[fate.from].node);
      if (!is_of_a_live_node || fate.delivered + fate.returned > 0) continue;
      if (fate.from == x && fate.incarnation < side.incarnation) continue;
      if (fate.granted_to != 0 && fate.granted_to < sides_[1 - fate.from].incarnation) continue;
      const PeerId other = 1 - x;
      if (sides_[other].node &&
          (in_events<Returned>(other, name) || in_events<Delivered>(other, name) ||
           place(other, name) == Place::own)) {
        continue;
      }
      fail("a leaver took message " + std::to_string(name) + " along");
    }
  }

  /// What stands in the place of a recalled message is nobody's.
  [[nodiscard]] static bool stands_for(const Message& message, std::uint32_t name) {
    return message.kind != Message::recalled && message.round == name;
  }

  // Where a message is in its sender's queue.
  enum class Place { nowhere, own, granted };
  [[nodiscard]] Place place(PeerId x, std::uint32_t name) const {
    const auto& out = out_of(x);
    for (std::size_t i = 0; i < out.queue.size(); ++i) {
      if (stands_for(out.queue[i], name))
        return i < out.in_their_hands() ? Place::granted : Place::own;
    }
    return Place::nowhere;
  }
  template <class Wanted>
  [[nodiscard]] bool in_events(PeerId x, std::uint32_t name) const {
    const auto& events = queue_of(*sides_[x].node).events;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const auto* found = std::get_if<Wanted>(&events[i].event);
      if (found != nullptr && stands_for(found->message, name)) return true;
    }
    return false;
  }

  /// Remembers to which incarnation of the receiver each message was granted.
  void note_grants() {
    for (PeerId x = 0; x < 2; ++x) {
      if (!sides_[x].node) continue;
      const auto& out = out_of(x);
      const bool open = sides_[x].node->is_open(1 - x);
      for (std::size_t i = 0; open && i < std::min(out.in_their_hands(), out.queue.size()); ++i) {
        if (out.queue[i].kind == Message::recalled) continue;
        auto& granted_to = fates_[out.queue[i].round].granted_to;
        if (granted_to == 0) granted_to = peer_of(session_of(x)).incarnation;
      }
    }
  }

  void check_message(std::uint32_t name) {
    const Fate& fate = fates_[name];
    const std::string message = "message " + std::to_string(name);
    if (fate.delivered > 1) return fail(message + " was delivered twice");
    if (fate.returned > 1) return fail(message + " was returned twice");
    if (fate.delivered + fate.returned > 1) return fail(message + " was delivered and returned");
    const Side& sender = sides_[fate.from];
    const Side& receiver = sides_[1 - fate.from];
    if (!sender.node || sender.incarnation != fate.incarnation) return;
    const Place at_home = place(fate.from, name);
    const bool returned = fate.returned > 0 || in_events<Returned>(fate.from, name);
    const bool delivered =
        fate.delivered > 0 || (receiver.node && in_events<Delivered>(1 - fate.from, name));
    if (returned && delivered) return fail(message + " is at home and with the receiver");
    if (returned && at_home != Place::nowhere) return fail(message + " is at home twice");
    if (delivered && at_home == Place::own) return fail(message + " is used before it is granted");
    if (returned || delivered || at_home != Place::nowhere) return;
    const bool died_with_receiver =
        fate.granted_to != 0 && (fate.granted_to < receiver.incarnation || !receiver.node);
    if (!died_with_receiver) fail(message + " is lost");
  }

  void check_ledger(PeerId x) {
    const Ledger now = sides_[x].node->ledger(1 - x);
    Ledger all = now;
    static_cast<Flows&>(all) += sides_[x].node->past(1 - x);
    const double places = all.offered.weight() + all.granted.weight() + all.in_doubt.weight() +
                          all.confirmed.weight() + all.returned.weight() +
                          all.lost_with_peer.weight();
    if (places != all.sent.weight()) fail("the ledger's places are not all that was sent");
    const double weight = start_of(x) - all.sent.weight() + all.returned.weight() -
                          all.returning.weight() + all.delivered.weight() - all.waiting.weight();
    if (weight != sides_[x].weight) fail("the ledger and the node's weight do not agree");
  }
  [[nodiscard]] double start_of(PeerId x) const {
    return sides_[x].incarnation == 1 ? start_weight : 0;
  }

  /// Between two nodes that run and have found each other, nothing is open.
  void check_healed() {
    std::array<Ledger, 2> books;
    double total = 0;
    for (PeerId x = 0; x < 2; ++x) {
      const Node& node = *sides_[x].node;
      // Who has heard a leaver's farewell has nothing more to ask of it.
      const bool peer_leaves = queue_of(*sides_[1 - x].node).leaving;
      if (!node.is_open(1 - x) && !peer_leaves) return fail("the session does not open again");
      if (node.under_way(1 - x) != 0) return fail("something stays under way");
      if (node.waits_for(1 - x)) return fail("a node waits for ever");
      if (!sides_[x].peer_known && !peer_leaves) return fail("a live peer is not known");
      books[x] = node.ledger(1 - x);
      if (books[x].in_doubt.messages() != 0) return fail("something stays in doubt");
      total += sides_[x].weight;
    }
    for (PeerId x = 0; x < 2; ++x) {
      if (books[x].confirmed.weight() != books[1 - x].delivered.weight() ||
          books[x].confirmed.messages() != books[1 - x].delivered.messages()) {
        return fail("the two ledgers do not agree");
      }
    }
    // What the dead held follows from the survivor's books.
    for (PeerId x = 0; x < 2; ++x) {
      if (sides_[x].incarnation != 1) continue;
      Ledger all = books[x];
      static_cast<Flows&>(all) += sides_[x].node->past(1 - x);
      if (sides_[x].weight + start_weight + all.surplus() != 1) {
        return fail("the survivor's ledger does not tell what the other held");
      }
      if (sides_[1 - x].incarnation == 1 && total != 1) return fail("weight is lost");
    }
  }
  void check_left() {
    for (PeerId x = 0; x < 2; ++x) {
      if (!sides_[x].node) continue;
      if (sides_[x].node->under_way(1 - x) != 0) fail("something stays under way to a leaver");
    }
  }

  void add_node(Hash& hash, PeerId x) const {
    const Node& node = *sides_[x].node;
    for_each_part(session_of(x), [&hash](const auto& part) { hash.part(part); });
    const auto& queue = queue_of(node);
    const auto& events = queue.events;
    hash.all(queue.leaving, queue.taken, queue.waiting.size(), sides_[x].peer_known);
    hash.add(events.size());
    for (std::size_t i = 0; i < events.size(); ++i) {
      hash.all(events[i].event.index(), events[i].epoch);
      if (const auto* d = std::get_if<Delivered>(&events[i].event)) {
        hash.add(d->message.round);
      } else if (const auto* r = std::get_if<Returned>(&events[i].event)) {
        hash.add(r->message.round);
      }
    }
  }

  Bounds left_;
  DeliveryLimits limits_;
  std::array<Side, 2> sides_;
  std::vector<Fate> fates_;
  std::string broken_;
};

/// What a search found.
struct Found {
  std::size_t states = 0;
  std::size_t healed = 0;
  std::string broken;              // the promise that does not hold
  std::vector<std::string> steps;  // that lead there
  bool complete = true;            // every state within the bounds was seen
};

/// Depth first over every step in every state, until a promise does not hold.
class Search {
 public:
  explicit Search(const Bounds& bounds) : bounds_(bounds) {}

  Found run() {
    visit(TwoNodes(bounds_), {});
    while (!path_.empty() && found_.broken.empty() && found_.complete) {
      Place& here = path_.back();
      if (here.next == here.steps.size()) {
        path_.pop_back();
        continue;
      }
      const Step step = here.steps[here.next++];
      TwoNodes world = here.world;
      world.take(step);
      visit(std::move(world), step);
    }
    return std::move(found_);
  }

 private:
  /// A state on the way to the present one, and the steps that lead on from it.
  struct Place {
    TwoNodes world;
    std::vector<Step> steps;
    std::size_t next;
    Step came_by;
  };

  void visit(TwoNodes world, const Step& came_by) {
    const std::uint64_t hash = world.hash();
    if (world.broken().empty() && !seen_.insert(hash).second) return;
    found_.complete = ++found_.states < bounds_.most_states;
    world.check();
    found_.broken = world.broken();
    if (found_.broken.empty() && hash % bounds_.heal_every == 0) {
      TwoNodes healed = world;
      healed.heal();
      ++found_.healed;
      if (!healed.broken().empty()) found_.broken = healed.broken() + ", when all has healed";
    }
    std::vector<Step> steps = world.steps();
    path_.push_back({std::move(world), std::move(steps), 0, came_by});
    if (found_.broken.empty()) return;
    for (std::size_t i = 1; i < path_.size(); ++i) found_.steps.push_back(path_[i].came_by.text());
  }

  Bounds bounds_;
  std::unordered_set<std::uint64_t> seen_;
  std::vector<Place> path_;
  Found found_;
};

inline Found search(const Bounds& bounds) { return Search(bounds).run(); }

}  // namespace tests::delivery
