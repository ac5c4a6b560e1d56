// SPDX-License-Identifier: MIT
/// What members must have in common: who disagrees is refused by name and both values, and goes on
/// alone nowhere.
#include <gossamer/error.hpp>
#include <gossamer/transport/membership/agreement.hpp>

#include <tests/support.hpp>
#include <tests/transport/membership/member_swarm.hpp>

#include <cstddef>
#include <string>

namespace {

using namespace tests::members;
using gossamer::ConfigError;
using gossamer::transport::Agreement;

TEST_CASE("An agreement names the first value that differs, with both values",
          "[transport][member]") {
  const Agreement here = Agreement().say("rule", "sync").say("limit", "64");
  CHECK(here.difference(here.text()).empty());
  const Agreement there = Agreement().say("rule", "persyn(tau 10)").say("limit", "64");
  CHECK(here.difference(there.text()) == "its rule is persyn(tau 10), here it is sync");
  CHECK(there.difference(here.text()) == "its rule is sync, here it is persyn(tau 10)");
  CHECK(here.difference("").empty());  // what one does not say is not compared
  CHECK(Agreement().difference(here.text()).empty());
  CHECK(here.difference("rule\nno value\n\n\t\t\n").empty());  // noise
  CHECK(here.difference(Agreement().say("rule", "a\nlimit\t1").text()) ==
        "its rule is a limit 1, here it is sync");
  CHECK_THAT(
      tests::message_of<ConfigError>([] { Agreement().say("rule", std::string(2000, 'x')); }),
      tests::contains("at most 2000 bytes"));
}

TEST_CASE("Founders who were told other world sizes do not begin", "[transport][member]") {
  Swarm swarm;
  swarm.begin(founder(0, 2));
  swarm.begin(founder(1, 3));
  swarm.begin(founder(2, 3));
  swarm.pass(1s);
  CHECK_THAT(swarm.notes(0),
             tests::contains("node 1 at host:1 was refused: its world size is 3, here it is 2") &&
                 tests::contains("node 2 at host:2 was refused: its world size is 3"));
  for (const std::size_t at : {1U, 2U}) {
    CHECK_THAT(swarm.network.member(at).trouble(),
               tests::contains("its world size is 3, here it is 2"));
    CHECK(swarm.network.member(at).met() < 2);
  }
  // It waits for its own until its time is over, and then says why.
  CHECK(swarm.network.member(0).trouble().empty());
  CHECK(swarm.network.member(0).met() == 0);
  CHECK_THAT(swarm.network.member(0).last_refusal(), tests::contains("its world size is 3"));
}

TEST_CASE("Another rule is refused at both sides, and disturbs nobody who has begun",
          "[transport][member]") {
  Swarm swarm;
  for (PeerId i = 0; i < 2; ++i) {
    MembershipOptions options = founder(i, 2);
    options.agreement.say("rule", "sync(chunks 1)");
    swarm.begin(options);
  }
  swarm.pass();
  (void)swarm.events(0);
  (void)swarm.events(1);
  MembershipOptions other = knowing(70'000, {Network::address(0)});
  other.agreement.say("rule", "persyn(tau 1, chunks 1)");
  swarm.begin(other);
  MembershipOptions silent = knowing(70'001, {Network::address(0)});
  swarm.begin(silent);
  swarm.pass(1s);
  const std::string both = "its rule is persyn(tau 1, chunks 1), here it is sync(chunks 1)";
  CHECK_THAT(swarm.network.member(2).trouble(), tests::contains(both));
  CHECK_THAT(swarm.notes(0), tests::contains("node 70000 at host:2 was refused: " + both));
  for (const std::size_t at : {0U, 1U}) {
    (void)swarm.events(at);
    CHECK(swarm.network.member(at).trouble().empty());
    CHECK(swarm.network.member(at).counts().suspicions == 0);
    CHECK(swarm.ends[at]->peers().size() == 2);  // the other founder, and the one that says nothing
  }
}

TEST_CASE("Founders of which one has another model end, all of them", "[transport][member]") {
  Swarm swarm;
  for (PeerId i = 0; i < 3; ++i) swarm.begin(founder(i, 3), "");
  swarm.pass();
  for (std::size_t i = 0; i < 3; ++i) (void)swarm.events(i);  // they have met
  for (std::size_t i = 0; i < 3; ++i) {
    swarm.ends[i]->set_model_layout(i == 1 ? "bias [4]\n" : "bias [1]\n", {});
  }
  swarm.pass();
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK_THAT(swarm.network.member(i).trouble(), tests::contains("different models") &&
                                                      tests::contains("bias [4]") &&
                                                      tests::contains("node 1"));
  }
}

TEST_CASE("A newcomer with another model ends, and the group trains on", "[transport][member]") {
  Swarm swarm;
  for (PeerId i = 0; i < 2; ++i) swarm.begin(founder(i, 2));
  swarm.pass();
  swarm.begin(knowing(70'000, {Network::address(0)}), "");
  swarm.pass();
  for (std::size_t i = 0; i < 3; ++i) (void)swarm.events(i);
  CHECK_THAT(
      tests::message_of<ConfigError>([&] { swarm.ends[2]->set_model_layout("bias [4]\n", {}); }),
      tests::contains("different models"));
  MembershipOptions later = knowing(70'001, {Network::address(1)});
  swarm.begin(later, "bias [4]\n");  // before it hears of theirs
  swarm.pass();
  CHECK_THAT(swarm.network.member(3).trouble(), tests::contains("different models"));
  for (const std::size_t at : {0U, 1U}) {
    CHECK(swarm.network.member(at).trouble().empty());
    CHECK(swarm.network.member(at).is_connected(static_cast<PeerId>(1 - at)));
  }
}

TEST_CASE("One that is alone is not ended by a newcomer with another model",
          "[transport][member]") {
  Swarm swarm;
  swarm.begin(knowing(0, {}), "");
  swarm.begin(knowing(70'000, {Network::address(0)}), "bias [4]\n");
  swarm.pass();
  swarm.ends[0]->set_model_layout("bias [1]\n", {});
  swarm.pass();
  CHECK(swarm.network.member(0).trouble().empty());
  CHECK_THAT(swarm.network.member(1).trouble(), tests::contains("different models"));
}

}  // namespace
