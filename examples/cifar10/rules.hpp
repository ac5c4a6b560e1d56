// SPDX-License-Identifier: MIT
/// All rules that the example knows by name.
#pragma once

#include <cifar10/options.hpp>
#include <gossamer/rule/rule.hpp>

#include <ostream>
#include <string>
#include <vector>

namespace cifar10 {

/// One line of `--list-rules`, and how the rule is made.
struct NamedRule {
  std::string name;
  std::string paper;
  std::string conserves;
  std::string needs;
  gossamer::rule::AnyRule (*make)(const Options& options);
  bool has_period = false;  ///< goes by --tau
};

/// In the order in which they are listed.
const std::vector<NamedRule>& named_rules();

/// The rule of that name, which is one of them.
const NamedRule& named_rule(const std::string& name);

/// A table for people.
void list_rules(std::ostream& out);

}  // namespace cifar10
