// SPDX-License-Identifier: MIT
/// What carries a delivery's frames in a simulated world, as sockets and timers do in the real one.
#pragma once

#include <gossamer/simulation/detail/calm.hpp>
#include <gossamer/simulation/detail/carrier.hpp>
#include <gossamer/simulation/detail/clock.hpp>
#include <gossamer/simulation/detail/cluster.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Sends what the nodes' deliveries have to say, hands them what comes, and minds the time-outs:
/// who is silent is asked again, and who is silent for long is taken for dead.
class SimulatedDriver {
 public:
  using Side = SimulatedSide;

  SimulatedDriver(const SimulatedOptions& options, SimulatedCluster& cluster, SimulatedCalm& calm,
                  SimulatedCarrier& carrier, SimulatedClock& clock)
      : options_(options), cluster_(cluster), calm_(calm), carrier_(carrier), clock_(clock) {}

  /// After whatever concerned the link: there may be something to say, and events.
  void mark_dirty(std::uint32_t at) {
    Side& side = cluster_.side(at);
    if (!std::exchange(side.dirty, true)) dirty_.push_back(at);
    if (side.linked) {
      const bool known = cluster_.link(side).is_known();
      if (side.known && !known) side.finish_told = side.finish_said = side.finish_seen = false;
      side.known = known;
    }
    calm_.recount(at);
    calm_.refresh(side.from);
    if (!side.linked) return;
    NodeState& place = cluster_.place(side.from);
    for (const PeerId peer : place.delivery->found_room()) {  // they have found room
      const std::uint32_t other = *place.side_to(peer);
      if (!std::exchange(cluster_.side(other).dirty, true)) dirty_.push_back(other);
    }
  }

