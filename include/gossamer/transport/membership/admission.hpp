// SPDX-License-Identifier: MIT
/// How two nodes that have a connection find out whether they belong together.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/difference.hpp>
#include <gossamer/transport/membership/state.hpp>
#include <gossamer/transport/wire/checksum.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace gossamer::transport {

/// Who dialed says hello first:
///
///     dialer    hello ------------------------------------------------> up
///     acceptor         known? address right? (a probe) -- hello ------> up
///
/// Either side may refuse, and says why; both then know the reason. Of two connections between the
/// same nodes the one that the lower number dialed stays, or else the later one.
class Admission {
 public:
  explicit Admission(MembershipState& state) : m_(state) {}

  void begin(LineId id, const DialAttempt* dial, Time now) {
    Connection& line = m_.lines[id];
    line.id = id;
    line.dialed = dial != nullptr;
    if (dial != nullptr) line.dial = *dial;
    line.since = line.heard = line.said = now;
    line.hello_due = line.dialed;
    m_.speak(line);
  }

  /// The peer says who it is.
  void hello(Connection& line, wire::Hello hello, Time now) {
    if (line.state != Connection::State::greeting) return;
    line.hello = std::move(hello);
    const wire::Hello& peer = line.hello;
    if (line.dialed && line.dial.why == DialAttempt::Why::probe) return probed(line, now);
    if (peer.probe) {
      line.welcome = line.hello_due = true;
      line.state = Connection::State::closing;
      return m_.speak(line);
    }
    if (peer.node == m_.self() && peer.incarnation == m_.options.incarnation) {
      return meet_self(line);
    }
    if (line.dialed && peer.earlier_incarnation > m_.options.incarnation && m_.links.empty() &&
        !m_.closing) {
      return begin_later(line);
    }
    if (!may_enter(line)) return;
    const RosterEntry* entry = m_.roster.find(peer.node);
    const bool checked =
        entry != nullptr && entry->incarnation == peer.incarnation && entry->checked;
    if (!line.dialed && !checked && !peer.address.empty()) {
      line.state = Connection::State::checking;
      probes_due.push_back({DialAttempt::Why::probe, peer.node, peer.address});
      return;
    }
    enter(line, now);
  }

  /// An address that a newcomer had given was dialed in vain. It may come again: a name may not be
  /// known yet. `is_local`: this node could not dial anybody.
  void probe_failed(const DialAttempt& dial, const std::string& why, bool is_local = false) {
    for (auto& [id, line] : m_.lines) {
      if (line.state != Connection::State::checking || line.hello.node != dial.node ||
          line.hello.address != dial.address) {
        continue;
      }
      if (is_local) {
        refuse(line, wire::Refusal::Code::protocol,
               "it cannot look whether node " + std::to_string(dial.node) + " is at " +
                   dial.address + ": " + why);
        continue;
      }
      refuse(line, wire::Refusal::Code::address,
             "node " + std::to_string(dial.node) + " cannot be reached at " + dial.address +
                 ", the address that it advertises: " + why +
                 "; let it advertise one at which the others can dial it");
    }
  }

  /// What model the peer has.
  void model(Connection& line, wire::Model model) {
    if (!line.up()) return;
    line.hello.model = model.model;
    if (!model.text.empty()) m_.other_models[line.hello.node] = std::move(model.text);
    compare(line);
  }

  /// The node says what model it has. Throws ConfigError if that of a peer is another, unless it is
  /// the peer that is turned away; the peer is told why, so that it does not go on alone.
  void set_model_layout(const std::string& model) {
    for (const auto& [peer, other] : m_.other_models) {
      const std::string difference = first_difference(model, other);
      if (difference.empty() || !m_.must_have_one_model_with(peer)) continue;
      const std::string why = different(peer, difference);
      for (auto& [id, line] : m_.lines) {
        if (line.up() && line.hello.node == peer) refuse(line, wire::Refusal::Code::model, why);
      }
      throw ConfigError(why);
    }
    m_.model = model;
    m_.model_mark = wire::fingerprint(model);
    for (auto& [id, line] : m_.lines) {
      if (!line.up()) continue;
      line.model_due = true;
      m_.speak(line);
      compare(line);
    }
    m_.other_models.clear();
  }

  /// Says why, and closes. The reason is noted once per incarnation of a peer and topic, which is
  /// the code's unless another one is given.
  void refuse(Connection& line, wire::Refusal::Code code, const std::string& why,
              std::optional<MembershipTopic> topic = std::nullopt) {
    if (line.state == Connection::State::closing) return;
    ++m_.counts.refused;
    mark_refused(line);
    const MembershipTopic its_own{MembershipTopic::What::refused, static_cast<int>(code)};
    m_.note_once(line.hello.node, line.hello.incarnation, topic.value_or(its_own),
                 m_.name() + ": " + why);
    line.refusal = wire::Refusal{code, m_.name() + ": " + why};
    if (code == wire::Refusal::Code::agreement || code == wire::Refusal::Code::run) {
      m_.last_refusal = MembershipState::printable(why);
    }
    close(line);
  }

