// SPDX-License-Identifier: MIT
/// What can be seen of a member from outside: its counts, its peers, and why it cannot go on.
#pragma once

#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/membership/state.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// The part of a `Membership` that only looks at what its parts share. Threads: as `Membership`.
class MembershipObserver {
 public:
  [[nodiscard]] const MembershipCounts& counts() const { return m_.counts; }
  /// Why the node cannot take part; empty if it can.
  [[nodiscard]] const std::string& trouble() const { return m_.trouble; }
  /// Why nothing is carried any more; empty if it is.
  [[nodiscard]] const std::string& failure() const { return m_.failure; }
  /// Whether the node's next call is to end with an error.
  [[nodiscard]] bool has_ended() const { return !m_.trouble.empty() || !m_.failure.empty(); }
  [[nodiscard]] const std::string& last_refusal() const { return m_.last_refusal; }
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
  [[nodiscard]] bool all_answered() const {
    return std::all_of(m_.links.begin(), m_.links.end(), [this](const auto& entry) {
      const auto line = m_.lines.find(entry.second.line);
      return line == m_.lines.end() ||
             (!line->second.ping_due && entry.second.answered == entry.second.pinged);
    });
  }

 protected:
  explicit MembershipObserver(MembershipOptions options) : m_(std::move(options)) {}
  ~MembershipObserver() = default;

  MembershipState m_;
};

}  // namespace gossamer::transport
