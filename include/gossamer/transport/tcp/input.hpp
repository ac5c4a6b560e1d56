// SPDX-License-Identifier: MIT
/// Frames out of a stream: what is small comes through a buffer, payloads go straight into place.
#pragma once

#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/tcp/stream.hpp>
#include <gossamer/transport/wire/checksum.hpp>
#include <gossamer/transport/wire/frame.hpp>
#include <gossamer/transport/wire/numbers.hpp>
#include <gossamer/transport/wire/payload.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace gossamer::transport {

/// Reads from a stream, as a coroutine. Errors of the stream are thrown as std::system_error.
class TcpInput {
 public:
  explicit TcpInput(Stream& stream) : stream_(stream), buffer_(std::size_t{1} << 16U) {}

  /// Waits until `count` bytes are there, and shows them.
  asio::awaitable<std::span<const std::byte>> need(std::size_t count) {
    if (end_ - begin_ < count) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      if (buffer_.size() < count) buffer_.resize(count);
    }
    while (end_ - begin_ < count) {
      end_ += co_await stream_.async_read_some(
          asio::buffer(buffer_.data() + end_, buffer_.size() - end_), asio::use_awaitable);
    }
    co_return std::span<const std::byte>(buffer_.data() + begin_, count);
  }
  /// Reads that many bytes, and a checksum, for nobody.
  template <class Progress>
  asio::awaitable<void> skip(std::uint64_t count, Progress progress) {
    for (count += wire::FrameHeader::trailer; count > 0;) {
      const auto some =
          static_cast<std::size_t>(std::min<std::uint64_t>(count, buffer_.size() / 2));
      co_await need(some);
      progress();
      drop(some);
      count -= some;
    }
  }
  /// Those bytes are dealt with.
  void drop(std::size_t count) { begin_ += count; }

  /// What a payload came to.
  struct Payload {
    bool whole = false;   ///< its checksum is right
    bool finite = false;  ///< and so are all its numbers
  };

  /// Reads that part of a payload, and its checksum, which on a secured stream is that of nothing:
  /// TLS finds whatever the checksum would. `progress()` is called when bytes have come.
  template <class Progress>
  asio::awaitable<Payload> read(const model::Flat& into, model::Chunk which, Progress progress) {
    wire::Checksum sum;
    Payload payload{false, true};
    for (const at::Tensor& segment : into.segments()) {
      const std::span<std::byte> to = wire::bytes_of(segment, which);
      for (std::size_t at = 0; at < to.size(); at += wire::piece_bytes) {
        const std::span<std::byte> part =
            to.subspan(at, std::min(wire::piece_bytes, to.size() - at));
        co_await fill(part, sum, progress);
        payload.finite =
            payload.finite && wire::all_finite(part.data(), part.size() / segment.element_size(),
                                               segment.scalar_type());
      }
    }
    payload.whole = co_await ends_with(sum);
    co_return payload;
  }
  /// Reads a code into all of `into`, and its checksum; whether that is right.
  template <class Progress>
  asio::awaitable<bool> read(std::span<std::byte> into, Progress progress) {
    wire::Checksum sum;
    for (std::size_t at = 0; at < into.size(); at += wire::piece_bytes) {
      co_await fill(into.subspan(at, std::min(wire::piece_bytes, into.size() - at)), sum, progress);
    }
    co_return co_await ends_with(sum);
  }

 private:
  /// Reads the next bytes of a payload.
  template <class Progress>
  asio::awaitable<void> fill(std::span<std::byte> part, wire::Checksum& sum, Progress& progress) {
    const std::size_t here = std::min(part.size(), end_ - begin_);
    std::memcpy(part.data(), buffer_.data() + begin_, here);
    drop(here);
    if (here < part.size()) {
      co_await stream_.async_read(asio::buffer(part.data() + here, part.size() - here),
                                  asio::use_awaitable);
      progress();
    }
    if (!stream_.is_secured()) sum.add(part);
  }
  /// Reads the checksum of a payload; whether that is right.
  asio::awaitable<bool> ends_with(const wire::Checksum& sum) {
    std::uint64_t expected = 0;
    const auto trailer = co_await need(sizeof expected);
    std::memcpy(&expected, trailer.data(), sizeof expected);
    drop(sizeof expected);
    co_return sum.value() == expected;
  }

  Stream& stream_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace gossamer::transport
