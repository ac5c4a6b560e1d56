// SPDX-License-Identifier: MIT
/// One node's part in a group of nodes that talk over connections: all of it but the bytes.
#pragma once

#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/calls.hpp>
#include <gossamer/transport/membership/dialer.hpp>
#include <gossamer/transport/membership/failure_detector.hpp>
#include <gossamer/transport/membership/options.hpp>
#include <gossamer/transport/membership/roster_gossip.hpp>
#include <gossamer/transport/membership/speaker.hpp>
#include <gossamer/transport/membership/state.hpp>
#include <gossamer/transport/membership/termination_detector.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// Holds a node's `Delivery` and decides whom to dial, whom to believe, who is dead, and when all
/// is over. It knows no socket, no thread and no clock: whoever has these (TCP, MPI, a test) tells
/// it what happens and what time it is, and writes what it has to say:
///
///     connected(), received(), heard(), disconnected(), dial_failed(), tick()   what happened
///     dials(), speakers(), next(), must_close(), go()                           what to do
///
/// After each call of either kind, and of the node's (`MembershipCalls`), there may be more to do.
///
///     admission         who belongs here       failure_detector      frames, time-outs
///     dialer            whom to dial, when     termination_detector  whether all is over
///     roster            who there is           roster_gossip         who tells whom of it
///     state             what they share        speaker               what is said next on a line
///     calls             what the node does     view                  what can be seen
///
/// Threads  one at a time. `peers()` may be read beside other calls than `poll()`.
/// Errors   ConfigError from the constructor and from `set_model_layout()`.
class Membership : public MembershipCalls {
 public:
  explicit Membership(MembershipOptions options) : MembershipCalls(std::move(options)) {}
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // What happens.

  /// Where others can dial this node, if that is known only when the first connection is there:
  /// before its `connected()`.
  void advertise(std::string address) { m_.options.address = std::move(address); }
  /// A connection is there; `dial` if this side made it.
  void connected(LineId id, const DialAttempt* dial, Time now) {
    ++activity_;
    handshake_.begin(id, dial, now);
  }

  /// A whole frame has come. A frame of `Delivery` that has `payload` and no offer had one with
  /// numbers that are not finite: unless it is of a session that is over, it is refused.
  void received(LineId id, wire::Body body, Time now) {
    Connection* line = m_.line(id);
    if (line == nullptr || line->state == Connection::State::closing) return;
    hear(*line, now);
    if (!std::holds_alternative<wire::Ping>(body)) ++activity_;
    std::visit([&](auto& value) { take(*line, std::move(value), now); }, body);
    say_farewell();
    calm_.look();
  }
  /// Bytes of a frame have come.
  void heard(LineId id, Time now) {
    if (Connection* line = m_.line(id)) hear(*line, now);
  }
  /// Bytes of what a message brings have come.
  void brought(LineId id, Time now) {
    heard(id, now);
    const Connection* line = m_.line(id);
    KnownPeer* peer = line != nullptr ? m_.link(line->hello.node) : nullptr;
    if (peer != nullptr && peer->line == id) peer->brought = now;
  }
  /// What came is not a frame: it is refused. `who` is the peer as far as it is known.
  void malformed(LineId id, const wire::WireError& error, const std::string& who) {
    Connection* line = m_.line(id);
    if (line == nullptr) return;
    ++m_.counts.malformed;
    const bool other_run = error.rule == wire::WireRule::run;
    handshake_.refuse(
        *line, other_run ? wire::Refusal::Code::run : wire::Refusal::Code::protocol,
        other_run ? "it is of run \"" + m_.options.run + "\", " + who +
                        " of another; start all nodes of a run with the same run name"
                  : who + ": " + error.text(),
        MembershipTopic{MembershipTopic::What::malformed, static_cast<int>(error.rule)});
  }
  /// The peer of a line has not taken what was written to it for long. Unless it has another one,
  /// it is taken for dead, for what waits for it would wait for ever; the line is to be cut.
  void stalled(LineId id) {
    const Connection* line = m_.line(id);
    if (line == nullptr) return;
    const PeerId node = line->hello.node;
    const KnownPeer* peer = m_.link(node);
    if (peer == nullptr || peer->line != id) return;
    m_.note_once(node, line->hello.incarnation, {MembershipTopic::What::stalled},
                 m_.name() + ": node " + std::to_string(node) +
                     " does not read what is written to it, and is taken for dead");
    suspect(node, "it does not read what is written to it");
  }
  /// A connection is gone.
  void disconnected(LineId id, const std::string& why, Time now) {
    const auto at = m_.lines.find(id);
    if (at == m_.lines.end()) return;
    const Connection line = std::move(at->second);
    m_.lines.erase(at);
    ++activity_;
    calm_.interrupt();
    const bool answered = line.hello.incarnation != 0;
    if (line.dialed && !answered) dialer_.failed(line.dial, why, now);
    KnownPeer* peer = m_.link(line.hello.node);
    if (answered && peer != nullptr && peer->line == id) {
      m_.detach(line.hello.node, *peer);
      if (!peer->left && !m_.closing) {
        ++m_.counts.breaks;
        m_.note(false, m_.name() + ": the connection to node " + std::to_string(line.hello.node) +
                           " is broken: " + why);
      }
    }
    calm_.look();
  }
  /// Nobody was reached. `refused`: the machine is there, and says that nobody listens.
  void dial_failed(const DialAttempt& dial, bool refused, const std::string& why, Time now,
                   bool is_local = false) {
    dialer_.failed(dial, why, now, is_local);
    const KnownPeer* peer = m_.link(dial.node);
    if (dial.why == DialAttempt::Why::member && refused && peer != nullptr && peer->line == 0) {
      links_.suspect(dial.node, "nobody listens at " + dial.address + " any more");
    }
    say_farewell();
    calm_.look();
  }
  /// Somebody who must know says that the peer is gone.
  void suspect(PeerId peer, const std::string& why = "it is known to be gone") {
    links_.suspect(peer, why);
    say_farewell();
    calm_.look();
  }

