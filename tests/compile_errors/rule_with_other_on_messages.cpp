// expect: Rule needs: void on_messages(Scope& scope, std::span<const Message> messages)
// SPDX-License-Identifier: MIT
#include <gossamer/rule/rule.hpp>

#include <string>

namespace {
struct OneByOne : gossamer::rule::Neutral {
  std::string name() const { return "one by one"; }
  void on_messages(gossamer::rule::Scope&, const gossamer::rule::Message&) {}
};
}  // namespace

int main() { gossamer::rule::AnyRule rule(OneByOne{}); }
