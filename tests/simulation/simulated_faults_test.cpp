// SPDX-License-Identifier: MIT
/// Nothing is lost: random schedules of faults, with every book checked at every event.
#include <tests/simulation/fault_sweep.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

using tests::sweep::Outcome;

/// Runs the schedules of seeds first, first + 1, ... and stops at the first that breaks a promise.
Outcome sweep(std::uint64_t first, std::uint64_t count, bool talks) {
  Outcome sum;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const Outcome one = tests::sweep::run(seed);
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

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("A model that is long on its way costs its bytes once, and nobody is suspected",
          "[transport][simulated][delivery]") {
  CHECK(tests::sweep::cross_slow_link() == "");
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

// GOSSAMER_SCHEDULES says how many (10,000), GOSSAMER_SEED the first seed (1).
TEST_CASE("No schedule of faults of a long sweep loses or doubles weight", "[.][sweep]") {
  const std::uint64_t first = number_from("GOSSAMER_SEED", 1);
  const std::uint64_t count = number_from("GOSSAMER_SCHEDULES", 10'000);
  const Outcome all = sweep(first, count, true);
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
