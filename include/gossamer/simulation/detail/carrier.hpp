// SPDX-License-Identifier: MIT
/// What happens to a frame between two nodes of a simulated world.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/simulation/detail/clock.hpp>
#include <gossamer/simulation/detail/cluster.hpp>
#include <gossamer/simulation/detail/packet_fate.hpp>
#include <gossamer/simulation/detail/weight_audit.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Carries frames, and loses, doubles and delays them.
///
/// A frame of b bytes keeps its sender's uplink busy for b / uplink seconds, then the link, then
/// the receiver's downlink; the three overlap, as a frame's first bytes go on before its last ones
/// come. A node with laws of its own (`SimulatedAccess`) has these in place of the constant rates.
class SimulatedCarrier {
 public:
  /// A frame, and what else a node says with it.
  struct Packet {
    DeliveryFrame frame;
    bool finished = false;       ///< the sender takes no more steps
    bool finished_seen = false;  ///< the sender knows that of the receiver
    Reason reason = Reason::left;
  };

  SimulatedCarrier(const SimulatedOptions& options, SimulatedCluster& cluster,
                   SimulatedClock& clock)
      : options_(options),
        cluster_(cluster),
        clock_(clock),
        noise_(options.noise()),
        random_(options.seed(), network_stream) {}

  [[nodiscard]] SimulatedNoise& noise() { return noise_; }
  [[nodiscard]] SimulatedTraffic& traffic() { return traffic_; }
  [[nodiscard]] const SimulatedTraffic& traffic() const { return traffic_; }

  /// From that side of a link to the other one.
  void carry(std::uint32_t at, Packet packet) {
    SimulatedSide& side = cluster_.side(at);
    const std::size_t bytes = bytes_of(packet);
    if (clock_.now() >= side.arrives) side.began = clock_.now();
    ++traffic_.frames;
    traffic_.bytes += bytes;
    const Time now = clock_.now();
    SimulatedChannel& uplink = cluster_.place(side.from).uplink;
    RateLaw* law = cluster_.place(side.from).access.uplink.get();
    Time first = now;
    Time last = now;
    if (packet.frame.offer) {
      first = std::max(now, uplink.free());
      last = law != nullptr ? uplink.pass(now, now, bytes, *law)
                            : uplink.pass(now, now, bytes, options_.uplink());
      last = side.channel.pass(first, last, bytes, side.link.bytes_per_second);
    } else {
      last = law != nullptr ? uplink.pass_between(now, bytes, *law)
                            : uplink.pass_between(now, bytes, options_.uplink());
      first = last;
      last = side.channel.pass_between(last, bytes, side.link.bytes_per_second);
    }
    const Time arrives = last + side.link.latency;
    side.arrives = std::max(side.arrives, arrives);
    const PacketFate luck = draw_luck(random_, noise_, side.link.loss);
    if (luck.lost || cluster_.is_apart(side)) return lose(at);
    if (luck.late.count() > 0) break_connection(at);
    const std::uint32_t number =
        store({std::move(packet), luck.twice ? 2U : 1U, first + side.link.latency});
    clock_.plan(arrives + luck.late, SimulatedClock::arrival, at, number);
    traffic_.late += luck.late.count() > 0 ? 1 : 0;
    if (!luck.twice) return;
    ++traffic_.duplicates;
    clock_.plan(arrives + luck.late_again, SimulatedClock::arrival, at, number);
  }

  /// Whether bytes come to that side of a link now, be it in the middle of a frame.
  [[nodiscard]] bool is_arriving(std::uint32_t at) const {
    const SimulatedSide& peer = cluster_.side(at ^ 1U);
    return clock_.now() < peer.arrives && clock_.now() >= peer.began + peer.link.latency &&
           cluster_.is_running(peer.from) && !cluster_.is_apart(peer);
  }

  /// A packet's last byte is there. Whether it has passed the downlink; if not, it will be a
  /// reception then.
  bool passes_downlink(std::uint32_t at, std::uint32_t number) {
    SimulatedSide& side = cluster_.side(at);
    const double rate = options_.downlink();
    RateLaw* law = cluster_.place(side.to).access.downlink.get();
    if ((law == nullptr && !(rate > 0)) || !cluster_.is_running(side.to)) return true;
    const Time now = clock_.now();
    const Stored& stored = stored_[number];
    const std::size_t bytes = bytes_of(stored.packet);
    SimulatedChannel& downlink = cluster_.place(side.to).downlink;
    const auto pass = [&](auto& pace) {
      return stored.packet.frame.offer ? downlink.pass(stored.begins, now, bytes, pace)
                                       : downlink.pass_between(now, bytes, pace);
    };
    const Time last = law != nullptr ? pass(*law) : pass(rate);
    if (last <= now) return true;
    side.awaited = std::max(side.awaited, last);  // no reason for impatience
    clock_.plan(last, SimulatedClock::reception, at, number);
    return false;
  }

  /// Whether the node can take the packet now; if not, it is lost, or waits for the node to thaw.
  bool reaches(std::uint32_t at, std::uint32_t number) {
    const SimulatedSide& side = cluster_.side(at);
    if (!cluster_.is_running(side.to) || cluster_.is_apart(side)) {
      lose(at);
      put_back(number);
      return false;
    }
    const Time thaw = cluster_.presence(side.to).frozen_until;
    if (clock_.now() >= thaw) return true;
    clock_.plan(thaw, SimulatedClock::reception, at, number);
    return false;
  }

  /// The packet, for its receiver.
  Packet take(std::uint32_t number) {
    Stored& stored = stored_[number];
    Packet packet = stored.copies > 1 ? stored.packet : std::move(stored.packet);
    put_back(number);
    return packet;
  }

 private:
  /// The stream of the seed that is the network's; nodes have those from 2^32 upwards.
  static constexpr std::uint64_t network_stream = std::uint64_t{1} << 48U;
  static constexpr std::size_t frame_bytes = 96;  // all fields but the offer, with packet headers

  struct Stored {
    Packet packet;
    std::uint32_t copies = 0;
    Time begins{0};  // when the first byte comes
  };

  [[nodiscard]] static std::size_t bytes_of(const Packet& packet) {
    return frame_bytes + (packet.frame.offer ? packet.frame.offer->bytes() : 0);
  }

  void lose(std::uint32_t at) {
    ++traffic_.lost;
    break_connection(at);
  }
  /// Both sides say again what may have been lost, as after a new connection.
  void break_connection(std::uint32_t at) {
    cluster_.side(at).broken = cluster_.side(at ^ 1U).broken = true;
  }

  std::uint32_t store(Stored stored) {
    if (idle_.empty()) {
      idle_.push_back(static_cast<std::uint32_t>(stored_.size()));
      stored_.emplace_back();
    }
    const std::uint32_t number = idle_.back();
    idle_.pop_back();
    stored_[number] = std::move(stored);
    return number;
  }
  void put_back(std::uint32_t number) {
    Stored& stored = stored_[number];
    if (--stored.copies > 0) return;
    stored.packet.frame.offer.reset();
    idle_.push_back(number);
  }

  const SimulatedOptions& options_;
  SimulatedCluster& cluster_;
  SimulatedClock& clock_;
  SimulatedNoise noise_;
  Generator random_;
  SimulatedTraffic traffic_;
  std::vector<Stored> stored_;
  std::vector<std::uint32_t> idle_;
};

}  // namespace gossamer::transport
