// SPDX-License-Identifier: MIT
#include <tests/rule/contract.hpp>
#include <tests/support.hpp>

TEST_CASE("Every rule keeps the contract, one that knows of nothing, too", "[rule][contract]") {
  for (const auto& rule : tests::rule_contract::all_rules()) {
    for (const auto& clause : tests::rule_contract::clauses) {
      DYNAMIC_SECTION(rule->agreement() << ": " << clause.name) { clause.check(rule); }
    }
  }
}
