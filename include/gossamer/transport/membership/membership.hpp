// SPDX-License-Identifier: MIT
/// One node's part in a group of nodes that talk over connections: all of it but the bytes.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/delivery/ledger.hpp>
#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/dialer.hpp>
#include <gossamer/transport/membership/failure_detector.hpp>
#include <gossamer/transport/membership/options.hpp>
#include <gossamer/transport/membership/state.hpp>
#include <gossamer/transport/membership/termination_detector.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// What a member knows of one peer, for those who look on.
struct MembershipView {
  PeerId peer = 0;
  std::string address;
  wire::Presence presence = wire::Presence::live;
  bool connected = false;
  Time round_trip{0};           ///< 0: not measured yet
  double bytes_per_second = 0;  ///< of messages to it; 0: not measured yet
  Counters status;
  Ledger ledger;  ///< with the incarnation that was met last
};

/// Holds a node's `Delivery` and decides whom to dial, whom to believe, who is dead, and when all
/// is over. It knows no socket, no thread and no clock: whoever has these (TCP, MPI, a test) tells
/// it what happens and what time it is, and writes what it has to say:
///
///     connected(), received(), heard(), disconnected(), dial_failed(), tick()   what happened
///     dials(), speakers(), next(), must_close()                                 what to do
///
/// After each call of either kind there may be more to do. The other members are those of the
/// transport contract; `wait()` is up to whoever has a clock.
///
///     member/handshake  who belongs here       member/links  frames of `Delivery`, time-outs
///     member/dialer     whom to dial, when     member/calm   whether all is over
///     member/roster     who there is           member/state  what they share
///
/// Threads  one at a time. `peers()` may be read beside other calls than `poll()`.
/// Errors   ConfigError from the constructor and from `set_model_layout()`.
class Membership {
 public:
  explicit Membership(MembershipOptions options) : m_(std::move(options)) {}
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // What the node does: see `Transport`.

  [[nodiscard]] PeerId self() const { return m_.self(); }
  [[nodiscard]] std::span<const PeerId> peers() const { return m_.peers; }
  /// `model` describes all that a payload is: parameters, dtypes, lengths.
  void set_model_layout(const std::string& model) { handshake_.set_model_layout(model); }

  void send(Message message) {
    const PeerId to = message.to;
    KnownPeer* peer = m_.link(to);
    if (peer != nullptr && m_.finished) ++peer->sent_after_finish;
    m_.delivery.send(std::move(message));
    m_.mark_dirty(to);
    calm_.look();
  }

  std::optional<Event> poll() {
    std::optional<Event> event = m_.delivery.poll();
    if (!event && !m_.news.empty()) {
      event = m_.news.front();
      m_.news.pop_front();
    }
    if (!event) return std::nullopt;
    ++m_.polled;
    if (const auto* delivered = std::get_if<Delivered>(&*event)) {
      m_.mark_dirty(delivered->message.from);
    } else if (auto* returned = std::get_if<Returned>(&*event)) {
      returned->reason = reason_of(returned->message.to, returned->reason);
      m_.mark_dirty(returned->message.to);
    } else if (auto* gone = std::get_if<PeerLeft>(&*event)) {
      gone->reason = reason_of(gone->peer, gone->reason);
      std::erase(m_.peers, gone->peer);
      if (gone->reason != Reason::finished) {
        std::erase_if(m_.news, [&](const PeerLeft& news) { return news.peer == gone->peer; });
      }
      m_.mark_dirty(gone->peer);
    } else if (const auto* joined = std::get_if<PeerJoined>(&*event)) {
      const auto at = std::lower_bound(m_.peers.begin(), m_.peers.end(), joined->peer);
      if (at == m_.peers.end() || *at != joined->peer) m_.peers.insert(at, joined->peer);
      m_.mark_dirty(joined->peer);
    }
    return event;
  }
  [[nodiscard]] bool has_event() const { return m_.delivery.has_event() || !m_.news.empty(); }

  /// Messages that are under way to or from this node, and events that it has not polled.
  [[nodiscard]] std::size_t under_way() const { return m_.delivery.under_way() + m_.news.size(); }

  /// Messages to others that are still this node's: for these it must be heard once more.
  [[nodiscard]] std::size_t not_accepted() const {
    std::size_t sum = 0;
    for (const auto& [id, peer] : m_.links) sum += m_.inner(id).not_accepted();
    return sum;
  }

  /// A number that changes whenever a message has come further, to or from anybody.
  [[nodiscard]] std::uint64_t progress() const {
    std::uint64_t sum = 0;
    for (const auto& [id, peer] : m_.links) sum += m_.inner(id).progress();
    return sum;
  }
  /// The weight of these, and of what came back after `close()`.
  [[nodiscard]] double weight_not_accepted() const {
    double sum = m_.left_behind;
    for (const auto& [id, peer] : m_.links) sum += m_.delivery.ledger(id).offered.weight();
    return sum;
  }

