// SPDX-License-Identifier: MIT
/// What the table of rules says of one.
#pragma once

#include <gossamer/rule/registry_options.hpp>
#include <gossamer/rule/rule.hpp>

#include <string_view>

namespace gossamer::rule {

/// A rule that can be named, and what is to be known before one takes it.
struct Entry {
  std::string_view name;
  std::string_view paper;
  std::string_view conserves;
  std::string_view needs;  ///< in words: whom a node waits for, who takes no steps
  AnyRule (*make)(const RegistryOptions&);

  // What it goes by, of `RegistryOptions`.
  bool by_choice = false;    ///< `schedule` and `topology`: when, and which one peer
  bool by_schedule = false;  ///< `schedule` alone
  bool by_period = false;    ///< `period`
  bool by_graph = false;     ///< `graph`
  bool by_codec = false;     ///< `codec`
  bool by_base = false;      ///< `base`, another rule, which takes what it goes by itself

  // What a program must have for it.
  bool needs_gradient_node = false;  ///< `GradientNode`: it acts between gradient and apply
  bool needs_centre = false;         ///< a node that takes no steps, so no loop of one's own
  bool needs_two_way_graph = false;  ///< `graph` has edges that go both ways
};

}  // namespace gossamer::rule
