// SPDX-License-Identifier: MIT
/// The search can fail: each decision of the delivery, turned around, breaks a promise in some
/// interleaving. Compiled with the copy of session.hpp that mutate.py writes.
#include <gossamer/transport/delivery/session.hpp>

#include <tests/support.hpp>
#include <tests/transport/delivery/delivery_search.hpp>

#include <iostream>
#include <iterator>

namespace {

namespace mutation = gossamer::transport::mutation;
using tests::delivery::Bounds;
using tests::delivery::Found;
using tests::delivery::search;

constexpr Bounds calm = {.messages = {1, 0}, .suspicions = {0, 0}, .frames = 1};
constexpr Bounds two = {.messages = {2, 0}, .suspicions = {0, 0}};
constexpr Bounds doubted = {.messages = {1, 0}, .suspicions = {1, 0}, .frames = 1};
constexpr Bounds overtaken = {.messages = {1, 0}, .suspicions = {1, 0}};
constexpr Bounds doubting = {.messages = {1, 0}, .suspicions = {0, 1}, .frames = 1};
constexpr Bounds doubting_twice = {.messages = {1, 0}, .suspicions = {0, 2}, .frames = 1};
constexpr Bounds forged = {
    .messages = {1, 0}, .suspicions = {0, 0}, .forgeries = true, .frames = 1};
constexpr Bounds crashing = {
    .messages = {1, 0}, .suspicions = {0, 0}, .crashes = {0, 1}, .frames = 1};
constexpr Bounds leaving = {
    .messages = {1, 0}, .suspicions = {0, 0}, .leaves = {0, 1}, .frames = 1};

struct Mutation {
  const char* does;
  bool& decision;
  Bounds bounds;
  bool breaks_a_promise = true;  // else it costs bytes only: the sweep counts them
};

const Mutation mutations[] = {
    {"delivers what has arrived", mutation::waits_for_grant, doubted},
    {"accepts an offer twice", mutation::drops_repetitions, calm},
    {"accepts an offer before its turn", mutation::accepts_in_order, two},
    {"believes an older counter", mutation::counters_only_grow, two},
    {"confirms what it only holds", mutation::confirms_delivered_only, doubted},
    {"uses frames of an old session", mutation::tells_sessions_apart, overtaken},
    {"uses the number of a session again", mutation::renames_sessions, doubted},
    {"goes on when the peer has begun anew", mutation::follows_new_session, doubted},
    {"does not check a confirmation", mutation::checks_confirms, forged},
    {"forgets to return an offer", mutation::returns_offers, doubted},
    {"returns what it has granted", mutation::keeps_granted, doubted},
    {"delivers what it holds on suspicion", mutation::discards_held, doubting},
    {"opens a session without a report", mutation::asks_for_report, doubting},
    {"forgets what was in doubt", mutation::returns_undelivered, doubting},
    {"forgets its report too early", mutation::keeps_report, doubting_twice},
    {"takes a new incarnation for the old one", mutation::tells_incarnations_apart, crashing},
    {"keeps what it has not polled when it leaves", mutation::leaver_gives_back, leaving},
    {"sends content twice over a connection that holds", mutation::carries_once, calm, false},
    {"takes whole models only for a sign of life", mutation::bytes_are_life, calm, false},
    {"leaves before that is known", mutation::leaver_waits, leaving},
};
static_assert(std::size(mutations) == mutation::count);

}  // namespace

// `overtaken` is searched in delivery_test.cpp: it is large.
TEST_CASE("No interleaving breaks a promise while every decision of delivery is as it should be",
          "[transport][delivery]") {
  for (const Bounds& bounds :
       {calm, two, doubted, doubting, doubting_twice, forged, crashing, leaving}) {
    CHECK(search(bounds).broken == "");
  }
}

TEST_CASE("Each decision of delivery that is turned around breaks a promise",
          "[transport][delivery]") {
  for (const Mutation& one : mutations) {
    if (!one.breaks_a_promise) continue;
    CAPTURE(one.does);
    Bounds bounds = one.bounds;
    bounds.may_refuse = true;
    one.decision = false;
    const Found found = search(bounds);
    one.decision = true;
    CHECK_FALSE(found.broken.empty());
    std::cout << one.does << ": " << found.broken << " (state " << found.states << ", step "
              << found.steps.size() << ")\n";
  }
}
