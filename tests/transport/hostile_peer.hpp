// SPDX-License-Identifier: MIT
/// Somebody who knows the protocol by heart, and keeps to it only as far as it likes.
#pragma once

#include <gossamer/transport/tcp.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace tests::hostile {

using namespace gossamer::transport;
using gossamer::PeerId;

/// One plain connection to a node of the run "gossamer". What it says is kept, so that it can be
/// said again.
class Peer {
 public:
  /// `payload`: bytes of the node's model.
  Peer(const std::string& address, std::size_t payload)
      : io_(std::make_unique<asio::io_context>()), socket_(*io_), payload_(payload) {
    const HostPort at = HostPort::parse(address);
    socket_.connect({asio::ip::make_address(at.host), at.port});
  }

  /// False if the node has hung up.
  bool write(std::span<const std::byte> bytes) {
    said.insert(said.end(), bytes.begin(), bytes.end());
    std::error_code gone;
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), gone);
    return !gone;
  }
  template <class Body>
  bool say(const Body& body, std::span<const std::byte> payload = {}) {
    std::vector<std::byte> bytes;
    wire::append_frame(bytes, wire::fingerprint("gossamer"), body, payload.size());
    if (!payload.empty()) {
      bytes.insert(bytes.end(), payload.begin(), payload.end());
      wire::Checksum sum;
      sum.add(payload);
      const std::uint64_t value = sum.value();
      const auto trailer = std::as_bytes(std::span(&value, 1));
      bytes.insert(bytes.end(), trailer.begin(), trailer.end());
    }
    return write(bytes);
  }
  /// The next frame; none if the node has hung up.
  std::optional<wire::Body> hear() {
    std::vector<std::byte> bytes(wire::FrameHeader::size);
    if (!read(bytes)) return std::nullopt;
    const auto parsed = wire::parse_header(std::span(bytes).first<wire::FrameHeader::size>(),
                                           wire::fingerprint("gossamer"), payload_);
    REQUIRE(std::holds_alternative<wire::FrameHeader>(parsed));
    const auto& header = std::get<wire::FrameHeader>(parsed);
    bytes.resize(wire::FrameHeader::size + header.fields);
    if (!read(std::span(bytes).subspan(wire::FrameHeader::size))) return std::nullopt;
    auto body = wire::parse_frame(bytes, header);
    REQUIRE(std::holds_alternative<wire::Body>(body));
    std::vector<std::byte> rest(header.bytes() - bytes.size());
    if (!read(rest)) return std::nullopt;
    return std::get<wire::Body>(std::move(body));
  }
  /// The next frame of that kind; others are thrown away.
  template <class Body>
  std::optional<Body> hear() {
    while (auto body = hear()) {
      if (auto* one = std::get_if<Body>(&*body)) return std::move(*one);
    }
    return std::nullopt;
  }

  /// Reads until the node hangs up.
  void hear_all() {
    for (std::byte one{}; read({&one, 1});) {
    }
  }

  void ping(std::uint64_t number) {
    wire::Ping ping;
    ping.number = number;
    say(ping);
  }
  /// Gets in, as a node that says it has the same model, and opens a session.
  void enter(PeerId node, std::uint64_t incarnation) {
    say(wire::Hello{.node = node, .incarnation = incarnation, .address = "", .agreement = {}});
    const auto hello = hear<wire::Hello>();
    REQUIRE(hello);
    say(wire::Model{hello->model, ""});
    frame.from = {incarnation, 1};
    const auto heard = hear<wire::DeliveryBody>();
    REQUIRE(heard);
    frame.to = heard->frame.from;
    frame.open = true;
    say(delivery());
  }
  /// Offers a message, without more ado; a null payload is one that is missing.
  void offer(double weight, std::span<const std::byte> payload, bool claims_payload) {
    wire::DeliveryBody body = delivery();
    body.frame.sequence = ++offered_;
    body.frame.offer = Message{.weight = weight, .payload = {}};
    body.payload = claims_payload;
    say(body, payload);
  }
  /// What was offered is the node's, as soon as that has accepted it.
  void grant() {
    while (frame.granted < offered_) {
      const auto heard = hear<wire::DeliveryBody>();
      REQUIRE(heard);
      frame.granted = heard->frame.accepted;
    }
    say(delivery());
  }
  [[nodiscard]] wire::DeliveryBody delivery() const {
    wire::DeliveryBody body;
    body.frame = frame;
    return body;
  }

  Delivery::Frame frame;        // what it says of its session
  std::vector<std::byte> said;  // all bytes
  std::vector<std::byte> bytes_heard;

 private:
  bool read(std::span<std::byte> into) {
    std::error_code gone;
    asio::read(socket_, asio::buffer(into.data(), into.size()), gone);
    if (!gone) bytes_heard.insert(bytes_heard.end(), into.begin(), into.end());
    return !gone;
  }

  std::unique_ptr<asio::io_context> io_;
  asio::ip::tcp::socket socket_;
  std::size_t payload_;
  std::uint64_t offered_ = 0;
};

}  // namespace tests::hostile
