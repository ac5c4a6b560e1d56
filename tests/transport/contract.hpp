// SPDX-License-Identifier: MIT
/// The contract of transports as one suite, with the transport as its parameter.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <gossamer/transport/transport.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

/// A transport's test file writes a group type (`tests::contract::Group` says what it needs) and
/// runs all claims:
///
///     TEST_CASE("The tcp transport keeps the contract", "[transport][tcp]") {
///       for (const auto& claim : tests::contract::claims<TcpGroup>())
///         DYNAMIC_SECTION(claim.name) { claim.check(); }
///     }
namespace tests::contract {

using gossamer::Counters;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::transport::Delivered;
using gossamer::transport::Event;
using gossamer::transport::Message;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using gossamer::transport::Time;
using gossamer::transport::WorkDone;

/// M endpoints that have joined each other and polled nothing.
///
/// `Group(m, c)`     with room for c messages at a node that does not poll (more is allowed, if the
///                   transport buffers on the way; `room()` says how many that makes at most).
///                   `Group(m, c, false)`: that have not introduced any model, if that matters.
/// `group[i]`        endpoint i.
/// `kill(i)`         endpoint i is lost, as by a crash; it is not used any more.
/// `quiet()`         returns when nothing moves until somebody calls an operation: what was sent
///                   is where it can be polled.
/// `snapshot(i, x)`  a payload of endpoint i that is full of x.
/// `keeps_order`     messages of one sender to one receiver arrive in the order of sending.
/// `sees_all`        an endpoint sees at once what another one does: `settled()` is not asked too
///                   early.
/// `has_threads`     each endpoint may run in a thread of its own.
/// And, if it can be known: `weight_under_way()`, the weight that is in no node's hands.
template <class T>
concept Group = std::constructible_from<T, std::size_t, std::size_t> &&
    std::constructible_from<T, std::size_t, std::size_t, bool> &&
    requires(T& group, PeerId id, double x) {
  { T::keeps_order } -> std::convertible_to<bool>;
  { T::has_threads } -> std::convertible_to<bool>;
  { T::sees_all } -> std::convertible_to<bool>;
  { group.room() } -> std::same_as<std::size_t>;
  { group[id] } -> std::convertible_to<gossamer::transport::Transport&>;
  group.kill(id);
  group.quiet();
  { group.snapshot(id, x) } -> std::same_as<Snapshot>;
};

inline constexpr std::array<std::size_t, 4> sizes{1, 2, 3, 8};
/// What a test waits for comes at once or never; this is when it gives up.
inline constexpr auto give_up = std::chrono::seconds(60);

inline double value_of(const Snapshot& payload) {
  const auto numbers = payload->segments().front();
  const double first = numbers[0].template item<double>();
  return (numbers == first).all().template item<bool>() ? first : -1;
}

/// Who holds which weight, and what became of each message. The message's `round` is its number.
class Ledger {
 public:
  explicit Ledger(std::size_t nodes) : weights(nodes, 1 / static_cast<double>(nodes)) {}

  template <class G>
  void send(G& group, PeerId from, PeerId to, double part = 0.5) {
    const double moved = weights[from] * part;
    weights[from] -= moved;
    const std::uint64_t number = next++;
    sent[number] = {from, to, moved};
    group[from].send({.to = to,
                      .kind = static_cast<std::uint32_t>(number % 7),
                      .round = number,
                      .weight = moved,
                      .payload = group.snapshot(from, static_cast<double>(number))});
  }

  /// Books an event that `node` polled.
  void take(PeerId node, const Event& event) {
    if (const auto* delivered = std::get_if<Delivered>(&event)) {
      settle(delivered->message, node, delivered->message.to);
      ++delivered_count;
    } else if (const auto* returned = std::get_if<Returned>(&event)) {
      settle(returned->message, node, returned->message.from);
      ++returned_count;
    }
  }

  /// Polls whatever comes, at all nodes in `alive`, until nothing more does.
  template <class G>
  void drain(G& group, const std::vector<PeerId>& alive) {
    bool any = true;
    while (any) {
      any = false;
      group.quiet();
      for (const PeerId node : alive) {
        while (const auto event = group[node].poll()) {
          take(node, *event);
          any = true;
        }
        any = group[node].wait(group[node].now()) || any;
      }
    }
  }

