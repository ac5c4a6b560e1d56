// SPDX-License-Identifier: MIT
/// What a member says next on a line.
#pragma once

#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/failure_detector.hpp>
#include <gossamer/transport/membership/roster_gossip.hpp>
#include <gossamer/transport/membership/state.hpp>
#include <gossamer/transport/membership/termination_detector.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace gossamer::transport {

/// Makes a frame of each flag of a `Connection`, the most urgent one first.
class Speaker {
 public:
  Speaker(MembershipState& state, Admission& handshake, RosterGossip& rosters,
          FailureDetector& links, TerminationDetector& calm)
      : m_(state), handshake_(handshake), rosters_(rosters), links_(links), calm_(calm) {}

  std::optional<wire::Body> next(Connection& line, Load load, Time now) {
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
    if (auto members = rosters_.next(line)) return std::move(*members);
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
    if (!gone) return std::nullopt;
    wire::Members farewell{{m_.own_entry()}};
    farewell.entries.front().presence = wire::Presence::left;
    handshake_.close(line);
    return farewell;
  }

  bool gone = false;  ///< only a farewell is left to say

 private:
  wire::Hello hello_to(const Connection& line) const {
    wire::Hello hello;
    hello.node = m_.self();
    hello.incarnation = m_.options.incarnation;
    hello.world_size = m_.self() < m_.options.world_size ? m_.options.world_size : 0;
    hello.asks_members = line.dialed && line.dial.why == DialAttempt::Why::contact;
    hello.agreement = m_.options.agreement.text();
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
    ping.known = m_.known_mark();
    ping.connected = m_.connected_mark();
    if (knows) ping.expected = peer->second.expected;
    return ping;
  }

  MembershipState& m_;
  Admission& handshake_;
  RosterGossip& rosters_;
  FailureDetector& links_;
  TerminationDetector& calm_;
};

}  // namespace gossamer::transport
