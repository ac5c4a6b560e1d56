// SPDX-License-Identifier: MIT
/// How a member carries the frames of its `Delivery`, and minds the time-outs.
#pragma once

#include <gossamer/transport/membership/admission.hpp>
#include <gossamer/transport/membership/state.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace gossamer::transport {

/// Over a connection that holds, nothing is lost; what is said again is what was under way when a
/// connection broke. Who waits for long asks, but sends nothing twice. Who is silent for long, on
/// all connections, is taken for dead, right or wrong: `Delivery` copes with both.
class FailureDetector {
 public:
  FailureDetector(MembershipState& state, Admission& handshake)
      : m_(state), handshake_(handshake) {}

  /// The next frame of `Delivery` for the peer of a line.
  std::optional<wire::DeliveryBody> next(Connection& line, Load load, Time now) {
    const PeerId id = line.hello.node;
    KnownPeer* peer = m_.link(id);
    if (peer == nullptr || peer->line != line.id) return std::nullopt;
    bool may_finish = false;
    if (m_.must_say_finished(*peer)) {
      // In its turn: after all that was sent before it.
      may_finish = m_.outgoing(id) <= peer->sent_after_finish;
      if (may_finish && !std::exchange(peer->finish_said, true)) m_.delivery.ask(id);
    }
    // Before they have one model it cannot take messages.
    auto frame = m_.delivery.next_frame(id, have_one_model(line) ? load : Load::counters);
    if (!frame) return std::nullopt;
    peer->said = now;
    if (frame->offer && frame->later == 0) {
      peer->speed.offered(m_.inner(id).epoch(), frame->sequence, frame->offer->bytes(), now);
    }
    wire::DeliveryBody body;
    body.payload = frame->offer && frame->offer->payload;
    body.code = frame->offer ? frame->offer->code.size() : 0;
    body.frame = std::move(*frame);
    body.finished = may_finish;
    body.finished_seen = peer->finish_told;
    body.reason = m_.reason;
    body.report = m_.own;
    return body;
  }

  /// A frame of the peer's `Delivery`.
  void receive(Connection& line, wire::DeliveryBody body, Time now) {
    const PeerId id = line.hello.node;
    KnownPeer* peer = m_.link(id);
    if (peer == nullptr || peer->line != line.id) return;
    const bool spoiled = body.payload && !body.frame.offer;
    if (body.frame.offer) {
      body.frame.offer->from = id;
      body.frame.offer->to = m_.self();
    }
    if (body.in_pieces == 0) peer->reason = body.reason;  // else it was said long ago
    const Receipt receipt = m_.delivery.receive(id, std::move(body.frame));
    if (receipt.fate == FrameFate::refused) {
      return bad_offer(line, spoiled
                                 ? "a message of node " + std::to_string(id) +
                                       " has numbers that are not finite; its weight is returned"
                                 : receipt.error.text());
    }
    const auto& link = m_.inner(id);
    peer->speed.accepted(link.epoch(), link.accepted(), now);
    m_.mark_dirty(id);
    if (!body.finished && !body.finished_seen) return;
    if (receipt.fate != FrameFate::taken || !peer->known || !m_.delivery.is_open(id)) return;
    if (body.finished && !std::exchange(peer->finish_told, true)) {
      m_.news.push_back({id, Reason::finished});
    }
    peer->finish_seen = peer->finish_seen || (body.finished_seen && m_.finished);
    m_.mark_dirty(id);
  }

  /// The peer sent what nobody would take. It is told so, and what it offers is returned to it.
  void bad_offer(Connection& line, const std::string& why) {
    ++m_.counts.bad_offers;
    const PeerId id = line.hello.node;
    handshake_.refuse(line, wire::Refusal::Code::offer, why);
    suspect(id, "it sent a message that nobody would take");
  }

  /// A peer is taken for dead, for a reason that is said.
  void suspect(PeerId id, const std::string& why) {
    KnownPeer* peer = m_.link(id);
    if (peer == nullptr) return;
    if (peer->known) {
      ++m_.counts.suspicions;
      m_.note_first(id, peer->incarnation, {MembershipTopic::What::suspected},
                    m_.name() + ": node " + std::to_string(id) + " is taken for dead: " + why);
    }
    m_.delivery.declare_dead(id);
    m_.mark_dirty(id);
    RosterEntry* entry = m_.roster.find(id);
    if (entry != nullptr && entry->presence == wire::Presence::live) {
      entry->presence = wire::Presence::lost;
      m_.roster.touch(*entry);
      m_.to_dial.insert(id);
    }
    if (Connection* line = m_.line(peer->line)) handshake_.close(*line);
  }

  /// A peer has said its last word.
  void mark_left(PeerId id) {
    if (RosterEntry* entry = m_.roster.find(id)) {
      entry->presence = wire::Presence::left;
      m_.roster.touch(*entry);
    }
    if (KnownPeer* peer = m_.link(id)) peer->left = true;
    m_.delivery.forget(id);
    m_.mark_dirty(id);
  }

  void tick(Time now) {
    const MembershipTimers& timers = m_.options.timers;
    for (auto& [id, peer] : m_.links) {
      if (peer.left) continue;
      Connection* line = m_.line(peer.line);
      if (now - peer.heard >= timers.dead_after && (peer.known || line != nullptr)) {
        suspect(id, "nothing was heard of it for " + in_seconds(now - peer.heard) + " s");
        continue;
      }
      const std::uint64_t progress = m_.inner(id).progress();
      if (progress != peer.progress) {
        peer.progress = progress;
        peer.tries = 0;
        peer.moved = peer.brought = now;
      }
      share_room(id, peer, now);
      if (line == nullptr) continue;
      const bool waits = m_.delivery.waits_for(id) || m_.must_say_finished(peer);
      const Time pause = std::min(
          timers.resend_after * (std::int64_t{1} << std::min(peer.tries, 16U)), timers.dead_after);
      if (!waits || line->busy) {
        peer.moved = now;
      } else if (now - std::max(peer.moved, peer.said) >= pause) {
        // The connection holds, and yet nothing has moved: where both had dialed, the peer may have
        // dropped what came before it had made its choice.
        m_.delivery.ask(id, ++peer.tries > 1);
        peer.moved = now;
        m_.speak(*line);
      }
    }
  }

 private:
  /// Room for messages goes to others if the peer that has it brings nothing for long; each time it
  /// is given more time, for its link may be slower than that.
  void share_room(PeerId id, KnownPeer& peer, Time now) {
    const auto times = std::min<std::uint64_t>(m_.inner(id).withdrawn(), 16);
    const Time patience = m_.options.timers.dead_after / 2 * (std::int64_t{1} << times);
    if (!m_.delivery.holds_up_others(id)) {
      peer.brought = now;
    } else if (now - peer.brought >= patience) {
      m_.delivery.take_room_back(id);
      peer.brought = now;
      m_.mark_dirty(id);
    }
  }

  static std::string in_seconds(Time time) {
    return c10::str(std::chrono::duration<double>(time).count());
  }
  [[nodiscard]] bool have_one_model(const Connection& line) const {
    return m_.model_mark != 0 && line.hello.model == m_.model_mark;
  }

  MembershipState& m_;
  Admission& handshake_;
};

}  // namespace gossamer::transport