  /// To be called about every `MembershipTimers::tick()`.
  void tick(Time now) {
    const MembershipTimers& timers = m_.options.timers;
    if (const Time gap = now - last_tick_; gap > timers.dead_after / 2 && last_tick_ > Time(0)) {
      for (auto& [id, peer] : m_.links) peer.heard += gap;  // it was this node that stood still
    }
    last_tick_ = now;
    for (auto& [id, line] : m_.lines) {
      if (line.state != Connection::State::up && now - line.since >= timers.handshake) {
        line.refusal.reset();
        handshake_.close(line);
      } else if (line.up() && (now - line.said >= timers.heartbeat ||
                               now - line.pinged >= RosterGossip::list_every * timers.heartbeat)) {
        line.pinged = now;
        line.ping_due = true;
        m_.speak(line);
      }
    }
    links_.tick(now);
    rosters_.tick(now);
    say_farewell();
    calm_.look();
  }

  // What to do.

  /// The addresses to dial now. Each is answered by `connected()` or `dial_failed()`.
  std::vector<DialAttempt> dials(Time now) { return dialer_.due(now); }
  [[nodiscard]] bool has_speakers() const { return !m_.due.empty(); }
  /// Lines on which there may be something to say, each once.
  std::vector<LineId> speakers() {
    for (const LineId id : m_.due) {
      if (Connection* line = m_.line(id)) line->listed = false;
    }
    return std::exchange(m_.due, {});
  }
  /// The next frame to write; ask until there is none, whenever the line can take one. Without
  /// `Load::content`, which says that a payload is under way on the line, none comes with another.
  std::optional<wire::Body> next(LineId id, Time now, Load load = Load::content) {
    Connection* line = m_.line(id);
    if (line == nullptr) return std::nullopt;
    std::optional<wire::Body> body = speaker_.next(*line, load, now);
    line->busy = body.has_value();
    if (body) line->said = now;
    return body;
  }
  /// Whether a message for the peer of a line waits for its numbers (`model::Fence`). Nobody tells
  /// when they are there: ask `next()` again soon.
  [[nodiscard]] bool waits_for_fence(LineId id) {
    const Connection* line = m_.line(id);
    const KnownPeer* peer = line != nullptr && line->up() ? m_.link(line->hello.node) : nullptr;
    return peer != nullptr && peer->line == id && m_.inner(line->hello.node).waits_for_fence();
  }
  /// Whether the line is to be closed, now that it has nothing more to say.
  [[nodiscard]] bool must_close(LineId id) {
    const Connection* line = m_.line(id);
    return line == nullptr || line->state == Connection::State::closing;
  }

