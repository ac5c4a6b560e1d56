// SPDX-License-Identifier: MIT
/// What options may be, in sentences; and a short way to add them.
#pragma once

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace examples {

/// A number above zero; says so otherwise (not-a-number included).
inline CLI::Validator positive() {
  return CLI::Validator(
      [](const std::string& text) {
        try {
          if (std::stod(text) > 0 && std::isfinite(std::stod(text))) return std::string();
        } catch (const std::exception&) {  // not a number: the same sentence
        }
        return "must be a number above 0, got " + text;
      },
      "> 0");
}

/// A number in [low, high], or in [low, high) if `open`.
inline CLI::Validator within(double low, double high, bool open = false) {
  const std::string range =
      "[" + CLI::detail::to_string(low) + ", " + CLI::detail::to_string(high) + (open ? ")" : "]");
  return CLI::Validator(
      [=](const std::string& text) {
        try {
          const double value = std::stod(text);
          if (value >= low && (open ? value < high : value <= high)) return std::string();
        } catch (const std::exception&) {  // not a number: the same sentence
        }
        return "must lie in " + range + ", got " + text;
      },
      range);
}

/// One of some names.
inline CLI::Validator one_of(std::vector<std::string> names) {
  const std::string list = CLI::detail::join(names, ", ");
  return CLI::Validator(
      [names = std::move(names), list](const std::string& text) {
        const bool known = std::find(names.begin(), names.end(), text) != names.end();
        return known ? std::string() : "must be one of " + list + ", got " + text;
      },
      list);
}

/// Adds options to one group of a program's help: `add("--nodes", o.nodes, "How many", check)`.
struct Adder {
  CLI::App& app;
  std::string group;

  /// With the value that the target has now as the default, unless `shows_default` is false.
  template <class Target>
  CLI::Option* operator()(const char* name, Target& target, const char* text,
                          const CLI::Validator& check = {}, bool shows_default = true) const {
    CLI::Option* option = app.add_option(name, target, text)->check(check)->group(group);
    return shows_default ? option->capture_default_str() : option;
  }
  CLI::Option* flag(const char* name, bool& target, const char* text) const {
    return app.add_flag(name, target, text)->group(group);
  }
};

}  // namespace examples
