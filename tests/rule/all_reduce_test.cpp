// SPDX-License-Identifier: MIT
/// The exact mean, and the synchronous rules that are made of it: PerSyn and Sync.
#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/sync.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::AnyRule;
using gossamer::rule::Message;
using gossamer::rule::PeerLeft;
using gossamer::rule::PerSyn;
using gossamer::rule::RuleContext;
using gossamer::rule::Sync;
using gossamer::transport::Delivered;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;

using Numbers = std::vector<double>;

Numbers numbers(Bench& bench, PeerId id) { return {bench[id].x().begin(), bench[id].x().end()}; }

/// Their sum in this order, divided by how many they are: what AllReduce promises, bit for bit.
Numbers mean(const std::vector<Numbers>& all) {
  Numbers sum = all.front();
  for (std::size_t i = 1; i < all.size(); ++i) {
    for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += all[i][j];
  }
  for (double& value : sum) value /= static_cast<double>(all.size());
  return sum;
}

/// `Sync`, but that the pieces of a gradient are handed in one at a time, whatever else happens
/// between two of them.
class Piecewise final : public gossamer::rule::Rule {
 public:
  explicit Piecewise(std::uint32_t parts, std::uint32_t buckets = 1)
      : average_(parts, "Piecewise", buckets) {}

  [[nodiscard]] std::string name() const override { return "piecewise"; }
  [[nodiscard]] bool needs_gradient_hook() const override { return true; }
  [[nodiscard]] bool is_synchronous() const override { return true; }
  void after_gradient(RuleContext& context) override {
    gossamer::model::Snapshot own = context.blank();
    context.model().copy_gradients_to(own.writable());
    average_.begin(context, context.step() + 1, own);
    left_ = average_.chunks();
  }
  bool may_apply(RuleContext& context) override {
    if (left_ > 0) average_.hand_in(context, --left_);
    return !average_.waiting();
  }
  void before_apply(RuleContext& context) override {
    context.model().set_gradients(average_.result());
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    average_.on_messages(context, messages);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    average_.on_returned(context, message);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    average_.on_peer_left(context, gone);
  }

 private:
  gossamer::rule::AllReduce average_;
  std::size_t left_ = 0;
};

TEST_CASE("All nodes get the mean in the same bits, in whatever order contributions arrive",
          "[rule][exact_average]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const std::uint32_t parts = GENERATE(1U, 2U, 3U, 8U, 11U);
  const std::size_t size = GENERATE(3U, 37U);  // parts of several numbers, and empty ones
  CAPTURE(nodes, parts, size);
  Generator order(tests::seed, 2200);
  for (int repeat = 0; repeat < 10; ++repeat) {
    Bench bench(nodes, PerSyn(1).chunks(parts), size);
    std::vector<Numbers> all;
    for (PeerId id = 0; id < nodes; ++id) {
      for (double& value : bench[id].x()) value = 1e6 * (order.uniform() - 0.5);
      all.push_back(numbers(bench, id));
    }
    const Numbers expected = mean(all);
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));  // the step itself is zero
    for (PeerId id = 0; id < nodes; ++id) {
      if (nodes > 1) REQUIRE_FALSE(bench.advance(id));
    }
    while (!bench.pending().empty()) {
      bench.handle(order.below(static_cast<std::uint32_t>(bench.pending().size())));
    }
    for (PeerId id = 0; id < nodes; ++id) {
      REQUIRE(bench.advance(id));
      REQUIRE(numbers(bench, id) == expected);
    }
  }
}

TEST_CASE("A round costs two messages for each node but the one that reduces",
          "[rule][exact_average]") {
  Bench bench(5, PerSyn(1));
  for (PeerId id = 0; id < 5; ++id) bench.advance(id);
  for (PeerId id = 0; id < 5; ++id) bench.advance(id);
  REQUIRE(bench.pending().size() == 4);
  for (const auto& one : bench.pending()) CHECK(one.at == 0);
  for (int i = 0; i < 4; ++i) bench.handle(0);
  REQUIRE(bench.pending().size() == 4);
  for (const auto& one : bench.pending()) CHECK(one.at != 0);
  bench.settle();
  CHECK(bench.pending().empty());
}

