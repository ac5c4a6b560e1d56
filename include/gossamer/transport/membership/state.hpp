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
  } what;
  int code = 0;
  auto operator<=>(const MembershipTopic&) const = default;
};

/// How often what happened to a member.
struct MembershipCounts {
  std::uint64_t refused = 0;     ///< connections that were refused, by either side
  std::uint64_t malformed = 0;   ///< connections that spoke another language
  std::uint64_t bad_offers = 0;  ///< messages that nobody would take
  std::uint64_t suspicions = 0;  ///< peers taken for dead
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
  std::string last_refusal;  // by a peer
  std::vector<LineId> due;   // lines that may have something to say

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
    for (const PeerId other : delivery.stirred()) {  // they have found room
      const KnownPeer* one = link(other);
      Connection* line = one != nullptr ? this->line(one->line) : nullptr;
      if (line != nullptr) speak(*line);
    }
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
  /// Tells all but `except` of a member, which may be this node.
  void spread(PeerId about, LineId except = 0) {
    for (auto& [id, line] : lines) {
      if (id == except || !line.up()) continue;
      line.members_due.insert(about);
      speak(line);
    }
  }

 private:
  std::set<std::tuple<PeerId, std::uint64_t, MembershipTopic>> noted_;
};

}  // namespace gossamer::transport