  /// Sends all that is to be said.
  void flush() {
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
      const std::uint32_t at = dirty_[i];
      cluster_.side(at).dirty = false;
      if (cluster_.side(at).linked) speak(at);
    }
    dirty_.clear();
  }

  /// The node wants to know of each peer whether it is there: who is silent for `dead_after` is
  /// taken for dead. Whom it waits for on the network's level is asked anyway.
  void probe(PeerId x) {
    NodeState& place = cluster_.place(x);
    for (const auto& [peer, at] : place.sides) {
      Side& side = cluster_.side(at);
      if (!side.linked || !side.known || place.delivery->waits_for(peer)) continue;
      side.probed = true;
      place.delivery->ask(peer);
      mark_dirty(at);
    }
  }

  /// What was sent at one side of a link reaches the node at the other one.
  void take_in(std::uint32_t sent_at, SimulatedCarrier::Packet packet) {
    const std::uint32_t at = sent_at ^ 1U;
    Side& side = cluster_.open(at);
    NodeState& here = cluster_.place(side.from);
    side.peer_reason = packet.reason;
    const std::uint64_t seen = packet.frame.seen;
    const std::uint64_t withdrawn = packet.frame.withdrawn;
    const Receipt receipt = here.delivery->receive(side.to, std::move(packet.frame));
    if (receipt.fate == FrameFate::refused) ++carrier_.traffic().refused;
    if (side.linked) {
      const Session& link = cluster_.link(side);
      if (receipt.fate == FrameFate::taken && link.is_open()) {
        begin_session(side, link.epoch());
        side.peer_seen = std::max(side.peer_seen, seen);
        if (withdrawn > side.withdrawn) {  // what was on its way then crosses once more
          side.withdrawn = withdrawn;
          side.content_sequence = 0;
        }
      }
      side.speed.accepted(link.epoch(), link.accepted(), clock_.now());
    }
    side.tries = 0;
    side.probed = false;
    side.patient_since = std::max(clock_.now(), side.arrives);
    mark_dirty(at);
    if (!packet.finished && !packet.finished_seen) return;
    if (receipt.fate != FrameFate::taken || !side.known || !here.delivery->is_open(side.to)) return;
    if (packet.finished && !std::exchange(side.finish_told, true) && cluster_.is_live(side.from)) {
      here.news.push_back({side.to, Reason::finished});  // a leaver polls no more
    }
    side.finish_seen = side.finish_seen || (packet.finished_seen && here.finished);
    mark_dirty(at);
  }

  /// The time-out of a link at one of its sides. Whether it came to anything.
  bool ring(std::uint32_t at) {
    Side& side = cluster_.side(at);
    const Time thaw = cluster_.presence(side.from).frozen_until;
    if (clock_.now() < thaw) {
      clock_.plan(thaw, SimulatedClock::timer, at);
      return false;
    }
    side.armed = false;
    if (!side.linked || !side.waiting) return false;
    if (clock_.now() < side.awaited + side.link.latency) {
      mark_dirty(at);
      return false;
    }
    if (carrier_.is_arriving(at)) side.patient_since = clock_.now();  // any byte is a sign of life
    Delivery& delivery = *cluster_.place(side.from).delivery;
    share_room(delivery, at);
    // A leaver does not give up those who live, else they would never know what it gives back.
    const bool stays = cluster_.is_leaving(side.from) && cluster_.is_live(side.to);
    if (side.known && !stays && clock_.now() - side.patient_since >= options_.dead_after()) {
      delivery.declare_dead(side.to);
      side.probed = false;
      ++carrier_.traffic().suspicions;
      side.tries = 0;
    } else if (side.progress != cluster_.link(side).progress()) {
      side.tries = side.vain = 0;  // it was no standstill
    } else if (std::exchange(side.broken, false)) {
      delivery.resend(side.to);
      side.content_sequence = 0;
      ++carrier_.traffic().resends;
      ++side.tries;
    } else {
      constexpr unsigned many = 4;
      delivery.ask(side.to, ++side.vain > many);
      ++side.tries;
    }
    mark_dirty(at);
    return true;
  }

 private:
  /// Room for messages goes to others if the peer that has it brings nothing for long; each time it
  /// is given more time, for its link may be slower than that.
  void share_room(Delivery& delivery, std::uint32_t at) {
    Side& side = cluster_.side(at);
    const Session& link = cluster_.link(side);
    const auto times = std::min<std::uint64_t>(link.withdrawn(), 16);
    const Time patience = options_.dead_after() / 2 * (std::int64_t{1} << times);
    if (carrier_.is_arriving(at) || side.progress != link.progress() ||
        !delivery.holds_up_others(side.to)) {
      side.brought = clock_.now();
    } else if (clock_.now() - side.brought >= patience) {
      delivery.take_room_back(side.to);
      side.brought = clock_.now();
      ++carrier_.traffic().withdrawals;
    }
  }

  static void begin_session(Side& side, std::uint64_t epoch) {
    if (side.content_epoch == epoch) return;
    side.content_epoch = epoch;
    side.content_sequence = side.peer_seen = side.withdrawn = 0;
  }
  /// Over a connection that holds, content is sent once.
  void watch_for_repetitions(Side& side, const DeliveryFrame& frame) {
    begin_session(side, cluster_.link(side).epoch());
    if (frame.sequence <= std::min(side.content_sequence, side.peer_seen)) {
      ++carrier_.traffic().repetitions;
    }
    side.content_sequence = std::max(side.content_sequence, frame.sequence);
  }

  void speak(std::uint32_t at) {
    Side& side = cluster_.side(at);
    NodeState& here = cluster_.place(side.from);
    bool may_finish = false;
    if (calm_.must_say_finished(side)) {
      // In its turn: after all that was sent before it.
      may_finish = cluster_.link(side).unconfirmed() <= side.sent_after_finish;
      if (may_finish && !std::exchange(side.finish_said, true)) here.delivery->ask(side.to);
    }
    while (auto frame = here.delivery->next_frame(side.to)) {
      if (frame->offer && frame->later == 0) {
        watch_for_repetitions(side, *frame);
        side.speed.offered(cluster_.link(side).epoch(), frame->sequence, frame->offer->bytes(),
                           clock_.now());
      }
      carrier_.carry(at, {std::move(*frame), may_finish, side.finish_told, here.reason});
    }
    const bool waits =
        side.probed || here.delivery->waits_for(side.to) || calm_.must_say_finished(side);
    if (waits && !side.waiting) {
      side.tries = 0;
      side.brought = clock_.now();
      side.patient_since = std::max(clock_.now(), side.arrives);
    }
    side.waiting = waits;
    if (waits && !std::exchange(side.armed, true)) set_timer(at);
  }

  void set_timer(std::uint32_t at) {
    Side& side = cluster_.side(at);
    const Time most = side.known ? options_.dead_after() / 8 : options_.dead_after();
    const Time pause =
        std::min(options_.resend_after() * (std::int64_t{1} << std::min(side.tries, 16U)),
                 std::max(most, options_.resend_after()));
    side.progress = cluster_.link(side).progress();
    side.awaited = std::max(side.awaited, side.arrives);
    clock_.plan(std::max(clock_.now(), side.awaited) + side.link.latency + pause,
                SimulatedClock::timer, at);
  }

  const SimulatedOptions& options_;
  SimulatedCluster& cluster_;
  SimulatedCalm& calm_;
  SimulatedCarrier& carrier_;
  SimulatedClock& clock_;
  std::vector<std::uint32_t> dirty_;  // sides that may have something to say
};

}  // namespace gossamer::transport
