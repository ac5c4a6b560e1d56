// SPDX-License-Identifier: MIT
/// Messages with coded bytes in place of a snapshot: on threads, on the wire, over TCP.
#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/transport/threads.hpp>
#include <gossamer/transport/wire/parse.hpp>

#include <tests/support.hpp>
#include <tests/transport/hostile_peer.hpp>
#include <tests/transport/tcp_group.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace gossamer::transport;
using gossamer::PeerId;
using gossamer::codec::Coded;
using gossamer::codec::CodedPool;
using tests::hostile::Peer;

constexpr std::size_t model_bytes = 16;  // as the TCP group's
constexpr std::uint64_t run = 7;

Coded code_of(CodedPool& pool, std::size_t size) {
  Coded code = pool.take(size);
  for (std::size_t i = 0; i < size; ++i) {
    code.writable()[i] = static_cast<std::byte>(i * 31 + size);
  }
  return code;
}
bool is_code(const Coded& code, std::size_t size) {
  CodedPool pool;
  const Coded expected = code_of(pool, size);
  return std::equal(code.bytes().begin(), code.bytes().end(), expected.bytes().begin(),
                    expected.bytes().end());
}

template <class What>
What next(Transport& end) {
  while (true) {
    while (auto event = end.poll()) {
      if (auto* what = std::get_if<What>(&*event)) return std::move(*what);
    }
    const Time before = end.now();
    if (!end.wait(before + tests::tcp::give_up)) REQUIRE(end.now() < before + tests::tcp::give_up);
  }
}

TEST_CASE("A code's bytes count as the message's, and while it is on its way",
          "[transport][codec]") {
  CodedPool pool;
  Message message{.to = 1, .payload = {}, .code = code_of(pool, 100)};
  CHECK(message.has_content());
  CHECK(message.bytes() == Message::header_bytes + 100);
  CHECK(pool.bytes_under_way() == 100);
  const Coded other = code_of(pool, 30);
  CHECK(pool.bytes_under_way() == 130);
  message.set_aside();
  message.set_aside();
  CHECK(pool.bytes_under_way() == 30);
  message = {};
  CHECK(pool.bytes_under_way() == 30);
  CHECK(pool.out() == 1);
  CHECK_FALSE(message.has_content());
  const Coded again = code_of(pool, 100);
  CHECK(pool.bytes_under_way() == 130);
  CHECK(pool.made() == 2);
}

TEST_CASE("Threads pass a code by handle, also back", "[transport][codec]") {
  const auto hub = ThreadHub::make(2);
  Threads zero = hub->endpoint(0);
  Threads one = hub->endpoint(1);
  CodedPool pool;
  const Coded code = code_of(pool, 100);
  zero.send({.to = 1, .kind = 3, .payload = {}, .code = code});
  const auto there = next<Delivered>(one);
  CHECK(there.message.code.bytes().data() == code.bytes().data());
  zero.send({.to = 9, .payload = {}, .code = code});
  CHECK(next<Returned>(zero).message.code.bytes().data() == code.bytes().data());
}

/// The frame of an offer that says so, as its reader takes it.
wire::Parsed<wire::Body> parsed(bool payload, std::uint64_t code, std::uint64_t follows) {
  wire::DeliveryBody body;
  body.frame.offer = Message{.weight = 0.5, .payload = {}};
  body.payload = payload;
  body.code = code;
  std::vector<std::byte> bytes;
  wire::append_frame(bytes, run, body, follows);
  const auto header = wire::parse_header(std::span(bytes).first<wire::FrameHeader::size>(), run,
                                         wire::most_payload(model_bytes));
  if (const auto* error = std::get_if<wire::WireError>(&header)) return *error;
  return wire::parse_frame(bytes, std::get<wire::FrameHeader>(header));
}

TEST_CASE("A frame says how many bytes of a code follow, no more than the model allows",
          "[transport][wire][parse][codec]") {
  const std::size_t most = Message::most_code(model_bytes);
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, most}) {
    const auto frame = parsed(false, size, size);
    REQUIRE(std::holds_alternative<wire::Body>(frame));
    const auto& body = std::get<wire::DeliveryBody>(std::get<wire::Body>(frame));
    CHECK(body.code == size);
    CHECK(body.payload_bytes() == size);
    CHECK_FALSE(body.payload);
  }
  const auto rule_of = [](const wire::Parsed<wire::Body>& frame) {
    REQUIRE(std::holds_alternative<wire::WireError>(frame));
    return std::get<wire::WireError>(frame).rule;
  };
  CHECK(rule_of(parsed(false, most + 1, most + 1)) == wire::WireRule::payload);
  CHECK(rule_of(parsed(false, UINT64_MAX, UINT64_MAX)) == wire::WireRule::payload);
  CHECK(rule_of(parsed(false, 100, 99)) == wire::WireRule::payload);
  CHECK(rule_of(parsed(false, 100, 0)) == wire::WireRule::payload);
  CHECK(rule_of(parsed(false, UINT64_MAX, 16)) == wire::WireRule::payload);
  CHECK(rule_of(parsed(false, 0, 16)) == wire::WireRule::values);
  CHECK(rule_of(parsed(true, 16, 16)) == wire::WireRule::values);
  CHECK(wire::most_payload(0) == 0);
}

