// SPDX-License-Identifier: MIT
/// How the nodes of a simulated world come and go.
#pragma once

#include <gossamer/simulation/detail/calm.hpp>
#include <gossamer/simulation/detail/cluster.hpp>
#include <gossamer/simulation/detail/driver.hpp>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// Begins and ends the nodes' incarnations. A node that crashes is gone at once; one that leaves
/// stays until all with whom it is in touch know how much it gives back.
class NodeLifecycle {
 public:
  using State = SimulatedPresence::State;

  NodeLifecycle(const SimulatedOptions& options, SimulatedCluster& cluster, SimulatedCalm& calm,
                SimulatedDriver& driver)
      : options_(options), cluster_(cluster), calm_(calm), driver_(driver) {}

  void begin(PeerId id, std::vector<PeerId> peers) {
    NodeState& place = cluster_.place(id);
    place.begin(id, std::move(peers), options_.limits());
    cluster_.presence(id).frozen_until = Time(0);
    cluster_.presence(id).state = State::live;
    ++active_;
    for (const auto& [peer, side] : place.sides) {
      cluster_.side(side).restart();
      calm_.recount(side ^ 1U);
    }
  }

  /// Takes no more steps, and tells all peers.
  void finish(PeerId id) {
    NodeState& place = cluster_.place(id);
    if (std::exchange(place.finished, true)) return;
    --active_;
    for (const PeerId peer : std::vector<PeerId>(place.peers)) {
      cluster_.open(cluster_.connect(id, peer));
    }
    for (const auto& [peer, side] : place.sides) {
      if (!cluster_.side(side).linked) continue;
      cluster_.side(side).sent_after_finish = 0;
      driver_.mark_dirty(side);
    }
  }
  [[nodiscard]] bool all_have_finished() const { return active_ == 0; }

  void crash(PeerId id) {
    if (!cluster_.is_running(id)) return;
    if (cluster_.is_live(id) && !cluster_.place(id).finished) --active_;
    end(id, State::dead);
  }

  /// A live node begins to leave.
  void leave(PeerId id, Reason reason) {
    NodeState& place = cluster_.place(id);
    if (!place.finished) --active_;
    cluster_.presence(id).state = State::leaving;
    place.reason = reason;
    place.news.clear();
    place.delivery->leave();
    for (const auto& [peer, side] : place.sides) {
      if (cluster_.side(side).linked) driver_.mark_dirty(side);
      calm_.recount(side ^ 1U);
    }
    say_farewell(id);
  }

  /// What a leaver does after each frame: takes back what comes, and goes when it may.
  void say_farewell(PeerId id) {
    NodeState& place = cluster_.place(id);
    while (auto event = place.delivery->poll()) {
      const Message* message = nullptr;
      if (const auto* delivered = std::get_if<Delivered>(&*event)) message = &delivered->message;
      if (const auto* returned = std::get_if<Returned>(&*event)) message = &returned->message;
      if (message == nullptr) continue;
      place.left_behind += message->weight;
      const PeerId peer = message->from == id ? message->to : message->from;
      if (const auto* side = place.side_to(peer)) driver_.mark_dirty(*side);
    }
    calm_.refresh(id);
    if (place.delivery->may_close() && is_in_touch(id)) end(id, State::left);
  }

  /// Whether sessions are open with all live peers that the node has met.
  [[nodiscard]] bool is_in_touch(PeerId id) const {
    const NodeState& place = cluster_.place(id);
    return std::all_of(place.sides.begin(), place.sides.end(), [&](const auto& entry) {
      const PeerId peer = entry.first;
      return !cluster_.is_live(peer) || !cluster_.side(entry.second).linked ||
             (place.delivery->is_open(peer) && cluster_.place(peer).delivery->is_open(id));
    });
  }

 private:
  void end(PeerId id, State state) {
    NodeState& place = cluster_.place(id);
    cluster_.presence(id).state = state;
    calm_.dealt_with(id);
    calm_.unbox(id);
    place.end();
    calm_.refresh(id);
    for (const auto& [peer, side] : place.sides) {
      cluster_.side(side).linked = false;
      calm_.recount(side);
      calm_.recount(side ^ 1U);
    }
  }

  const SimulatedOptions& options_;
  SimulatedCluster& cluster_;
  SimulatedCalm& calm_;
  SimulatedDriver& driver_;
  std::size_t active_ = 0;  // live nodes that have not finished
};

}  // namespace gossamer::transport