/// Numbers that the pending messages bring to each node, and that it sends.
struct Traffic {
  explicit Traffic(const Bench& bench)
      : sent(bench.size()), received(bench.size()), messages(bench.pending().size()) {
    for (std::size_t k = 0; k < messages; ++k) {
      const auto& message = tests::pending_message(bench, k);
      const std::size_t bytes = message.bytes() - gossamer::rule::Message::header_bytes;
      sent[message.from] += bytes / sizeof(double);
      received[message.to] += bytes / sizeof(double);
    }
  }
  std::vector<std::size_t> sent;
  std::vector<std::size_t> received;
  std::size_t messages;
};

TEST_CASE("With a part for each node, each sends and receives 2 (M - 1) / M vectors per round",
          "[rule][exact_average]") {
  const std::size_t nodes = GENERATE(2U, 3U, 5U);
  const std::size_t size = 8 * nodes;  // whole lines of 64 bytes, so without padding
  const auto parts = static_cast<std::uint32_t>(nodes);
  Bench bench(nodes, PerSyn(1).chunks(parts), size);
  for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
  for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
  for (const char* hop : {"contributions", "means"}) {
    CAPTURE(nodes, hop);
    const Traffic traffic(bench);
    CHECK(traffic.messages == nodes * (nodes - 1));
    for (PeerId id = 0; id < nodes; ++id) {
      CHECK(traffic.sent[id] == size * (nodes - 1) / nodes);
      CHECK(traffic.received[id] == size * (nodes - 1) / nodes);
    }
    for (std::size_t i = 0; i < traffic.messages; ++i) bench.handle(0);
  }
  CHECK(bench.pending().empty());
  for (PeerId id = 0; id < nodes; ++id) CHECK(bench.advance(id));
}

TEST_CASE("No two nodes begin a round by calling on the same one", "[rule][exact_average]") {
  Bench bench(5, PerSyn(1).chunks(5));
  for (PeerId id = 0; id < 5; ++id) bench.advance(id);
  for (PeerId id = 0; id < 5; ++id) {
    bench.advance(id);
    for (PeerId k = 0; k < 4; ++k) {
      CHECK(tests::pending_message(bench, 4 * id + k).to == (id + 1 + k) % 5);
    }
  }
}

TEST_CASE("Any number of parts gives the bits of one", "[rule][exact_average]") {
  const bool by_gradients = GENERATE(false, true);
  const auto after_rounds = [&](std::uint32_t parts) {
    const AnyRule rule = by_gradients ? AnyRule(Sync().chunks(parts)) : PerSyn(1).chunks(parts);
    Bench bench(5, rule, 101);
    Generator noise(tests::seed, 2500);
    bench.gradient = [&](PeerId, std::size_t) { return noise.uniform() - 0.5; };
    for (int i = 0; i < 20; ++i) {
      for (PeerId id = 0; id < 5; ++id) bench.advance(id);
      bench.settle();
    }
    CHECK(bench[4].steps >= 9);
    return numbers(bench, 4);
  };
  const Numbers whole = after_rounds(1);
  for (const std::uint32_t parts : {2U, 3U, 5U, 8U, 200U}) CHECK(after_rounds(parts) == whole);
}

TEST_CASE("Any size of buckets gives the bits of one, and each is reduced by all in turn",
          "[rule][exact_average]") {
  constexpr double a_line = 64.0 / (1024 * 1024);
  const auto after_rounds = [&](const Sync& rule) {
    Bench bench(3, rule, 101);  // 13 lines
    Generator noise(tests::seed, 2501);
    bench.gradient = [&](PeerId, std::size_t) { return noise.uniform() - 0.5; };
    std::map<PeerId, std::size_t> pieces;  // of node 0's gradient, at each
    for (int i = 0; i < 6; ++i) {
      for (PeerId id = 0; id < 3; ++id) bench.advance(id);
      for (const auto& one : bench.pending()) {
        const Message* message = Bench::message_of(one);
        if (i == 0 && message->from == 0) ++pieces[message->to];
      }
      bench.settle();
    }
    CHECK(bench[2].steps >= 2);
    return std::pair(numbers(bench, 2), pieces);
  };
  const auto whole = after_rounds(Sync()).first;
  for (const double lines : {0.01, 1.0, 3.0, 12.9, 1e9}) {
    CAPTURE(lines);
    for (const std::uint32_t parts : {1U, 3U}) {
      CHECK(after_rounds(Sync().chunks(parts).bucket_cap_mb(lines * a_line)).first == whole);
    }
  }
  const auto pieces = after_rounds(Sync().chunks(3).bucket_cap_mb(3 * a_line)).second;
  CHECK(pieces == std::map<PeerId, std::size_t>{{1, 5}, {2, 5}});
}

