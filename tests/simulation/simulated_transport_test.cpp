// SPDX-License-Identifier: MIT
/// Nodes in a computed world: the contract, over good networks and bad ones, and the clock.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/simulation/detail/event_queue.hpp>
#include <gossamer/simulation/transport.hpp>
#include <gossamer/transport/peer_map.hpp>
#include <gossamer/transport/transport.hpp>

#include <tests/support.hpp>
#include <tests/transport/contract.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::PeerId;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using gossamer::transport::Delivered;
using gossamer::transport::DeliveryLimits;
using gossamer::transport::Event;
using gossamer::transport::PeerJoined;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using gossamer::transport::Simulated;
using gossamer::transport::SimulatedLink;
using gossamer::transport::SimulatedNoise;
using gossamer::transport::SimulatedOptions;
using gossamer::transport::SimulatedWorld;
using gossamer::transport::Time;
using namespace std::chrono_literals;

using World = SimulatedWorld;

SnapshotPool small_pool() { return SnapshotPool(Flat({torch::zeros({4})})); }

struct Good {
  static SimulatedNoise noise() { return {}; }
};
struct Bad {
  static SimulatedNoise noise() {
    return {.loss = 0.1, .duplicate = 0.1, .reorder = 0.2, .late_by = 300us};
  }
};

/// Between any two operations on an endpoint a little time passes, so that frames are met on their
/// way.
template <class Endpoint, class Network>
class SimulatedTestGroup {
 public:
  static constexpr bool keeps_order = true;
  static constexpr bool has_threads = false;
  static constexpr bool sees_all = true;

  SimulatedTestGroup(std::size_t nodes, std::size_t capacity, bool /*introduced*/ = true)
      : capacity_(capacity),
        world_(World::make(SimulatedOptions(nodes)
                               .seed(tests::seed)
                               .noise(Network::noise())
                               .limits(DeliveryLimits{.messages = capacity}))) {
    for (PeerId i = 0; i < nodes; ++i) {
      endpoints_.push_back(std::make_unique<Endpoint>(world_->endpoint(i)));
      pools_.push_back(small_pool());
    }
  }
  Endpoint& operator[](PeerId id) {
    world_->run_until(world_->now() + 30us);
    return *endpoints_[id];
  }
  [[nodiscard]] std::size_t room() const { return capacity_; }
  void kill(PeerId id) { world_->crash(id); }
  void quiet() { world_->run_until(world_->now() + 3s); }
  Snapshot snapshot(PeerId id, double x) {
    Snapshot snapshot = pools_[id].take();
    snapshot.writable().segments().front().fill_(x);
    return snapshot;
  }

 private:
  std::size_t capacity_;
  std::shared_ptr<World> world_;
  std::vector<SnapshotPool> pools_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
};

