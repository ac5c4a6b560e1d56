// SPDX-License-Identifier: MIT
/// A frame of any kind, from its bytes.
#pragma once

#include <gossamer/transport/wire/body.hpp>
#include <gossamer/transport/wire/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <variant>

namespace gossamer::transport::wire {

/// Whether an unauthenticated peer may say that before it has said hello.
constexpr bool may_come_first(Kind kind) { return kind == Kind::hello || kind == Kind::refusal; }

/// Reads header and fields, which are all in `bytes`. The payload is not there yet.
inline Parsed<Body> parse_frame(std::span<const std::byte> bytes, const FrameHeader& header) {
  if (const auto error = check_fields(bytes, header)) return *error;
  const auto fields = bytes.subspan(FrameHeader::size, header.fields);
  const auto as = [&]<class One>(One /*type*/) -> Parsed<Body> {
    auto parsed = parse_fields<One>(fields);
    if (auto* error = std::get_if<WireError>(&parsed)) return *error;
    return Body(std::move(std::get<One>(parsed)));
  };
  switch (header.kind) {
    case Kind::hello:
      return as(Hello{});
    case Kind::model:
      return as(Model{});
    case Kind::members:
      return as(Members{});
    case Kind::refusal:
      return as(Refusal{});
    case Kind::ping:
      return as(Ping{});
    case Kind::piece:
      return as(Piece{});
    case Kind::delivery:
      break;
  }
  auto parsed = as(DeliveryBody{});
  if (const auto* body = std::get_if<Body>(&parsed)) {
    const auto& delivery = std::get<DeliveryBody>(*body);
    if (delivery.payload && delivery.code > 0) return WireError{WireRule::values};
    if (delivery.in_pieces > 0 ? header.payload > 0
                               : !delivery.payload && header.payload != delivery.code) {
      if (delivery.code == 0) return WireError{WireRule::values};
      return WireError{WireRule::payload, header.payload, delivery.code};
    }
    if (const auto& offer = delivery.frame.offer; offer && offer->chunk.index >= offer->chunk.of) {
      return WireError{WireRule::values};
    }
  }
  return parsed;
}

}  // namespace gossamer::transport::wire