TEST_CASE("The size of buckets is checked, and agreed on", "[rule][exact_average]") {
  for (const double bad : {0.0, -1.0, std::nan("")}) {
    CHECK(tests::message_of<ConfigError>([&] {
            (void)Sync().bucket_cap_mb(bad);
          }).starts_with("Sync: bucket_cap_mb must be > 0, got "));
  }
  CHECK(Sync().chunks(2).agreement() == "sync(chunks 2)");
  CHECK(Sync().bucket_cap_mb(25).chunks(2).agreement() == "sync(chunks 2, bucket_cap_mb 25)");
}

TEST_CASE("A part is reduced by the next live node from its own number on",
          "[rule][exact_average]") {
  // Node 3 is gone: its part falls to node 4, and that of node 4, when it is gone too, to node 0.
  Bench bench(5, PerSyn(1).chunks(5), 5);
  const auto reducers = [&] {
    std::vector<PeerId> by_part(5, 99);
    for (const auto& one : bench.pending()) {
      const auto& message = std::get<Delivered>(one.event).message;
      by_part[message.chunk.index] = message.to;
    }
    return by_part;
  };
  const auto round = [&] {
    for (const PeerId id : bench.live()) bench.advance(id);
    for (const PeerId id : bench.live()) bench.advance(id);
  };
  bench.lose(3);
  bench.settle();
  round();
  CHECK(reducers() == std::vector<PeerId>{0, 1, 2, 4, 4});
  bench.settle();
  bench.lose(4);
  bench.settle();
  round();
  CHECK(reducers() == std::vector<PeerId>{0, 1, 2, 0, 0});
}

