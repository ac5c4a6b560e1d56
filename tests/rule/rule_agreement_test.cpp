// SPDX-License-Identifier: MIT
/// What the rules of all nodes must have in common is in their agreement, and nothing else is.
#include <gossamer/rule/registry.hpp>

#include <tests/support.hpp>

#include <string>
#include <vector>

namespace {

using gossamer::rule::Entry;
using gossamer::rule::from_name;
using gossamer::rule::RegistryOptions;

TEST_CASE("What all nodes must set alike is in a rule's agreement, and nothing else",
          "[rule][registry]") {
  struct Pair {
    const char* rule;
    RegistryOptions here;
    RegistryOptions there;
    bool agree;
  };
  using O = RegistryOptions;
  const std::vector<Pair> pairs = {
      {"gosgd", O().probability(0.1), O().probability(0.2), true},
      {"gosgd", O().topology("uniform"), O().topology("two_choices"), true},
      {"sync", O().chunks(1), O().chunks(2), false},
      {"acco", O().chunks(1), O().chunks(2), false},
      {"persyn", O().period(4), O().period(5), false},
      {"persyn", O().period(4), O().period(4), true},
      {"slowmo", O().period(4).beta(0.5), O().period(4).beta(0.6), false},
      {"slowmo", O().period(4).base("sgp"), O().period(4).base("gosgd"), false},
      {"post_local", O().period(4).sync_steps(5), O().period(4).sync_steps(6), false},
      {"sgp", O().graph("exponential"), O().graph("one_peer_exponential"), false},
      {"sgp", O().graph("ring"), O().graph("ring"), true},
      {"osgp", O().staleness(1), O().staleness(2), false},
      {"d_psgd", O().graph("random_regular:3").seed(1), O().graph("random_regular:3").seed(2),
       false},
      {"ledger_gossip", O().codec("sign"), O().codec("int8"), false},
      {"ledger_gossip", O().graph("ring"), O().graph("hypercube"), false},
      {"a2cid2", O().graph("two_way_ring"), O().graph("hypercube"), false},
      {"noloco", O().period(4), O().period(5), true},
      {"gasloc", O().period(4), O().period(5), true},
      {"gasloc", O().alpha(0.2), O().alpha(0.3), false},
      {"async_diloco", O().period(4), O().period(5), true},
      {"easgd", O().period(4), O().period(5), true},
      {"easgd_sync", O().period(4), O().period(5), false},
      {"easgd", O().alpha(0.1), O().alpha(0.2), false}};
  for (const auto& [rule, here, there, agree] : pairs) {
    CAPTURE(rule);
    const std::string one = from_name(rule, here)->agreement();
    const std::string other = from_name(rule, there)->agreement();
    CAPTURE(one, other);
    CHECK((one == other) == agree);
    CHECK(one.find(from_name(rule, here)->name()) == 0);
  }
  for (const Entry& entry : gossamer::rule::known()) {  // and no two rules take each other's place
    for (const Entry& another : gossamer::rule::known()) {
      if (entry.name == another.name) continue;
      CAPTURE(entry.name, another.name);
      CHECK(entry.make(RegistryOptions())->agreement() !=
            another.make(RegistryOptions())->agreement());
    }
  }
}

}  // namespace
