// SPDX-License-Identifier: MIT
/// The sweep can fail: each decision of the delivery, turned around, breaks a promise in some
/// schedule.
#include <tests/simulation/fault_sweep.hpp>
#include <tests/support.hpp>
#include <tests/transport/delivery/breakable_rules.hpp>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

namespace {

using tests::delivery::Breakable;

struct Break {
  const char* name;
  bool* rule;
  bool is_caught;  // within 100 schedules; the search in delivery_test.cpp catches all
};

const Break breaks[] = {
    {"waits_for_grant", &Breakable::waits_for_grant, true},
    {"drops_repetitions", &Breakable::drops_repetitions, true},
    {"accepts_in_order", &Breakable::accepts_in_order, true},
    {"counters_only_grow", &Breakable::counters_only_grow, true},
    {"confirms_delivered_only", &Breakable::confirms_delivered_only, true},
    {"tells_sessions_apart", &Breakable::tells_sessions_apart, true},
    {"renames_sessions", &Breakable::renames_sessions, true},
    {"follows_new_session", &Breakable::follows_new_session, true},
    {"checks_confirms", &Breakable::checks_confirms, false},
    {"returns_offers", &Breakable::returns_offers, true},
    {"keeps_granted", &Breakable::keeps_granted, true},
    {"discards_held", &Breakable::discards_held, true},
    {"asks_for_report", &Breakable::asks_for_report, true},
    {"returns_undelivered", &Breakable::returns_undelivered, true},
    {"keeps_report", &Breakable::keeps_report, false},
    {"tells_lives_apart", &Breakable::tells_lives_apart, true},
    {"leaver_gives_back", &Breakable::leaver_gives_back, false},
    {"leaver_waits", &Breakable::leaver_waits, false},
};

/// What the first schedule that breaks a promise comes to, with its seed; empty if none does.
std::string first_failure(bool& rule, std::uint64_t most) {
  rule = false;
  std::string found;
  for (std::uint64_t seed = 1; seed <= most && found.empty(); ++seed) {
    std::string broken;
    try {
      broken = tests::sweep::run<Breakable>(seed).broken;
    } catch (const std::exception& error) {
      broken = error.what();
    }
    if (!broken.empty()) found = "seed " + std::to_string(seed) + ": " + broken;
  }
  rule = true;
  return found;
}

}  // namespace

TEST_CASE("The sweep catches each broken rule of delivery", "[transport][simulated][delivery]") {
  for (const Break& one : breaks) {
    if (!one.is_caught) continue;
    const std::string found = first_failure(*one.rule, 100);
    INFO(one.name);
    CHECK(found != "");
  }
}

// GOSSAMER_BREAK names the rule.
TEST_CASE("Which schedule catches a broken rule", "[.][broken]") {
  const char* name = std::getenv("GOSSAMER_BREAK");
  for (const Break& one : breaks) {
    if (name == nullptr || std::string(name) != one.name) continue;
    const std::string found = first_failure(*one.rule, 300);
    std::cout << one.name << ": " << (found.empty() ? "not caught" : found) << std::endl;
  }
}
