// SPDX-License-Identifier: MIT
/// What an endpoint knows of others, for those who look on.
#pragma once

#include <gossamer/observe/connections.hpp>
#include <gossamer/transport/membership/membership.hpp>

#include <cstdint>
#include <numeric>
#include <string>
#include <utility>

namespace gossamer::detail {

/// `Endpoint` is that of a `PeerTransport`; `address` is where others find its node. Any thread.
template <class Endpoint>
observe::Connections connections_of(Endpoint& endpoint, std::string address) {
  const transport::MembershipCounts met =
      endpoint.with([](transport::Membership& membership) { return membership.counts(); });
  observe::Connections all{std::move(address),
                           {{"refused", met.refused},
                            {"malformed", met.malformed},
                            {"bad_offers", met.bad_offers},
                            {"suspicions", met.suspicions},
                            {"breaks", met.breaks},
                            {"reconnects", met.reconnects}},
                           endpoint.view()};
  if constexpr (requires { endpoint.attempts(); }) {
    const auto strangers = endpoint.attempts();
    all.counts.emplace_back("strangers_turned_away", strangers.refused);
    all.counts.emplace_back(
        "handshakes_failed",
        std::accumulate(strangers.failed.begin(), strangers.failed.end(), std::uint64_t{0}));
  }
  return all;
}

}  // namespace gossamer::detail