  /// Weight of all nodes, and of messages sent and heard of no more.
  [[nodiscard]] double total() const {
    double sum = 0;
    for (const double weight : weights) sum += weight;
    for (const auto& [number, message] : sent) sum += message.weight;
    return sum;
  }

  [[nodiscard]] double held() const {
    double sum = 0;
    for (const double weight : weights) sum += weight;
    return sum;
  }

  struct Sent {
    PeerId from;
    PeerId to;
    double weight;
  };
  std::vector<double> weights;
  std::map<std::uint64_t, Sent> sent;  // and neither delivered nor returned
  std::uint64_t next = 1;
  std::size_t delivered_count = 0;
  std::size_t returned_count = 0;

 private:
  void settle(const Message& message, PeerId node, PeerId where) {
    INFO("message " << message.round << " at node " << node);
    const auto found = sent.find(message.round);
    REQUIRE(found != sent.end());  // else a second time
    CHECK(node == where);
    CHECK(message.from == found->second.from);
    CHECK(message.to == found->second.to);
    CHECK(message.weight == found->second.weight);
    CHECK(message.kind == message.round % 7);
    REQUIRE(message.payload);
    CHECK(value_of(message.payload) == static_cast<double>(message.round));
    weights[node] += message.weight;
    sent.erase(found);
  }
};

inline std::vector<PeerId> everybody(std::size_t nodes) {
  std::vector<PeerId> all(nodes);
  for (std::size_t i = 0; i < nodes; ++i) all[i] = static_cast<PeerId>(i);
  return all;
}

template <class Endpoint>
std::vector<PeerId> peers_of(const Endpoint& endpoint) {
  return {endpoint.peers().begin(), endpoint.peers().end()};
}

/// Polls until nothing comes.
template <class G>
std::vector<Event> events_of(G& group, PeerId node) {
  std::vector<Event> events;
  group.quiet();
  while (auto event = group[node].poll()) {
    events.push_back(std::move(*event));
    group.quiet();
  }
  return events;
}

// The claims.

template <Group G>
void peers_are_the_others() {
  for (const std::size_t m : sizes) {
    CAPTURE(m);
    G group(m, 4);
    for (PeerId i = 0; i < m; ++i) {
      std::vector<PeerId> others = everybody(m);
      std::erase(others, i);
      CHECK(group[i].self() == i);
      CHECK(peers_of(group[i]) == others);
      CHECK_FALSE(group[i].poll());
    }
  }
}

template <Group G>
void each_message_once() {
  for (const std::size_t m : sizes) {
    if (m < 2) continue;
    CAPTURE(m);
    G group(m, 3);  // small, so that some come back
    Ledger ledger(m);
    Generator random(seed, m);
    for (int i = 0; i < 300; ++i) {
      const auto from = random.below(static_cast<std::uint32_t>(m));
      const auto& peers = group[from].peers();
      ledger.send(group, from, peers[random.below(static_cast<std::uint32_t>(peers.size()))]);
      const auto reader = random.below(static_cast<std::uint32_t>(m));
      if (const auto event = group[reader].poll()) ledger.take(reader, *event);
    }
    ledger.drain(group, everybody(m));
    CHECK(ledger.sent.empty());
    CHECK(ledger.delivered_count + ledger.returned_count == 300);
    CHECK(ledger.delivered_count > 0);
    CHECK(ledger.held() == Approx(1.0).margin(weight_tolerance));
  }
}

template <Group G>
void full_queue_returns() {
  G group(2, 3);
  Ledger ledger(2);
  const std::size_t count = 2 * group.room() + 1;
  for (std::size_t i = 0; i < count; ++i) ledger.send(group, 0, 1);
  std::size_t returned = 0;
  for (const Event& event : events_of(group, 0)) {  // node 1 has not polled yet
    const auto* back = std::get_if<Returned>(&event);
    REQUIRE(back != nullptr);
    CHECK(back->reason == Reason::queue_full);
    CHECK(back->message.to == 1);
    ledger.take(0, event);
    ++returned;
  }
  CHECK(returned >= count - group.room());
  ledger.drain(group, {0, 1});
  CHECK(ledger.sent.empty());
  CHECK(ledger.delivered_count >= 3);
  ledger.send(group, 0, 1);  // there is room again
  ledger.drain(group, {0, 1});
  CHECK(ledger.returned_count == returned);
}

template <Group G>
void own_messages_fit_beside_a_full_queue() {
  // What comes back needs no room: a node whose own queue is full still gets its messages home.
  G group(3, 3);
  Ledger ledger(3);
  for (std::size_t i = 0; i < 2 * group.room(); ++i) ledger.send(group, 0, 1, 0.1);
  for (std::size_t i = 0; i < 2 * group.room(); ++i) ledger.send(group, 1, 2, 0.1);
  group.quiet();
  group[2].close(Reason::left);
  ledger.drain(group, {0, 1});
  CHECK(ledger.sent.empty());
  CHECK(ledger.held() == Approx(1.0).margin(weight_tolerance));
}

template <Group G>
void one_sender_in_order() {
  if (!G::keeps_order) return;
  G group(3, 64);
  Ledger ledger(3);
  for (int i = 0; i < 30; ++i) ledger.send(group, static_cast<PeerId>(i % 2), 2, 0.1);
  std::map<PeerId, std::uint64_t> last;
  std::size_t count = 0;
  for (const Event& event : events_of(group, 2)) {
    const auto& message = std::get<Delivered>(event).message;
    CHECK(message.round > last[message.from]);
    last[message.from] = message.round;
    ++count;
  }
  CHECK(count == 30);
}

template <Group G>
void part_arrives() {
  G group(2, 8);
  using gossamer::model::Chunk;
  for (const Chunk part : {Chunk{1, 3}, Chunk{0, 2}, Chunk{5, 9}}) {  // the last one is empty
    const double x = part.of;
    group[0].send({.to = 1, .weight = 0, .payload = group.snapshot(0, x), .chunk = part});
    const auto events = events_of(group, 1);
    REQUIRE(events.size() == 1);
    const auto& message = std::get<Delivered>(events.front()).message;
    CHECK(message.chunk == part);
    REQUIRE(message.payload);
    const auto numbers = message.payload->segments().front();
    const auto begin = part.begin(numbers.numel());
    const auto end = part.end(numbers.numel());
    CHECK((numbers.slice(0, begin, end) == x).all().template item<bool>());
  }
}

/// Messages wait at a node that goes; `go` makes it go.
template <Group G, class Go>
void gone_before_returned(Reason reason, bool may_lose, Go go) {
  G group(3, 8);
  Ledger ledger(3);
  for (int i = 0; i < 4; ++i) ledger.send(group, static_cast<PeerId>(i % 2), 2);
  group.quiet();
  go(group);
  for (PeerId node = 0; node < 2; ++node) {
    bool gone = false;
    std::size_t back = 0;
    for (const Event& event : events_of(group, node)) {
      if (const auto* left = std::get_if<PeerLeft>(&event)) {
        CHECK(left->peer == 2);
        CHECK(left->reason == reason);
        gone = true;
      } else {
        const auto& returned = std::get<Returned>(event);
        CHECK(gone);  // first the news, then the messages
        CHECK(returned.reason == reason);
        ++back;
      }
      ledger.take(node, event);
    }
    CHECK(gone);
    if (may_lose) {
      CHECK(back <= 2);
    } else {
      CHECK(back == 2);
    }
    CHECK(peers_of(group[node]) == std::vector<PeerId>{node == 0 ? 1U : 0U});
  }
  // And what is sent to it afterwards comes back too.
  ledger.send(group, 0, 2);
  const auto events = events_of(group, 0);
  REQUIRE(events.size() == 1);
  REQUIRE(std::holds_alternative<Returned>(events[0]));
  CHECK(std::get<Returned>(events[0]).reason == reason);
  ledger.take(0, events[0]);
  CHECK(ledger.total() == Approx(1.0).margin(weight_tolerance));
  if (!may_lose) CHECK(ledger.sent.empty());
}

template <Group G>
void leaver_returns_what_it_has() {
  gone_before_returned<G>(Reason::left, false, [](G& group) { group[2].close(Reason::left); });
}

template <Group G>
void lost_peer_is_news_first() {
  gone_before_returned<G>(Reason::lost, true, [](G& group) { group.kill(2); });
}

template <Group G>
void messages_of_a_leaver_arrive() {
  G group(3, 8);
  Ledger ledger(3);
  ledger.send(group, 0, 1, 0.5);
  ledger.send(group, 0, 2, 1.0);
  group.quiet();
  group[0].close(Reason::left);
  ledger.drain(group, {1, 2});
  CHECK(ledger.delivered_count == 2);
  CHECK(ledger.weights[0] == 0);
  CHECK(ledger.held() == Approx(1.0).margin(weight_tolerance));
}

template <Group G>
void peers_change_when_polled_only() {
  G group(3, 8);
  group[2].finish();
  group.quiet();
  CHECK(peers_of(group[0]) == std::vector<PeerId>{1, 2});
  const auto events = events_of(group, 0);
  REQUIRE(events.size() == 1);
  CHECK(std::get<PeerLeft>(events[0]).peer == 2);
  CHECK(std::get<PeerLeft>(events[0]).reason == Reason::finished);
  CHECK(peers_of(group[0]) == std::vector<PeerId>{1});
}

template <Group G>
void finished_node_answers() {
  G group(2, 8);
  Ledger ledger(2);
  group[1].finish();
  (void)events_of(group, 0);
  ledger.send(group, 0, 1);
  for (const Event& event : events_of(group, 1)) {
    REQUIRE(std::holds_alternative<Delivered>(event));
    ledger.take(1, event);
    ledger.send(group, 1, 0, 0.25);
  }
  const auto events = events_of(group, 0);
  REQUIRE(events.size() == 1);
  CHECK(std::holds_alternative<Delivered>(events[0]));
  ledger.take(0, events[0]);
  CHECK(ledger.sent.empty());
}

/// Polls everything at all nodes until all say that they are settled, or nothing moves any more.
template <class G>
bool all_settle(G& group, Ledger& ledger, const std::vector<PeerId>& alive) {
  for (int round = 0; round < 100; ++round) {
    ledger.drain(group, alive);
    const bool all = std::all_of(alive.begin(), alive.end(),
                                 [&group](PeerId node) { return group[node].settled(); });
    if (all) return true;
  }
  if constexpr (requires { group.describe(); }) WARN(group.describe());
  return false;
}

template <Group G>
void settled_means_nothing_comes() {
  for (const std::size_t m : sizes) {
    CAPTURE(m);
    G group(m, 8);
    Ledger ledger(m);
    for (PeerId i = 0; i < m; ++i) {
      CHECK_FALSE(group[i].settled());
      if (i + 1 < m) ledger.send(group, i, i + 1);
    }
    for (PeerId i = 0; i < m; ++i) {
      ledger.drain(group, everybody(m));
      CHECK_FALSE(group[i].settled());  // i, at least, has not finished
      group[i].finish();
      group[i].finish();  // twice is once
    }
    REQUIRE(all_settle(group, ledger, everybody(m)));
    group.quiet();
    for (PeerId i = 0; i < m; ++i) {
      CHECK(group[i].settled());
      CHECK_FALSE(group[i].poll());
      CHECK(group[i].peers().empty());
    }
    CHECK(ledger.sent.empty());
  }
}

template <Group G>
void not_settled_with_a_message_under_way() {
  G group(3, 8);
  Ledger ledger(3);
  for (PeerId i = 0; i < 3; ++i) group[i].finish();
  REQUIRE(all_settle(group, ledger, everybody(3)));
  ledger.send(group, 0, 1);  // a late answer, say
  CHECK_FALSE(group[0].settled());
  if (G::sees_all) CHECK_FALSE(group[1].settled());
  group.quiet();
  CHECK_FALSE(group[1].settled());
  const auto event = group[1].poll();
  REQUIRE(event);
  if (G::sees_all) CHECK_FALSE(group[2].settled());  // node 1 has it, but may still answer
  ledger.take(1, *event);
  CHECK(all_settle(group, ledger, everybody(3)));
}

template <Group G>
void the_dead_keep_nobody_from_settling() {
  for (const Reason reason : {Reason::left, Reason::lost}) {
    for (const bool finished : {false, true}) {
      CAPTURE(static_cast<int>(reason), finished);
      G group(3, 8);
      Ledger ledger(3);
      ledger.send(group, 0, 2);
      ledger.send(group, 2, 1);
      if (finished) group[2].finish();
      group.quiet();
      if (reason == Reason::lost) {
        group.kill(2);
      } else {
        group[2].close(reason);
      }
      group[0].finish();
      CHECK_FALSE(all_settle(group, ledger, {0, 1}));  // node 1 has not finished
      group[1].finish();
      CHECK(all_settle(group, ledger, {0, 1}));
    }
  }
}

template <Group G>
void wait_returns_at_its_deadline() {
  G group(2, 8);
  auto& endpoint = group[0];
  const Time deadline = endpoint.now() + std::chrono::milliseconds(2);
  CHECK_FALSE(endpoint.wait(deadline));
  CHECK(endpoint.now() >= deadline);
  CHECK_FALSE(endpoint.wait(Time(0)));  // long past
}

template <Group G>
void wait_sees_an_event() {
  G group(2, 8);
  Ledger ledger(2);
  ledger.send(group, 0, 1);
  CHECK(group[1].wait(group[1].now() + give_up));
  const auto event = group[1].poll();
  REQUIRE(event);
  ledger.take(1, *event);
  CHECK(ledger.sent.empty());
}

template <Group G>
void wake_ends_the_next_wait() {
  G group(2, 8);
  const Time deadline = group[0].now() + give_up;
  group[0].wake();
  CHECK_FALSE(group[0].wait(deadline));
  CHECK(group[0].now() < deadline);
  CHECK_FALSE(group[0].wait(group[0].now()));  // once, not for ever
}

template <Group G>
void wake_ends_a_running_wait() {
  if (!G::has_threads) return;
  G group(2, 8);
  const Time deadline = group[0].now() + give_up;
  std::atomic<bool> any{true};
  std::thread waiting([&] { any = group[0].wait(deadline); });
  group[0].wake();
  waiting.join();
  CHECK_FALSE(any);
  CHECK(group[0].now() < deadline);
}

template <Group G>
void other_model_is_refused() {
  G group(3, 8, false);
  const Flat shape({torch::zeros({4})});
  group[0].set_model_layout("weight Float [2, 3]\nbias Float [3]\n", shape);
  group[1].set_model_layout("weight Float [2, 3]\nbias Float [3]\n", shape);
  group.quiet();
  const auto text = message_of<gossamer::ConfigError>(
      [&] { group[2].set_model_layout("weight Float [2, 3]\nbias Float [4]\n", shape); });
  CHECK_THAT(text, tests::contains("node 2") && tests::contains("different models"));
  CHECK_THAT(text, tests::contains("bias Float [4]") && tests::contains("bias Float [3]"));
  CHECK((text.find("node 0") != std::string::npos || text.find("node 1") != std::string::npos));
}

template <Group G>
void counters_and_work_go_forward() {
  G group(3, 8);
  Ledger ledger(3);
  group[0].publish({.steps = 5, .samples = 50, .weight = 0.25, .loss_sum = 1.5});
  group[1].publish({.steps = 7, .samples = 70});
  group[1].publish({.steps = 9, .samples = 90});
  ledger.drain(group, everybody(3));
  for (PeerId i = 0; i < 3; ++i) {
    CHECK(group[i].counters(0).steps == 5);
    CHECK(group[i].counters(0).samples == 50);
    CHECK(group[i].counters(0).weight == 0.25);
    CHECK(group[i].counters(0).loss_sum == 1.5);
    CHECK(group[i].counters(1).steps == 9);
    CHECK(group[i].counters(2).steps == 0);
    CHECK(group[i].work_done().steps == 14);
    CHECK(group[i].work_done().samples == 140);
  }
  group[1].close(Reason::left);
  group[2].publish({.steps = 1, .samples = 10});
  ledger.drain(group, {0, 2});
  CHECK(group[0].work_done().steps == 15);  // those who have left included
  CHECK(group[2].work_done().samples == 150);
}

/// What is under way, as the group sees it, and what the nodes hold make 1 at this very moment.
template <Group G>
void check_books(G& group, const Ledger& ledger) {
  CHECK(ledger.total() == Approx(1.0).margin(weight_tolerance));
  if constexpr (requires { group.weight_under_way(); }) {
    CHECK(ledger.held() + group.weight_under_way() == Approx(1.0).margin(weight_tolerance));
  }
}

/// Gossip of `m` nodes in which node 1 goes at operation `n`; true if the run ended before.
template <Group G>
bool fault_at(std::size_t m, std::size_t n, bool lost) {
  G group(m, 3);
  Ledger ledger(m);
  Generator random(seed, 77);
  std::vector<PeerId> alive = everybody(m);
  std::size_t operation = 0;
  bool untouched = true;
  const PeerId victim = 1;
  const auto fault_is_due = [&] {
    if (++operation != n) return false;
    untouched = false;
    if (lost) {
      group.kill(victim);
    } else {
      group[victim].close(Reason::left);
    }
    std::erase(alive, victim);
    check_books(group, ledger);
    return true;
  };
  for (int round = 0; round < 4; ++round) {
    for (PeerId node = 0; node < m; ++node) {
      if (std::find(alive.begin(), alive.end(), node) == alive.end()) continue;
      for (int i = 0; i < 2 && !group[node].peers().empty(); ++i) {
        const auto peers = group[node].peers();
        ledger.send(group, node, peers[random.below(static_cast<std::uint32_t>(peers.size()))]);
        if (fault_is_due() && node == victim) break;
      }
      while (std::find(alive.begin(), alive.end(), node) != alive.end()) {
        const auto event = group[node].poll();
        if (!event) break;
        ledger.take(node, *event);
        if (fault_is_due() || random.below(3) == 0) break;  // leaves some for later
      }
      check_books(group, ledger);
    }
  }
  for (const PeerId node : everybody(m)) {
    if (std::find(alive.begin(), alive.end(), node) == alive.end()) continue;
    group[node].finish();
    fault_is_due();
  }
  INFO("m = " << m << ", fault at operation " << n);
  REQUIRE(all_settle(group, ledger, alive));
  check_books(group, ledger);
  for (const auto& [number, message] : ledger.sent) {
    INFO("message " << number << " from " << message.from << " to " << message.to);
    // Nothing may be missing but what went with the victim.
    CHECK_FALSE(untouched);
    CHECK((message.from == victim || (lost && message.to == victim)));
  }
  return untouched;
}

template <Group G>
void fault_at_every_point(bool lost) {
  for (const std::size_t m : sizes) {
    if (m < 2) continue;
    std::size_t n = 1;
    while (!fault_at<G>(m, n, lost)) ++n;
    CHECK(n > 8);
  }
}

template <Group G>
void leaving_at_every_point() {
  fault_at_every_point<G>(false);
}

template <Group G>
void loss_at_every_point() {
  fault_at_every_point<G>(true);
}

/// Nodes in threads of their own push to each other; one goes in the middle. The ledger is a
/// node's own here, and the books are made when all are done.
template <Group G>
void threads_lose_nothing() {
  if (!G::has_threads) return;
  constexpr std::size_t m = 8;
  constexpr int pushes = 300;
  G group(m, 4);
  struct Book {
    double weight = 1.0 / m;
    std::vector<std::uint64_t> sent, delivered, returned;
    double lost = 0;  // weight sent by the one that goes is not followed
    bool settled = false;
  };
  std::array<Book, m> books;
  const auto work = [&](PeerId self) {
    Book& book = books[self];
    auto& endpoint = group[self];
    Generator random(seed, self);
    const auto poll = [&] {
      while (const auto event = endpoint.poll()) {
        if (const auto* delivered = std::get_if<Delivered>(&*event)) {
          book.weight += delivered->message.weight;
          book.delivered.push_back(delivered->message.round);
        } else if (const auto* returned = std::get_if<Returned>(&*event)) {
          book.weight += returned->message.weight;
          book.returned.push_back(returned->message.round);
        }
      }
    };
    for (int i = 0; i < pushes; ++i) {
      const auto peers = endpoint.peers();
      if (peers.empty()) break;
      const double moved = book.weight / 2;
      const std::uint64_t number = self * 1000U + static_cast<std::uint64_t>(i);
      book.weight -= moved;
      book.sent.push_back(number);
      endpoint.send({.to = peers[random.below(static_cast<std::uint32_t>(peers.size()))],
                     .round = number,
                     .weight = moved,
                     .payload = group.snapshot(self, 1)});
      if (random.below(2) == 0) poll();
      if (self == 3 && i == pushes / 2) {
        endpoint.close(Reason::left);
        return;
      }
    }
    endpoint.finish();
    const Time deadline = endpoint.now() + give_up;
    while (true) {
      poll();
      book.settled = endpoint.settled();
      if (book.settled || endpoint.now() >= deadline) break;
      endpoint.wait(deadline);
    }
  };
  std::vector<std::thread> threads;
  for (PeerId i = 0; i < m; ++i) threads.emplace_back(work, i);
  for (auto& thread : threads) thread.join();

  std::set<std::uint64_t> sent;
  std::map<std::uint64_t, int> ends;
  double total = 0;
  for (PeerId i = 0; i < m; ++i) {
    if (i != 3) CHECK(books[i].settled);
    total += books[i].weight;
    sent.insert(books[i].sent.begin(), books[i].sent.end());
    for (const auto number : books[i].delivered) ++ends[number];
    for (const auto number : books[i].returned) ++ends[number];
  }
  std::size_t missing = 0;
  for (const auto number : sent) {
    const int times = ends[number];
    INFO("message " << number << " ended " << times << " times");
    CHECK(times <= 1);
    if (number / 1000 != 3) CHECK(times == 1);
    missing += times == 0 ? 1 : 0;
  }
  CHECK(ends.size() == sent.size());  // nothing that was never sent
  if (missing == 0) CHECK(total == Approx(1.0).margin(weight_tolerance));
  if constexpr (requires { group.weight_under_way(); }) {
    CHECK(total + group.weight_under_way() == Approx(1.0).margin(weight_tolerance));
  }
}

/// The last to become idle wakes those who wait for the end.
template <Group G>
void the_end_wakes_everybody() {
  if (!G::has_threads) return;
  for (int repeat = 0; repeat < 50; ++repeat) {
    constexpr std::size_t m = 3;
    G group(m, 4);
    std::array<bool, m> in_time{};
    std::vector<std::thread> threads;
    for (PeerId i = 0; i < m; ++i) {
      threads.emplace_back([&group, &in_time, i] {
        auto& endpoint = group[i];
        if (i + 1 < m) endpoint.send({.to = i + 1, .payload = group.snapshot(i, 1)});
        endpoint.finish();
        const Time deadline = endpoint.now() + give_up;
        do {
          while (endpoint.poll()) {
          }
        } while (!endpoint.settled() && (endpoint.wait(deadline) || endpoint.now() < deadline));
        in_time[i] = endpoint.now() < deadline;
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(in_time == std::array<bool, m>{true, true, true});
  }
}

struct Claim {
  const char* name;
  void (*check)();
};

template <Group G>
std::vector<Claim> claims() {
  return {
      {"The peers are the others, ascending", peers_are_the_others<G>},
      {"Every message is delivered exactly once or comes back", each_message_once<G>},
      {"A full queue returns at once and says so", full_queue_returns<G>},
      {"What comes back needs no room in a full queue", own_messages_fit_beside_a_full_queue<G>},
      {"Messages of one sender arrive in their order", one_sender_in_order<G>},
      {"A message brings the part that it names", part_arrives<G>},
      {"A leaver's messages go home, after the news", leaver_returns_what_it_has<G>},
      {"A lost peer is news before its messages come back", lost_peer_is_news_first<G>},
      {"What a leaver has sent still arrives", messages_of_a_leaver_arrive<G>},
      {"The list of peers changes only by poll()", peers_change_when_polled_only<G>},
      {"A node that has finished still answers", finished_node_answers<G>},
      {"Settled nodes get nothing more", settled_means_nothing_comes<G>},
      {"Nobody is settled with a message under way", not_settled_with_a_message_under_way<G>},
      {"A peer that is gone keeps nobody from settling", the_dead_keep_nobody_from_settling<G>},
      {"wait() returns at its deadline", wait_returns_at_its_deadline<G>},
      {"wait() is true when there is an event", wait_sees_an_event<G>},
      {"wake() ends the next wait(), once", wake_ends_the_next_wait<G>},
      {"wake() ends a running wait()", wake_ends_a_running_wait<G>},
      {"Another model is refused, naming both sides", other_model_is_refused<G>},
      {"gossamer::Counters and totals arrive and keep those who left",
       counters_and_work_go_forward<G>},
      {"Leaving at any operation loses no message", leaving_at_every_point<G>},
      {"Loss at any operation loses no message between the living", loss_at_every_point<G>},
      {"Threads of their own lose and double nothing", threads_lose_nothing<G>},
      {"The end wakes everybody who waits for it", the_end_wakes_everybody<G>},
  };
}

}  // namespace tests::contract
