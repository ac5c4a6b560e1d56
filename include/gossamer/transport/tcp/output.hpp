// SPDX-License-Identifier: MIT
/// Frames into a stream: small ones together, payloads straight from snapshot or code, in pieces.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/delivery/frame.hpp>
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
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// Gathers frames, then writes them, as a coroutine; a payload that is longer than a piece is
/// written piece by piece, and frames that are gathered meanwhile go between. Errors of the stream
/// are thrown as std::system_error.
class TcpOutput {
 public:
  TcpOutput(Stream& stream, std::uint64_t run) : stream_(stream), run_(run) {}

  [[nodiscard]] bool empty() const { return head_.empty() && spans_.empty(); }
  /// Whether one more frame may be gathered, and what it may bring.
  [[nodiscard]] bool fits() const { return head_.size() < most && (spans_.empty() || in_pieces_); }
  [[nodiscard]] Load load() const { return spans_.empty() ? Load::content : Load::offers; }
  /// Bytes that were gathered since this was asked last, pieces and their headers included.
  [[nodiscard]] std::uint64_t gathered() { return std::exchange(gathered_, 0); }

  void add(wire::Body body) {
    const std::size_t before = head_.size();
    std::visit(
        [this](auto& one) {
          std::uint64_t payload = 0;
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(one)>, wire::DeliveryBody>) {
            payload = hold(one);
          }
          wire::append_frame(head_, run_, one, payload);
        },
        body);
    gathered_ += head_.size() - before;
  }

  /// Writes what was gathered, and the next piece of the payload that is under way.
  asio::awaitable<void> write() {
    std::size_t bytes = 0;
    wire::Checksum sum;
    const bool carries = !spans_.empty();
    if (carries && in_pieces_) append_piece();
    buffers_.assign(1, asio::buffer(head_));
    while (!spans_.empty() && bytes < wire::piece_bytes) {
      const auto part = next_part(wire::piece_bytes - bytes);
      if (!stream_.is_secured()) sum.add(part);
      buffers_.push_back(asio::buffer(part.data(), part.size()));
      bytes += part.size();
      if (in_pieces_) break;  // a piece lies in one vector
    }
    if (carries) {
      const std::uint64_t value = sum.value();
      std::memcpy(trailer_, &value, sizeof value);
      buffers_.push_back(asio::buffer(trailer_));
    }
    co_await stream_.async_write(buffers_, asio::use_awaitable);
    head_.clear();
    if (!spans_.empty()) co_return;
    payload_ = {};
    code_ = {};
  }

 private:
  static constexpr std::size_t most = std::size_t{1} << 16U;

  /// Keeps what the frame carries; the bytes of it that follow the frame at once.
  std::uint64_t hold(wire::DeliveryBody& body) {
    const std::uint64_t bytes = body.payload_bytes();
    if (bytes == 0) return 0;
    if (body.payload) {
      payload_ = std::move(body.frame.offer->payload);
      for (const at::Tensor& segment : payload_->segments()) {
        const auto span = wire::bytes_of(segment, body.frame.offer->chunk);
        if (!span.empty()) spans_.emplace_back(span);
      }
    } else {
      code_ = std::move(body.frame.offer->code);
      spans_.emplace_back(code_.bytes());
    }
    in_pieces_ = bytes > wire::piece_bytes;
    body.in_pieces = in_pieces_ ? bytes : 0;
    if (in_pieces_) return 0;
    gathered_ += bytes + wire::FrameHeader::trailer;
    return bytes;
  }
  /// The next bytes of the payload, at most so many.
  std::span<const std::byte> next_part(std::size_t longest) {
    std::span<const std::byte>& rest = spans_.front();
    const auto part = rest.first(std::min(longest, rest.size()));
    rest = rest.subspan(part.size());
    if (rest.empty()) spans_.erase(spans_.begin());
    return part;
  }
  void append_piece() {
    const std::size_t bytes = std::min(wire::piece_bytes, spans_.front().size());
    wire::append_frame(head_, run_, wire::Piece(), bytes);
    gathered_ += wire::FrameHeader::size + bytes + wire::FrameHeader::trailer;
  }

  Stream& stream_;
  std::uint64_t run_;
  std::vector<std::byte> head_;
  model::Snapshot payload_;
  codec::Coded code_;
  bool in_pieces_ = false;
  std::vector<std::span<const std::byte>> spans_;  // what is not written yet of these
  std::vector<asio::const_buffer> buffers_;
  std::uint64_t gathered_ = 0;
  std::byte trailer_[wire::FrameHeader::trailer] = {};
};

}  // namespace gossamer::transport
