// SPDX-License-Identifier: MIT
/// The fields of a frame of `Delivery`; its payload follows them as it lies in memory.
#pragma once

#include <gossamer/transport/delivery/delivery.hpp>
#include <gossamer/transport/wire/bodies.hpp>

#include <cstddef>
#include <cstdint>

namespace gossamer::transport::wire {

/// A frame of one peer's `Delivery` for another's, and what else a node says with it. The numbers
/// of the offer's payload are not among the fields: `payload` says whether those of its part
/// follow, or else `code` how many bytes of a code do. With `in_pieces` so many bytes come in
/// frames of `Kind::piece`, between which others may pass. Who sends and who receives, the
/// connection knows.
struct DeliveryBody {
  static constexpr Kind kind = Kind::delivery;

  Delivery::Frame frame;
  bool finished = false;       ///< the sender takes no more steps
  bool finished_seen = false;  ///< the sender knows that of the receiver
  Reason reason = Reason::left;
  Report report;
  bool payload = false;
  std::uint64_t code = 0;
  std::uint64_t in_pieces = 0;

  /// Bytes of the payload, or of the code, that go with it.
  [[nodiscard]] std::uint64_t payload_bytes() const {
    return payload ? frame.offer->payload.bytes(frame.offer->chunk) : code;
  }

  /// Leaves what the frame says besides: the offer's content has no place here.
  void drop_offer() {
    frame.offer.reset();
    frame.sequence = in_pieces = code = 0;
    payload = false;
  }

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    auto& frame = self.frame;
    for (auto* side : {&frame.from, &frame.to, &frame.reported}) {
      io(side->incarnation);
      io(side->epoch);
    }
    io(frame.reported_delivered);
    io(frame.open);
    io(frame.asks);
    io(frame.leaving);
    io(frame.leaving_seen);
    io(self.finished);
    io(self.finished_seen);
    io.choice(self.reason, Reason::lost);
    io(frame.accepted);
    io(frame.granted);
    io(frame.delivered);
    io(frame.seen);
    io(frame.wanted);
    io(frame.withdrawn);
    io(frame.sequence);
    Report::walk(self.report, io);
    bool offers = frame.offer.has_value();
    io(offers);
    if (!offers) return;
    walk_offer(self, io);
  }

 private:
  static void make_offer(const Delivery::Frame& /*frame*/) {}
  static void make_offer(Delivery::Frame& frame) {
    if (!frame.offer) frame.offer.emplace();
  }

  template <class Self, class Io>
  static void walk_offer(Self& self, Io& io) {
    make_offer(self.frame);
    auto& offer = *self.frame.offer;
    io(offer.kind);
    io(offer.round);
    io(offer.step);
    io(offer.weight);
    io(offer.chunk.index);
    io(offer.chunk.of);
    io(self.frame.later);
    io(self.payload);
    io(self.code);
    io(self.in_pieces);
  }
};

/// The most bytes of a payload of a model of so many bytes, or of a code of it; 0 without a model.
constexpr std::uint64_t most_payload(std::uint64_t model) {
  return model == 0 ? 0 : Message::most_code(model);
}

}  // namespace gossamer::transport::wire
