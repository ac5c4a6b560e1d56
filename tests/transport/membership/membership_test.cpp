// SPDX-License-Identifier: MIT
/// A swarm of members: the contract, over connections that hold and others that break all the time.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/membership.hpp>

#include <tests/support.hpp>
#include <tests/transport/contract.hpp>
#include <tests/transport/membership/member_swarm.hpp>
#include <tests/transport/membership/membership_network.hpp>
#include <tests/transport/membership/membership_sweep.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tests::members;
using gossamer::ConfigError;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using tests::Approx;

SnapshotPool small_pool() { return SnapshotPool(Flat({torch::zeros({4})})); }

struct Steady {
  static constexpr std::uint32_t breaks_one_in = 0;
};
struct Shaky {
  static constexpr std::uint32_t breaks_one_in = 6;
};

/// Between any two operations on an endpoint a little time passes, and perhaps a connection breaks.
template <class Connections>
class MemberGroup {
 public:
  static constexpr bool keeps_order = true;
  static constexpr bool has_threads = false;
  static constexpr bool sees_all = false;

  MemberGroup(std::size_t nodes, std::size_t capacity, bool introduced = true)
      : capacity_(capacity), network_(tests::seed + nodes) {
    for (PeerId i = 0; i < nodes; ++i) {
      MembershipOptions options = options_of(i);
      options.world_size = static_cast<std::uint32_t>(nodes);
      options.limits.messages = capacity;
      if (i > 0) options.contacts = {Network::address(i - 1)};
      network_.add(std::move(options));
      endpoints_.push_back(std::make_unique<Endpoint>(network_, i));
      pools_.push_back(small_pool());
    }
    network_.run_until(network_.now() + 100ms);
    if (!introduced) return;
    for (auto& endpoint : endpoints_) endpoint->set_model_layout("model", Flat());
    network_.run_until(network_.now() + 100ms);
    for (auto& endpoint : endpoints_) {
      while (const auto event = endpoint->poll())
        REQUIRE(std::holds_alternative<PeerJoined>(*event));
      REQUIRE(endpoint->peers().size() == nodes - 1);
    }
    settled_in_ = true;
  }
  Endpoint& operator[](PeerId id) {
    if (settled_in_) {
      auto& random = network_.random();
      const auto nodes = static_cast<std::uint32_t>(endpoints_.size());
      if (Connections::breaks_one_in > 0 && random.below(Connections::breaks_one_in) == 0) {
        network_.reset(random.below(nodes), random.below(nodes));
      }
      network_.run_until(network_.now() + 100us);
    }
    return *endpoints_[id];
  }
  [[nodiscard]] std::size_t room() const { return capacity_; }
  void kill(PeerId id) { network_.kill(id); }
  void quiet() { network_.run_until(network_.now() + 150ms); }
  Snapshot snapshot(PeerId id, double x) {
    Snapshot snapshot = pools_[id].take();
    snapshot.writable().segments().front().fill_(x);
    return snapshot;
  }

 private:
  std::size_t capacity_;
  bool settled_in_ = false;
  Network network_;
  std::vector<SnapshotPool> pools_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
};

