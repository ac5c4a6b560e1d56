// expect: Rule needs: std::string name() const
// SPDX-License-Identifier: MIT
#include <gossamer/rule/rule.hpp>

namespace {
struct Nameless : gossamer::rule::Neutral {};
}  // namespace

int main() { gossamer::rule::AnyRule rule(Nameless{}); }
