// SPDX-License-Identifier: MIT
/// What a node in a process of its own knows of its peers, for a record: states, traffic, and its
/// books with each.
#pragma once

#include <gossamer/transport/delivery/ledger.hpp>
#include <gossamer/transport/membership/traffic.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace examples {

/// One word for where a peer is.
inline const char* state_of(const gossamer::transport::PeerView& peer) {
  using gossamer::transport::wire::Presence;
  if (peer.presence == Presence::left) return "left";
  if (peer.presence == Presence::lost) return "lost";
  return peer.connected ? "connected" : "not connected";
}

/// All columns of a ledger, as [messages, weight]; `Ledger` says what they mean and how they add
/// up. Weights are written so that they are read back to the bit.
inline nlohmann::ordered_json ledger_record(const gossamer::transport::Ledger& ledger) {
  const auto both = [](const gossamer::transport::CompensatedSum& tally) {
    return nlohmann::ordered_json::array({tally.messages(), tally.weight()});
  };
  return {{"sent", both(ledger.sent)},           {"offered", both(ledger.offered)},
          {"granted", both(ledger.granted)},     {"in_doubt", both(ledger.in_doubt)},
          {"confirmed", both(ledger.confirmed)}, {"returned", both(ledger.returned)},
          {"returning", both(ledger.returning)}, {"lost_with_peer", both(ledger.lost_with_peer)},
          {"held", both(ledger.held)},           {"delivered", both(ledger.delivered)},
          {"waiting", both(ledger.waiting)},     {"discarded", both(ledger.discarded)},
          {"surplus", ledger.surplus()}};
}

/// One object for each peer that was ever heard of.
inline nlohmann::ordered_json peer_records(
    const std::vector<gossamer::transport::PeerView>& peers) {
  auto all = nlohmann::ordered_json::array();
  for (const auto& peer : peers) {
    const gossamer::transport::Ledger& ledger = peer.ledger;
    all.push_back({{"peer", peer.peer},
                   {"address", peer.address},
                   {"state", state_of(peer)},
                   {"round_trip_ms", static_cast<double>(peer.round_trip.count()) / 1e6},
                   {"bytes_per_second", peer.bytes_per_second},
                   {"bytes_sent", peer.traffic.bytes_sent},
                   {"bytes_received", peer.traffic.bytes_received},
                   {"messages_sent", ledger.sent.messages()},
                   {"messages_received", ledger.delivered.messages()},
                   {"messages_returned", ledger.returned.messages()},
                   {"weight_sent", ledger.sent.weight()},
                   {"weight_received", ledger.delivered.weight()},
                   {"weight_returned", ledger.returned.weight()},
                   {"messages_in_doubt", ledger.in_doubt.messages()},
                   {"ledger", ledger_record(ledger)}});
  }
  return all;
}

/// How often connections were refused, broken, and so on.
inline nlohmann::ordered_json connection_record(
    const gossamer::transport::MembershipCounts& counts) {
  return {{"refused", counts.refused},       {"malformed", counts.malformed},
          {"bad_offers", counts.bad_offers}, {"suspicions", counts.suspicions},
          {"breaks", counts.breaks},         {"reconnects", counts.reconnects}};
}

/// All peers in a few words, for a line of progress.
inline std::string in_words(const std::vector<gossamer::transport::PeerView>& peers) {
  std::size_t connected = 0;
  std::size_t gone = 0;
  std::uint64_t bytes = 0;
  double slowest = 0;
  for (const auto& peer : peers) {
    using gossamer::transport::wire::Presence;
    connected += peer.connected ? 1 : 0;
    gone += peer.presence == Presence::left || peer.presence == Presence::lost ? 1 : 0;
    bytes += peer.traffic.bytes_sent + peer.traffic.bytes_received;
    slowest = std::max(slowest, static_cast<double>(peer.round_trip.count()) / 1e6);
  }
  char text[96];
  std::snprintf(text, sizeof text, "peers %zu up, %zu gone, %.1f MB, slowest %.1f ms", connected,
                gone, static_cast<double>(bytes) / 1e6, slowest);
  return text;
}

}  // namespace examples