  /// The peer has said why it does not talk to this node.
  void refused(Connection& line, const wire::Refusal& refusal) {
    using Code = wire::Refusal::Code;
    ++m_.counts.refused;
    mark_refused(line);
    std::string text = MembershipState::printable(refusal.text);
    m_.note_once(line.hello.node, line.hello.incarnation,
                 {MembershipTopic::What::refused_by_peer, static_cast<int>(refusal.code)},
                 m_.name() + " was refused: " + text);
    const bool asked = line.dialed && line.dial.why != DialAttempt::Why::probe;
    // An unauthenticated peer cannot stop a run that begins; what may pass is tried again.
    const bool disagrees = refusal.code == Code::run || refusal.code == Code::agreement;
    const bool fatal = disagrees ? asked && m_.is_beginning()
                                 : refusal.code == Code::model && line.up() &&
                                       m_.must_have_one_model_with(line.hello.node);
    if (fatal && m_.trouble.empty()) {
      m_.trouble = text;
      if (refusal.code == Code::run)
        m_.trouble += "; this one is of run \"" + m_.options.run + "\"";
    }
    m_.last_refusal = std::move(text);
    close(line);
  }

  /// Ends a line after its last word.
  void close(Connection& line) {
    line.state = Connection::State::closing;
    if (KnownPeer* peer = m_.link(line.hello.node); peer != nullptr && peer->line == line.id) {
      m_.detach(line.hello.node, *peer);
    }
    m_.speak(line);
  }

  std::vector<DialAttempt> probes_due;

 private:
  /// It is not dialed again at once. Who only claims to be a node changes nothing.
  void mark_refused(const Connection& line) {
    if (!line.up() && !(line.dialed && line.dial.why == DialAttempt::Why::member)) return;
    const PeerId node = line.up() ? line.hello.node : line.dial.node;
    if (RosterEntry* entry = m_.roster.find(node)) entry->refused = true;
  }
  static constexpr auto contact = DialAttempt::Why::contact;

  void meet_self(Connection& line) {
    line.welcome = true;
    if (!line.dialed) line.hello_due = true;  // so that the other end learns it, too
    if (line.dialed) {
      std::erase(m_.options.contacts, line.dial.address);
    }
    line.state = Connection::State::closing;
    m_.speak(line);
  }

  /// Somebody has met a later incarnation of this node, which has met nobody yet: the clock of the
  /// machine was set back. The next call is from the one after that.
  void begin_later(Connection& line) {
    const std::uint64_t later = line.hello.earlier_incarnation;
    if (later >= ~std::uint64_t{0} - 1) {
      return refuse(line, wire::Refusal::Code::protocol, "no incarnation can follow that one");
    }
    m_.options.incarnation = later + 1;
    m_.delivery = Delivery(m_.self(), later + 1, m_.options.limits);
    for (auto& [id, other] : m_.lines) {
      if (other.state != Connection::State::closing) close(other);
    }
  }

  /// Somebody is at the address that a newcomer had given.
  void probed(Connection& line, Time now) {
    const wire::Hello& found = line.hello;
    const DialAttempt dial = line.dial;
    line.state = Connection::State::closing;
    m_.speak(line);
    if (found.node != dial.node) {
      return probe_failed(dial, "node " + std::to_string(found.node) + " is there");
    }
    for (auto& [id, other] : m_.lines) {
      if (other.state == Connection::State::checking && other.hello.node == found.node &&
          other.hello.incarnation == found.incarnation && other.hello.address == dial.address) {
        enter(other, now);
        if (RosterEntry* entry = m_.roster.find(found.node)) entry->checked = true;
      }
    }
  }

  bool may_enter(Connection& line) {
    using Code = wire::Refusal::Code;
    const wire::Hello& peer = line.hello;
    if (std::string difference = disagreement(peer); !difference.empty()) {
      const std::string at = peer.address.empty() ? std::string() : " at " + peer.address;
      refuse(line, Code::agreement,
             "node " + std::to_string(peer.node) + at + " was refused: " + difference);
      return false;
    }
    const std::string number = "number " + std::to_string(peer.node);
    if (peer.node == m_.self()) {
      refuse(line, Code::number_taken, number + " is this node's own; give each node another one");
      return false;
    }
    const KnownPeer* link = m_.link(peer.node);
    if (link != nullptr && link->incarnation > peer.incarnation) {
      line.hello_due = !line.dialed;  // which says what that one was
      refuse(line, Code::stale,
             "a later incarnation of node " + std::to_string(peer.node) +
                 " was met already; start it anew");
      return false;
    }
    if (link != nullptr && link->incarnation != peer.incarnation && !is_free(*link, line)) {
      const RosterEntry* entry = m_.roster.find(peer.node);
      refuse(line, Code::number_taken,
             number + " is taken by a live node at " + (entry ? entry->address : std::string()) +
                 "; give each node another one, or wait until the other is gone");
      return false;
    }
    if (m_.closing && link == nullptr) {
      refuse(line, Code::leaving, "it is leaving");
      return false;
    }
    return true;
  }

