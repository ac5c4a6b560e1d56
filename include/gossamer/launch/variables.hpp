// SPDX-License-Identifier: MIT
/// The environment as launchers fill it in: read through a function, so that a map does as well.
#pragma once

#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace gossamer::launch {

/// Looks up a variable; `nullptr` if it is not set, as `std::getenv`.
using Variables = std::function<const char*(const char*)>;

/// This process's own. Nothing may change them meanwhile.
inline Variables process_variables() {
  return [](const char* name) { return std::getenv(name); };
}

/// A whole number; ConfigError, naming the variable, for anything else, and for more than `most`.
inline std::uint32_t whole_number(const char* name, std::string_view text, std::uint32_t most) {
  std::uint32_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || at != end || value > most) {
    throw ConfigError(
        c10::str(name, " must be a whole number up to ", most, ", is \"", std::string(text), "\""));
  }
  return value;
}

/// Variables with the checks that all launchers need. A variable that is empty is not set.
class VariableReader {
 public:
  explicit VariableReader(Variables variables) : variables_(std::move(variables)) {}

  /// Empty if it is not set.
  [[nodiscard]] std::string get(const char* name) const {
    const char* value = variables_(name);
    return value != nullptr ? std::string(value) : std::string();
  }
  [[nodiscard]] bool has(const char* name) const { return !get(name).empty(); }
  /// Throws ConfigError, naming both, if it is not set although `beside` is.
  [[nodiscard]] std::string need(const char* name, const char* beside) const {
    std::string value = get(name);
    if (value.empty()) throw ConfigError(c10::str(name, " is not set, but ", beside, " is"));
    return value;
  }
  /// The value of the first of some variables that is set; empty if none is.
  template <class... Names>
  [[nodiscard]] std::string first_of(Names... names) const {
    std::string value;
    (void)((value = get(names), !value.empty()) || ...);
    return value;
  }

 private:
  Variables variables_;
};

}  // namespace gossamer::launch
