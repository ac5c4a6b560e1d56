// SPDX-License-Identifier: MIT
/// Nodes as threads of one process: the contract, and what is this transport's own.
#include <gossamer/error.hpp>
#include <gossamer/transport/threads.hpp>
#include <gossamer/transport/transport.hpp>

#include <tests/support.hpp>
#include <tests/transport/contract.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::Counters;
using gossamer::PeerId;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using gossamer::transport::AnyTransport;
using gossamer::transport::Delivered;
using gossamer::transport::Event;
using gossamer::transport::Message;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using gossamer::transport::ThreadHub;
using gossamer::transport::Threads;
using gossamer::transport::Time;
using gossamer::transport::WorkDone;

SnapshotPool small_pool() { return SnapshotPool(Flat({torch::zeros({4})})); }

template <class Endpoint>
class ThreadsGroup {
 public:
  static constexpr bool keeps_order = true;
  static constexpr bool has_threads = true;
  static constexpr bool sees_all = true;

  ThreadsGroup(std::size_t nodes, std::size_t capacity, bool /*introduced*/ = true)
      : capacity_(capacity), hub_(ThreadHub::make(nodes, capacity)) {
    for (PeerId i = 0; i < nodes; ++i) {
      endpoints_.push_back(std::make_unique<Endpoint>(hub_->endpoint(i)));
      pools_.push_back(small_pool());
    }
  }
  Endpoint& operator[](PeerId id) { return *endpoints_[id]; }
  [[nodiscard]] std::size_t room() const { return capacity_; }
  void kill(PeerId id) { endpoints_[id]->close(Reason::lost); }
  void quiet() {}
  Snapshot snapshot(PeerId id, double x) {
    Snapshot snapshot = pools_[id].take();
    snapshot.writable().segments().front().fill_(x);
    return snapshot;
  }
  [[nodiscard]] double weight_under_way() const {
    return hub_->weight_in_flight() + hub_->weight_lost();
  }

 private:
  std::size_t capacity_;
  std::shared_ptr<ThreadHub> hub_;
  std::vector<SnapshotPool> pools_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
};

/// Notes the calls that reach it.
struct Recorder final : gossamer::transport::Transport {
  explicit Recorder(std::shared_ptr<std::vector<std::string>> where) : calls(std::move(where)) {}

  std::shared_ptr<std::vector<std::string>> calls;
  std::vector<PeerId> others{1, 4};

  void note(std::string call) const { calls->push_back(std::move(call)); }
  PeerId self() const override { return (note("self"), 2); }
  std::span<const PeerId> peers() const override { return (note("peers"), std::span(others)); }
  void set_model_layout(const std::string& model, const Flat&) override {
    note("set_model_layout " + model);
  }
  void send(Message m) override { note("send " + std::to_string(m.to)); }
  std::optional<Event> poll() override {
    note("poll");
    return PeerLeft{4, Reason::lost};
  }
  bool wait(Time t) override { return (note("wait " + std::to_string(t.count())), true); }
  void wake() override { note("wake"); }
  Time now() const override { return (note("now"), Time(11)); }
  void publish(const Counters& s) override { note("publish " + std::to_string(s.steps)); }
  gossamer::Counters counters(PeerId p) const override {
    return (note("counters " + std::to_string(p)), Counters{.steps = 8});
  }
  WorkDone work_done() const override { return (note("work_done"), WorkDone{9, 10}); }
  void finish() override { note("finish"); }
  bool settled() override { return (note("settled"), true); }
  void close(Reason r) override { note(std::string("close ") + to_string(r)); }
};

}  // namespace

TEST_CASE("The threads transport keeps the contract", "[transport][threads]") {
  for (const auto& claim : tests::contract::claims<ThreadsGroup<Threads>>()) {
    DYNAMIC_SECTION(claim.name) { claim.check(); }
  }
}

