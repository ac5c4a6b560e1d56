// SPDX-License-Identifier: MIT
/// Nothing is lost: random schedules of faults, with every book checked at every event.
#include <tests/simulation/fault_sweep.hpp>
#include <tests/simulation/sum_subjects.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

using tests::sweep::Outcome;
using tests::sweep::Subject;
using MakeSubject = std::function<std::unique_ptr<Subject>()>;

/// Runs the schedules of seeds first, first + 1, ... and stops at the first that breaks a promise.
Outcome sweep(
    std::uint64_t first, std::uint64_t count, bool talks,
    const MakeSubject& make = [] { return std::make_unique<Subject>(); }) {
  Outcome sum;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Outcome one = tests::sweep::run(seed, *make());
    sum.events += one.events;
    sum.messages += one.messages;
    sum.suspicions += one.suspicions;
    sum.lost_frames += one.lost_frames;
    for (std::size_t i = 0; i < sum.faults.size(); ++i) sum.faults[i] += one.faults[i];
    if (!one.broken.empty()) {
      sum.broken = "seed " + std::to_string(seed) + ": " + one.broken +
                   "; replay: GOSSAMER_SEED=" + std::to_string(seed) +
                   " GOSSAMER_SCHEDULES=1 ./gossamer_tests \"[sweep]\"";
      return sum;
    }
    if (talks && (seed - first + 1) % 500 == 0) {
      std::cout << seed - first + 1 << " schedules, " << sum.events << " events, " << sum.messages
                << " messages" << std::endl;
    }
  }
  return sum;
}

/// What conserves the sum of models for any code.
std::vector<std::pair<std::string, MakeSubject>> sums() {
  using tests::sweep::ElasticSubject;
  using tests::sweep::LedgerSubject;
  using tests::sweep::PushSubject;
  return {{"ledgers in integers", [] { return std::make_unique<LedgerSubject>(true); }},
          {"ledgers", [] { return std::make_unique<LedgerSubject>(false); }},
          {"elastic gossip in code", [] { return std::make_unique<ElasticSubject>(); }},
          {"gosgd in code", [] { return std::make_unique<PushSubject>(); }}};
}

/// Node 0 sends five messages after its first step, and again what comes back.
class Insistent final : public gossamer::rule::Rule {
 public:
  explicit Insistent(std::shared_ptr<std::size_t> arrived) : arrived_(std::move(arrived)) {}
  [[nodiscard]] std::string name() const override { return "insistent"; }
  void after_step(gossamer::rule::RuleContext& context) override {
    if (context.self() != 0 || context.step() != 1) return;
    for (int i = 0; i < 5; ++i) context.send({.to = 1, .payload = {}});
  }
  void on_messages(gossamer::rule::RuleContext& /*context*/,
                   std::span<const gossamer::rule::Message> messages) override {
    *arrived_ += messages.size();
  }
  void on_returned(gossamer::rule::RuleContext& context,
                   const gossamer::rule::Message& message) override {
    context.send(message);
  }

 private:
  std::shared_ptr<std::size_t> arrived_;
};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("A model that is long on its way costs its bytes once, and nobody is suspected",
          "[transport][simulated][delivery]") {
  CHECK(tests::sweep::cross_slow_link() == "");
}

TEST_CASE("What a node at rest says again and again finds room in time",
          "[transport][simulated][delivery]") {
  using gossamer::transport::DeliveryLimits;
  const auto arrived = std::make_shared<std::size_t>(0);
  gossamer::SimulatedGroup<tests::sweep::Still> group(
      gossamer::SimulatedGroupOptions(2).world(
          gossamer::transport::SimulatedOptions(2).limits(DeliveryLimits{.messages = 1})),
      Insistent(arrived));
  group.begin(gossamer::StopCondition().steps(1));
  while (*arrived < 5 && group.world().events() < 5000 && group.step()) {
  }
  CHECK(*arrived == 5);
}

TEST_CASE("No schedule of faults loses or doubles weight", "[transport][simulated][delivery]") {
  const Outcome all = sweep(1, 400, false);
  CHECK(all.broken == "");
  CHECK(all.events > 100'000);
  CHECK(all.messages > 10'000);
  CHECK(all.suspicions > 100);
  CHECK(all.lost_frames > 1000);
  for (const std::uint64_t kind : all.faults) CHECK(kind > 50);
}

TEST_CASE("No schedule of faults changes the sum of models in code, but by who is lost",
          "[transport][simulated][rule][ledger_gossip]") {
  for (const auto& [name, make] : sums()) {
    INFO(name);
    const Outcome all = sweep(1, 20, false, make);
    CHECK(all.broken == "");
    CHECK(all.messages > 5'000);
    CHECK(all.suspicions > 15);
  }
}

/// GOSSAMER_SCHEDULES says how many (10,000), GOSSAMER_SEED the first seed (1).
void long_sweep(const MakeSubject& make) {
  const std::uint64_t first = number_from("GOSSAMER_SEED", 1);
  const std::uint64_t count = number_from("GOSSAMER_SCHEDULES", 10'000);
  const Outcome all = sweep(first, count, true, make);
  std::cout << "seeds " << first << " to " << first + count - 1 << ": " << all.events << " events, "
            << all.messages << " messages, " << all.suspicions << " suspicions, " << all.lost_frames
            << " frames lost\nfaults:";
  for (std::size_t i = 0; i < all.faults.size(); ++i) {
    std::cout << ' ' << all.faults[i] << ' ' << tests::sweep::kinds[i] << ',';
  }
  std::cout << " and " << (all.broken.empty() ? "no failure" : "a failure: " + all.broken)
            << std::endl;
  CHECK(all.broken == "");
}

TEST_CASE("No schedule of faults of a long sweep loses or doubles weight", "[.][sweep]") {
  long_sweep([] { return std::make_unique<Subject>(); });
}

TEST_CASE("No schedule of faults of a long sweep changes the sum of models in code",
          "[.][sums_sweep]") {
  for (const auto& [name, make] : sums()) {
    std::cout << name << std::endl;
    long_sweep(make);
  }
}
