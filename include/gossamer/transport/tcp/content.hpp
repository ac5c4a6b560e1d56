// SPDX-License-Identifier: MIT
/// The content of one offer, while it comes in pieces.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/tcp/input.hpp>
#include <gossamer/transport/wire/delivery.hpp>
#include <gossamer/transport/wire/error.hpp>
#include <gossamer/transport/wire/frame.hpp>
#include <gossamer/transport/wire/numbers.hpp>
#include <gossamer/transport/wire/payload.hpp>

#include <ATen/core/Tensor.h>
#include <asio/awaitable.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Puts pieces in their places, one after the other; of an offer that nobody waits for any more,
/// nowhere. Threads: one at a time.
class TcpContent {
 public:
  [[nodiscard]] bool is_under_way() const { return rest_ > 0; }
  /// Whether somebody waits for it, and the frame that it is of.
  [[nodiscard]] bool is_kept() const { return is_kept_; }
  [[nodiscard]] const wire::DeliveryBody& body() const { return body_; }
  /// Nobody waits for it any more: its memory is free, and what comes of it is thrown away.
  void let_go() {
    places_.clear();
    body_.frame.offer.reset();
    is_kept_ = false;
  }

  /// `body.in_pieces` bytes come for the snapshot, or for the code; for nobody if both are empty.
  void begin(wire::DeliveryBody body, model::Snapshot snapshot, codec::Coded code) {
    rest_ = body.in_pieces;
    places_.clear();
    if (snapshot) {
      for (const at::Tensor& segment : snapshot->segments()) {
        const auto bytes = wire::bytes_of(segment, body.frame.offer->chunk);
        if (!bytes.empty()) places_.push_back({bytes, segment});
      }
    } else if (code) {
      places_.push_back({code.writable(), {}});
    }
    is_finite_ = true;
    is_kept_ = snapshot || code;
    body_ = std::move(body);
    body_.frame.offer->payload = std::move(snapshot);
    body_.frame.offer->code = std::move(code);
  }

  /// Reads a piece of that many bytes; what is wrong with it, if anything is.
  template <class Progress>
  asio::awaitable<std::optional<wire::WireError>> read(TcpInput& input, std::uint64_t bytes,
                                                       Progress progress) {
    std::uint64_t most = std::min<std::uint64_t>(wire::piece_bytes, rest_);
    if (is_kept_ && rest_ > 0) most = std::min<std::uint64_t>(most, places_.front().rest.size());
    const bool fits = is_kept_ ? bytes == most : bytes <= most;
    if (bytes == 0 || !fits) co_return wire::WireError{wire::WireRule::payload, bytes, most};
    rest_ -= bytes;
    if (!is_kept_) {
      co_await input.skip(bytes, progress);
      co_return std::nullopt;
    }
    Place& place = places_.front();
    const std::span<std::byte> part = place.rest.first(bytes);
    if (!co_await input.read(part, progress)) {
      co_return wire::WireError{wire::WireRule::payload_checksum};
    }
    if (place.segment.defined()) {
      is_finite_ =
          is_finite_ && wire::all_finite(part.data(), part.size() / place.segment.element_size(),
                                         place.segment.scalar_type());
    }
    place.rest = place.rest.subspan(bytes);
    if (place.rest.empty()) places_.erase(places_.begin());
    co_return std::nullopt;
  }

  /// The frame with all of its content, once nothing is under way; nothing if it was for nobody.
  /// Without its offer if `refuse_non_finite` and a number is not finite.
  std::optional<wire::DeliveryBody> take(bool refuse_non_finite) {
    wire::DeliveryBody body = std::exchange(body_, {});
    if (!is_kept_) return std::nullopt;
    if (refuse_non_finite && !is_finite_) body.frame.offer.reset();
    return body;
  }

 private:
  struct Place {
    std::span<std::byte> rest;
    at::Tensor segment;  // none for a code
  };

  wire::DeliveryBody body_;
  std::uint64_t rest_ = 0;
  std::vector<Place> places_;
  bool is_finite_ = true;
  bool is_kept_ = false;
};

}  // namespace gossamer::transport
