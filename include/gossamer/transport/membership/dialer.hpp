// SPDX-License-Identifier: MIT
/// Whom a member dials, and when.
#pragma once

#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Dials contacts until they are known as members, and members that have no connection. Of two, the
/// one with the lower number dials first. Who does not answer is dialed again, ever more rarely: it
/// may be on the other side of a network that is parted. A member that was never met is hearsay,
/// and is given up after `most_tries_unmet`, one that was met after `most_tries`; who is given up
/// is met again when it calls by itself.
///
/// Cost  O(log members) for each that is dialed; those whose time has not come cost nothing.
class Dialer {
 public:
  Dialer(MembershipState& state, Admission& handshake) : m_(state), handshake_(handshake) {
    for (const std::string& address : m_.options.contacts) contacts_.push_back({address});
  }

  /// The addresses to dial now; each is answered by a connection or by `failed()`.
  std::vector<DialAttempt> due(Time now) {
    std::vector<DialAttempt> all = std::exchange(handshake_.probes_due, {});
    const bool alone = std::none_of(m_.lines.begin(), m_.lines.end(),
                                    [](const auto& line) { return line.second.up(); });
    for (Contact& contact : contacts_) {
      if (contact.dialing || now < contact.due || m_.closing) continue;
      if (contact.met && !alone) continue;
      contact.dialing = true;
      all.push_back({DialAttempt::Why::contact, 0, contact.address});
    }
    for (const PeerId node : std::exchange(m_.to_dial, {})) {
      RosterEntry* entry = m_.roster.find(node);
      if (entry == nullptr || entry->dialing || !may_dial(node, *entry)) continue;
      if (entry->queued && entry->tries > 0) continue;  // news does not hasten what was in vain
      plan(node, *entry, now + patience(node, *entry));
    }
    // Those who have not answered for long leave room for those who may.
    take(fresh_, now, most_at_once, all);
    take(stale_, now, most_at_once - most_at_once / 4, all);
    return all;
  }

  /// Nobody was reached, or not whom it was for. `is_local`: this node could not dial anybody.
  void failed(const DialAttempt& dial, const std::string& why, Time now, bool is_local = false) {
    if (dial.why == DialAttempt::Why::probe) return handshake_.probe_failed(dial, why, is_local);
    last_failure = dial.address + ": " + why;
    if (dial.why == DialAttempt::Why::contact) {
      for (Contact& contact : contacts_) {
        if (contact.address == dial.address) again(contact, now);
      }
    } else {
      ended(dial.node, now);
    }
  }

  /// The one who was dialed has answered, or another one, who has its address now.
  void met(const Connection& line, Time now) {
    if (line.dial.why == DialAttempt::Why::contact) {
      for (Contact& contact : contacts_) {
        if (contact.address != line.dial.address) continue;
        const RosterEntry* entry = m_.roster.find(line.hello.node);
        if (entry == nullptr || !entry->connected) {  // it was refused
          again(contact, now);
          continue;
        }
        contact.dialing = false;
        contact.met = true;
        contact.tries = 0;
      }
    } else if (RosterEntry* entry = m_.roster.find(line.dial.node);
               entry == nullptr || !entry->connected) {
      ended(line.dial.node, now);  // another one is there, or it was refused
    } else {
      --dialing_;
      entry->dialing = false;
      entry->tries = 0;
    }
  }

  /// A contact is this node itself.
  void drop(const std::string& address) {
    std::erase_if(contacts_, [&](const Contact& contact) { return contact.address == address; });
  }

  [[nodiscard]] bool has_contacts() const { return !contacts_.empty(); }
  std::string last_failure;

 private:
  /// Members that are dialed at the same time: addresses may be made up.
  static constexpr std::size_t most_at_once = 64;
  static constexpr unsigned most_tries_unmet = 12;
  static constexpr unsigned most_tries = 1000;  ///< with the pauses of `again()`, days
  static constexpr unsigned stale_after = 4;    ///< tries
  static constexpr unsigned steady_tries = 40;  ///< in the rhythm of `dead_after`, then more rarely

  using Queue = std::set<std::pair<Time, PeerId>>;

  struct Contact {
    std::string address;
    bool dialing = false;
    bool met = false;
    unsigned tries = 0;
    Time due{0};
  };

  [[nodiscard]] bool may_dial(PeerId node, const RosterEntry& entry) const {
    if (entry.connected || entry.expired || entry.address.empty()) return false;
    if (entry.presence == wire::Presence::left) return false;
    return !m_.closing || m_.links.contains(node);
  }
  Queue& queue_of(const RosterEntry& entry) { return entry.tries < stale_after ? fresh_ : stale_; }
  void plan(PeerId node, RosterEntry& entry, Time due) {
    unplan(node, entry);
    entry.queued = true;
    entry.due = due;
    queue_of(entry).emplace(due, node);
  }
  void unplan(PeerId node, RosterEntry& entry) {
    if (!std::exchange(entry.queued, false)) return;
    fresh_.erase({entry.due, node});
    stale_.erase({entry.due, node});  // it may have had more tries when it was planned
  }
  void take(Queue& queue, Time now, std::size_t most, std::vector<DialAttempt>& dials) {
    while (dialing_ < most && !queue.empty() && queue.begin()->first <= now) {
      const auto [due, node] = *queue.begin();
      queue.erase(queue.begin());
      RosterEntry* entry = m_.roster.find(node);
      if (entry == nullptr || !entry->queued || entry->due != due) continue;
      entry->queued = false;
      if (!may_dial(node, *entry)) continue;
      if (m_.is_taken(entry->address)) {  // a machine that died was replaced: it is left in peace
        again(node, *entry, now);
        continue;
      }
      entry->dialing = true;
      ++dialing_;
      dials.push_back({DialAttempt::Why::member, node, entry->address});
    }
  }
  /// A dial of a member has led to nothing.
  void ended(PeerId node, Time now) {
    --dialing_;
    RosterEntry* entry = m_.roster.find(node);
    if (entry == nullptr) return;
    entry->dialing = false;
    again(node, *entry, now);
  }
  void again(PeerId node, RosterEntry& entry, Time now) {
    unplan(node, entry);
    if (entry.tries >= (entry.met ? most_tries : most_tries_unmet)) {
      entry.expired = true;
      return;
    }
    const Time due = now + pause(entry.tries++);
    if (may_dial(node, entry)) plan(node, entry, due);
  }
  [[nodiscard]] Time patience(PeerId node, const RosterEntry& entry) const {
    const MembershipTimers& timers = m_.options.timers;
    if (entry.presence == wire::Presence::lost && m_.link(node) == nullptr)
      return timers.dead_after;
    if (entry.refused) return timers.dead_after;
    return m_.self() < node ? Time(0) : timers.redial_after;
  }
  /// Doubled with each try up to `dead_after`, and after many tries further, up to 32 times that.
  [[nodiscard]] Time pause(unsigned tries) const {
    const MembershipTimers& timers = m_.options.timers;
    if (tries > steady_tries) return timers.dead_after * (1 << std::min(tries - steady_tries, 5U));
    return std::min(timers.redial_after * (std::int64_t{1} << std::min(tries, 16U)),
                    std::max(timers.dead_after, timers.redial_after));
  }
  void again(Contact& contact, Time now) const {
    contact.dialing = false;
    contact.due = now + pause(std::min(contact.tries, steady_tries));
    ++contact.tries;
  }

  MembershipState& m_;
  Admission& handshake_;
  std::vector<Contact> contacts_;
  Queue fresh_;  // by due time
  Queue stale_;
  std::size_t dialing_ = 0;
};

}  // namespace gossamer::transport
