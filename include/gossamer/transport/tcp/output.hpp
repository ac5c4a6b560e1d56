// SPDX-License-Identifier: MIT
/// Frames into a stream: small ones together, payloads straight from snapshot or code.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/tcp/input.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/wire/body.hpp>
#include <gossamer/transport/wire/checksum.hpp>
#include <gossamer/transport/wire/frame.hpp>
#include <gossamer/transport/wire/payload.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// Gathers frames, then writes them, as a coroutine. Errors of the stream are thrown as
/// std::system_error.
class TcpOutput {
 public:
  TcpOutput(Stream& stream, std::uint64_t run) : stream_(stream), run_(run) {}

  [[nodiscard]] bool empty() const { return head_.empty(); }
  /// Whether one more frame may be gathered: after a payload, none.
  [[nodiscard]] bool fits() const { return !payload_ && !code_ && head_.size() < most; }
  /// Bytes that are gathered.
  [[nodiscard]] std::size_t bytes() const {
    const std::size_t payload = payload_.bytes(part_) + code_.size();
    return head_.size() + (payload > 0 ? payload + wire::FrameHeader::trailer : 0);
  }

  void add(wire::Body body) {
    std::visit(
        [this](auto& one) {
          std::uint64_t payload = 0;
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(one)>, wire::DeliveryBody>) {
            payload = one.payload_bytes();
            if (one.payload) {
              payload_ = std::move(one.frame.offer->payload);
              part_ = one.frame.offer->chunk;
            } else if (one.code > 0) {
              code_ = std::move(one.frame.offer->code);
            }
          }
          wire::append_frame(head_, run_, one, payload);
        },
        body);
  }

  /// Writes all that was gathered. `progress()` is called now and then.
  template <class Progress>
  asio::awaitable<void> write(Progress progress) {
    buffers_.assign(1, asio::buffer(head_));
    std::size_t waiting = head_.size();
    if (gather_payload()) {
      wire::Checksum sum;
      for (const std::span<const std::byte> from : spans_) {
        for (std::size_t at = 0; at < from.size(); at += tcp_chunk) {
          const auto part = from.subspan(at, std::min(tcp_chunk, from.size() - at));
          if (!stream_.is_secured()) sum.add(part);
          buffers_.push_back(asio::buffer(part.data(), part.size()));
          waiting += part.size();
          if (waiting < tcp_chunk) continue;
          co_await stream_.async_write(buffers_, asio::use_awaitable);
          progress();
          buffers_.clear();
          waiting = 0;
        }
      }
      const std::uint64_t value = sum.value();
      std::memcpy(trailer_, &value, sizeof value);
      buffers_.push_back(asio::buffer(trailer_));
    }
    if (!buffers_.empty()) co_await stream_.async_write(buffers_, asio::use_awaitable);
    head_.clear();
    payload_ = {};
    code_ = {};
  }

 private:
  static constexpr std::size_t most = std::size_t{1} << 16U;

  /// Where the payload lies, piece after piece; false if there is none, or nothing in it.
  bool gather_payload() {
    spans_.clear();
    if (payload_.bytes(part_) > 0) {
      for (const at::Tensor& segment : payload_->segments()) {
        spans_.emplace_back(wire::bytes_of(segment, part_));
      }
    } else if (code_.size() > 0) {
      spans_.push_back(code_.bytes());
    }
    return !spans_.empty();
  }

  Stream& stream_;
  std::uint64_t run_;
  std::vector<std::byte> head_;
  model::Snapshot payload_;
  model::Chunk part_;
  codec::Coded code_;
  std::vector<std::span<const std::byte>> spans_;
  std::vector<asio::const_buffer> buffers_;
  std::byte trailer_[wire::FrameHeader::trailer] = {};
};

}  // namespace gossamer::transport
