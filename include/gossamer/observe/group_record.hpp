// SPDX-License-Identifier: MIT
/// What can be seen of a group, as keys of a record. Needs nlohmann/json, hence not part of
/// gossamer.hpp.
#pragma once

#include <gossamer/observe/connections.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/transport/delivery/ledger.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <vector>

namespace gossamer::observe {

/// All columns of a ledger, as [messages, weight]; `Ledger` says what they mean and how they add
/// up. Weights are written so that they are read back to the bit.
inline nlohmann::ordered_json ledger_record(const transport::Ledger& ledger) {
  const auto both = [](const transport::CompensatedSum& tally) {
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
inline nlohmann::ordered_json peer_records(const std::vector<transport::PeerView>& peers) {
  auto all = nlohmann::ordered_json::array();
  for (const transport::PeerView& peer : peers) {
    const transport::Ledger& ledger = peer.ledger;
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

/// Seconds of training: those that have passed here, and those of a virtual clock.
inline nlohmann::ordered_json time_record(const GroupState& state) {
  nlohmann::ordered_json times = {{"wall_seconds", state.wall.count()}};
  if (state.is_virtual) times["virtual_seconds"] = state.elapsed.count();
  return times;
}

/// The weight (of all, where all can be seen, else of the nodes here), what was sent, and, where
/// there are other processes, what is known of them.
inline nlohmann::ordered_json exchange_record(const GroupState& state) {
  nlohmann::ordered_json record;
  if (state.weight_of_all) {
    record["total_weight"] = *state.weight_of_all;
  } else {
    double here = 0;
    for (const GroupState::Node& node : state.nodes) here += node.counters.weight;
    record["weight"] = here;
  }
  record["messages_sent"] = state.totals.messages_sent;
  record["messages_merged"] = state.totals.messages_merged;
  record["messages_returned"] = state.totals.messages_returned;
  record["age_mean"] = state.totals.mean_age();
  record["age_max"] = state.totals.age_max;
  record["bytes_sent"] = state.totals.bytes_sent;
  if (!state.connections) return record;
  record["address"] = state.connections->address;
  for (const auto& [name, count] : state.connections->counts) record["connections"][name] = count;
  record["peers"] = peer_records(state.connections->peers);
  return record;
}

/// The nodes that live here: numbers, weights, steps, and how old the messages were that they have
/// merged, in steps; a list each.
inline nlohmann::ordered_json node_record(const GroupState& state) {
  std::vector<PeerId> ids;
  std::vector<double> weights;
  std::vector<std::uint64_t> steps;
  std::vector<double> mean_ages;
  std::vector<std::uint64_t> oldest;
  for (const GroupState::Node& node : state.nodes) {
    ids.push_back(node.id);
    weights.push_back(node.counters.weight);
    steps.push_back(node.counters.steps);
    mean_ages.push_back(node.counters.mean_age());
    oldest.push_back(node.counters.age_max);
  }
  return {{"node_ids", ids},
          {"weights", weights},
          {"steps_per_node", steps},
          {"age_mean_per_node", mean_ages},
          {"age_max_per_node", oldest}};
}

}  // namespace gossamer::observe
