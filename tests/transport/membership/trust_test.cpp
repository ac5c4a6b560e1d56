// SPDX-License-Identifier: MIT
/// What an admitted member says of others: it cannot evict, name, bury or multiply anybody, and
/// nobody's dialer is its tool.
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/roster.hpp>

#include <tests/support.hpp>
#include <tests/transport/membership/member_swarm.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::members;

constexpr PeerId liar = 9;

wire::Hello hello_of(PeerId number, std::uint64_t incarnation, std::string address = "") {
  wire::Hello hello;
  hello.node = number;
  hello.incarnation = incarnation;
  hello.address = std::move(address);
  return hello;
}
wire::Entry entry_of(PeerId number, std::uint64_t incarnation, std::string address = "") {
  wire::Entry entry;
  entry.node = number;
  entry.incarnation = incarnation;
  entry.address = std::move(address);
  return entry;
}

/// Node 0, which node 1 and a liar are connected to; each call is one of the network's.
struct Victim {
  Victim() : member(options_of(0)) {
    member.set_model_layout("model\n");
    enter(1, hello_of(1, 5));
    enter(2, hello_of(liar, 7));
  }
  bool enter(LineId line, wire::Hello hello) {
    member.connected(line, nullptr, now);
    member.received(line, std::move(hello), now);
    drain(line);
    return member.is_admitted(line);
  }
  /// Node 1 opens a session, so that it is among the node's peers.
  void make_peer() {
    wire::DeliveryBody open;
    open.frame.from = {5, 1};
    open.frame.open = true;
    member.received(1, wire::Model{wire::fingerprint("model\n"), ""}, now);
    pass(member.options().timers.resend_after);
    while (auto body = member.next(1, now)) {
      if (const auto* said = std::get_if<wire::DeliveryBody>(&*body))
        open.frame.to = said->frame.from;
    }
    member.received(1, open, now);
    REQUIRE(member.knows(1));
  }
  void lie(wire::Members members) { member.received(2, std::move(members), now); }
  void drain(LineId line) {
    while (auto body = member.next(line, now)) {
      if (auto* refusal = std::get_if<wire::Refusal>(&*body)) last_refusal = std::move(*refusal);
    }
  }
  /// Time passes, and both are heard.
  void pass(Time time, bool with_node_1 = true) {
    for (const Time end = now + time; now < end;) {
      now += member.options().timers.tick();
      if (with_node_1) member.heard(1, now);
      member.heard(2, now);
      member.tick(now);
    }
  }
  std::optional<MembershipView> view_of(PeerId peer) {
    for (MembershipView& one : member.view()) {
      if (one.peer == peer) return std::move(one);
    }
    return std::nullopt;
  }

  Membership member;
  Time now{1s};
  std::optional<wire::Refusal> last_refusal;
};

TEST_CASE("Nobody is evicted by what another one says of it", "[transport][member]") {
  Victim victim;
  wire::Entry lie = entry_of(1, 99, "host:66");
  lie.presence = wire::Presence::left;
  lie.report = {std::numeric_limits<std::uint64_t>::max(), {.steps = 1'000'000}};
  victim.lie({{lie}});
  lie.incarnation = 5;
  victim.lie({{lie}});
  CHECK(victim.member.is_connected(1));
  CHECK(victim.member.work_done().steps == 0);
  CHECK(victim.view_of(1)->presence == wire::Presence::live);

  victim.member.disconnected(1, "reset", victim.now);
  lie.incarnation = 99;
  victim.lie({{lie}});
  CHECK(victim.view_of(1)->presence == wire::Presence::live);
  CHECK(victim.view_of(1)->address.empty());
  CHECK(victim.enter(3, hello_of(1, 5)));  // it is who it was
  victim.member.received(3, wire::Ping{1, false, {2, {.steps = 3}}, false, 0}, victim.now);
  CHECK(victim.member.counters(1).steps == 3);
}

TEST_CASE("One that is gone is dead by this node's own verdict, whoever says that it has left",
          "[transport][member]") {
  Victim victim;
  victim.make_peer();
  victim.member.disconnected(1, "reset", victim.now);
  wire::Entry lie = entry_of(1, 5);
  lie.presence = wire::Presence::left;
  victim.lie({{lie}});
  CHECK(victim.view_of(1)->presence == wire::Presence::live);
  victim.pass(2 * victim.member.options().timers.dead_after, false);
  CHECK(victim.view_of(1)->presence == wire::Presence::lost);
  CHECK(victim.member.counts().suspicions == 1);
}

TEST_CASE("The number of one that is only disconnected is not free before it is taken for dead",
          "[transport][member]") {
  Victim victim;
  victim.make_peer();
  victim.member.disconnected(1, "reset", victim.now);
  CHECK_FALSE(victim.enter(3, hello_of(1, 99)));
  REQUIRE(victim.last_refusal);
  CHECK(victim.last_refusal->code == wire::Refusal::Code::number_taken);
  victim.pass(2 * victim.member.options().timers.dead_after, false);
  CHECK(victim.member.counts().suspicions == 1);
  CHECK(victim.enter(4, hello_of(1, 99)));
  std::string notes;
  for (const MembershipNote& note : victim.member.notes()) {
    if (note.warning) notes += note.text + "\n";
  }
  CHECK_THAT(notes, tests::contains("node 1 is taken for dead: nothing was heard of it for 0.2"));
}

