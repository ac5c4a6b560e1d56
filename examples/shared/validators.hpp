// SPDX-License-Identifier: MIT
/// What options may be, in sentences; and a short way to add them.
#pragma once

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <exception>
#include <limits>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace examples {

/// The number that `text` is, the whole of it; not-a-number otherwise.
inline double number_of(const std::string& text) {
  try {
    std::size_t read = 0;
    const double number = std::stod(text, &read);
    if (read == text.size()) return number;
  } catch (const std::exception&) {  // not a number: the same answer
  }
  return std::numeric_limits<double>::quiet_NaN();
}

/// A number above zero and at most `most`, beyond which no run goes; says so otherwise
/// (not-a-number included).
inline CLI::Validator positive(double most = 1e15) {
  return CLI::Validator(
      [most](const std::string& text) {
        const double number = number_of(text);
        if (number > 0 && number <= most) return std::string();
        if (number > most)
          return "must be at most " + CLI::detail::to_string(most) + ", got " + text;
        return "must be a number above 0, got " + text;
      },
      "> 0");
}

/// An integer of that type, digit by digit: no fraction, no exponent, none below 0 where there is
/// none.
template <std::integral Integer>
CLI::Validator whole() {
  return CLI::Validator(
      [](const std::string& text) {
        Integer number{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc() && end == text.data() + text.size()) return std::string();
        const std::string range =
            std::is_signed_v<Integer>
                ? ""
                : " from 0 to " + std::to_string(std::numeric_limits<Integer>::max());
        return "must be a whole number" + range + ", got " + text;
      },
      "");
}

/// Not empty.
inline CLI::Validator not_empty(const std::string& what) {
  return CLI::Validator(
      [what](const std::string& text) {
        return text.empty() ? "must be " + what + ", got nothing" : std::string();
      },
      "");
}

/// A number in [low, high], or in [low, high) if `open`.
inline CLI::Validator within(double low, double high, bool open = false) {
  const std::string range =
      "[" + CLI::detail::to_string(low) + ", " + CLI::detail::to_string(high) + (open ? ")" : "]");
  return CLI::Validator(
      [=](const std::string& text) {
        const double value = number_of(text);
        if (value >= low && (open ? value < high : value <= high)) return std::string();
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

/// An option that is given again takes the last value, unless it is a list. Of options that are
/// added to `app` from now on.
inline void let_the_last_win(CLI::App& app) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

/// Adds options to one group of a program's help: `add("--nodes", o.nodes, "How many", check)`.
struct Adder {
  CLI::App& app;
  std::string group;

  /// With the value that the target has now as the default, unless `shows_default` is false.
  template <class Target>
  CLI::Option* operator()(const char* name, Target& target, const char* text,
                          const CLI::Validator& check = {}, bool shows_default = true) const {
    CLI::Option* option = app.add_option(name, target, text)->group(group);
    if constexpr (std::integral<Target>) option->check(whole<Target>());
    option->check(check);
    return shows_default ? option->capture_default_str() : option;
  }
  CLI::Option* flag(const char* name, bool& target, const char* text) const {
    return app.add_flag(name, target, text)->group(group);
  }
};

}  // namespace examples