  /// Whether the peer of a line was let in.
  [[nodiscard]] bool is_admitted(LineId id) {
    const Connection* line = m_.line(id);
    return line != nullptr && line->up();
  }
  /// Whether it has still to be let in. One whose line is being closed may not know of it yet.
  [[nodiscard]] bool is_stranger(LineId id) { return !is_admitted(id) && !must_close(id); }
  /// Whether the content of an offer that comes on a line has a place here; else it is dropped.
  [[nodiscard]] bool expects(LineId id, const DeliveryFrame& frame, std::uint64_t content) {
    const Connection* line = m_.line(id);
    const KnownPeer* peer = line != nullptr && line->up() ? m_.link(line->hello.node) : nullptr;
    return peer != nullptr && peer->line == id &&
           m_.inner(line->hello.node)
               .expects(frame.sequence, Message::header_bytes + content, m_.options.limits);
  }
  /// Whether the peer of a line was let in, or had only come to look.
  [[nodiscard]] bool is_welcome(LineId id) {
    const Connection* line = m_.line(id);
    return line != nullptr && line->welcome;
  }

  /// The last word, on all lines.
  void go() {
    speaker_.gone = true;
    for (auto& [id, line] : m_.lines) {
      if (!line.up()) line.state = Connection::State::closing;
      m_.speak(line);
    }
  }

  // What can be seen: see also `MembershipObserver`.

  [[nodiscard]] const std::string& last_failure() const { return dialer_.last_failure; }
  /// What the user should know, and was not told yet.
  std::vector<MembershipNote> notes() { return std::exchange(m_.notes, {}); }
  /// Nothing is carried any more. Said by whoever carries.
  void fail(std::string why) {
    if (m_.failure.empty()) m_.failure = std::move(why);
  }
  /// Pings all peers, after what is to be said before: when they have answered, they have heard it.
  void ping_all() {
    for (auto& [id, line] : m_.lines) {
      if (!line.up()) continue;
      line.ping_due = true;
      m_.speak(line);
    }
  }
  /// A number that changes whenever something happens but pings and ticks.
  [[nodiscard]] std::uint64_t activity() const { return activity_; }

 private:
  void hear(Connection& line, Time now) {
    line.heard = now;
    if (KnownPeer* peer = m_.link(line.hello.node); peer != nullptr && peer->line == line.id) {
      peer->heard = now;
    }
  }

  void take(Connection& line, wire::Hello hello, Time now) {
    if (hello.incarnation == 0) {
      return handshake_.refuse(line, wire::Refusal::Code::protocol,
                               "an incarnation must be at least 1, got 0");
    }
    if (line.state != Connection::State::greeting) return;
    handshake_.hello(line, std::move(hello), now);
    if (line.dialed && line.dial.why != DialAttempt::Why::probe) {
      if (line.hello.node == self() && line.hello.incarnation == m_.options.incarnation) {
        dialer_.drop(line.dial.address);
      } else {
        dialer_.met(line, now);
      }
    }
  }
  void take(Connection& line, wire::Model model, Time /*now*/) {
    handshake_.model(line, std::move(model));
  }
  void take(Connection& /*line*/, wire::Piece /*piece*/, Time /*now*/) {}
  void take(Connection& line, wire::DeliveryBody body, Time now) {
    if (!line.up()) return;
    rosters_.hear_report(line, body.report);
    links_.receive(line, std::move(body), now);
  }
  void take(Connection& line, const wire::Refusal& refusal, Time /*now*/) {
    handshake_.refused(line, refusal);
  }
  void take(Connection& line, const wire::Members& members, Time /*now*/) {
    if (rosters_.receive(line, members)) links_.mark_left(line.hello.node);
  }
  void take(Connection& line, const wire::Ping& ping, Time now) {
    if (!line.up()) return;
    rosters_.hear_report(line, ping.report);
    line.their_known = ping.known;
    line.their_connected = ping.connected;
    if (!ping.answer) {
      line.answer_due = true;
      line.answer = std::max(line.answer, ping.number);
      m_.speak(line);
    }
    KnownPeer* peer = m_.link(line.hello.node);
    if (peer == nullptr || peer->line != line.id) return;
    if (ping.answer) peer->answered = std::max(peer->answered, ping.number);
    if (ping.answer && ping.number == peer->pinged) peer->round_trip = now - peer->pinged_at;
    calm_.hear(*peer, ping, ping.answer ? ping.number : 0);
  }
  Dialer dialer_{m_, handshake_};
  FailureDetector links_{m_, handshake_};
  RosterGossip rosters_{m_};
  Speaker speaker_{m_, handshake_, rosters_, links_, calm_};
  std::uint64_t activity_ = 0;
  Time last_tick_{0};
};

}  // namespace gossamer::transport
