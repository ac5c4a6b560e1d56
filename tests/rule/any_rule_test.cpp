// SPDX-License-Identifier: MIT
/// What a rule is put together from: whom, when, and the holder of any rule.
#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/uniform.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::CheckpointError;
using gossamer::ConfigError;
using gossamer::PeerId;
using gossamer::rule::AnyRule;
using gossamer::rule::Message;
using gossamer::rule::None;
using gossamer::rule::Rule;
using gossamer::rule::RuleContext;
using gossamer::schedule::Bernoulli;
using gossamer::schedule::Every;
using gossamer::topology::Ring;
using gossamer::topology::Uniform;
using tests::Bench;
using tests::Reason;

/// The least that a rule can be.
struct OnlyName : Rule {
  [[nodiscard]] std::string name() const override { return "only_name"; }
};

// A holder takes rules that can be copied, and nothing else; what derives and has no name is
// abstract.
struct NoName : Rule {};
struct NoCopy : OnlyName {
  NoCopy() = default;
  NoCopy(const NoCopy&) = delete;
};
struct NoRule {
  [[nodiscard]] std::string name() const { return "alone"; }
};
static_assert(std::is_abstract_v<NoName>);
static_assert(std::is_constructible_v<AnyRule, OnlyName>);
static_assert(std::is_convertible_v<gossamer::rule::GoSgd, AnyRule>);
static_assert(!std::is_constructible_v<AnyRule, NoRule>);
static_assert(std::is_copy_constructible_v<AnyRule>);

using gossamer::topology::Topology;
static_assert(Topology<Uniform>);
static_assert(Topology<Ring>);
static_assert(Topology<gossamer::topology::Any>);
static_assert(!Topology<Bernoulli>);
using gossamer::schedule::Schedule;
static_assert(Schedule<Bernoulli>);
static_assert(Schedule<Every>);
static_assert(Schedule<gossamer::schedule::Any>);
static_assert(!Schedule<Uniform>);

/// Counts its steps, and says how many in a message's kind.
struct Counter : Rule {
  [[nodiscard]] std::string name() const override { return "counter"; }
  void before_step(RuleContext&) override { ++steps; }
  void after_step(RuleContext& context) override {
    context.send({.to = 0, .kind = steps, .payload = {}});
  }
  void checkpoint(Archive& archive) override { archive("steps", steps); }
  std::uint32_t steps = 0;
};

/// What a counter says after one more step.
std::uint32_t steps_of(AnyRule& rule, RuleContext& context, std::vector<Message>& outbox) {
  rule->before_step(context);
  rule->after_step(context);
  const std::uint32_t steps = outbox.back().kind;
  outbox.clear();
  return steps;
}

TEST_CASE("A rule with nothing but a name trains each node alone", "[rule]") {
  const AnyRule rule = GENERATE(as<AnyRule>{}, OnlyName(), None());
  CHECK((rule->name() == "only_name" || rule->name() == "none"));
  CHECK_FALSE(rule->needs_gradient_hook());
  CHECK_FALSE(rule->is_synchronous());
  Bench bench(3, rule, 1);
  bench.conserves = false;  // a leaver's weight goes to one who has another model
  bench.gradient = [](PeerId, std::size_t) { return 1.0; };
  const double before = bench[0].x()[0];
  for (int i = 0; i < 4; ++i) REQUIRE(bench.advance(0));
  CHECK(bench[0].x()[0] == tests::Approx(before - 4));
  CHECK(bench.pending().empty());
  bench.lose(2);
  bench.leave(1);
  bench.settle();
  CHECK(bench.advance(0));
}

TEST_CASE("Copies of a rule are independent of each other", "[rule]") {
  Bench bench(2, OnlyName());
  auto& context = bench[0];
  AnyRule first(Counter{});
  CHECK(steps_of(first, context, context.outbox) == 1);
  AnyRule second(first);
  CHECK(steps_of(first, context, context.outbox) == 2);
  CHECK(steps_of(first, context, context.outbox) == 3);
  CHECK(steps_of(second, context, context.outbox) == 2);
  first = second;
  CHECK(steps_of(second, context, context.outbox) == 3);
  CHECK(steps_of(first, context, context.outbox) == 3);
  AnyRule third(std::move(first));
  CHECK(steps_of(third, context, context.outbox) == 4);
  second = std::move(third);
  CHECK(steps_of(second, context, context.outbox) == 5);
  const AnyRule& same = second;
  second = same;
  CHECK(steps_of(second, context, context.outbox) == 6);
}

TEST_CASE("A rule goes on where its checkpoint was taken", "[rule]") {
  Bench bench(2, OnlyName());
  auto& context = bench[0];
  AnyRule rule(Counter{});
  for (int i = 0; i < 3; ++i) steps_of(rule, context, context.outbox);
  Archive saved;
  rule->checkpoint(saved);
  steps_of(rule, context, context.outbox);
  Archive archive(saved.entries());
  AnyRule restored(Counter{});
  restored->checkpoint(archive);
  CHECK(steps_of(restored, context, context.outbox) == 4);
  Archive empty{std::map<std::string, std::string>{}};
  CHECK(tests::message_of<CheckpointError>([&] { restored->checkpoint(empty); }) ==
        "checkpoint: expected a value \"steps\", found none");
}

