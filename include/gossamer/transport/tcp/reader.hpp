// SPDX-License-Identifier: MIT
/// The reading half of a connection.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/tcp/content.hpp>
#include <gossamer/transport/tcp/input.hpp>
#include <gossamer/transport/tcp/state.hpp>
#include <gossamer/transport/wire/body.hpp>
#include <gossamer/transport/wire/error.hpp>
#include <gossamer/transport/wire/frame.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/use_awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// Parses frames, puts their content in place if somebody waits for it, and hands them to the
/// member. Who was not let in gets no memory; who sends what is no frame is told so, and what else
/// it sends is thrown away. One per connection; threads: the endpoint's.
class TcpReader {
 public:
  TcpReader(TcpState& state, TcpState::Line line)
      : s_(state), c_(std::move(line)), input_(c_->stream), heard_(state.monitor.now()) {}

  /// Until the stream ends, which throws std::system_error.
  asio::awaitable<void> read() {
    while (true) {
      const auto head = co_await input_.need(wire::FrameHeader::size);
      const auto parsed = wire::parse_header(head.first<wire::FrameHeader::size>(), s_.run,
                                             s_.monitor.most_payload());
      const auto* header = std::get_if<wire::FrameHeader>(&parsed);
      if (header == nullptr) co_return co_await refuse(std::get<wire::WireError>(parsed));
      if (is_stranger() && !wire::may_come_first(header->kind)) {
        co_return co_await refuse({wire::WireRule::kind, static_cast<std::uint64_t>(header->kind)});
      }
      const std::size_t size = wire::FrameHeader::size + header->fields;
      auto frame = wire::parse_frame(co_await input_.need(size), *header);
      if (const auto* error = std::get_if<wire::WireError>(&frame)) {
        co_return co_await refuse(*error);
      }
      input_.drop(size);
      auto& body = std::get<wire::Body>(frame);
      if (header->kind == wire::Kind::piece) {
        if (const auto error = co_await read_piece(*header)) co_return co_await refuse(*error);
        continue;
      }
      auto* delivery = std::get_if<wire::DeliveryBody>(&body);
      if (delivery && (delivery->payload || delivery->code > 0 || delivery->in_pieces > 0)) {
        c_->brings = true;
        const auto error = co_await read_content(*header, *delivery);
        c_->brings = false;
        if (error) co_return co_await refuse(*error);
      }
      take(*header, std::move(body));
    }
  }

 private:
  using Error = std::optional<wire::WireError>;

  /// Called when bytes have come. Tells the member seldom: the lock is the node's, too.
  auto progress() {
    return [this] {
      const Time now = s_.monitor.now();
      if (now - heard_ < s_.options.timers().heartbeat / 4) return;
      heard_ = now;
      s_.monitor.locked([&](Membership& member) { member.brought(c_->id, now); });
    };
  }

  /// A part of the content that is under way; the last one brings the frame that it is of.
  asio::awaitable<Error> read_piece(wire::FrameHeader header) {
    if (content_.is_kept() && !is_expected(content_.body().frame, content_.body().in_pieces)) {
      content_.let_go();  // its room was given to others
    }
    c_->brings = true;
    Error error = co_await content_.read(input_, header.payload, progress());
    c_->brings = false;
    if (error) co_return error;
    std::optional<wire::DeliveryBody> whole;
    if (!content_.is_under_way()) whole = content_.take(s_.options.refuse_non_finite());
    whole ? take(header, std::move(*whole)) : count(header);
    co_return std::nullopt;
  }

  /// What follows the frame at once, or the announcement of what comes in pieces.
  asio::awaitable<Error> read_content(wire::FrameHeader header, wire::DeliveryBody& body) {
    if (body.in_pieces > 0) co_return begin(body);
    if (header.payload > 0 && !is_expected(body.frame, header.payload)) {
      co_await input_.skip(header.payload, progress());
      body.drop_offer();
    } else if (body.payload) {
      model::Snapshot snapshot = s_.monitor.take_snapshot();
      const model::Chunk part = body.frame.offer->chunk;
      if (const std::uint64_t length = snapshot.bytes(part); header.payload != length) {
        co_return wire::WireError{wire::WireRule::payload, header.payload, length};
      }
      if (header.payload > 0) {
        const auto payload = co_await input_.read(*snapshot, part, progress());
        if (!payload.whole) co_return wire::WireError{wire::WireRule::payload_checksum};
        if (!payload.finite && s_.options.refuse_non_finite()) {
          snapshot = {};
          body.frame.offer.reset();
        }
      }
      if (body.frame.offer) body.frame.offer->payload = std::move(snapshot);
    } else {
      codec::Coded code = s_.codes.take(body.code);
      if (!co_await input_.read(code.writable(), progress())) {
        co_return wire::WireError{wire::WireRule::payload_checksum};
      }
      body.frame.offer->code = std::move(code);
    }
    co_return std::nullopt;
  }

