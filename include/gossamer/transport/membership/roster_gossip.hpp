// SPDX-License-Identifier: MIT
/// How members tell each other who there is.
#pragma once

#include <gossamer/transport/membership/state.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Two that meet since one of them has the other for a contact tell each other all; the one that
/// was dialed also tells the others of it. Else who has been told of an entry is told again when it
/// has changed, and only if the marks in its pings say that it knows other members than this node,
/// or has connections to others: where all know each other, nothing is said.
///
/// Cost  O(members) for each list; in a group of n that begins, n lists.
class RosterGossip {
 public:
  static constexpr std::int64_t list_every = 10;  ///< heartbeats: see `tick()`

  explicit RosterGossip(MembershipState& state) : m_(state) {}

  /// What a peer says of members. True if it says of itself that it has left.
  bool receive(Connection& line, const wire::Members& members) {
    if (!line.up()) return false;
    bool has_left = false;
    const bool is_list = line.hello.asks_members || (line.dialed && line.dial.why == contact);
    if (!std::exchange(line.has_listed, true) && is_list) notice_other_swarm(line, members);
    for (const wire::Entry& entry : members.entries) {
      if (entry.node == m_.self()) {
        if (entry.incarnation > m_.options.incarnation) {
          m_.note_once(m_.self(), entry.incarnation, {MembershipTopic::What::same_number},
                       m_.name() + ": another node with this number runs at " + entry.address +
                           "; give each node its own");
        }
        continue;
      }
      if (entry.incarnation == 0) continue;
      if (entry.node != line.hello.node) {
        if (m_.roster.hear_of(entry)) m_.to_dial.insert(entry.node);
      } else if (entry.presence == wire::Presence::left) {
        hear_report(line, entry.report);
        has_left = true;
      }
    }
    return has_left;
  }
  void hear_report(const Connection& line, const wire::Report& report) {
    if (RosterEntry* entry = m_.roster.find(line.hello.node)) m_.roster.hear(*entry, report);
  }

  /// To be called once per heartbeat, at least.
  void tick(Time now) {
    if (now < next_) return;
    next_ = now + m_.options.timers.heartbeat;
    tell_somebody();
  }

  /// What is to be said on a line, a frame at a time.
  std::optional<wire::Members> next(Connection& line) {
    const bool is_due = std::exchange(line.list_due, false);
    if (is_due) gather_news(line);
    if (!is_due && line.members_due.empty()) return std::nullopt;
    return some_members(line);
  }

 private:
  static constexpr auto contact = DialAttempt::Why::contact;

  /// All that is new to the peer of a line: once per change.
  void gather_news(Connection& line) const {
    for (const auto& [id, entry] : m_.roster.entries()) {
      if (entry.changed > line.listed_until && id != line.hello.node) line.members_due.insert(id);
    }
    line.listed_until = m_.roster.changes();
  }
  /// As many as are a frame that keeps nobody waiting.
  wire::Members some_members(Connection& line) {
    constexpr std::size_t most = 256;
    wire::Members some;
    while (!line.members_due.empty() && some.entries.size() < most) {
      const auto id = line.members_due.extract(line.members_due.begin()).value();
      if (const RosterEntry* entry = m_.roster.find(id)) some.entries.push_back(*entry);
    }
    return some;
  }
  /// Tells somebody at random what is new, of those who know other numbers than this node, and now
  /// and then of those with other connections: to them it may be news what somebody has done.
  void tell_somebody() {
    const bool now_and_then = ++rounds_ % list_every == 0;
    std::vector<Connection*> others;
    for (auto& [id, line] : m_.lines) {
      if (!line.up() || line.their_known == 0) continue;
      const bool differs = line.their_known != m_.known_mark() ||
                           (now_and_then && line.their_connected != m_.connected_mark());
      if (differs) others.push_back(&line);
    }
    if (others.empty()) return;
    Connection& one = *others[m_.random.below(static_cast<std::uint32_t>(others.size()))];
    gather_news(one);
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
      if (entry.presence != wire::Presence::live || entry.node == peer || entry.node == m_.self()) {
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

  MembershipState& m_;
  Time next_{0};
  std::int64_t rounds_ = 0;
};

}  // namespace gossamer::transport
