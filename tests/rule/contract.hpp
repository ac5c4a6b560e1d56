// SPDX-License-Identifier: MIT
/// What every rule promises, whatever else it does; run over the registry, and over a rule that
/// knows of nothing.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/rule/registry.hpp>
#include <gossamer/rule/rule.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tests::rule_contract {

using gossamer::rule::AnyRule;

/// A push of parameters and half of the weight, by one who never heard of leaving.
class Forgetful final : public gossamer::rule::Rule {
 public:
  [[nodiscard]] std::string name() const override { return "forgetful"; }
  void after_step(gossamer::rule::RuleContext& context) override {
    const auto peers = context.peers();
    if (!peers.empty()) context.send({.to = peers.front(), .payload = context.snapshot()});
  }
};

/// All rules of the registry, in code, too, so that they meet often, and the forgetful one.
inline std::vector<AnyRule> all_rules() {
  const auto options =
      gossamer::rule::RegistryOptions().probability(0.5).period(2).sync_steps(2).nodes(3);
  std::vector<AnyRule> rules{Forgetful()};
  for (const auto& entry : gossamer::rule::known()) {
    rules.push_back(entry.make(options));
    auto coded = options;
    if (entry.by_codec) rules.push_back(entry.make(coded.codec("int4")));
  }
  for (const char* base : {"gosgd", "sgp"}) {
    auto around = options;
    rules.push_back(gossamer::rule::from_name("slowmo", around.base(base)));
  }
  return rules;
}

inline Bench bench_of(const AnyRule& rule, std::size_t nodes) {
  Bench bench(nodes, rule, 3);  // looks at the total weight after each event
  bench.conserves = false;      // what else is conserved is each rule's own business
  return bench;
}

/// The node hands over and goes; nothing of its weight may go with it.
inline void leave_in_order(Bench& bench, const Departure& departure) {
  bench.leave(departure.victim);
  bench.settle();
  if (bench[departure.victim].weight() > 0) bench.leave(departure.victim);  // what came late
  bench.settle();
  CHECK(bench[departure.victim].weight() == 0);
  bench.close(departure.victim, Reason::left);
}

inline double live_weight(Bench& bench) {
  double weight = 0;
  for (const PeerId id : bench.live()) weight += bench[id].weight();
  return weight;
}

/// Whoever leaves, at whatever point, leaves all its weight with the others.
inline void leaving_conserves_weight(const AnyRule& rule) {
  for (const PeerId victim : {0, 1, 2}) {
    const std::size_t tried = before_each_event({victim, Reason::left, 0}, [&](Departure when) {
      Bench bench = bench_of(rule, 3);
      bench.gradient = [](PeerId id, std::size_t) { return 0.1 * id; };
      const bool gone = take_turns(bench, when, 3, leave_in_order);
      INFO(when);
      CHECK(std::abs(live_weight(bench) - 1) < weight_tolerance);
      return gone;
    });
    CHECK(tried > 3);
  }
}

/// Whoever is lost takes no more than it held, and the others train on.
inline void losing_stops_nobody(const AnyRule& rule) {
  for (const PeerId victim : {0, 2}) {
    before_each_event({victim, Reason::lost, 0}, [&](Departure when) {
      Bench bench = bench_of(rule, 3);
      const bool gone = take_turns(bench, when, 3, go);
      INFO(when);
      std::vector<std::uint64_t> before;
      for (const PeerId id : bench.live()) before.push_back(bench[id].steps);
      for (int turn = 0; turn < 12; ++turn) {
        for (const PeerId id : bench.live()) bench.advance(id);
        bench.settle();
      }
      std::size_t trained = 0;
      for (std::size_t i = 0; i < bench.live().size(); ++i) {
        trained += bench[bench.live()[i]].steps > before[i] ? 1 : 0;
      }
      CHECK(trained + 1 >= bench.live().size());  // one may be a centre, which takes no steps
      return gone;
    });
  }
}

/// Whatever comes back, and whenever, the weight is somewhere.
inline void returns_conserve_weight(const AnyRule& rule) {
  Bench bench = bench_of(rule, 4);
  bench.gradient = [](PeerId id, std::size_t) { return 0.1 * id; };
  wander(bench, 400, 77);
  bench.settle();
  CHECK(std::abs(live_weight(bench) - 1) < weight_tolerance);
}

