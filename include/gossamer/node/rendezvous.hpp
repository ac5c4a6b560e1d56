// SPDX-License-Identifier: MIT
/// How a process finds the others of its run before its node is made.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/membership/agreement.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace gossamer::detail {

/// What all members must have in common: what the transport's options say, and the node's own.
template <class TransportOptions>
TransportOptions agreed(TransportOptions options, const rule::AnyRule& rule) {
  const auto limits = options.limits();
  transport::Agreement all = options.agreement();
  all.say("rule", rule->agreement());
  all.say("limit of a link", c10::str(limits.messages, " messages, ", limits.bytes,
                                      " bytes, a weight of ", limits.weight));
  return options.agreement(std::move(all));
}

[[noreturn]] void refuse_rendezvous(auto& transport, const std::string& whom,
                                    std::chrono::milliseconds within) {
  const std::string why = transport.last_connect_error();
  throw ConfigError(c10::str("node ", transport.self(), " has met ", whom, " within ",
                             within.count(), " ms; ", why.empty() ? "nobody has called" : why));
}

/// Waits until so many others are there. Throws ConfigError, with the last reason, if they are
/// not in time.
void gather(auto& transport, std::size_t others, std::chrono::milliseconds within) {
  if (transport.gather(others, within)) return;
  const std::size_t met = transport.endpoint().with([](auto& member) { return member.met(); });
  refuse_rendezvous(transport, c10::str(met, " of ", others, " others"), within);
}
/// The same until somebody is there now: a newcomer has no use for those who have been.
void find_peer(auto& transport, std::chrono::milliseconds within) {
  if (!transport.find_peer(within)) {
    refuse_rendezvous(transport, "nobody who is still there", within);
  }
}

/// Meets on TCP whom a node must meet first: see `TcpGroup`. True if it begins the run with the
/// others.
bool rendezvous(auto& tcp, std::uint32_t world_size, bool has_contacts,
                std::chrono::milliseconds within) {
  const bool is_first = world_size == 0 ? !has_contacts : tcp.self() < world_size;
  if (is_first && world_size <= 1) return true;
  gather(tcp, 1, within);
  if (is_first && !tcp.had_earlier_incarnation()) gather(tcp, world_size - 1, within);
  if (is_first && !tcp.had_earlier_incarnation()) return true;
  find_peer(tcp, within);
  return false;
}

}  // namespace gossamer::detail
