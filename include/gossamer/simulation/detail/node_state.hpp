// SPDX-License-Identifier: MIT
/// What a simulated world keeps of one node, and of one side of a link. A large world waits for its
/// memory, so what is asked most often lies together.
#pragma once

#include <gossamer/simulation/detail/packet_fate.hpp>
#include <gossamer/transport/delivery/delivery.hpp>
#include <gossamer/transport/speed_gauge.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Whether a node is there: what all frames ask, and so apart from the rest of its place.
struct SimulatedPresence {
  enum class State : std::uint8_t { dead, live, leaving, left };

  Time frozen_until{0};    // its process stands still
  std::uint32_t part = 0;  // of a network that is partitioned
  State state = State::dead;

  [[nodiscard]] bool live() const { return state == State::live; }
  [[nodiscard]] bool leaving() const { return state == State::leaving; }
  [[nodiscard]] bool running() const { return live() || leaving(); }
};

/// One node's side of its link to one peer.
struct SimulatedSide {
  PeerId from = 0;
  PeerId to = 0;
  bool cut = false;
  bool broken = true;  // something was lost, or overtaken, since all was said again

  bool dirty = false;       // it is on the list of those that may have something to say
  bool armed = false;       // its time-out is among the events
  bool linked = false;      // the node's delivery has this link
  bool known = false;       // the node has the peer among its peers
  bool probed = false;      // the node wants to know whether the peer is there
  bool waiting = false;     // it waits for an answer,
  std::uint32_t tries = 0;  // for which it has asked so often since it has heard anything,
  std::uint32_t vain = 0;   // and so often since anything has moved

  bool finish_told = false;           // this node knows that the peer has finished
  bool finish_said = false;           // the peer was told that this node has,
  bool finish_seen = false;           // and has answered
  Reason peer_reason = Reason::left;  // why the peer leaves, if it does
  std::size_t sent_after_finish = 0;
  std::size_t pending = 0;  // what will still become an event, here or there

  Time patient_since{0};       // since when it has heard nothing
  Time brought{0};             // when content came last, or none was awaited
  std::uint64_t progress = 0;  // how far the link was when the time-out was set
  Time began{0};               // since when it has been sending without a pause,
  Time arrives{0};             // the last frame that was sent: when its last byte is there
  Time awaited{0};             // before that, nothing new can have reached the peer

  std::uint64_t content_epoch = 0;     // the session in which content was sent,
  std::uint64_t content_sequence = 0;  // up to this message, since all was said again,
  std::uint64_t peer_seen = 0;         // and up to which the peer knows of offers;
  std::uint64_t withdrawn = 0;         // how often the peer had given its room to others

  SpeedGauge speed;
  SimulatedLink link;
  SimulatedChannel channel;

  /// The node begins a new incarnation.
  void restart() {
    SimulatedSide fresh;
    fresh.from = from;
    fresh.to = to;
    fresh.link = link;
    fresh.channel = channel;
    fresh.cut = cut;
    fresh.dirty = dirty;
    fresh.armed = armed;
    fresh.pending = pending;
    *this = fresh;
  }
};

/// One node's place in the world; it outlives the node's incarnations.
struct NodeState {
  bool finished = false;
  bool ready = false;    // it has an event
  bool holding = false;  // what it sends waits in the outbox
  std::atomic<bool> woken{false};
  std::uint64_t incarnation = 0;
  Reason reason = Reason::left;                         // why it leaves, if it does
  std::optional<Delivery> delivery;                     // while it runs
  std::vector<PeerId> peers;                            // as the node was told, ascending
  std::vector<PeerLeft> news;                           // of peers that have finished
  std::vector<std::pair<PeerId, std::uint32_t>> sides;  // of its links, by peer
  std::vector<Message> outbox;
  std::size_t polled = 0;
  double left_behind = 0;  // weight that came back after the node had closed its end
  SimulatedChannel uplink;
  SimulatedChannel downlink;
  SimulatedAccess access;
  Counters status;
  std::vector<std::pair<Time, Counters>> news_of_status;  // known to others from then on, ascending

  [[nodiscard]] bool has_event() const {
    return delivery && (delivery->has_event() || !news.empty());
  }

  void begin(PeerId id, std::vector<PeerId> known, const DeliveryLimits& limits) {
    std::sort(known.begin(), known.end());
    peers = std::move(known);
    delivery.emplace(id, ++incarnation, limits);
    finished = false;
    reason = Reason::left;
    status = {};
    news_of_status.clear();
    left_behind = 0;
    woken = false;
  }
  void end() {
    delivery.reset();
    peers.clear();
    peers.shrink_to_fit();
    news.clear();
    outbox.clear();
    holding = false;
  }

  [[nodiscard]] bool has_peer(PeerId peer) const {
    return std::binary_search(peers.begin(), peers.end(), peer);
  }
  void add_peer(PeerId peer) {
    const auto at = std::lower_bound(peers.begin(), peers.end(), peer);
    if (at == peers.end() || *at != peer) peers.insert(at, peer);
  }
  [[nodiscard]] const std::uint32_t* side_to(PeerId peer) const {
    const auto at = place_of(peer);
    return at != sides.end() && at->first == peer ? &at->second : nullptr;
  }
  void add_side(PeerId peer, std::uint32_t side) { sides.insert(place_of(peer), {peer, side}); }

 private:
  using Sides = std::vector<std::pair<PeerId, std::uint32_t>>;

  [[nodiscard]] Sides::const_iterator place_of(PeerId peer) const {
    return std::lower_bound(sides.begin(), sides.end(), peer,
                            [](const auto& entry, PeerId id) { return entry.first < id; });
  }
};

}  // namespace gossamer::transport