  /// All that was polled is dealt with.
  void dealt_with() {
    m_.polled = 0;
    calm_.look();
  }

  void publish(const Counters& status) {
    ++m_.own.version;
    m_.own.status = status;
  }
  [[nodiscard]] Counters counters(PeerId peer) const {
    if (peer == self()) return m_.own.status;
    const RosterEntry* entry = m_.roster.find(peer);
    return entry != nullptr ? entry->report.status : Counters{};
  }
  [[nodiscard]] WorkDone work_done() const {
    WorkDone totals = m_.roster.work_done();
    totals.steps += m_.own.status.steps;
    totals.samples += m_.own.status.samples;
    return totals;
  }

  void finish() {
    if (std::exchange(m_.finished, true)) return;
    for (auto& [id, peer] : m_.links) {
      peer.sent_after_finish = 0;
      m_.mark_dirty(id);
    }
    calm_.look();
  }
  /// Call it, as `wait()`, only when all polled events are dealt with.
  [[nodiscard]] bool settled() {
    dealt_with();
    return calm_.settled();
  }

  /// Whether `settled()` would be true.
  [[nodiscard]] bool is_settled() const { return calm_.settled(); }

  /// What keeps the node from being settled, in words.
  [[nodiscard]] std::string waits_for() const { return calm_.reason(); }

  /// Begins to leave. Go on carrying frames until `may_go()`, then call `go()`.
  void close(Reason reason) {
    if (std::exchange(m_.closing, true)) return;
    m_.polled = 0;
    m_.reason = reason;
    m_.news.clear();
    m_.delivery.leave();
    for (const auto& [id, peer] : m_.links) m_.mark_dirty(id);
    say_farewell();
  }
  [[nodiscard]] bool is_closing() const { return m_.closing; }
  [[nodiscard]] bool may_go() const {
    if (!m_.closing || !m_.delivery.may_close()) return false;
    return std::all_of(m_.links.begin(), m_.links.end(), [this](const auto& entry) {
      return entry.second.line == 0 || entry.second.left || m_.delivery.is_open(entry.first);
    });
  }
  /// The last word, on all lines.
  void go() {
    gone_ = true;
    for (auto& [id, line] : m_.lines) {
      if (!line.up()) line.state = Connection::State::closing;
      m_.speak(line);
    }
  }
  /// Weight that came back after `close()`, where there was nobody to take it.
  [[nodiscard]] double left_behind() const { return m_.left_behind; }