TEST_CASE("TCP carries codes of any length that the model allows, beside snapshots",
          "[transport][tcp][threads][codec]") {
  tests::tcp::Group group(2, 8);
  CodedPool pool;
  const std::size_t most = Message::most_code(model_bytes);
  std::uint64_t round = 0;
  for (const std::size_t size : {std::size_t{1}, std::size_t{15}, std::size_t{1000}, most}) {
    group[0].send({.to = 1,
                   .kind = 5,
                   .round = ++round,
                   .weight = 0.25,
                   .payload = {},
                   .code = code_of(pool, size)});
    group[0].send({.to = 1, .round = ++round, .payload = group.snapshot(0, 1.5)});
    const Message message = next<Delivered>(group[1]).message;
    CHECK(message.kind == 5);
    CHECK(message.round == round - 1);
    CHECK(message.weight == 0.25);
    CHECK_FALSE(message.payload);
    CHECK(is_code(message.code, size));
    CHECK(message.bytes() == Message::header_bytes + size);
    const Message other = next<Delivered>(group[1]).message;
    CHECK_FALSE(other.code);
    REQUIRE(other.payload);
    CHECK(other.payload->segments()[0][3].item<float>() == 1.5F);
  }
  group.quiet();
  CHECK(pool.out() == 0);
  group[0].send({.to = 9, .payload = {}, .code = code_of(pool, 100)});
  CHECK(is_code(next<Returned>(group[0]).message.code, 100));
}

TEST_CASE("A code that is too long, empty or beside a snapshot is not sent over TCP",
          "[transport][tcp][threads][codec]") {
  tests::tcp::Group group(2, 8);
  CodedPool pool;
  const auto error_of = [&](Message message) {
    message.to = 1;
    return tests::message_of<std::invalid_argument>([&] { group[0].send(message); });
  };
  const std::string rule = "Tcp: a code must have from 1 to 4112 bytes, and no payload beside it";
  CHECK(error_of({.payload = {}, .code = code_of(pool, 4113)}) ==
        rule + ", got 4113 bytes and no payload");
  CHECK(error_of({.payload = {}, .code = code_of(pool, 0)}) ==
        rule + ", got 0 bytes and no payload");
  CHECK(error_of({.payload = group.snapshot(0, 1), .code = code_of(pool, 8)}) ==
        rule + ", got 8 bytes and a payload");
}

TEST_CASE("A peer's code passes only with as many bytes as it says",
          "[transport][tcp][threads][parse][codec]") {
  tests::tcp::Group group(2, 8);
  gossamer::transport::Tcp& zero = group.tcp(0);
  CodedPool pool;
  PeerId node = 9;
  std::uint64_t malformed = 0;
  for (const auto& [says, sends] : {std::pair{100, 60}, std::pair{60, 100}, std::pair{100, 0},
                                    std::pair{4113, 4113}, std::pair{0, 16}}) {
    CAPTURE(says, sends);
    Peer peer(zero.address(), model_bytes);
    peer.enter(node++, 1);
    wire::DeliveryBody body = peer.delivery();
    body.frame.sequence = 1;
    body.frame.offer = Message{.weight = 0.25, .payload = {}};
    body.code = static_cast<std::uint64_t>(says);
    peer.say(body, code_of(pool, static_cast<std::size_t>(sends)).bytes());
    const auto refusal = peer.hear<wire::Refusal>();
    REQUIRE(refusal);
    CHECK(refusal->code == wire::Refusal::Code::protocol);
    CHECK(zero.counts().malformed == ++malformed);
  }
  Peer peer(zero.address(), model_bytes);
  peer.enter(node, 1);
  wire::DeliveryBody body = peer.delivery();
  body.frame.sequence = 1;
  body.frame.offer = Message{.weight = 0.25, .payload = {}};
  body.code = 100;
  peer.say(body, code_of(pool, 100).bytes());
  while (peer.frame.granted < 1) {
    const auto heard = peer.hear<wire::DeliveryBody>();
    REQUIRE(heard);
    peer.frame.granted = heard->frame.accepted;
  }
  peer.say(peer.delivery());
  CHECK(is_code(next<Delivered>(zero).message.code, 100));
}

}  // namespace