TEST_CASE("Numbers that a liar makes up leave room for who comes, and are not dialed for ever",
          "[transport][member]") {
  Victim victim;
  PeerId next = 1'000'000;
  for (int frame = 0; frame < 100; ++frame) {
    wire::Members lies;
    for (int i = 0; i < 600; ++i) {
      lies.entries.push_back(entry_of(next, 1, "made-up:" + std::to_string(next)));
      ++next;
    }
    victim.lie(std::move(lies));
  }
  CHECK(victim.member.view().size() <= Roster::most_hearsay + 2);
  CHECK(victim.enter(3, hello_of(70'000, 1)));
  std::map<std::string, int> dialed;
  std::size_t most = 0;
  for (int i = 0; i < 30; ++i) {
    for (auto dials = victim.member.dials(victim.now); !dials.empty();
         dials = victim.member.dials(victim.now)) {
      most = std::max(most, dials.size());
      for (const DialAttempt& dial : dials) {
        ++dialed[dial.address];
        victim.member.dial_failed(dial, true, "nobody", victim.now);
      }
    }
    victim.now += 1h;
  }
  CHECK(most == 64);
  CHECK(dialed.size() == Roster::most_hearsay);
  CHECK(victim.member.dials(victim.now).empty());  // all were given up
  for (const auto& [address, times] : dialed) CHECK(times <= 13);
}

TEST_CASE("A roster that is full of the dead has room for the living", "[transport][member]") {
  Roster roster;
  for (PeerId node = 1; node <= Roster::most; ++node) {
    RosterEntry* entry = roster.meet(node, 1, "");
    REQUIRE(entry != nullptr);
    entry->presence = node % 2 == 0 ? wire::Presence::lost : wire::Presence::left;
    entry->report = {};
    roster.hear(*entry, {1, {.steps = 1}});
  }
  for (PeerId node = 100'000; node < 100'000 + 2 * Roster::most; ++node) {
    RosterEntry* entry = roster.meet(node, 1, "");
    REQUIRE(entry != nullptr);
    entry->presence = wire::Presence::lost;
  }
  CHECK(roster.entries().size() == Roster::most);
  CHECK(roster.work_done().steps == Roster::most);
  CHECK_FALSE(roster.hear_of(entry_of(7, 1)));  // hearsay drives out nobody who was met
  for (const auto& [node, entry] : roster.entries()) roster.find(node)->connected = true;
  CHECK(roster.meet(7, 1, "") == nullptr);
}

TEST_CASE("A live peer is dialed at once, whoever has vanished", "[transport][member]") {
  Victim victim;
  CHECK(victim.enter(3, hello_of(2, 1)));  // no address yet
  wire::Members vanished;
  for (PeerId node = 100; node < 400; ++node) {
    vanished.entries.push_back(entry_of(node, 1, "gone:" + std::to_string(node)));
  }
  victim.lie(vanished);
  std::vector<std::pair<Time, DialAttempt>> open;  // a dial of one that is gone takes five seconds
  const auto look = [&] {
    for (std::size_t i = 0; i < open.size();) {
      if (victim.now - open[i].first < 5s) {
        ++i;
        continue;
      }
      const DialAttempt dial = open[i].second;
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(i));
      victim.member.dial_failed(dial, false, "no answer", victim.now);
    }
    bool found = false;
    for (const DialAttempt& dial : victim.member.dials(victim.now)) {
      found = found || dial.node == 10;
      open.emplace_back(victim.now, dial);
    }
    REQUIRE(open.size() <= 65);
    return found;
  };
  for (int i = 0; i < 2000; ++i) {  // until all were tried again and again
    victim.now += 100ms;
    (void)look();
  }
  victim.lie({{entry_of(10, 1, "alive:10")}});
  const Time asked = victim.now;
  while (!look() && victim.now < asked + 60s) victim.now += 10ms;
  CHECK(victim.now - asked < 1s);
}

TEST_CASE("Each member is told of another once, and then there is silence", "[transport][member]") {
  constexpr std::uint32_t nodes = 32;
  Swarm swarm;
  for (PeerId i = 0; i < nodes; ++i) swarm.begin(founder(i, nodes));
  swarm.pass(1s);
  for (std::size_t i = 0; i < nodes; ++i) {
    (void)swarm.events(i);
    REQUIRE(swarm.ends[i]->peers().size() == nodes - 1);
  }
  CHECK(swarm.network.entries < 3 * nodes * nodes);  // it was the cube
  swarm.pass(2s);
  const std::uint64_t before = swarm.network.entries;
  swarm.pass(10s);
  CHECK(swarm.network.entries == before);
}

TEST_CASE("What one has done that others are cut off from reaches them over a third",
          "[transport][member]") {
  Swarm swarm;
  swarm.network.hides(1);
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));  // nobody can dial these two
  swarm.network.hides(2);
  swarm.begin(knowing(2, {Network::address(0)}));
  swarm.pass(1s);
  REQUIRE_FALSE(swarm.network.member(1).is_connected(2));
  swarm.ends[1]->publish({.steps = 11});
  swarm.pass(5s);
  CHECK(swarm.ends[2]->counters(1).steps == 11);
}

TEST_CASE("A broken connection and a verdict are said, and counted", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.pass();
  swarm.network.reset(0, 1);
  swarm.pass();
  for (const std::size_t at : {0U, 1U}) {
    CHECK(swarm.network.member(at).counts().breaks == 1);
    CHECK_THAT(swarm.notes(at), tests::contains("is broken: reset"));
    CHECK(swarm.network.member(at).is_connected(static_cast<PeerId>(1 - at)));
  }
  swarm.network.kill(1);
  swarm.pass();
  bool warned = false;
  for (const MembershipNote& note : swarm.network.member(0).notes()) {
    if (note.text.find("node 1 is taken for dead: nobody listens at host:1") == std::string::npos) {
      continue;
    }
    warned = note.warning;
  }
  CHECK(warned);
  CHECK(swarm.network.member(0).counts().suspicions == 1);
}

}  // namespace