  /// Whether the number of a node that was met is free for another incarnation: that one has left,
  /// or was taken for dead, or the other one is where that one was. While only its connection is
  /// gone, it may come back.
  [[nodiscard]] bool is_free(const KnownPeer& earlier, const Connection& line) const {
    if (earlier.line != 0) return false;
    const bool is_there = line.dialed && line.dial.why == DialAttempt::Why::member &&
                          line.dial.node == line.hello.node;
    return earlier.left || !earlier.known || is_there;
  }

  /// In what the peer differs from this node that must be the same; empty: in nothing. World sizes
  /// are compared between those with which the run begins.
  [[nodiscard]] std::string disagreement(const wire::Hello& peer) const {
    const std::uint32_t own = m_.options.world_size;
    if (peer.world_size != 0 && own != 0 && m_.self() < own && peer.world_size != own) {
      return "its world size is " + std::to_string(peer.world_size) + ", here it is " +
             std::to_string(own);
    }
    return m_.options.agreement.difference(peer.agreement);
  }

  /// The peer belongs here.
  void enter(Connection& line, Time now) {
    if (!may_enter(line)) return;  // things may have changed while it was probed
    const wire::Hello& hello = line.hello;
    RosterEntry* entry = m_.roster.meet(hello.node, hello.incarnation, hello.address);
    if (entry == nullptr) {
      return refuse(
          line, wire::Refusal::Code::protocol,
          "it knows " + std::to_string(Roster::most) + " live members, and can keep no more");
    }
    // One that comes by a roster calls on all that are there; who has only one contact does not.
    if (hello.asks_members) m_.spread(hello.node, line.id);
    if (hello.earlier_incarnation != m_.options.incarnation) {
      m_.earlier_incarnation = std::max(m_.earlier_incarnation, hello.earlier_incarnation);
    }
    line.state = Connection::State::up;
    line.welcome = true;
    line.hello_due = !line.dialed;
    const bool told = !line.dialed || line.told == m_.model_mark;
    line.model_due = m_.model_mark != 0 && !(told && hello.model == m_.model_mark);
    line.list_due = hello.asks_members || (line.dialed && line.dial.why == contact);
    line.ping_due = true;
    m_.speak(line);
    if (!prefer(line)) return;
    KnownPeer& peer = m_.links[hello.node];
    if (peer.incarnation != 0 && peer.incarnation == hello.incarnation) ++m_.counts.reconnects;
    if (peer.incarnation != hello.incarnation) {
      const bool known = peer.known;
      peer = KnownPeer{};
      peer.incarnation = hello.incarnation;
      peer.known = known;
      m_.delivery.admit(hello.node);
    }
    m_.attach(hello.node, peer, line.id);
    peer.heard = peer.moved = now;
    peer.tries = 0;
    m_.delivery.resend(hello.node);
    m_.mark_dirty(hello.node);
    compare(line);
  }

  /// Whether this line is the one to use; the other one, if there is one, is closed.
  bool prefer(Connection& line) {
    KnownPeer* peer = m_.link(line.hello.node);
    Connection* other = peer != nullptr ? m_.line(peer->line) : nullptr;
    if (other == nullptr || other->id == line.id) return true;
    const bool low = m_.self() < line.hello.node;  // the lower number is this node's
    const bool line_by_low = line.dialed == low;
    const bool other_by_low = other->dialed == low;
    Connection& loser = other_by_low && !line_by_low ? line : *other;
    close(loser);
    return &loser != &line;
  }

  /// Ends the line if the two have different models.
  void compare(Connection& line) {
    const std::uint64_t theirs = line.hello.model;
    if (!line.up() || m_.model_mark == 0 || theirs == 0) return;
    if (theirs == m_.model_mark) {
      m_.other_models.erase(line.hello.node);
      if (KnownPeer* peer = m_.link(line.hello.node)) peer->matched = true;
      if (RosterEntry* entry = m_.roster.find(line.hello.node)) entry->refused = false;
      m_.any_matched = true;
      m_.delivery.ask(line.hello.node);
      return m_.mark_dirty(line.hello.node);
    }
    const auto other = m_.other_models.find(line.hello.node);
    if (other == m_.other_models.end()) return;  // it is on its way
    const std::string why = different(line.hello.node, first_difference(m_.model, other->second));
    m_.other_models.erase(other);
    if (m_.must_have_one_model_with(line.hello.node) && m_.trouble.empty()) m_.trouble = why;
    refuse(line, wire::Refusal::Code::model, why);
  }

  [[nodiscard]] std::string different(PeerId peer, const std::string& difference) const {
    return MembershipState::printable(m_.name() + " and node " + std::to_string(peer) +
                                      " have different models: " + difference);
  }

  MembershipState& m_;
};

}  // namespace gossamer::transport