TEST_CASE("A uniform peer is never the node itself, and all others are as likely", "[topology]") {
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench(nodes, OnlyName());
  const int draws = 8000;
  for (PeerId self = 0; self < nodes; ++self) {
    std::vector<int> counts(nodes, 0);
    for (int i = 0; i < draws; ++i) {
      const auto peer = Uniform{}(bench[self]);
      REQUIRE(peer.has_value());
      REQUIRE(*peer < nodes);
      ++counts[*peer];
    }
    CHECK(counts[self] == 0);
    const double expected = static_cast<double>(draws) / static_cast<double>(nodes - 1);
    double chi_square = 0;
    for (PeerId peer = 0; peer < nodes; ++peer) {
      if (peer != self) chi_square += std::pow(counts[peer] - expected, 2) / expected;
    }
    const double freedom = static_cast<double>(nodes) - 2;
    CHECK(chi_square <= freedom + 4 * std::sqrt(2 * freedom));
  }
}

TEST_CASE("A node alone has nobody to meet", "[topology]") {
  Bench bench(1, OnlyName());
  CHECK_FALSE(Uniform{}(bench[0]).has_value());
  CHECK_FALSE(Ring{}(bench[0]).has_value());
  Bench pair(2, OnlyName());
  pair.lose(1);
  pair.settle();
  CHECK_FALSE(Uniform{}(pair[0]).has_value());
  CHECK_FALSE(Ring{}(pair[0]).has_value());
}

TEST_CASE("A uniform peer is never one that is gone", "[topology]") {
  Bench bench(4, OnlyName());
  bench.lose(2);
  bench.settle();
  std::vector<int> counts(4, 0);
  for (int i = 0; i < 1000; ++i) ++counts[Uniform{}(bench[0]).value()];
  CHECK(counts[2] == 0);
  CHECK(counts[1] > 400);
  CHECK(counts[3] > 400);
}

TEST_CASE("A ring leads each to the next, and skips those that are gone", "[topology]") {
  Bench bench(4, OnlyName());
  for (PeerId id = 0; id < 4; ++id) CHECK(Ring{}(bench[id]) == (id + 1) % 4);
  bench.lose(1);
  bench.settle();
  CHECK(Ring{}(bench[0]) == PeerId{2});
  CHECK(Ring{}(bench[2]) == PeerId{3});
  CHECK(Ring{}(bench[3]) == PeerId{0});
  bench.finish(0);
  bench.settle();
  CHECK(Ring{}(bench[3]) == PeerId{2});
  CHECK(bench[3].generator().state().drawn == 0);  // it draws nothing
}

TEST_CASE("A Bernoulli schedule has its rate, and 0 and 1 exactly", "[schedule]") {
  Bench bench(1, OnlyName());
  const int draws = 20'000;
  for (const double p : {0.0, 0.02, 0.5, 0.9, 1.0}) {
    const Bernoulli when(p);
    int count = 0;
    for (int i = 0; i < draws; ++i) count += when(bench[0]) ? 1 : 0;
    const double deviation = std::sqrt(p * (1 - p) / draws);
    CHECK(std::abs(static_cast<double>(count) / draws - p) <= 4 * deviation);
  }
}

TEST_CASE("A probability outside [0, 1] is refused with its value", "[schedule]") {
  const auto refusal = [](double p) {
    return tests::message_of<ConfigError>([p] { Bernoulli{p}; });
  };
  const std::string rule = "Bernoulli: probability must lie in [0, 1], got ";
  CHECK(refusal(-0.1) == rule + "-0.1");
  CHECK(refusal(1.1) == rule + "1.1");
  CHECK(refusal(std::numeric_limits<double>::quiet_NaN()) == rule + "nan");
  CHECK(tests::message_of<ConfigError>([] { gossamer::rule::GoSgd{-0.1}; }) == rule + "-0.1");
  CHECK(tests::message_of<ConfigError>([] { gossamer::rule::GoSgdPull{2}; }) == rule + "2");
}

TEST_CASE("Every(tau) says yes after each tau-th step and no after the others", "[schedule]") {
  Bench bench(1, OnlyName());
  const std::uint64_t tau = GENERATE(1U, 2U, 7U);
  const Every when(tau);
  CHECK(when.tau() == tau);
  for (int i = 1; i <= 30; ++i) {
    bench.advance(0);
    CHECK(when(bench[0]) == (i % static_cast<int>(tau) == 0));
  }
  CHECK(bench[0].generator().state().drawn == 0);
}

TEST_CASE("A period of 0 is refused", "[schedule]") {
  CHECK(tests::message_of<ConfigError>([] { Every{0}; }) == "Every: tau must be at least 1, got 0");
}

}  // namespace
