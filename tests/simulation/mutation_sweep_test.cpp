// SPDX-License-Identifier: MIT
/// The sweep can fail: each decision of the delivery, turned around, breaks a promise in some
/// schedule. Compiled with the copy of session.hpp that mutate.py writes.
#include <gossamer/transport/delivery/session.hpp>

#include <tests/simulation/fault_sweep.hpp>
#include <tests/support.hpp>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <string>

namespace {

namespace mutation = gossamer::transport::mutation;

struct Mutation {
  const char* name;
  bool* decision;
  bool is_caught;  // within 100 schedules; the search in mutation_search_test.cpp catches all
};

const Mutation mutations[] = {
    {"waits_for_grant", &mutation::waits_for_grant, true},
    {"drops_repetitions", &mutation::drops_repetitions, true},
    {"accepts_in_order", &mutation::accepts_in_order, true},
    {"counters_only_grow", &mutation::counters_only_grow, true},
    {"confirms_delivered_only", &mutation::confirms_delivered_only, true},
    {"tells_sessions_apart", &mutation::tells_sessions_apart, true},
    {"renames_sessions", &mutation::renames_sessions, true},
    {"follows_new_session", &mutation::follows_new_session, true},
    {"checks_confirms", &mutation::checks_confirms, false},
    {"returns_offers", &mutation::returns_offers, true},
    {"keeps_granted", &mutation::keeps_granted, true},
    {"discards_held", &mutation::discards_held, true},
    {"asks_for_report", &mutation::asks_for_report, true},
    {"returns_undelivered", &mutation::returns_undelivered, true},
    {"keeps_report", &mutation::keeps_report, false},
    {"tells_incarnations_apart", &mutation::tells_incarnations_apart, true},
    {"leaver_gives_back", &mutation::leaver_gives_back, false},
    {"carries_once", &mutation::carries_once, true},
    {"bytes_are_life", &mutation::bytes_are_life, true},
    {"leaver_waits", &mutation::leaver_waits, true},
};
static_assert(std::size(mutations) == mutation::count);

/// What the first schedule that breaks a promise comes to, with its seed; empty if none does.
std::string first_failure(bool& decision, std::uint64_t most) {
  decision = false;
  std::string found;
  if (const std::string broken = tests::sweep::cross_slow_link(); !broken.empty()) {
    found = "a slow link: " + broken;
  }
  for (std::uint64_t seed = 1; seed <= most && found.empty(); ++seed) {
    std::string broken;
    try {
      broken = tests::sweep::run(seed).broken;
    } catch (const std::exception& error) {
      broken = error.what();
    }
    if (!broken.empty()) found = "seed " + std::to_string(seed) + ": " + broken;
  }
  decision = true;
  return found;
}

}  // namespace

TEST_CASE("The sweep catches each decision of delivery that is turned around",
          "[transport][simulated][delivery]") {
  for (const Mutation& one : mutations) {
    if (!one.is_caught) continue;
    const std::string found = first_failure(*one.decision, 100);
    INFO(one.name);
    CHECK(found != "");
  }
}

// GOSSAMER_MUTATION names the decision; without it, all.
TEST_CASE("Which schedule catches a decision that is turned around", "[.][mutation]") {
  const char* name = std::getenv("GOSSAMER_MUTATION");
  for (const Mutation& one : mutations) {
    if (name != nullptr && std::string(name) != one.name) continue;
    const std::string found = first_failure(*one.decision, 300);
    std::cout << one.name << ": " << (found.empty() ? "not caught" : found) << std::endl;
  }
}
