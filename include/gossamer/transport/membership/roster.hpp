// SPDX-License-Identifier: MIT
/// Who belongs to a group, as far as one member knows, and what each has done.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/transport/message.hpp>
#include <gossamer/transport/transport.hpp>
#include <gossamer/transport/wire/bodies.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>

namespace gossamer::transport {

/// One member in the roster of another.
struct RosterEntry : wire::Entry {
  std::uint64_t earlier_incarnation =
      0;  ///< the latest incarnation before this one; 0: none is known

  // When this node dials it.
  bool dialing = false;
  unsigned tries = 0;
  Time due{0};
};

/// All members but the one that keeps it. News only ever replaces what is older, so it may come in
/// any order, and from anybody. Cost: O(log members).
class Roster {
 public:
  /// As many as fit into one frame; news of others is not kept, so that memory is bounded.
  static constexpr std::size_t most = wire::Members::most;

  /// What a piece of news was worth.
  enum class Change { none, report, presence };

  [[nodiscard]] RosterEntry* find(PeerId node) {
    const auto at = entries_.find(node);
    return at != entries_.end() ? &at->second : nullptr;
  }
  [[nodiscard]] const RosterEntry* find(PeerId node) const {
    const auto at = entries_.find(node);
    return at != entries_.end() ? &at->second : nullptr;
  }
  [[nodiscard]] const std::map<PeerId, RosterEntry>& entries() const { return entries_; }
  [[nodiscard]] std::map<PeerId, RosterEntry>& entries() { return entries_; }

  /// What somebody says of a member. That one is lost is the sayer's own view, and is believed only
  /// of an incarnation that was not heard of before.
  Change merge(const wire::Entry& news) {
    if (is_full() && find(news.node) == nullptr) return Change::none;
    auto [at, is_new] = entries_.try_emplace(news.node);
    RosterEntry& entry = at->second;
    if (!is_new && news.incarnation < entry.incarnation) return Change::none;
    if (is_new || news.incarnation > entry.incarnation) {
      const std::uint64_t earlier = entry.incarnation;
      static_cast<wire::Entry&>(entry) = news;
      entry.report = {};
      hear(entry, news.report);
      if (earlier != 0) entry.earlier_incarnation = earlier;
      entry.tries = 0;
      entry.due = Time(0);
      return Change::presence;
    }
    Change change = hear(entry, news.report) ? Change::report : Change::none;
    if (entry.address.empty() && !news.address.empty()) {
      entry.address = news.address;
      change = Change::presence;
    }
    if (news.checked && !entry.checked) {
      entry.checked = true;
      change = Change::presence;
    }
    if (news.presence == wire::Presence::left && entry.presence != wire::Presence::left) {
      entry.presence = wire::Presence::left;
      change = Change::presence;
    }
    return change;
  }

  /// What a member says of itself, or somebody of it; whether it is news.
  bool hear(RosterEntry& entry, const wire::Report& report) {
    if (report.version <= entry.report.version) return false;
    work_done_.steps += report.status.steps - entry.report.status.steps;
    work_done_.samples += report.status.samples - entry.report.status.samples;
    entry.report = report;
    return true;
  }

  [[nodiscard]] bool is_full() const { return entries_.size() >= most; }

  /// Work of all members and of all their incarnations.
  [[nodiscard]] WorkDone work_done() const { return work_done_; }

 private:
  std::map<PeerId, RosterEntry> entries_;
  WorkDone work_done_;
};

}  // namespace gossamer::transport