TEST_CASE("A swarm over connections that hold keeps the contract", "[transport][member]") {
  for (const auto& claim : tests::contract::claims<MemberGroup<Steady>>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

TEST_CASE("A swarm over connections that break keeps the contract", "[transport][member]") {
  for (const auto& claim : tests::contract::claims<MemberGroup<Shaky>>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

TEST_CASE("No schedule of deaths, cuts, joins and leaves loses a message between the living",
          "[transport][member]") {
  std::uint64_t first = tests::seed;
  std::uint64_t count = 100;
  if (const char* from = std::getenv("GOSSAMER_SEED")) first = std::stoull(from);
  if (const char* many = std::getenv("GOSSAMER_SCHEDULES")) count = std::stoull(many);
  std::size_t delivered = 0;
  std::size_t returned = 0;
  std::size_t deaths = 0;
  for (std::uint64_t one = first; one < first + count; ++one) {
    Sweep sweep(one);
    const std::string broken = sweep.run();
    INFO("GOSSAMER_SEED=" << one << " GOSSAMER_SCHEDULES=1");
    REQUIRE(broken == "");
    delivered += sweep.delivered;
    returned += sweep.returned;
    deaths += sweep.deaths;
  }
  CHECK(delivered > 20 * count);
  CHECK(returned > count);
  CHECK(deaths > count);
}

TEST_CASE("Whoever knows one member comes to know all", "[transport][member]") {
  Swarm swarm;
  for (PeerId i = 0; i < 6; ++i) {
    swarm.begin(knowing(i, i > 0 ? std::vector{Network::address(0)} : std::vector<std::string>()));
  }
  swarm.pass();
  swarm.network.kill(0);  // the first contact may die afterwards
  swarm.begin(knowing(70'000, {Network::address(0), Network::address(3)}));
  swarm.pass();
  for (std::size_t i = 1; i < 7; ++i) {
    (void)swarm.events(i);
    CHECK(swarm.ends[i]->peers().size() == 5);
  }
}

TEST_CASE("A contact that is the node itself does no harm", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {Network::address(0), Network::address(1)}));
  swarm.begin(knowing(1, {Network::address(0), Network::address(1)}));
  swarm.pass();
  CHECK(swarm.events(0).size() == 1);
  CHECK(swarm.events(1).size() == 1);
  CHECK(swarm.notes(0).empty());
}

TEST_CASE("Two models do not meet, and both sides say in what they differ", "[transport][member]") {
  Swarm swarm;
  swarm.begin(founder(0, 2), "weight Float [2]\nbias Float [1]\n");
  swarm.begin(founder(1, 2), "weight Float [2]\nbias Float [4]\n");
  swarm.pass();
  for (const std::size_t i : {0U, 1U}) {
    CHECK(swarm.events(i).empty());
    const std::string notes = swarm.notes(i);
    CHECK_THAT(notes, tests::contains("different models") && tests::contains("bias Float [4]"));
    CHECK_THAT(notes, tests::contains("node 0") && tests::contains("node 1"));
    CHECK_FALSE(swarm.network.member(i).trouble().empty());
  }
}

TEST_CASE("What is sent before the other has a model waits for it", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}), "");
  for (int i = 0; i < 2000 && swarm.events(0).empty(); ++i) swarm.pass(10us);
  swarm.ends[0]->send({.to = 1, .weight = 0.25, .payload = {}});  // before anything else is said
  swarm.pass();
  const auto joined = swarm.events(1);
  REQUIRE(joined.size() == 1);
  CHECK(std::holds_alternative<PeerJoined>(joined[0]));
  swarm.ends[1]->set_model_layout("model\n", Flat());
  swarm.pass();
  const auto events = swarm.events(1);
  REQUIRE(events.size() == 1);
  CHECK(std::get<Delivered>(events[0]).message.weight == 0.25);
}

TEST_CASE("A gauge times one offer at a time, and none over the end of a session",
          "[transport][member]") {
  gossamer::transport::SpeedGauge gauge;
  gauge.accepted(1, 5, 1s);  // of something else
  CHECK(gauge.bytes_per_second() == 0);
  gauge.offered(1, 6, 1000, 1s);
  gauge.offered(1, 7, 5000, 2s);  // while the first is timed
  gauge.accepted(1, 5, 2s);
  CHECK(gauge.bytes_per_second() == 0);
  gauge.accepted(1, 7, 3s);
  CHECK(gauge.bytes_per_second() == 500);
  gauge.offered(1, 8, 1000, 3s);
  gauge.accepted(1, 8, 4s);
  CHECK(gauge.bytes_per_second() == 625);  // a quarter of the way
  gauge.offered(1, 9, 1000, 4s);
  gauge.accepted(2, 0, 5s);  // a new session: what became of it is not known
  gauge.offered(2, 1, 1000, 6s);
  gauge.offered(3, 1, 1250, 7s);  // and another
  gauge.accepted(3, 1, 9s);
  CHECK(gauge.bytes_per_second() == 625);
}

TEST_CASE("A member knows how fast its messages get to a peer", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.pass();
  CHECK(swarm.ends[0]->speed(1) == 0);
  CHECK(swarm.ends[0]->speed(7) == 0);  // whom nobody knows
  const Message message{.to = 1, .weight = 0.25, .payload = {}};
  swarm.ends[0]->send(message);
  swarm.pass();
  // There and back takes the network at least twice its shortest way.
  CHECK(swarm.ends[0]->speed(1) > 0);
  CHECK(swarm.ends[0]->speed(1) < static_cast<double>(message.bytes()) / 1e-4);
  CHECK(swarm.ends[1]->speed(0) == 0);
}

TEST_CASE("Messages pass whenever the two learn of their models", "[transport][member]") {
  for (int first = 0; first < 40; first += 3) {
    for (int second = 0; second < 40; ++second) {
      CAPTURE(first, second);
      Swarm swarm(static_cast<std::uint64_t>(40 * first + second));
      swarm.begin(knowing(0, {}), "");
      swarm.begin(knowing(1, {Network::address(0)}), "");
      for (int i = 0; i < 40; ++i) {
        if (i == first) swarm.ends[0]->set_model_layout("model\n", Flat());
        if (i == second) swarm.ends[1]->set_model_layout("model\n", Flat());
        swarm.pass(50us);
      }
      swarm.pass(5ms);
      for (const std::size_t from : {0U, 1U}) {
        (void)swarm.events(0);
        (void)swarm.events(1);
        const auto to = static_cast<PeerId>(1 - from);
        swarm.ends[from]->send({.to = to, .weight = 0.25, .payload = {}});
        swarm.pass(5ms);
        CHECK(swarm.events(to).size() == 1);
      }
    }
  }
}

TEST_CASE("A number that a live node has is refused, and free when that is gone",
          "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.pass();
  MembershipOptions again = knowing(1, {Network::address(0)});
  again.incarnation = 77;
  swarm.begin(again);
  swarm.pass();
  CHECK_THAT(swarm.notes(2), tests::contains("number 1 is taken by a live node at host:1"));
  CHECK(swarm.ends[2]->peers().empty());
  swarm.network.kill(1);
  swarm.pass(1s);
  (void)swarm.events(0);
  (void)swarm.events(2);
  CHECK(swarm.ends[0]->peers().size() == 1);
  CHECK(swarm.ends[2]->peers().size() == 1);
  CHECK(swarm.network.member(2).had_earlier_incarnation());
  CHECK_FALSE(swarm.network.member(0).had_earlier_incarnation());
}

TEST_CASE("A node whose clock was set back begins after the incarnation that others have met",
          "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  MembershipOptions late = knowing(1, {Network::address(0)});
  late.incarnation = 50;
  swarm.begin(late);
  swarm.pass();
  swarm.network.kill(1);
  swarm.begin(knowing(1, {Network::address(0)}));  // incarnation 2
  swarm.pass(1s);
  (void)swarm.events(0);
  (void)swarm.events(2);
  CHECK(swarm.ends[0]->peers().size() == 1);
  CHECK(swarm.ends[2]->peers().size() == 1);
  CHECK(swarm.network.member(2).options().incarnation == 51);
  CHECK(swarm.network.member(2).had_earlier_incarnation());
}

TEST_CASE("A wrong advertised address is refused with the reason and the remedy",
          "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  MembershipOptions wrong = knowing(1, {Network::address(0)});
  wrong.address = "host:99";
  swarm.begin(wrong);
  MembershipOptions other = knowing(2, {Network::address(0)});
  other.address = Network::address(0);  // where somebody else is
  swarm.begin(other);
  swarm.pass();
  CHECK_THAT(swarm.notes(1), tests::contains("host:99") && tests::contains("connection refused") &&
                                 tests::contains("let it advertise one"));
  CHECK(swarm.network.member(1)
            .trouble()
            .empty());  // it may pass: tried again until the time is over
  CHECK_THAT(swarm.notes(2), tests::contains("node 0 is there"));
  CHECK(swarm.events(0).empty());
}

TEST_CASE("A node that nobody can dial takes part by dialing", "[transport][member]") {
  Swarm swarm;
  swarm.network.hides(1);
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.pass();
  CHECK(swarm.events(0).size() == 1);
  swarm.network.reset(0, 1);
  swarm.pass();
  CHECK(swarm.events(0).empty());
  CHECK(swarm.network.member(0).is_connected(1));
}

TEST_CASE("Silence is death after the time-out, and its end brings the peer back",
          "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.pass();
  (void)swarm.events(0);
  (void)swarm.events(1);
  swarm.network.part(1, 1);
  const Time cut = swarm.network.now();
  swarm.ends[0]->send({.to = 1, .weight = 0.25, .payload = {}});
  swarm.pass(150ms);
  CHECK(swarm.events(0).empty());
  swarm.pass(100ms);
  auto events = swarm.events(0);
  REQUIRE(events.size() == 2);
  CHECK(std::get<PeerLeft>(events[0]).reason == Reason::lost);
  CHECK(std::get<Returned>(events[1]).message.weight == 0.25);
  CHECK(swarm.network.now() - cut >= options_of(0).timers.dead_after);
  swarm.network.part(1, 0);
  swarm.pass(500ms);
  events = swarm.events(0);
  REQUIRE(events.size() == 1);
  CHECK(std::get<PeerJoined>(events[0]).peer == 1);
}

TEST_CASE("Who has the address of one that is gone is left in peace", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.begin(knowing(2, {Network::address(0)}));
  swarm.pass();
  swarm.network.kill(1);
  swarm.pass();
  swarm.network.replaces(1, 3);
  MembershipOptions successor = knowing(70'000, {Network::address(0)});
  successor.address = Network::address(1);
  swarm.begin(successor);
  swarm.pass();
  const auto reconnects = [&swarm] {
    std::uint64_t sum = 0;
    for (const std::size_t at : {0, 2, 3}) sum += swarm.network.member(at).counts().reconnects;
    return sum;
  };
  const std::uint64_t before = reconnects();
  CHECK(before <= 4);  // as they meet
  swarm.pass(5s);      // 25 times the rhythm in which the dead are dialed
  CHECK(reconnects() == before);
  for (const std::size_t at : {0, 2}) CHECK(swarm.network.member(at).is_connected(70'000));
}

TEST_CASE("A message that nobody would take goes home, is named once, and does no harm",
          "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  MembershipOptions heavy = knowing(1, {Network::address(0)});
  heavy.limits.weight = 100;
  swarm.begin(heavy);
  swarm.pass();
  (void)swarm.events(0);
  (void)swarm.events(1);
  for (int i = 0; i < 3; ++i) {
    swarm.ends[1]->send({.to = 0, .weight = 50, .payload = {}});  // node 0 takes 2 at most
    swarm.pass(500ms);
    double home = 0;
    for (const Event& event : swarm.events(1)) {
      if (const auto* returned = std::get_if<Returned>(&event)) home += returned->message.weight;
    }
    CHECK(home == 50);
    for (const Event& event : swarm.events(0)) {
      CHECK_FALSE(std::holds_alternative<Delivered>(event));
    }
    CHECK(swarm.ends[0]->peers().size() == 1);  // it is back
  }
  CHECK(swarm.network.member(0).counts().bad_offers == 3);
  const std::string notes = swarm.notes(0);
  CHECK_THAT(notes, tests::contains("weight must lie in"));
  CHECK(notes.find("weight must lie in") == notes.rfind("weight must lie in"));
}

TEST_CASE("Two groups that should be one are noticed and become one", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.begin(knowing(2, {}));
  swarm.begin(knowing(3, {Network::address(2)}));
  swarm.pass();
  CHECK(swarm.notes(0).empty());
  swarm.begin(knowing(4, {Network::address(1), Network::address(3)}));
  swarm.pass();
  std::string notes;
  for (std::size_t i = 0; i < 5; ++i) {
    (void)swarm.events(i);
    CHECK(swarm.ends[i]->peers().size() == 4);
    notes += swarm.notes(i);
  }
  CHECK_THAT(notes, tests::contains("a group of this run that knew nothing of ours"));
}

TEST_CASE("Work of a life that is over still counts", "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}));
  swarm.begin(knowing(1, {Network::address(0)}));
  swarm.pass();
  swarm.ends[1]->publish({.steps = 5, .samples = 50});
  swarm.pass();
  swarm.network.kill(1);
  MembershipOptions again = knowing(1, {Network::address(0)});
  again.incarnation = 9;
  swarm.begin(again);
  swarm.begin(knowing(2, {Network::address(0)}));
  swarm.pass(500ms);
  swarm.ends[3]->publish({.steps = 2, .samples = 20});
  swarm.pass(500ms);
  CHECK(swarm.ends[0]->work_done().steps == 7);
  CHECK(swarm.ends[0]->counters(2).samples == 20);
  CHECK(swarm.ends[0]->counters(1).samples == 0);  // of its present life
}

TEST_CASE("Timers that cannot work are refused", "[transport][member]") {
  MembershipOptions options = options_of(0);
  options.timers.heartbeat = Time(0);
  CHECK_THROWS_AS(Membership(options), ConfigError);
  options = options_of(0);
  options.timers.dead_after = options.timers.heartbeat;
  CHECK_THAT(tests::message_of<ConfigError>([&] { Membership member(options); }),
             tests::contains("at least twice heartbeat"));
}

}  // namespace