/// Equal nodes whose gradients are zero stay equal: no exchange moves what agrees.
inline void equal_stay_equal(const AnyRule& rule) {
  Bench bench = bench_of(rule, 4);
  for (std::size_t i = 0; i < bench.size(); ++i) bench[i].set(0.3);
  wander(bench, 300, 78);
  bench.settle();
  for (std::size_t i = 0; i < bench.size(); ++i) {
    for (const double value : bench[i].x()) CHECK(value == Approx(0.3).epsilon(1e-14));
  }
}

/// A node alone takes its steps, says nothing, waits for nobody, and keeps its weight to the end.
inline void alone_trains(const AnyRule& rule) {
  Bench bench = bench_of(rule, 1);
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  const double before = bench[0].x()[0];
  for (int i = 0; i < 20 && bench[0].steps < 8; ++i) REQUIRE(bench.advance(0));
  CHECK(bench[0].steps == 8);
  // Further, if the rule has momentum; two steps of ACCO are one of a mean, and the last waits.
  CHECK(bench[0].x()[0] < before - (rule->name() == "acco" ? 4 : 8) + 1e-9);
  bench.leave(0);
  CHECK(bench.pending().empty());
  CHECK(bench[0].weight() == 1);
}

/// No message from a member, however odd, ends a rule or its weight.
inline void odd_messages_lose_nothing(const AnyRule& rule) {
  constexpr PeerId nodes = 3;
  Bench bench = bench_of(rule, nodes);
  Generator random(seed, 80);
  for (int i = 0; i < 1000; ++i) {
    if (random.below(4) == 0) {
      bench.advance(random.below(nodes));
      continue;
    }
    const PeerId from = random.below(nodes);
    BenchContext& sender = bench[from];
    Message message{.from = from,
                    .to = (from + 1 + random.below(nodes - 1)) % nodes,
                    .kind = random.below(9),
                    .round = random.below(2) == 0 ? sender.steps : random.below(50),
                    .weight = random.below(8) == 0 ? sender.weight() / 4 : 0,
                    .payload = {}};
    if (random.below(2) == 0) message.payload = sender.snapshot();
    bench.forge(std::move(message));
    bench.handle(bench.choose(random));
  }
  CHECK(std::abs(bench.total_weight() - 1) < weight_tolerance);
}

/// Without room for a copy a rule that starts exchanges by itself starts none, and nothing is lost.
inline void no_room_loses_nothing(const AnyRule& rule) {
  Bench bench = bench_of(rule, 3);
  for (std::size_t i = 0; i < 3; ++i) bench[i].room = false;
  wander(bench, 200, 79);
  bench.settle();
  CHECK(std::abs(live_weight(bench) - 1) < weight_tolerance);
}

/// What a checkpoint keeps, a restored rule keeps too.
inline void checkpoint_is_whole(const AnyRule& rule) {
  Bench bench = bench_of(rule, 3);
  for (int turn = 0; turn < 5; ++turn) {
    for (PeerId id = 0; id < 3; ++id) bench.advance(id);
    bench.settle();
  }
  gossamer::Archive saved;
  bench[0].rule->checkpoint(saved);
  AnyRule restored = rule;
  gossamer::Archive loading(saved.entries());
  restored->checkpoint(loading);
  gossamer::Archive again;
  restored->checkpoint(again);
  CHECK(again.entries() == saved.entries());
}

struct Clause {
  const char* name;
  void (*check)(const AnyRule&);
};
inline constexpr Clause clauses[] = {
    {"who leaves, leaves its weight", leaving_conserves_weight},
    {"a lost node stops nobody", losing_stops_nobody},
    {"what comes back keeps its weight", returns_conserve_weight},
    {"equal nodes stay equal", equal_stay_equal},
    {"a node alone trains", alone_trains},
    {"odd messages lose nothing", odd_messages_lose_nothing},
    {"no room loses nothing", no_room_loses_nothing},
    {"a checkpoint is whole", checkpoint_is_whole},
};

}  // namespace tests::rule_contract