  // What happens.

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
    suspect(node);
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
      peer->line = 0;
      dialer_.expedite(line.hello.node);
    }
    calm_.look();
  }
  /// Nobody was reached. `refused`: the machine is there, and says that nobody listens.
  void dial_failed(const DialAttempt& dial, bool refused, const std::string& why, Time now,
                   bool is_local = false) {
    dialer_.failed(dial, why, now, is_local);
    const KnownPeer* peer = m_.link(dial.node);
    if (dial.why == DialAttempt::Why::member && refused && peer != nullptr && peer->line == 0) {
      links_.suspect(dial.node);
    }
    say_farewell();
    calm_.look();
  }
  /// Somebody who must know says that the peer is gone.
  void suspect(PeerId peer) {
    links_.suspect(peer);
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
      } else if (line.up() && now - line.said >= timers.heartbeat) {
        line.ping_due = true;
        m_.speak(line);
      }
    }
    links_.tick(now);
    if (now >= next_list_) {
      next_list_ = now + 10 * timers.heartbeat;
      tell_somebody_all();
    }
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
    std::optional<wire::Body> body = say(*line, load, now);
    line->busy = body.has_value();
    if (body) line->said = now;
    return body;
  }
  /// Whether the line is to be closed, now that it has nothing more to say.
  [[nodiscard]] bool must_close(LineId id) {
    const Connection* line = m_.line(id);
    return line == nullptr || line->state == Connection::State::closing;
  }

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

  // What can be seen.

  [[nodiscard]] const MembershipCounts& counts() const { return m_.counts; }
  /// What the user should know, and was not told yet.
  std::vector<MembershipNote> notes() { return std::exchange(m_.notes, {}); }
  /// Why the node cannot take part; empty if it can.
  [[nodiscard]] const std::string& trouble() const { return m_.trouble; }
  [[nodiscard]] const std::string& last_refusal() const { return m_.last_refusal; }
  [[nodiscard]] const std::string& last_failure() const { return dialer_.last_failure; }
  /// Whether a peer has met an earlier incarnation of this node.
  [[nodiscard]] bool had_earlier_incarnation() const { return m_.earlier_incarnation != 0; }
  [[nodiscard]] const MembershipOptions& options() const { return m_.options; }
  /// How many others have taken part, those who have left included.
  [[nodiscard]] std::size_t met() const {
    const auto& all = m_.roster.entries();
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [this](const auto& one) {
      const auto link = m_.links.find(one.first);
      return one.second.presence == wire::Presence::left ||
             (link != m_.links.end() && link->second.met);
    }));
  }
  /// Whether the peer has been heard of, by anybody who was let in.
  [[nodiscard]] bool is_listed(PeerId peer) const { return m_.roster.find(peer) != nullptr; }
  /// Whether the peer is among the node's, or will be when the node has polled.
  [[nodiscard]] bool knows(PeerId peer) const {
    const auto at = m_.links.find(peer);
    return at != m_.links.end() && at->second.known;
  }
  [[nodiscard]] bool is_connected(PeerId peer) const {
    const auto at = m_.links.find(peer);
    return at != m_.links.end() && at->second.line != 0;
  }
  /// Bytes per second of messages to the peer; 0: not measured yet.
  [[nodiscard]] double speed(PeerId peer) const {
    const auto link = m_.links.find(peer);
    return link != m_.links.end() ? link->second.speed.bytes_per_second() : 0;
  }
  /// All members that were ever heard of. O(members + messages that wait).
  [[nodiscard]] std::vector<MembershipView> view() const {
    std::vector<MembershipView> all;
    for (const auto& [id, entry] : m_.roster.entries()) {
      MembershipView view;
      view.peer = id;
      view.address = entry.address;
      view.presence = entry.presence;
      view.status = entry.report.status;
      if (const auto link = m_.links.find(id); link != m_.links.end()) {
        view.connected = link->second.line != 0;
        view.round_trip = link->second.round_trip;
        view.bytes_per_second = link->second.speed.bytes_per_second();
        view.ledger = m_.delivery.ledger(id);
      }
      all.push_back(std::move(view));
    }
    return all;
  }
  /// Pings all peers, after what is to be said before: when they have answered, they have heard it.
  void ping_all() {
    for (auto& [id, line] : m_.lines) {
      if (!line.up()) continue;
      line.ping_due = true;
      m_.speak(line);
    }
  }
  [[nodiscard]] bool all_answered() const {
    return std::all_of(m_.links.begin(), m_.links.end(), [this](const auto& entry) {
      const auto line = m_.lines.find(entry.second.line);
      return line == m_.lines.end() ||
             (!line->second.ping_due && entry.second.answered == entry.second.pinged);
    });
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
    hear_report(line, body.report);
    links_.receive(line, std::move(body), now);
  }
  void take(Connection& line, const wire::Refusal& refusal, Time /*now*/) {
    handshake_.refused(line, refusal);
  }
  void take(Connection& line, const wire::Members& members, Time /*now*/) {
    if (!line.up()) return;
    if (!std::exchange(line.has_listed, true)) notice_other_swarm(line, members);
    for (const wire::Entry& entry : members.entries) {
      if (entry.node == self()) {
        if (entry.incarnation > m_.options.incarnation) {
          m_.note_once(self(), entry.incarnation, {MembershipTopic::What::same_number},
                       m_.name() + ": another node with this number runs at " + entry.address +
                           "; give each node its own");
        }
        continue;
      }
      if (entry.incarnation == 0) continue;
      if (m_.roster.merge(entry) == Roster::Change::presence) m_.spread(entry.node, line.id);
      if (entry.node == line.hello.node && entry.presence == wire::Presence::left) {
        links_.mark_left(entry.node);
      }
    }
  }
  void take(Connection& line, const wire::Ping& ping, Time now) {
    if (!line.up()) return;
    hear_report(line, ping.report);
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
  void hear_report(const Connection& line, const wire::Report& report) {
    if (RosterEntry* entry = m_.roster.find(line.hello.node)) m_.roster.hear(*entry, report);
  }

  std::optional<wire::Body> say(Connection& line, Load load, Time now) {
    if (std::exchange(line.hello_due, false)) {
      line.told = m_.model_mark;
      return hello_to(line);
    }
    if (std::exchange(line.model_due, false)) {
      const bool same = line.hello.model == m_.model_mark;
      return wire::Model{m_.model_mark, same ? std::string() : m_.model};
    }
    if (line.refusal) return wire::Body(*std::exchange(line.refusal, std::nullopt));
    if (!line.up()) return std::nullopt;
    if (std::exchange(line.all_members_due, false)) {
      line.members_due.clear();
      wire::Members all{{m_.own_entry()}};
      for (const auto& [id, entry] : m_.roster.entries()) {
        if (all.entries.size() < wire::Members::most) all.entries.push_back(entry);
      }
      return all;
    }
    if (!line.members_due.empty()) {
      wire::Members some;
      for (const PeerId id : std::exchange(line.members_due, {})) {
        if (const RosterEntry* entry = m_.roster.find(id)) some.entries.push_back(*entry);
      }
      return some;
    }
    if (std::exchange(line.answer_due, false)) return ping_to(line, line.answer, true);
    if (auto body = links_.next(line, load, now)) return std::move(*body);
    if (std::exchange(line.ping_due, false)) {
      ++m_.pings;
      if (KnownPeer* peer = m_.link(line.hello.node)) {
        peer->pinged = m_.pings;
        peer->pinged_at = now;
      }
      return ping_to(line, m_.pings, false);
    }
    if (!gone_) return std::nullopt;
    wire::Members farewell{{m_.own_entry()}};
    farewell.entries.front().presence = wire::Presence::left;
    handshake_.close(line);
    return farewell;
  }

  wire::Hello hello_to(const Connection& line) const {
    wire::Hello hello;
    hello.node = self();
    hello.incarnation = m_.options.incarnation;
    hello.world_size = m_.options.world_size;
    hello.probe = line.dialed ? line.dial.why == DialAttempt::Why::probe : line.hello.probe;
    hello.model = m_.model_mark;
    hello.address = hello.probe ? std::string() : m_.options.address;
    const bool known = !line.dialed || line.dial.why == DialAttempt::Why::member;
    const RosterEntry* peer = m_.roster.find(line.dialed ? line.dial.node : line.hello.node);
    if (known && peer != nullptr) {
      hello.earlier_incarnation = peer->incarnation != line.hello.incarnation
                                      ? peer->incarnation
                                      : peer->earlier_incarnation;
    }
    return hello;
  }

  wire::Ping ping_to(const Connection& line, std::uint64_t number, bool answer) const {
    const auto peer = m_.links.find(line.hello.node);
    const bool knows = peer != m_.links.end() && peer->second.known;
    wire::Ping ping{number, answer, m_.own, calm_.calm() && knows, calm_.activity_epoch()};
    ping.settled = ping.calm && calm_.settled();
    if (knows) ping.expected = peer->second.expected;
    return ping;
  }

  /// What a leaver does after each frame: takes back what comes.
  void say_farewell() {
    if (!m_.closing) return;
    while (auto event = m_.delivery.poll()) {
      const Message* message = nullptr;
      if (const auto* delivered = std::get_if<Delivered>(&*event)) message = &delivered->message;
      if (const auto* returned = std::get_if<Returned>(&*event)) message = &returned->message;
      if (message == nullptr) continue;
      m_.left_behind += message->weight;
      m_.mark_dirty(message->from == self() ? message->to : message->from);
    }
    m_.news.clear();
  }

  [[nodiscard]] Reason reason_of(PeerId id, Reason reason) const {
    const auto peer = m_.links.find(id);
    return reason == Reason::left && peer != m_.links.end() ? peer->second.reason : reason;
  }

  void tell_somebody_all() {
    std::vector<Connection*> up;
    for (auto& [id, line] : m_.lines) {
      if (line.up()) up.push_back(&line);
    }
    if (up.empty()) return;
    Connection& one = *up[m_.random.below(static_cast<std::uint32_t>(up.size()))];
    one.all_members_due = true;
    m_.speak(one);
  }

  /// Two groups of one run that knew nothing of each other: somebody forgot a contact.
  void notice_other_swarm(const Connection& line, const wire::Members& theirs) {
    const PeerId peer = line.hello.node;
    const auto beyond = [this](PeerId id) { return id >= m_.options.world_size; };
    bool others_here = false;
    bool others_there = false;
    bool newcomers = m_.options.world_size == 0;  // else world_size are still finding each other
    for (const auto& [id, entry] : m_.roster.entries()) {
      if (id == peer || entry.presence != wire::Presence::live) continue;
      others_here = true;
      newcomers = newcomers || beyond(id);
    }
    for (const wire::Entry& entry : theirs.entries) {
      if (entry.presence != wire::Presence::live || entry.node == peer || entry.node == self()) {
        continue;
      }
      if (m_.roster.find(entry.node) != nullptr) return;
      others_there = true;
      newcomers = newcomers || beyond(entry.node);
    }
    if (!others_here || !others_there || !newcomers) return;
    m_.note(true, m_.name() + ": node " + std::to_string(peer) +
                      " brings a group of this run that knew nothing of ours; they are one from "
                      "now on, with the weight of both. Give every node a contact that all share");
  }

  MembershipState m_;
  Admission handshake_{m_};
  Dialer dialer_{m_, handshake_};
  FailureDetector links_{m_, handshake_};
  TerminationDetector calm_{m_};
  bool gone_ = false;
  std::uint64_t activity_ = 0;
  Time last_tick_{0};
  Time next_list_{0};
};

}  // namespace gossamer::transport
