// SPDX-License-Identifier: MIT
/// Who belongs to a group, as far as one member knows, and what each has done.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/transport/message.hpp>
#include <gossamer/transport/transport.hpp>
#include <gossamer/transport/wire/bodies.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace gossamer::transport {

/// One member in the roster of another.
struct RosterEntry : wire::Entry {
  std::uint64_t earlier_incarnation =
      0;                      ///< the latest incarnation before this one; 0: none is known
  bool met = false;           ///< by a handshake; else it is hearsay
  bool connected = false;     ///< it has a connection in use
  std::uint64_t changed = 0;  ///< `Roster::changes()` when it last changed

  // When this node dials it: see `Dialer`.
  bool dialing = false;
  bool queued = false;
  bool refused = false;  ///< the last handshake with it failed
  bool expired = false;  ///< it is not dialed any more
  unsigned tries = 0;
  Time due{0};
};

/// All members but the one that keeps it. A member's own word, by a handshake, is believed; what
/// others say of it is hearsay: it makes known that there may be somebody at an address, and what
/// one that is not connected has done. Hearsay evicts nobody, changes nobody's incarnation that was
/// met, and says of nobody that it has left. Cost: O(log members).
class Roster {
 public:
  /// Others are not kept, so that memory is bounded: then one that is gone makes room for one that
  /// comes. Its work stays counted, and is counted twice if it is heard of again.
  static constexpr std::size_t most = wire::Members::most;
  /// Of these, at most so many that this node has never met.
  static constexpr std::size_t most_hearsay = most / 2;

  [[nodiscard]] RosterEntry* find(PeerId node) {
    const auto at = entries_.find(node);
    return at != entries_.end() ? &at->second : nullptr;
  }
  [[nodiscard]] const RosterEntry* find(PeerId node) const {
    const auto at = entries_.find(node);
    return at != entries_.end() ? &at->second : nullptr;
  }
  [[nodiscard]] const std::map<PeerId, RosterEntry>& entries() const { return entries_; }

  /// What another member says of one; whether it is to be dialed, perhaps.
  bool hear_of(const wire::Entry& news) {
    RosterEntry* entry = find(news.node);
    if (entry == nullptr) {
      if (hearsay_ >= most_hearsay || (is_full() && !make_room(false))) return false;
      entry = &insert(news.node);
      ++hearsay_;
    } else if (entry->connected || (entry->met && news.incarnation != entry->incarnation) ||
               news.incarnation < entry->incarnation) {
      return false;
    } else if (news.incarnation == entry->incarnation) {
      if (news.report.version > entry->report.version) hear(*entry, news.report);
      return false;
    }
    if (entry->incarnation != 0) entry->earlier_incarnation = entry->incarnation;
    static_cast<wire::Entry&>(*entry) = news;
    entry->report = {};  // what was done before stays counted
    hear(*entry, news.report);
    if (news.presence == wire::Presence::left) entry->presence = wire::Presence::lost;
    touch(*entry);
    return true;
  }

  /// A node is there, by a handshake. Null if there is no room.
  RosterEntry* meet(PeerId node, std::uint64_t incarnation, const std::string& address) {
    RosterEntry* entry = find(node);
    if (entry == nullptr) {
      if (is_full() && !make_room(true)) return nullptr;
      entry = &insert(node);
    } else if (!entry->met) {
      --hearsay_;
    }
    const bool is_over =
        entry->incarnation == incarnation && entry->met && entry->presence == wire::Presence::left;
    if (entry->incarnation != incarnation) {
      if (entry->incarnation != 0 && (entry->met || entry->incarnation < incarnation)) {
        entry->earlier_incarnation = entry->incarnation;
      }
      entry->incarnation = incarnation;
      entry->checked = false;
      entry->report = {};  // what was done before stays counted
      entry->address.clear();
    }
    if (!address.empty()) entry->address = address;
    entry->met = true;
    if (!is_over) entry->presence = wire::Presence::live;
    entry->expired = false;
    entry->tries = 0;
    touch(*entry);
    return entry;
  }

  /// What a member says of itself; older news does not come on one connection.
  void hear(RosterEntry& entry, const wire::Report& report) {
    if (report.version == entry.report.version) return;
    work_done_.steps += report.status.steps - entry.report.status.steps;
    work_done_.samples += report.status.samples - entry.report.status.samples;
    entry.report = report;
    touch(entry);
  }
  /// It is to be told again.
  void touch(RosterEntry& entry) { entry.changed = ++changes_; }

  [[nodiscard]] bool is_full() const { return entries_.size() >= most; }
  /// Grows with each change.
  [[nodiscard]] std::uint64_t changes() const { return changes_; }
  /// The same for two rosters of the same numbers, in whatever order they came; the keeper's own is
  /// to be added: `Roster::mark_of()`, by exclusive or.
  [[nodiscard]] std::uint64_t mark() const { return mark_; }
  [[nodiscard]] static std::uint64_t mark_of(PeerId node) {
    std::uint64_t x = node + 0x9e3779b97f4a7c15U;  // SplitMix64
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31U);
  }

  /// Work of all members and of all their incarnations.
  [[nodiscard]] WorkDone work_done() const { return work_done_; }

 private:
  RosterEntry& insert(PeerId node) {
    mark_ ^= mark_of(node);
    RosterEntry& entry = entries_[node];
    entry.node = node;
    return entry;
  }
  /// Drops one that was never met, or else, for one that comes by itself, one that is gone. Whole
  /// rounds over the members are seldom: each goes on where the last one ended.
  bool make_room(bool also_met) {
    for (std::size_t looked = 0; looked < entries_.size(); ++looked) {
      auto at = entries_.upper_bound(last_dropped_);
      if (at == entries_.end()) at = entries_.begin();
      last_dropped_ = at->first;
      const RosterEntry& one = at->second;
      if (one.connected || one.dialing) continue;
      if (one.met ? !also_met || one.presence == wire::Presence::live : !also_met && !one.expired) {
        continue;
      }
      if (!one.met) --hearsay_;
      mark_ ^= mark_of(one.node);
      entries_.erase(at);
      return true;
    }
    return false;
  }

  std::map<PeerId, RosterEntry> entries_;
  std::size_t hearsay_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t mark_ = 0;
  PeerId last_dropped_ = 0;
  WorkDone work_done_;
};

}  // namespace gossamer::transport
