// SPDX-License-Identifier: MIT
/// Frames of every kind with something in every field, for tests and for fuzzers to begin with.
#pragma once

#include <gossamer/transport/wire/bodies.hpp>
#include <gossamer/transport/wire/delivery.hpp>
#include <gossamer/transport/wire/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <variant>
#include <vector>

namespace tests::wire {

using namespace gossamer::transport;
using namespace gossamer::transport::wire;

inline constexpr std::uint64_t run = 0x1122334455667788;
inline constexpr std::uint64_t model_bytes = 64;

inline Report sample_report() { return {17, {3, 48, 0.25, 1.5, 7, 5, 2, 4096, 9, 4}}; }

inline Hello sample_hello() {
  return {.node = 3,
          .incarnation = 1'700'000'000'000'000'000,
          .world_size = 8,
          .probe = true,
          .asks_members = true,
          .model = 42,
          .earlier_incarnation = 41,
          .address = "[::1]:4000",
          .agreement = "rule\tpersyn(tau 10)\n"};
}

inline Members sample_members() {
  return {{{1, 10, Presence::live, true, sample_report(), "10.0.0.1:4000"},
           {70'000, 11, Presence::left, false, {}, "node-b.example:4001"},
           {2, 12, Presence::lost, true, sample_report(), ""}}};
}

inline Ping sample_ping() { return {9, true, sample_report(), true, 4, true, 6, 7, 8}; }

inline DeliveryBody sample_delivery() {
  DeliveryBody body;
  body.frame.from = {11, 2};
  body.frame.to = {12, 3};
  body.frame.open = body.frame.asks = body.frame.leaving_seen = true;
  body.frame.reported = {13, 1};
  body.frame.reported_delivered = 5;
  body.frame.accepted = 6;
  body.frame.granted = 7;
  body.frame.delivered = 4;
  body.frame.seen = 9;
  body.frame.wanted = 8;
  body.frame.withdrawn = 3;
  body.frame.sequence = 8;
  body.frame.offer = Message{.kind = 6,
                             .round = 99,
                             .step = 77,
                             .weight = 0.125,
                             .payload = {},
                             .chunk = {.index = 2, .of = 3}};
  body.finished = true;
  body.reason = Reason::lost;
  body.report = sample_report();
  body.payload = true;
  return body;
}

template <class Body>
std::vector<std::byte> frame_of(const Body& body, std::uint64_t payload = 0) {
  std::vector<std::byte> bytes;
  append_frame(bytes, run, body, payload);
  return bytes;
}

/// One of each kind.
inline std::vector<std::vector<std::byte>> all_samples() {
  return {frame_of(sample_hello()),
          frame_of(gossamer::transport::wire::Model{42, "weight Float [2, 3]\n"}),
          frame_of(sample_delivery(), model_bytes),
          frame_of(DeliveryBody{}),
          frame_of(sample_members()),
          frame_of(Refusal{Refusal::Code::number_taken, "number 3 is taken"}),
          frame_of(sample_ping())};
}

/// Calls `use(body)` with what the fields of a frame of that kind say.
template <class Use>
void visit_fields(Kind kind, std::span<const std::byte> fields, Use use) {
  const auto one = [&]<class Body>(Body /*type*/) {
    const auto parsed = parse_fields<Body>(fields);
    if (const auto* body = std::get_if<Body>(&parsed)) use(*body);
  };
  switch (kind) {
    case Kind::hello:
      return one(Hello{});
    case Kind::model:
      return one(gossamer::transport::wire::Model{});
    case Kind::delivery:
      return one(DeliveryBody{});
    case Kind::members:
      return one(Members{});
    case Kind::refusal:
      return one(Refusal{});
    case Kind::ping:
      return one(Ping{});
    case Kind::piece:
      return one(gossamer::transport::wire::Piece{});
  }
}

}  // namespace tests::wire