TEST_CASE("AnyTransport keeps the transport that it was given, also when it is moved",
          "[transport]") {
  const auto calls = std::make_shared<std::vector<std::string>>();
  AnyTransport any(Recorder{calls});
  const AnyTransport moved(std::move(any));
  CHECK(moved->self() == 2);
  CHECK(moved->peers().size() == 2);
  moved->set_model_layout("m", Flat());
  moved->send({.to = 4, .payload = {}});
  const auto event = moved->poll();
  REQUIRE(event);
  CHECK(std::get<PeerLeft>(*event).peer == 4);
  CHECK(moved->wait(Time(5)));
  moved->wake();
  CHECK(moved->now() == Time(11));
  moved->publish({.steps = 6});
  CHECK(moved->counters(4).steps == 8);
  CHECK(moved->speed(4) == 0);  // of a transport that does not measure
  CHECK(moved->work_done().samples == 10);
  moved->finish();
  CHECK(moved->settled());
  moved->close(Reason::left);
  CHECK(*calls == std::vector<std::string>{"self", "peers", "set_model_layout m", "send 4", "poll",
                                           "wait 5", "wake", "now", "publish 6", "counters 4",
                                           "work_done", "finish", "settled", "close it has left"});
}

TEST_CASE("A message hands the sender's own snapshot over", "[transport][threads]") {
  const auto hub = ThreadHub::make(3);
  auto zero = hub->endpoint(0);
  auto one = hub->endpoint(1);
  SnapshotPool pool = small_pool();
  const Snapshot snapshot = pool.take();
  const void* const numbers = snapshot->segments().front().data_ptr();
  zero.send({.to = 1, .payload = snapshot});
  zero.send({.to = 1, .payload = snapshot});
  for (int i = 0; i < 2; ++i) {
    const auto event = one.poll();
    REQUIRE(event);
    const auto& payload = std::get<Delivered>(*event).message.payload;
    CHECK(payload->segments().front().data_ptr() == numbers);
  }
  CHECK(pool.made() == 1);
}

TEST_CASE("A message that comes back is the sender's own snapshot", "[transport][threads]") {
  const auto hub = ThreadHub::make(2);
  auto zero = hub->endpoint(0);
  { auto one = hub->endpoint(1); }  // gone with its object
  SnapshotPool pool = small_pool();
  Snapshot snapshot = pool.take();
  const void* const numbers = snapshot->segments().front().data_ptr();
  zero.send({.to = 1, .weight = 0.5, .payload = std::move(snapshot)});
  const auto news = zero.poll();
  REQUIRE(news);
  CHECK(std::get<PeerLeft>(*news).reason == Reason::left);
  auto event = zero.poll();
  REQUIRE(event);
  CHECK(std::get<Returned>(*event).message.payload->segments().front().data_ptr() == numbers);
  event.reset();
  CHECK(pool.take()->segments().front().data_ptr() == numbers);  // back on the shelf
}

TEST_CASE("A mailbox that grows keeps all events in their order", "[transport][threads]") {
  // Returned messages need no room, so more events than the queue was made for can meet; start at
  // each place in the ring.
  constexpr std::size_t capacity = 2;
  for (std::size_t start = 0; start < 5; ++start) {
    CAPTURE(start);
    const auto hub = ThreadHub::make(2, capacity);
    auto zero = hub->endpoint(0);
    auto one = hub->endpoint(1);
    for (std::size_t i = 0; i < start; ++i) {  // move the head of node 0's ring
      one.send({.to = 0, .payload = {}});
      REQUIRE(zero.poll());
    }
    for (std::uint64_t i = 0; i < 40; ++i) zero.send({.to = 1, .round = i, .payload = {}});
    CHECK(hub->queued() == 40);
    std::uint64_t expected = capacity;
    while (const auto event = zero.poll()) {
      const auto& returned = std::get<Returned>(*event);
      CHECK(returned.message.round == expected++);
      CHECK(returned.reason == Reason::queue_full);
    }
    CHECK(expected == 40);
    CHECK(hub->queued() == capacity);
  }
}