TEST_CASE("Messages that come back from full queues are said again until all have the mean",
          "[rule][exact_average]") {
  const std::uint32_t parts = GENERATE(1U, 2U, 3U, 5U);
  const std::uint64_t steps = 4;
  for (std::uint64_t stream = 2600; stream < 2640; ++stream) {
    CAPTURE(parts, stream);
    Generator order(tests::seed, stream);
    Bench bench(3, PerSyn(1).chunks(parts), 4);
    int back = 0;
    while (bench[0].steps + bench[1].steps + bench[2].steps < 3 * steps) {
      REQUIRE(bench.events() < 10'000);
      const PeerId id = order.below(3);
      if (order.below(2) == 0 && bench[id].steps < steps) {
        bench.advance(id);
      } else if (!bench.pending().empty()) {
        const std::size_t k = bench.choose(order);
        if (order.below(2) == 0 && std::holds_alternative<Delivered>(bench.pending()[k].event)) {
          bench.give_back(k);
          ++back;
        } else {
          bench.handle(k);
        }
      }
    }
    bench.settle();
    CHECK(back > 0);
    REQUIRE(numbers(bench, 1) == numbers(bench, 0));
    REQUIRE(numbers(bench, 2) == numbers(bench, 0));
  }
}

TEST_CASE("A contribution that comes back from a full queue is handed in again",
          "[rule][exact_average]") {
  Bench bench(3, PerSyn(1));
  const Numbers expected = mean({numbers(bench, 0), numbers(bench, 1), numbers(bench, 2)});
  for (int twice = 0; twice < 2; ++twice) {
    for (PeerId id = 0; id < 3; ++id) bench.advance(id);
  }
  for (int i = 0; i < 3; ++i) {
    bench.give_back(0);
    bench.give_back(0);
    bench.handle(0);
    bench.handle(0);
    REQUIRE(bench.pending().size() == 2);
  }
  bench.settle();
  for (PeerId id = 0; id < 3; ++id) CHECK(numbers(bench, id) == expected);
}

TEST_CASE("A mean that comes back from a full queue is sent again", "[rule][exact_average]") {
  Bench bench(3, PerSyn(1));
  const Numbers expected = mean({numbers(bench, 0), numbers(bench, 1), numbers(bench, 2)});
  for (int twice = 0; twice < 2; ++twice) {
    for (PeerId id = 0; id < 3; ++id) bench.advance(id);
  }
  bench.handle(0);
  bench.handle(0);
  REQUIRE(bench.pending().size() == 2);  // the means
  const PeerId first = bench.pending()[0].at;
  SECTION("at once") { bench.give_back(0); }
  SECTION("when the one who reduced has started the next round") {
    REQUIRE(bench.advance(0));
    REQUIRE_FALSE(bench.advance(0));
    bench.give_back(0);
  }
  bench.settle();
  CHECK(numbers(bench, first) == expected);
  REQUIRE(bench.advance(first));
}

/// Four steps on M nodes, and one node goes. False if it was over before that. The others must end
/// every round with one mean, and all their steps.
bool lose(const AnyRule& rule, std::size_t nodes, const Departure& departure,
          std::uint64_t stream) {
  const std::uint64_t steps = 4;
  Bench bench(nodes, rule, 2);
  Generator order(tests::seed, stream);
  // By step and node: what the node had when it was about to take the step.
  std::map<std::uint64_t, std::map<PeerId, Numbers>> before;
  bench.gradient = [&](PeerId id, std::size_t j) {
    before[bench[id].steps][id] = numbers(bench, id);
    return 0.1 * id + 0.01 * static_cast<double>(j);
  };
  if (rule->needs_gradient_hook()) {
    for (PeerId id = 0; id < nodes; ++id) bench[id].set(0.5);
  }
  const bool lost = tests::take_steps(bench, departure, steps, order);
  INFO(rule->name() << " on " << nodes << " nodes: " << departure << ", stream " << stream);
  for (const PeerId id : bench.live()) {
    INFO("node " << id << " of the others");
    REQUIRE(bench[id].steps == steps);
  }
  for (std::uint64_t step = 1; step < steps; ++step) {
    for (const PeerId id : bench.live()) {
      INFO("step " << step << ", node " << id << " against node " << bench.live().front());
      REQUIRE(before[step][id] == before[step][bench.live().front()]);
    }
  }
  return lost;
}

/// All points at which a node can go, for both synchronous rules.
void lose_everywhere(std::size_t nodes, std::uint32_t parts, std::size_t still_arrive,
                     Reason reason) {
  CAPTURE(parts);
  for (const AnyRule& rule : {AnyRule(PerSyn(1).chunks(parts)), AnyRule(Sync().chunks(parts)),
                              AnyRule(Piecewise(parts, 2))}) {
    for (PeerId victim = 0; victim < nodes; ++victim) {
      for (std::uint64_t stream = 2300; stream < 2302; ++stream) {
        const auto tried = tests::before_each_event(
            {victim, reason, still_arrive},
            [&](const Departure& departure) { return lose(rule, nodes, departure, stream); });
        REQUIRE(tried > 3 * nodes);
      }
    }
  }
}

TEST_CASE("Whoever is lost at whatever point, the others end every round with one mean",
          "[rule][exact_average]") {
  const std::size_t nodes = GENERATE(2U, 3U, 4U);
  const std::uint32_t parts = GENERATE(1U, 2U, 3U, 5U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, 3, Bench::all);
  lose_everywhere(nodes, parts, still_arrive, Reason::lost);
}

TEST_CASE("Whoever finishes at whatever point, the others end every round with one mean",
          "[rule][exact_average]") {
  const std::size_t nodes = GENERATE(2U, 3U, 4U);
  const std::uint32_t parts = GENERATE(1U, 2U, 3U, 5U);
  lose_everywhere(nodes, parts, Bench::all, Reason::finished);
}

TEST_CASE("Whichever two are lost, the others end every round with one mean",
          "[rule][exact_average]") {
  const std::uint32_t parts = GENERATE(1U, 2U, 4U, 5U);
  for (std::uint64_t stream = 2700; stream < 2900; ++stream) {
    CAPTURE(parts, stream);
    Generator order(tests::seed, stream);
    Bench bench(4, PerSyn(1).chunks(parts), 4);
    std::map<std::uint64_t, std::map<PeerId, Numbers>> before;
    bench.gradient = [&](PeerId id, std::size_t) {
      before[bench[id].steps][id] = numbers(bench, id);
      return 0.1 * id;
    };
    std::vector<std::size_t> losses{order.below(100), order.below(100)};
    for (int idle = 0; idle < 200; ++idle) {
      const auto live = bench.live();
      const PeerId id = live[order.below(static_cast<std::uint32_t>(live.size()))];
      if (!losses.empty() && bench.events() >= losses.back()) {
        losses.pop_back();
        bench.lose(id, order.below(4));
      } else if (order.below(2) == 0 && bench[id].steps < 4) {
        if (bench.advance(id)) idle = 0;
      } else if (!bench.pending().empty()) {
        bench.handle(bench.choose(order));
        idle = 0;
      }
    }
    for (const PeerId id : bench.live()) {
      REQUIRE(bench[id].steps == 4);
      for (std::uint64_t step = 1; step < 4; ++step) {
        REQUIRE(before[step][id] == before[step][bench.live().front()]);
      }
    }
  }
}

TEST_CASE("A reducer that is lost between its answers keeps nobody waiting",
          "[rule][exact_average]") {
  // Node 0 reduces; its mean reaches one of the others, which goes on before it hears of the loss.
  const PeerId lucky = GENERATE(1U, 2U);
  Bench bench(3, PerSyn(1));
  const Numbers expected = mean({numbers(bench, 0), numbers(bench, 1), numbers(bench, 2)});
  for (int twice = 0; twice < 2; ++twice) {
    for (PeerId id = 0; id < 3; ++id) bench.advance(id);
  }
  // The one whose contribution comes first is answered first.
  bench.handle(bench.pending()[0].source == lucky ? 0 : 1);
  bench.handle(0);
  REQUIRE(bench.pending().size() == 2);
  REQUIRE(bench.pending()[0].at == lucky);
  bench.lose(0, 1);
  bench.handle(0);
  CHECK(numbers(bench, lucky) == expected);
  SECTION("which hears of the loss first") { bench.settle(); }
  SECTION("which has started the next round by then") {
    REQUIRE(bench.advance(lucky));
    REQUIRE_FALSE(bench.advance(lucky));
    bench.settle();
  }
  const PeerId other = 3 - lucky;
  REQUIRE(bench.advance(other));
  CHECK(numbers(bench, other) == expected);
  for (int i = 0; i < 8; ++i) {
    for (const PeerId id : {lucky, other}) bench.advance(id);
    bench.settle();
  }
  CHECK(bench[lucky].steps > 2);
  CHECK(bench[other].steps > 2);
}

TEST_CASE("PerSyn averages every tau steps and leaves the steps between alone", "[rule][persyn]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const std::uint64_t tau = GENERATE(1U, 2U, 5U);
  const std::uint32_t parts = GENERATE(1U, 2U, 8U);
  Bench bench(nodes, PerSyn(tau).chunks(parts));
  bench.gradient = [](PeerId id, std::size_t j) { return 0.1 * id + static_cast<double>(j); };
  std::vector<Numbers> expected;
  for (PeerId id = 0; id < nodes; ++id) expected.push_back(numbers(bench, id));
  for (std::uint64_t step = 0; step < 3 * tau + 1; ++step) {
    for (PeerId id = 0; id < nodes; ++id) {
      if (!bench.advance(id)) REQUIRE((step > 0 && step % tau == 0));
    }
    bench.settle();
    if (step > 0 && step % tau == 0) {
      expected.assign(nodes, mean(expected));
      // The last to contribute, or all but the reducer, could not step before the mean was there.
      for (PeerId id = 0; id < nodes; ++id) {
        if (bench[id].steps == step) {
          REQUIRE(numbers(bench, id) == expected[id]);
          REQUIRE(bench.advance(id));
        }
      }
    } else {
      REQUIRE(bench.pending().empty());
    }
    for (PeerId id = 0; id < nodes; ++id) {
      expected[id][0] -= 0.1 * id;
      expected[id][1] -= 0.1 * id + 1;
      REQUIRE(bench[id].steps == step + 1);
      REQUIRE(numbers(bench, id) == expected[id]);
    }
  }
}

TEST_CASE("PerSyn conserves the sum of the parameters from round to round", "[rule][persyn]") {
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  const std::uint32_t parts = GENERATE(1U, 3U);
  Bench bench(nodes, PerSyn(1).chunks(parts));
  const Numbers before = bench.weighted_sum();
  for (int i = 0; i < 30; ++i) {
    for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
    bench.settle();
  }
  CHECK(bench[0].steps > 10);
  for (std::size_t j = 0; j < before.size(); ++j) {
    CHECK(bench.weighted_sum()[j] == Approx(before[j]).epsilon(1e-12));
  }
}

TEST_CASE("PerSyn refuses a period of 0", "[rule][persyn]") {
  CHECK(tests::message_of<ConfigError>([] { PerSyn{0}; }) ==
        "PerSyn: tau must be at least 1, got 0");
}

TEST_CASE("A mean in no parts is refused, and so is a peer that cuts it differently",
          "[rule][sync][persyn]") {
  CHECK(tests::message_of<ConfigError>([] { Sync().chunks(0); }) ==
        "Sync: parts must be at least 1, got 0");
  CHECK(tests::message_of<ConfigError>([] { PerSyn(3).chunks(0); }) ==
        "PerSyn: parts must be at least 1, got 0");
  Bench bench(2, PerSyn(1).chunks(2));
  bench[1].rule = PerSyn(1).chunks(3);
  bench.advance(1);
  bench.advance(1);
  CHECK(tests::message_of<ConfigError>([&] { bench.handle(0); }) ==
        "AllReduce: node 1 sent piece 2 of 3, but node 0 has 2; all nodes must use the same "
        "number of parts");
}

TEST_CASE("A restored PerSyn does not average a round twice, and averages the next",
          "[rule][persyn]") {
  Bench bench(2, PerSyn(2));
  for (int i = 0; i < 3; ++i) {
    for (PeerId id = 0; id < 2; ++id) bench.advance(id);
    bench.settle();
  }
  REQUIRE(bench[0].steps == 2);  // the mean of round 1 is in place, step 3 not taken
  Bench restored(2, PerSyn(2));
  for (PeerId id = 0; id < 2; ++id) {
    Archive saved;
    bench[id].rule->checkpoint(saved);
    Archive archive(saved.entries());
    restored[id].rule->checkpoint(archive);
    restored[id].steps = 2;
    REQUIRE(restored.advance(id));  // would wait if it were to average
    REQUIRE(restored.advance(id));
    REQUIRE_FALSE((restored.advance(id) && id == 1));
  }
  restored.settle();
  CHECK(numbers(restored, 0) == numbers(restored, 1));
}

TEST_CASE("Synchronous nodes take the step of the mean gradient and stay equal", "[rule][sync]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  const std::uint32_t parts = GENERATE(1U, 2U, 8U);
  Bench bench(nodes, Sync().chunks(parts), 2);
  Generator noise(tests::seed, 2400);
  std::vector<Numbers> gradients(nodes, Numbers(2));
  bench.gradient = [&](PeerId id, std::size_t j) { return gradients[id][j]; };
  for (PeerId id = 0; id < nodes; ++id) bench[id].set(0.25);
  Numbers expected{0.25, 0.25};
  for (std::uint64_t step = 1; step <= 5; ++step) {
    for (auto& gradient : gradients) gradient = {noise.uniform() - 0.5, 1e6 * noise.uniform()};
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));  // gradients
    for (PeerId id = 1; id < nodes; ++id) REQUIRE_FALSE(bench.advance(id));
    bench.settle(&noise);
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));  // apply
    const Numbers change = mean(gradients);
    for (std::size_t j = 0; j < 2; ++j) expected[j] -= change[j];
    for (PeerId id = 0; id < nodes; ++id) {
      REQUIRE(bench[id].steps == step);
      REQUIRE(numbers(bench, id) == expected);
    }
  }
}

TEST_CASE("A synchronous node without a gradient takes its share of the others'", "[rule][sync]") {
  Bench bench(2, Sync(), 1);
  bench.gradient = [](PeerId id, std::size_t) { return id == 0 ? 1 : 0; };
  bench[0].set(0);
  bench[1].set(0);
  bench.advance(0);
  bench.advance(1);
  bench[1].parameters.mutable_grad() = at::Tensor();
  bench.settle();
  const at::NoGradGuard no_grad;
  REQUIRE(bench.advance(0));
  REQUIRE(bench.advance(1));
  CHECK(bench[0].x()[0] == -0.5);
  CHECK(bench[1].x()[0] == -0.5);
}

TEST_CASE("The synchronous rules say what they need of a node", "[rule][sync][persyn]") {
  CHECK(Sync().needs_gradient_hook());
  CHECK(Sync().is_synchronous());
  CHECK_FALSE(PerSyn(1).needs_gradient_hook());
  CHECK(PerSyn(1).is_synchronous());
}
}  // namespace
