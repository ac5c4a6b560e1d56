// SPDX-License-Identifier: MIT
/// What the parts of a member share: its links, its lines, its roster, and what it has to say.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/transport/delivery/delivery.hpp>
#include <gossamer/transport/membership/connection.hpp>
#include <gossamer/transport/membership/options.hpp>
#include <gossamer/transport/membership/roster.hpp>
#include <gossamer/transport/wire/body.hpp>

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Something that the user should know.
struct MembershipNote {
  bool warning = false;
  std::string text;
};

/// What a note is about: of one topic there is one note per incarnation of a node.
struct MembershipTopic {
  enum class What : std::uint8_t {
    refused,          ///< `code` is wire::Refusal::Code
    refused_by_peer,  ///< the same
    malformed,        ///< `code` is wire::WireRule
    stalled,
    same_number,
    suspected,
  } what;
  int code = 0;
  auto operator<=>(const MembershipTopic&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// How often what happened to a member.
struct MembershipCounts {
  std::uint64_t refused = 0;     ///< connections that were refused, by either side
  std::uint64_t malformed = 0;   ///< connections that spoke another language
  std::uint64_t bad_offers = 0;  ///< messages that nobody would take
  std::uint64_t suspicions = 0;  ///< peers taken for dead
  std::uint64_t breaks = 0;      ///< connections in use that neither side had ended
  std::uint64_t reconnects = 0;  ///< connections to a peer that had had one before
};

/// See the parts: `Admission`, `Dialer`, `FailureDetector`, `TerminationDetector`.
struct MembershipState {
  explicit MembershipState(MembershipOptions o)
      : options((o.timers.check(), std::move(o))),
        delivery(options.number, options.incarnation, options.limits),
        random(options.seed, (std::uint64_t{1} << 40U) + options.number) {}

  MembershipOptions options;
  Delivery delivery;
  Roster roster;
  std::map<LineId, Connection> lines;
  std::map<PeerId, KnownPeer> links;  // those whom `delivery` has met
  std::vector<PeerId> peers;          // as the node was told, ascending
  std::deque<PeerLeft> news;          // of peers that have finished
  Generator random;

  std::string model;             // description; empty: none yet
  std::uint64_t model_mark = 0;  // its fingerprint
  std::map<PeerId, std::string> other_models;
  bool any_matched = false;  // somebody has the same

  wire::Report own;
  std::size_t polled = 0;  // events handed out and not known to be dealt with
  bool finished = false;
  bool closing = false;
  Reason reason = Reason::left;
  double left_behind = 0;                 // weight that came back after `close()`
  std::uint64_t earlier_incarnation = 0;  // of this node, that a peer has heard of
  std::uint64_t pings = 0;

  MembershipCounts counts;
  std::vector<MembershipNote> notes;
  std::string trouble;       // why the node cannot take part; empty: it can
  std::string failure;       // why nothing is carried any more; empty: it is
  std::string last_refusal;  // by a peer, or of one
  std::vector<LineId> due;   // lines that may have something to say
  std::set<PeerId> to_dial;  // members of whom there is news, or whose connection is gone

  [[nodiscard]] PeerId self() const { return options.number; }
  [[nodiscard]] Connection* line(LineId id) {
    const auto at = lines.find(id);
    return at != lines.end() ? &at->second : nullptr;
  }
  [[nodiscard]] KnownPeer* link(PeerId peer) {
    const auto at = links.find(peer);
    return at != links.end() ? &at->second : nullptr;
  }
  [[nodiscard]] const Session& inner(PeerId peer) const { return delivery.session(peer); }
  [[nodiscard]] std::size_t outgoing(PeerId peer) const { return inner(peer).unconfirmed(); }

  /// The line may have something to say.
  void speak(Connection& line) {
    if (!std::exchange(line.listed, true)) due.push_back(line.id);
  }
  /// After whatever concerned the link to a peer.
  void mark_dirty(PeerId id) {
    KnownPeer* peer = link(id);
    if (peer == nullptr) return;
    const bool known = inner(id).is_known();
    if (peer->known && !known) {
      peer->finish_told = peer->finish_said = peer->finish_seen = false;
      peer->calm = false;
    }
    peer->known = known;
    peer->met = peer->met || known;
    if (Connection* line = this->line(peer->line)) speak(*line);
    for (const PeerId other : delivery.found_room()) {  // they have found room
      const KnownPeer* one = link(other);
      Connection* line = one != nullptr ? this->line(one->line) : nullptr;
      if (line != nullptr) speak(*line);
    }
  }
  /// Takes a connection into use.
  void attach(PeerId id, KnownPeer& peer, LineId line) {
    detach(id, peer);
    peer.line = line;
    connected_mark_ ^= Roster::mark_of(id);
    if (RosterEntry* entry = roster.find(id)) {
      entry->connected = true;
      peer.address = entry->address;
    }
    if (!peer.address.empty()) ++addresses_[peer.address];
  }
  void detach(PeerId id, KnownPeer& peer) {
    if (std::exchange(peer.line, 0) == 0) return;
    connected_mark_ ^= Roster::mark_of(id);
    if (RosterEntry* entry = roster.find(id)) {
      entry->connected = false;
      roster.touch(*entry);  // what it has done last, others may not know
    }
    if (const auto at = addresses_.find(peer.address);
        at != addresses_.end() && --at->second == 0) {
      addresses_.erase(at);
    }
    peer.address.clear();
    to_dial.insert(id);
  }
  /// Whether somebody who is connected, or this node itself, can be dialed there.
  [[nodiscard]] bool is_taken(const std::string& address) const {
    return address == options.address || addresses_.contains(address);
  }
  [[nodiscard]] std::uint64_t known_mark() const { return roster.mark() ^ Roster::mark_of(self()); }
  [[nodiscard]] std::uint64_t connected_mark() const {
    return connected_mark_ ^ Roster::mark_of(self());
  }

  /// Whether the run begins with that node, and it is in its first incarnation. Without a world
  /// size that is a node which was given nobody to dial.
  [[nodiscard]] bool is_founder() const {
    if (options.world_size == 0) return options.contacts.empty();
    return self() < options.world_size && earlier_incarnation == 0;
  }
  [[nodiscard]] bool is_founder(PeerId peer) const {
    if (peer >= options.world_size) return false;
    const RosterEntry* entry = roster.find(peer);
    return entry == nullptr || entry->earlier_incarnation == 0;
  }
  /// Whether it has yet to come among the others: the founders have not all met each other, or a
  /// newcomer has met nobody.
  [[nodiscard]] bool is_beginning() const {
    if (!is_founder()) return peers.empty();
    std::uint32_t others = 0;
    for (const auto& [id, peer] : links) others += id < options.world_size && peer.met ? 1 : 0;
    return others + 1 < options.world_size;
  }
  /// Whether this node cannot go on if that one has another model: founders have a share of the
  /// weight each, and a newcomer has nothing yet. Later it is the other one that is turned away.
  [[nodiscard]] bool must_have_one_model_with(PeerId id) const {
    if (!is_founder()) return !any_matched;
    const auto peer = links.find(id);
    return is_founder(id) && (peer == links.end() || !peer->second.matched);
  }

  [[nodiscard]] bool must_say_finished(const KnownPeer& peer) const {
    return peer.known && !peer.finish_seen && finished && !closing;
  }

  void note(bool warning, std::string text) {
    constexpr std::size_t most = 1000;  // nobody fetches them: they are of no use
    if (notes.size() < most) notes.push_back({warning, printable(std::move(text))});
  }
  /// Notes what happened once per incarnation of a node, however often it happens.
  void note_once(PeerId node, std::uint64_t incarnation, MembershipTopic topic, std::string text) {
    constexpr std::size_t most = 10'000;
    if (noted_.size() < most && noted_.emplace(node, incarnation, topic).second) {
      note(true, std::move(text));
    }
  }
  /// Notes each time, as a warning the first time for an incarnation of a node.
  void note_first(PeerId node, std::uint64_t incarnation, MembershipTopic topic, std::string text) {
    constexpr std::size_t most = 10'000;
    const bool first = noted_.size() < most && noted_.emplace(node, incarnation, topic).second;
    note(first, std::move(text));
  }
  /// What unauthenticated peers may have written in part, made fit for a log: one line, and not a
  /// long one.
  [[nodiscard]] static std::string printable(std::string text) {
    if (text.size() > wire::Refusal::most_text) text.resize(wire::Refusal::most_text);
    for (char& c : text) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    return text;
  }
  [[nodiscard]] std::string name() const { return "node " + std::to_string(self()); }

  /// What this node says of itself.
  [[nodiscard]] wire::Entry own_entry() const {
    wire::Entry entry;
    entry.node = self();
    entry.incarnation = options.incarnation;
    entry.report = own;
    entry.address = options.address;
    return entry;
  }
  /// Tells all but `except` of a member.
  void spread(PeerId about, LineId except = 0) {
    for (auto& [id, line] : lines) {
      if (id == except || !line.up()) continue;
      line.members_due.insert(about);
      speak(line);
    }
  }

 private:
  std::map<std::string, std::size_t> addresses_;  // of those who are connected
  std::uint64_t connected_mark_ = 0;
  std::set<std::tuple<PeerId, std::uint64_t, MembershipTopic>> noted_;
};

}  // namespace gossamer::transport
