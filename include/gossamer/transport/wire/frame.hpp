// SPDX-License-Identifier: MIT
/// How frames lie in a stream of bytes: a header of fixed size, fields, and sometimes a payload.
#pragma once

#include <gossamer/transport/wire/bytes.hpp>
#include <gossamer/transport/wire/checksum.hpp>
#include <gossamer/transport/wire/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace gossamer::transport::wire {

/// What a frame is for.
enum class Kind : std::uint8_t {
  hello = 1,     ///< who speaks; the first frame of each side
  model = 2,     ///< what model it has
  delivery = 3,  ///< a frame of `Delivery`; it and a piece are the only kinds with a payload
  members = 4,   ///< whom it knows
  refusal = 5,   ///< why it will not talk
  ping = 6,      ///< whether the other is there
  piece = 7      ///< the next bytes of what an offer holds
};

/// Bytes of fields that a frame of a kind may have.
constexpr std::size_t most_fields(Kind kind) {
  switch (kind) {
    case Kind::model:
    case Kind::members:
      return std::size_t{1} << 24U;
    case Kind::hello:
    case Kind::delivery:
    case Kind::refusal:
    case Kind::ping:
      return std::size_t{1} << 12U;
    case Kind::piece:
      return 0;
  }
  return 0;
}

/// How every frame begins.
inline constexpr std::array<char, 4> magic{'G', 'S', 'M', 'R'};
/// Members with different ones refuse each other.
inline constexpr std::uint16_t protocol_version = 5;
/// Bytes of a payload that pass at a time, so that other frames need not wait for all of it. They
/// stay in the cache.
inline constexpr std::size_t piece_bytes = std::size_t{1} << 18U;

/// The first bytes of a frame, little-endian:
///
///     0   "GSMR"                                 20   zero
///     4   version of the protocol, 2 bytes       24   bytes of payload, 8 bytes
///     6   kind, 1 byte                           32   XXH3 of the 32 bytes before and the fields
///     7   zero, 1 byte                           40   the fields
///     8   the run, 8 bytes                            the payload, if any, and then XXH3 of it,
///     16  bytes of fields, 4 bytes                    8 bytes
///
/// The payload's checksum comes last, so that both sides can compute it as the bytes pass. Where
/// TLS protects these, it is the checksum of nothing.
struct FrameHeader {
  static constexpr std::size_t size = 40;
  static constexpr std::size_t hashed = 32;
  static constexpr std::size_t trailer = 8;

  Kind kind = Kind::hello;
  std::uint64_t run = 0;
  std::uint32_t fields = 0;
  std::uint64_t payload = 0;
  std::uint64_t checksum = 0;

  /// Bytes of the whole frame, the header included.
  [[nodiscard]] std::uint64_t bytes() const {
    return size + fields + (payload > 0 ? payload + trailer : 0);
  }
};

/// Looks at the first `FrameHeader::size` bytes of a frame. A frame of another run is refused, but
/// for a refusal, which says just that. `model` is how long a payload may be; 0 if none may come.
inline Parsed<FrameHeader> parse_header(std::span<const std::byte, FrameHeader::size> bytes,
                                        std::uint64_t run, std::uint64_t model) {
  if (std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) return WireError{WireRule::magic};
  Reader read(bytes.subspan(magic.size()));
  FrameHeader header;
  std::uint16_t version = 0;
  std::uint8_t kind = 0;
  std::uint8_t zero = 0;
  std::uint32_t zeros = 0;
  read(version);
  if (version != protocol_version) return WireError{WireRule::version, version, protocol_version};
  read(kind);
  if (kind < 1 || kind > static_cast<std::uint8_t>(Kind::piece)) {
    return WireError{WireRule::kind, kind};
  }
  header.kind = static_cast<Kind>(kind);
  read(zero);
  read(header.run);
  if (header.run != run && header.kind != Kind::refusal) return WireError{WireRule::run};
  read(header.fields);
  read(zeros);
  read(header.payload);
  read(header.checksum);
  if (zero != 0 || zeros != 0) return WireError{WireRule::values, zeros};
  const std::size_t most = most_fields(header.kind);
  if (header.fields > most) return WireError{WireRule::fields, header.fields, most};
  const std::uint64_t longest = header.kind == Kind::delivery ? model
                                : header.kind == Kind::piece  ? std::min(piece_bytes, model)
                                                              : 0;
  if (header.payload > longest) return WireError{WireRule::payload, header.payload, longest};
  return header;
}

/// Whether header and fields, which follow it in `bytes`, are as they were sent.
inline std::optional<WireError> check_fields(std::span<const std::byte> bytes,
                                             const FrameHeader& header) {
  Checksum sum;
  sum.add(bytes.first(FrameHeader::hashed));
  sum.add(bytes.subspan(FrameHeader::size, header.fields));
  if (sum.value() == header.checksum) return std::nullopt;
  return WireError{WireRule::checksum};
}

/// Appends the header and the fields of a frame; a payload of so many bytes has to follow.
template <class Body>
void append_frame(std::vector<std::byte>& to, std::uint64_t run, const Body& body,
                  std::uint64_t payload = 0) {
  const std::size_t begin = to.size();
  to.resize(begin + FrameHeader::size);
  Writer fields(to);
  Body::walk(body, fields);
  const auto length = static_cast<std::uint32_t>(to.size() - begin - FrameHeader::size);
  std::byte* header = to.data() + begin;
  const auto put = [header](std::size_t at, const auto& value) {
    std::memcpy(header + at, &value, sizeof value);
  };
  std::memset(header, 0, FrameHeader::size);
  put(0, magic);
  put(4, protocol_version);
  put(6, Body::kind);
  put(8, run);
  put(16, length);
  put(24, payload);
  Checksum sum;
  sum.add({header, FrameHeader::hashed});
  sum.add({header + FrameHeader::size, length});
  put(32, sum.value());
}

/// A frame without fields, whose payload has to follow.
struct Piece {
  static constexpr Kind kind = Kind::piece;

  template <class Self, class Io>
  static void walk(Self& /*self*/, Io& /*io*/) {}
};

/// Reads the fields of a frame of the kind `Body::kind`.
template <class Body>
Parsed<Body> parse_fields(std::span<const std::byte> fields) {
  Reader read(fields);
  Body body;
  Body::walk(body, read);
  if (!read.good() || read.rest() > 0) return WireError{WireRule::values, read.rest()};
  return body;
}

}  // namespace gossamer::transport::wire
