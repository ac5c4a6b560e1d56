// SPDX-License-Identifier: MIT
/// A peer that was given room for a message and brings nothing does not hold up others.
#include <gossamer/transport/delivery/delivery.hpp>
#include <gossamer/transport/membership/membership.hpp>

#include <tests/support.hpp>
#include <tests/transport/membership/member_swarm.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

namespace {

using namespace tests::members;

/// What is at the other end of a line: a delivery that says what the test wants it to say.
struct Sender {
  Sender(PeerId number, LineId at) : delivery(number, 1, {.eager = 0}), line(at) {
    delivery.add(0);
  }

  void enter(Membership& member, Time now) {
    wire::Hello hello;
    hello.node = delivery.self();
    hello.incarnation = 1;
    member.connected(line, nullptr, now);
    member.received(line, hello, now);
    member.received(line, wire::Model{wire::fingerprint("model\n"), ""}, now);
    exchange(member, now);
    REQUIRE(member.knows(delivery.self()));
  }
  void send(double weight) {
    Message message{.to = 0, .weight = weight, .payload = {}};
    message.code = codes.take(100);
    delivery.send(std::move(message));
  }
  void hear(Membership& member, Time now) {
    while (auto body = member.next(line, now)) {
      if (auto* said = std::get_if<wire::DeliveryBody>(&*body)) {
        CHECK(delivery.receive(0, std::move(said->frame)).fate != FrameFate::refused);
      }
    }
  }
  /// Its next frame; `content` if there is some in it.
  std::optional<wire::DeliveryBody> next(bool& content) {
    auto frame = delivery.next_frame(0);
    if (!frame) return std::nullopt;
    content = frame->offer && frame->later == 0;
    contents += content ? 1 : 0;
    wire::DeliveryBody body;
    body.frame = std::move(*frame);
    return body;
  }
  /// Says all it has to say, without the content of its messages if it `keeps` that.
  void exchange(Membership& member, Time now, bool keeps = false) {
    for (int round = 0; round < 4; ++round) {
      hear(member, now);
      bool content = false;
      while (auto body = next(content)) {
        if (content && keeps) continue;
        member.received(line, std::move(*body), now);
      }
    }
  }

  gossamer::codec::CodedPool codes;
  Delivery delivery;
  LineId line;
  std::size_t contents = 0;  // that were sent
};

/// A member that has room for one message, and two peers.
struct Narrow {
  Narrow() : member(options()) {
    member.set_model_layout("model\n");
    for (Sender* sender : {&silent, &other}) sender->enter(member, now);
    while (member.poll()) continue;  // the news of them
  }
  static MembershipOptions options() {
    MembershipOptions options = options_of(0);
    options.limits.eager = 0;
    options.limits.budget = options.limits.budget_messages = 1;
    return options;
  }
  /// Both are heard; the first one keeps what was asked for, or brings it byte by byte.
  void pass(Time time, bool brings) {
    for (const Time end = now + time; now < end;) {
      now += member.options().timers.tick();
      brings ? member.brought(silent.line, now) : member.heard(silent.line, now);
      member.heard(other.line, now);
      member.tick(now);
      silent.exchange(member, now, true);
      other.exchange(member, now);
    }
  }
  double polled() {
    double weight = 0;
    while (auto event = member.poll()) weight += std::get<Delivered>(*event).message.weight;
    return weight;
  }

  Time now{1s};
  Membership member;
  Sender silent{1, 1};
  Sender other{2, 2};
};

}  // namespace

TEST_CASE("A peer that lives and brings nothing holds up nobody for long", "[transport][member]") {
  Narrow narrow;
  const Time dead_after = narrow.member.options().timers.dead_after;
  narrow.silent.send(0.25);
  narrow.silent.exchange(narrow.member, narrow.now, true);
  narrow.other.send(0.125);
  narrow.pass(dead_after / 4, false);
  CHECK(narrow.polled() == 0);
  narrow.pass(dead_after, false);
  CHECK(narrow.polled() == 0.125);
  CHECK(narrow.member.counts().suspicions == 0);
  CHECK(narrow.silent.contents == 1);  // and not again while the connection holds and others wait

  // The room is its own again, and its message comes over the same connection.
  narrow.now += narrow.member.options().timers.tick();
  narrow.silent.exchange(narrow.member, narrow.now);
  CHECK(narrow.polled() == 0.25);
  CHECK(narrow.silent.contents == 2);
  CHECK(narrow.other.contents == 1);
}

TEST_CASE("A peer that brings its message slowly keeps its room", "[transport][member]") {
  Narrow narrow;
  narrow.silent.send(0.25);
  narrow.silent.exchange(narrow.member, narrow.now, true);
  narrow.other.send(0.125);
  narrow.pass(4 * narrow.member.options().timers.dead_after, true);
  CHECK(narrow.polled() == 0);
  CHECK(narrow.other.contents == 0);
}