template <class Endpoint, class Network>
void keeps_the_contract() {
  for (const auto& claim : tests::contract::claims<SimulatedTestGroup<Endpoint, Network>>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

/// When messages of 1 MB have all been polled.
Time time_of_delivery(const SimulatedOptions& options, int messages = 1) {
  const auto world = World::make(options);
  auto zero = world->endpoint(0);
  auto one = world->endpoint(1);
  SnapshotPool pool(Flat({torch::zeros({250'000})}));
  for (int i = 0; i < messages; ++i) zero.send({.to = 1, .payload = pool.take()});
  for (int i = 0; i < messages; ++i) {
    CHECK(one.wait(60s));
    CHECK(one.poll());
  }
  return world->now();
}

}  // namespace

TEST_CASE("Events come by time, and those of one time as they were planned",
          "[transport][simulated]") {
  gossamer::transport::SimulatedEventQueue queue;
  std::multimap<Time, std::uint32_t> expected;  // equal keys stay in their order
  gossamer::Generator random(tests::seed);
  Time now{0};
  std::uint32_t planned = 0;
  bool right = true;
  const auto pop = [&](Time limit) {
    const auto event = queue.pop(limit);
    const bool any = !expected.empty() && expected.begin()->first <= limit;
    right = right && event.has_value() == any;
    if (!event || !any) return false;
    right =
        right && event->time == expected.begin()->first && event->which == expected.begin()->second;
    now = event->time;
    expected.erase(expected.begin());
    return true;
  };
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t spread = 1U << random.below(31);  // near and far, many at the same time
    const Time when = now + Time(random.below(spread));
    queue.push(when, 0, planned);
    expected.emplace(when, planned++);
    if (random.below(2) == 0) pop(now + Time(random.below(spread)));  // often too early
    if (random.below(4) == 0) pop(Time::max());
  }
  while (pop(Time::max())) {
  }
  CHECK(right);
  CHECK(expected.empty());
}

TEST_CASE("A map of peers finds what was added, and is walked through in order",
          "[transport][simulated]") {
  gossamer::transport::PeerMap<PeerId> map;
  CHECK(map.find(3) == nullptr);
  for (const PeerId peer : {7U, 3U, 9U, 0U, 5U}) {
    CHECK(map.add(peer, peer).second);
    CHECK_FALSE(map.add(peer, 100U).second);
  }
  CHECK(*map.find(5) == 5);
  CHECK(map.find(4) == nullptr);
  CHECK(map.find(10) == nullptr);
  std::vector<PeerId> all;
  map.for_each([&](PeerId peer) { all.push_back(peer); });
  CHECK(all == std::vector<PeerId>{0, 3, 5, 7, 9});
}

TEST_CASE("The simulated transport keeps the contract", "[transport][simulated]") {
  keeps_the_contract<Simulated, Good>();
}

TEST_CASE("The simulated transport keeps the contract while frames are lost, doubled and late",
          "[transport][simulated]") {
  keeps_the_contract<Simulated, Bad>();
}

TEST_CASE("A message takes two hellos, its bytes' time and five latencies",
          "[transport][simulated]") {
  // 1 MB at 10 MB/s is 100 ms. The first hello carries nothing, its answer opens the session; the
  // offer takes its way, and so do the request for its content, the content, accept and grant.
  const auto took =
      time_of_delivery(SimulatedOptions(2).link({.latency = 1ms, .bytes_per_second = 1e7}));
  CHECK(took >= 107ms);
  CHECK(took <= 108ms);
}

TEST_CASE("Uplink, link and downlink carry one frame after the other, and overlap",
          "[transport][simulated]") {
  const SimulatedLink quick{.latency = 1ms};
  const auto all = SimulatedOptions(2).link({.latency = 1ms, .bytes_per_second = 1e7});
  const auto one = time_of_delivery(SimulatedOptions(2).link(quick).uplink(1e7));
  CHECK(one >= 107ms);
  CHECK(one <= 108ms);
  const auto three = time_of_delivery(SimulatedOptions(all).uplink(1e7).downlink(1e7));
  CHECK(three >= 107ms);
  CHECK(three <= 108ms);  // not three times as long
  for (const auto& options : {all, SimulatedOptions(2).link(quick).uplink(1e7),
                              SimulatedOptions(2).link(quick).downlink(1e7)}) {
    const auto four = time_of_delivery(options, 4);
    CHECK(four >= 403ms);
    CHECK(four <= 410ms);
  }
}

TEST_CASE("A frame takes its time on a downlink that was idle", "[transport][simulated]") {
  const auto world = World::make(SimulatedOptions(2).link({.latency = 1ms}).downlink(1e7));
  auto zero = world->endpoint(0);
  auto one = world->endpoint(1);
  SnapshotPool pool(Flat({torch::zeros({250'000})}));
  for (int round = 0; round < 3; ++round) {
    const Time begin = world->now();
    zero.send({.to = 1, .payload = pool.take()});
    CHECK(one.wait(begin + 60s));
    CHECK(one.poll());
    CHECK(world->now() - begin >= 100ms);
    CHECK(world->now() - begin <= 110ms);
    while (zero.wait(begin + 10s)) zero.poll();
  }
}

TEST_CASE("Two senders share their receiver's downlink", "[transport][simulated]") {
  const auto world = World::make(SimulatedOptions(3).link({.latency = 1ms}).downlink(1e7));
  auto zero = world->endpoint(0);
  auto one = world->endpoint(1);
  auto two = world->endpoint(2);
  SnapshotPool pool(Flat({torch::zeros({250'000})}));
  zero.send({.to = 2, .payload = pool.take()});
  one.send({.to = 2, .payload = pool.take()});
  for (int i = 0; i < 2; ++i) {
    CHECK(two.wait(60s));
    CHECK(two.poll());
  }
  CHECK(world->now() >= 203ms);
  CHECK(world->now() <= 210ms);
}

TEST_CASE("A cut link is noticed by time-outs, and mended by itself", "[transport][simulated]") {
  const auto world = World::make(SimulatedOptions(2).dead_after(100ms));
  auto zero = world->endpoint(0);
  auto one = world->endpoint(1);
  world->cut(0, 1);
  zero.send({.to = 1, .weight = 0.5, .payload = {}});
  CHECK(zero.wait(10s));
  CHECK(world->now() >= 100ms);
  CHECK(world->now() <= 300ms);
  CHECK(std::get<PeerLeft>(*zero.poll()).reason == Reason::lost);
  CHECK(std::get<Returned>(*zero.poll()).message.weight == 0.5);
  CHECK(zero.peers().empty());
  const Time mended = world->now();
  world->cut(0, 1, false);
  CHECK(zero.wait(10s));
  CHECK(world->now() - mended <= 300ms);
  CHECK(std::get<PeerJoined>(*zero.poll()).peer == 1);
  CHECK(zero.peers().size() == 1);
  zero.send({.to = 1, .weight = 0.25, .payload = {}});
  CHECK(one.wait(10s));
  std::optional<Event> event = one.poll();  // it was never told of the cut, or was, and joins
  while (event && !std::holds_alternative<Delivered>(*event)) {
    one.wait(10s);
    event = one.poll();
  }
  REQUIRE(event);
  CHECK(std::get<Delivered>(*event).message.weight == 0.25);
}

TEST_CASE("A newcomer is news to those it knows, and its old life is over",
          "[transport][simulated]") {
  const auto world = World::make(SimulatedOptions(2));
  auto zero = world->endpoint(0);
  auto old = world->endpoint(1);
  zero.send({.to = 1, .weight = 0.5, .payload = {}});
  CHECK(old.wait(10s));
  world->crash(1);
  CHECK_FALSE(old.poll());
  CHECK(old.peers().empty());
  auto again = world->join(1, {0});
  auto third = world->join(2, {0, 1});
  world->run_until(world->now() + 1s);
  bool lost = false;
  std::vector<PeerId> joined;
  while (const auto event = zero.poll()) {
    if (const auto* gone = std::get_if<PeerLeft>(&*event)) lost = gone->reason == Reason::lost;
    if (const auto* news = std::get_if<PeerJoined>(&*event)) joined.push_back(news->peer);
    CHECK_FALSE(std::holds_alternative<Returned>(*event));  // it was granted to the old life
  }
  CHECK(lost);
  CHECK(std::vector<PeerId>(zero.peers().begin(), zero.peers().end()) == std::vector<PeerId>{1, 2});
  CHECK(joined.size() == 2);
  old.close(Reason::left);  // does nothing
  CHECK(world->is_live(1));
  CHECK(world->books().with_the_gone == 0.5);
}

TEST_CASE("A simulated world refuses options that cannot work", "[transport][simulated]") {
  CHECK(tests::message_of<ConfigError>([] { World::make(SimulatedOptions(0)); }) ==
        "SimulatedOptions: nodes must be at least 1, got 0");
  CHECK_THAT(
      tests::message_of<ConfigError>([] { World::make(SimulatedOptions(2).noise({.loss = 1.5})); }),
      tests::contains("must lie in [0, 1], got 1.5"));
  CHECK_THAT(tests::message_of<ConfigError>([] { World::make(SimulatedOptions(2).uplink(-1)); }),
             tests::contains("must not be negative, got -1"));
  const auto world = World::make(SimulatedOptions(2));
  CHECK(tests::message_of<ConfigError>([&] { (void)world->endpoint(2); }) ==
        "SimulatedWorld: node must be below 2, got 2");
  CHECK(tests::message_of<ConfigError>([&] { (void)world->join(1, {0}); }) ==
        "SimulatedWorld: node 1 is still there");
}
