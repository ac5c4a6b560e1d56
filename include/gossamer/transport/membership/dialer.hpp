// SPDX-License-Identifier: MIT
/// Whom a member dials, and when.
#pragma once

#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/state.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Dials contacts until they are known as members, and members that have no connection. Of two, the
/// one with the lower number dials first. Who does not answer is dialed again, ever more rarely,
/// but always: it may be on the other side of a network that is parted.
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
    std::size_t room = most_at_once;
    for (const auto& [node, entry] : m_.roster.entries()) {
      if (entry.dialing && room > 0) --room;
    }
    for (auto& [node, entry] : m_.roster.entries()) {
      if (room == 0) break;
      if (entry.dialing || entry.address.empty() || entry.presence == wire::Presence::left)
        continue;
      const KnownPeer* peer = m_.link(node);
      if (peer != nullptr && peer->line != 0) continue;
      if (peer == nullptr && m_.closing) continue;
      if (entry.due == Time(0)) entry.due = now + patience(node, entry);
      if (now < entry.due) continue;
      if (is_anothers(entry)) {
        again(entry, now);
        continue;
      }
      entry.dialing = true;
      --room;
      all.push_back({DialAttempt::Why::member, node, entry.address});
    }
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
    } else if (RosterEntry* entry = m_.roster.find(dial.node)) {
      again(*entry, now);
    }
  }

  /// The one who was dialed has answered, or another one, who has its address now.
  void met(const Connection& line, Time now) {
    if (line.dial.why == DialAttempt::Why::contact) {
      for (Contact& contact : contacts_) {
        if (contact.address != line.dial.address) continue;
        contact.dialing = false;
        contact.met = true;
        contact.tries = 0;
      }
    } else if (RosterEntry* entry = m_.roster.find(line.dial.node)) {
      if (line.hello.node != line.dial.node) return again(*entry, now);
      entry->dialing = false;
      entry->tries = 0;
      entry->due = Time(0);
    }
  }

  /// A contact is this node itself.
  void drop(const std::string& address) {
    std::erase_if(contacts_, [&](const Contact& contact) { return contact.address == address; });
  }

  /// A member may be there again, or still.
  void expedite(PeerId node) {
    if (RosterEntry* entry = m_.roster.find(node)) entry->due = Time(0);
  }

  [[nodiscard]] bool has_contacts() const { return !contacts_.empty(); }
  std::string last_failure;

 private:
  /// Members that are dialed at the same time: addresses may be made up.
  static constexpr std::size_t most_at_once = 64;

  struct Contact {
    std::string address;
    bool dialing = false;
    bool met = false;
    unsigned tries = 0;
    Time due{0};
  };

  /// Whether somebody who is connected, or this node itself, has the address of one who is gone: a
  /// machine that died was replaced. Calling there would only disturb that one. O(members).
  [[nodiscard]] bool is_anothers(const RosterEntry& gone) const {
    if (gone.address == m_.options.address) return true;
    const auto& all = m_.roster.entries();
    return std::any_of(all.begin(), all.end(), [&](const auto& one) {
      if (one.first == gone.node || one.second.address != gone.address) return false;
      const auto link = m_.links.find(one.first);
      return link != m_.links.end() && link->second.line != 0;
    });
  }
  [[nodiscard]] Time patience(PeerId node, const RosterEntry& entry) const {
    const MembershipTimers& timers = m_.options.timers;
    if (entry.presence == wire::Presence::lost && m_.link(node) == nullptr)
      return timers.dead_after;
    return m_.self() < node ? Time(0) : timers.redial_after;
  }
  template <class Dialed>
  void again(Dialed& dialed, Time now) const {
    const MembershipTimers& timers = m_.options.timers;
    dialed.dialing = false;
    dialed.due =
        now + std::min(timers.redial_after * (std::int64_t{1} << std::min(dialed.tries, 16U)),
                       std::max(timers.dead_after, timers.redial_after));
    ++dialed.tries;
  }

  MembershipState& m_;
  Admission& handshake_;
  std::vector<Contact> contacts_;
};

}  // namespace gossamer::transport
