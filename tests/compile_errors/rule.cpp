// SPDX-License-Identifier: MIT
// A hook whose name or parameters are wrong does not compile, and the first error names it.
// expect: after_stepp
// expect: before_step
// expect: on_message
// expect: may_step
#include <gossamer/rule/rule.hpp>

#include <string>

namespace {

using namespace gossamer::rule;

struct Whole : Rule {
  std::string name() const override { return "whole"; }
};
struct Misspelt : Whole {
  void after_stepp(RuleContext&) override {}
};
struct OtherParameters : Whole {
  void before_step(RuleContext&, int) override {}
};
struct OneByOne : Whole {
  void on_message(RuleContext&, const Message&) override {}
};
struct SaysNothing : Whole {
  void may_step(RuleContext&) override {}
};

}  // namespace
