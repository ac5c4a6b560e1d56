// SPDX-License-Identifier: MIT
/// Whether anything is under way in a simulated world.
#pragma once

#include <gossamer/simulation/detail/cluster.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace gossamer::transport {

/// Counts what will still become an event for a node, at each change, since nobody can look at all
/// links of a large world after each event; and says when a node that had no event has one.
class SimulatedCalm {
 public:
  using Side = SimulatedSide;

  SimulatedCalm(SimulatedCluster& cluster, const std::function<void(PeerId)>& on_ready)
      : cluster_(cluster), on_ready_(on_ready) {}

  /// Nothing is under way between nodes that run, whoever has finished.
  [[nodiscard]] bool is_calm() const {
    return pending_ == 0 && ready_ == 0 && polled_ == 0 && boxed_ == 0;
  }

  /// After whatever changed a side of a link, or whether the peer runs.
  void recount(std::uint32_t at) {
    Side& side = cluster_.side(at);
    const std::size_t before = side.pending;
    side.pending = side.linked ? pending_of(side) : 0;
    pending_ += side.pending - before;
  }
  /// After whatever gave the node an event, or took one.
  void refresh(PeerId id) {
    NodeState& place = cluster_.place(id);
    const bool ready = place.has_event();
    if (ready == place.ready) return;
    place.ready = ready;
    ready_ += ready ? 1 : std::size_t(-1);
    if (ready && cluster_.is_live(id) && on_ready_) on_ready_(id);
  }

  /// The node has an event in its hands, and nobody knows what will come of it.
  void polled(PeerId id) {
    ++cluster_.place(id).polled;
    ++polled_;
  }
  void dealt_with(PeerId id) { polled_ -= std::exchange(cluster_.place(id).polled, 0); }

  /// A message waits until its node has done its step.
  void box(PeerId id, Message message) {
    ++boxed_;
    cluster_.place(id).outbox.push_back(std::move(message));
  }
  /// All that are boxed are going to be sent, or dropped.
  void unbox(PeerId id) { boxed_ -= cluster_.place(id).outbox.size(); }

  [[nodiscard]] bool must_say_finished(const Side& side) const {
    return side.known && !side.finish_seen && cluster_.is_live(side.from) &&
           cluster_.place(side.from).finished;
  }

 private:
  [[nodiscard]] std::size_t pending_of(const Side& side) const {
    const Session& link = cluster_.link(side);
    std::size_t count = link.incoming();
    if (cluster_.is_running(side.to) || side.known) count += link.unconfirmed();
    if (cluster_.is_live(side.from) && cluster_.is_live(side.to) && !side.known) {
      ++count;  // they will find each other again
    }
    return count + (must_say_finished(side) ? 1 : 0);
  }

  SimulatedCluster& cluster_;
  const std::function<void(PeerId)>& on_ready_;
  std::size_t pending_ = 0;  // over all sides
  std::size_t ready_ = 0;    // nodes with an event
  std::size_t polled_ = 0;   // events handed out and not known to be dealt with
  std::size_t boxed_ = 0;    // messages of nodes that hold
};

}  // namespace gossamer::transport