  /// Content begins to come in pieces: makes room for it, unless nobody waits for it any more, and
  /// leaves of the frame what it says besides. What is wrong with it, if anything is.
  Error begin(wire::DeliveryBody& body) {
    const std::uint64_t most = s_.monitor.most_payload();
    const std::uint64_t bytes = body.in_pieces;
    if (bytes > most) return wire::WireError{wire::WireRule::payload, bytes, most};
    if (!body.frame.offer || content_.is_under_way()) {
      return wire::WireError{wire::WireRule::values};
    }
    model::Snapshot snapshot;
    codec::Coded code;
    if (is_expected(body.frame, bytes)) {
      if (body.payload) snapshot = s_.monitor.take_snapshot();
      if (!body.payload) code = s_.codes.take(bytes);
    }
    if (snapshot && snapshot.bytes(body.frame.offer->chunk) != bytes) {
      return wire::WireError{wire::WireRule::payload, bytes,
                             snapshot.bytes(body.frame.offer->chunk)};
    }
    content_.begin(body, std::move(snapshot), std::move(code));
    body.drop_offer();
    return std::nullopt;
  }
  /// Whether content has a place here: its peer was let in, and it is small or was asked for.
  bool is_expected(const DeliveryFrame& frame, std::uint64_t bytes) {
    return s_.monitor.locked(
        [&](Membership& member) { return member.expects(c_->id, frame, bytes); });
  }
  /// It may have been let in since its last frame: its address was looked at meanwhile.
  bool is_stranger() {
    if (c_->stranger) {
      c_->stranger =
          s_.monitor.locked([&](Membership& member) { return member.is_stranger(c_->id); });
    }
    return c_->stranger;
  }
  void take(const wire::FrameHeader& header, wire::Body body) {
    const bool may_dial = header.kind != wire::Kind::delivery && header.kind != wire::Kind::piece &&
                          header.kind != wire::Kind::ping;
    const auto* hello = std::get_if<wire::Hello>(&body);
    if (hello != nullptr && !c_->stream.may_be_node(hello->node)) {
      const std::string why = c_->stream.peer() + " says that it is node " +
                              std::to_string(hello->node) + ", and its certificate " +
                              c_->stream.peer_subject() + " is another node's";
      c_->greeted = true;  // and so it is named once
      s_.log_once(c_->from.to_string() + " is another node", why);
      return s_.end(c_, why);
    }
    if (hello != nullptr && !c_->peer) c_->peer = hello->node;
    c_->greeted = true;
    s_.monitor.locked([&](Membership& member) {
      const Time now = s_.monitor.now();
      member.received(c_->id, std::move(body), now);
      if (!c_->dial && !c_->judged && member.is_welcome(c_->id)) {
        c_->judged = true;
        --s_.unjudged;
        s_.attempts.succeeded(c_->from, now);
      }
    });
    count(header);
    s_.pump(may_dial);
  }
  void count(const wire::FrameHeader& header) {
    if (header.payload > 0) s_.monitor.move();
    s_.monitor.count(c_->peer, {.bytes_received = header.bytes(), .frames_received = 1});
  }

  /// The peer is told what was wrong, and what else it sends is thrown away.
  asio::awaitable<void> refuse(wire::WireError error) {
    c_->malformed = true;
    const std::string who = c_->peer
                                ? "node " + std::to_string(*c_->peer) + " at " + c_->stream.peer()
                                : "the peer at " + c_->stream.peer();
    s_.monitor.locked([&](Membership& member) { member.malformed(c_->id, error, who); });
    s_.pump(true);
    std::vector<std::byte> nothing(4096);
    while (true) {
      co_await c_->stream.async_read_some(asio::buffer(nothing), asio::use_awaitable);
    }
  }

  TcpState& s_;
  TcpState::Line c_;
  TcpInput input_;
  TcpContent content_;
  Time heard_;
};

}  // namespace gossamer::transport