TEST_CASE("The hub counts messages and their weight, returned ones too", "[transport][threads]") {
  const auto hub = ThreadHub::make(3, 2);
  auto zero = hub->endpoint(0);
  auto one = hub->endpoint(1);
  CHECK(hub->queued() == 0);
  zero.send({.to = 1, .weight = 0.25, .payload = {}});
  zero.send({.to = 1, .weight = 0.125, .payload = {}});
  zero.send({.to = 1, .weight = 0.0625, .payload = {}});  // comes back
  zero.finish();                                          // news is not a message
  CHECK(hub->queued() == 3);
  CHECK(hub->weight_in_flight() == 0.4375);
  REQUIRE(one.poll());
  CHECK(hub->queued() == 2);
  CHECK(hub->weight_in_flight() == 0.1875);
  one.close(Reason::left);
  CHECK(hub->weight_in_flight() == 0.1875);
  zero.close(Reason::left);
  CHECK(hub->queued() == 0);
  CHECK(hub->weight_in_flight() == 0);
  CHECK(hub->weight_lost() == 0.1875);
}

TEST_CASE("What both sides are too dead to take is counted as lost", "[transport][threads]") {
  const auto hub = ThreadHub::make(3);
  auto zero = hub->endpoint(0);
  auto one = hub->endpoint(1);
  zero.send({.to = 1, .weight = 0.5, .payload = {}});
  zero.close(Reason::left);
  CHECK(hub->weight_lost() == 0);  // it can still arrive
  one.close(Reason::lost);
  CHECK(hub->weight_lost() == 0.5);
}

TEST_CASE("A message to a node that does not exist comes back", "[transport][threads]") {
  const auto hub = ThreadHub::make(2);
  auto zero = hub->endpoint(0);
  zero.send({.to = 2, .weight = 0.5, .payload = {}});
  const auto event = zero.poll();
  REQUIRE(event);
  CHECK(std::get<Returned>(*event).reason == Reason::left);
  CHECK(std::get<Returned>(*event).message.weight == 0.5);
}

TEST_CASE("The sender's number is the transport's, whatever the message says",
          "[transport][threads]") {
  const auto hub = ThreadHub::make(2);
  auto zero = hub->endpoint(0);
  auto one = hub->endpoint(1);
  zero.send({.from = 9, .to = 1, .payload = {}});
  CHECK(std::get<Delivered>(*one.poll()).message.from == 0);
}

TEST_CASE("A mailbox of unnamed capacity has room for two messages of each node",
          "[transport][threads]") {
  const auto [nodes, room] =
      GENERATE(table<std::size_t, std::size_t>({{1, 16}, {8, 16}, {20, 40}}));
  const auto hub = ThreadHub::make(nodes);
  auto zero = hub->endpoint(0);
  for (std::size_t i = 0; i < room; ++i) zero.send({.to = 0, .payload = {}});
  for (std::size_t i = 0; i < room; ++i) {
    CHECK(std::holds_alternative<Delivered>(*zero.poll()));
  }
  for (std::size_t i = 0; i < room + 1; ++i) zero.send({.to = 0, .payload = {}});
  std::size_t returned = 0;
  while (const auto event = zero.poll()) returned += std::holds_alternative<Returned>(*event);
  CHECK(returned == 1);
}

TEST_CASE("A hub refuses no nodes and numbers beyond them", "[transport][threads]") {
  CHECK(tests::message_of<ConfigError>([] { ThreadHub::make(0); }) ==
        "ThreadHub: needs at least 1 node, got 0");
  const auto hub = ThreadHub::make(2);
  CHECK(tests::message_of<ConfigError>([&] { (void)hub->endpoint(2); }) ==
        "ThreadHub: node must be below 2, got 2");
}

TEST_CASE("Two models that differ are told apart by their first different line", "[transport]") {
  using gossamer::transport::first_difference;
  CHECK(first_difference("a\nb\n", "a\nb\n").empty());
  CHECK(first_difference("a\nb\n", "a\nc\n") == "\"b\" here is \"c\" there");
  CHECK(first_difference("a\nb\n", "a\n") == "\"b\" is only here");
  CHECK(first_difference("a\n", "a\nb\n") == "\"b\" is only there");
  CHECK(first_difference("", "").empty());
}
