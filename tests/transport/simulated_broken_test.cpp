// SPDX-License-Identifier: MIT
/// The sweep can fail: each decision of the delivery, turned around, breaks a promise in some
/// schedule.
#include <tests/support.hpp>
#include <tests/transport/fault_sweep.hpp>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

namespace {

/// `DeliveryRules` as switches.
struct Breakable {
  static inline bool waits_for_grant = true;
  static inline bool drops_repetitions = true;
  static inline bool accepts_in_order = true;
  static inline bool counters_only_grow = true;
  static inline bool confirms_delivered_only = true;
  static inline bool tells_sessions_apart = true;
  static inline bool renames_sessions = true;
  static inline bool follows_new_session = true;
  static inline bool checks_confirms = true;
  static inline bool returns_offers = true;
  static inline bool keeps_granted = true;
  static inline bool discards_held = true;
  static inline bool asks_for_report = true;
  static inline bool returns_undelivered = true;
  static inline bool keeps_report = true;
  static inline bool tells_lives_apart = true;
  static inline bool leaver_gives_back = true;
  static inline bool leaver_waits = true;
};

struct Break {
  const char* name;
  bool* rule;
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
  const Break breaks[] = {
      {"waits_for_grant", &Breakable::waits_for_grant},
      {"drops_repetitions", &Breakable::drops_repetitions},
      {"accepts_in_order", &Breakable::accepts_in_order},
      {"counters_only_grow", &Breakable::counters_only_grow},
      {"confirms_delivered_only", &Breakable::confirms_delivered_only},
      {"tells_sessions_apart", &Breakable::tells_sessions_apart},
      {"renames_sessions", &Breakable::renames_sessions},
      {"follows_new_session", &Breakable::follows_new_session},
      {"returns_offers", &Breakable::returns_offers},
      {"keeps_granted", &Breakable::keeps_granted},
      {"discards_held", &Breakable::discards_held},
      {"asks_for_report", &Breakable::asks_for_report},
      {"returns_undelivered", &Breakable::returns_undelivered},
      {"tells_lives_apart", &Breakable::tells_lives_apart},
  };
  for (const Break& one : breaks) {
    const std::string found = first_failure(*one.rule, 100);
    INFO(one.name);
    CHECK(found != "");
  }
}

// GOSSAMER_BREAK names the rule.
TEST_CASE("Which schedule catches a broken rule", "[.][broken]") {
  const char* name = std::getenv("GOSSAMER_BREAK");
  const Break breaks[] = {
      {"none", nullptr},
      {"waits_for_grant", &Breakable::waits_for_grant},
      {"drops_repetitions", &Breakable::drops_repetitions},
      {"accepts_in_order", &Breakable::accepts_in_order},
      {"counters_only_grow", &Breakable::counters_only_grow},
      {"confirms_delivered_only", &Breakable::confirms_delivered_only},
      {"tells_sessions_apart", &Breakable::tells_sessions_apart},
      {"renames_sessions", &Breakable::renames_sessions},
      {"follows_new_session", &Breakable::follows_new_session},
      {"checks_confirms", &Breakable::checks_confirms},
      {"returns_offers", &Breakable::returns_offers},
      {"keeps_granted", &Breakable::keeps_granted},
      {"discards_held", &Breakable::discards_held},
      {"asks_for_report", &Breakable::asks_for_report},
      {"returns_undelivered", &Breakable::returns_undelivered},
      {"keeps_report", &Breakable::keeps_report},
      {"tells_lives_apart", &Breakable::tells_lives_apart},
      {"leaver_gives_back", &Breakable::leaver_gives_back},
      {"leaver_waits", &Breakable::leaver_waits},
  };
  bool sound = true;
  for (const Break& one : breaks) {
    if (name == nullptr || std::string(name) != one.name) continue;
    const std::string found = first_failure(one.rule != nullptr ? *one.rule : sound, 300);
    std::cout << one.name << ": " << (found.empty() ? "not caught" : found) << std::endl;
  }
}
