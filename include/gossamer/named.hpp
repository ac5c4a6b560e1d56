// SPDX-License-Identifier: MIT
/// Things that text can name, as "small_world:4,0.1": how they are listed, found and refused.
#pragma once

#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer {

/// The parameters behind a name: the "4,0.1" of "small_world:4,0.1". What throws, throws
/// ConfigError that shows how the name is used.
class NamedParameters {
 public:
  NamedParameters(std::string usage, const std::string& text) : usage_(std::move(usage)) {
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) words_.push_back(word);
  }

  [[nodiscard]] const std::string& text(std::size_t i) const { return words_[i]; }
  [[nodiscard]] double number(std::size_t i) const {
    try {
      std::size_t read = 0;
      const double value = std::stod(words_[i], &read);
      if (read == words_[i].size()) return value;
    } catch (const std::exception&) {  // not a number: the same sentence
    }
    throw ConfigError(usage_ + ": must have a number, got " + words_[i]);
  }
  [[nodiscard]] std::uint32_t count(std::size_t i) const {
    const double value = number(i);
    if (value >= 0 && value <= std::numeric_limits<std::uint32_t>::max() &&
        value == std::floor(value)) {
      return static_cast<std::uint32_t>(value);
    }
    throw ConfigError(usage_ + ": must have a whole number, got " + words_[i]);
  }
  void require(std::size_t wanted) const {
    if (words_.size() == wanted) return;
    throw ConfigError(c10::str(usage_, ": needs ", wanted, " parameter", wanted == 1 ? "" : "s",
                               ", got ", words_.size()));
  }

 private:
  std::string usage_;
  std::vector<std::string> words_;
};

/// How a name is used: NAME or NAME:PARAMETER,...
struct NamedUsage {
  std::string_view text;

  [[nodiscard]] std::string_view name() const { return text.substr(0, text.find(':')); }
  [[nodiscard]] std::size_t parameters() const {
    if (text.find(':') == std::string_view::npos) return 0;
    return 1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), ','));
  }
  /// Those that `named` has behind its name. Throws ConfigError if they are too few or too many.
  [[nodiscard]] NamedParameters of(const std::string& named) const {
    const std::size_t colon = named.find(':');
    NamedParameters parameters(
        std::string(text), colon == std::string::npos ? std::string() : named.substr(colon + 1));
    parameters.require(this->parameters());
    return parameters;
  }
};

/// The entry of a table whose `usage` has that name. Throws ConfigError, which lists what there is:
/// "topology must be one of uniform, ring, got moebius".
template <class Table>
const auto& find_named(const Table& table, const std::string& named, const char* what) {
  std::string all;
  for (const auto& entry : table) {
    if (entry.usage.name() == named.substr(0, named.find(':'))) return entry;
    all += c10::str(all.empty() ? "" : ", ", entry.usage.text);
  }
  throw ConfigError(c10::str(what, " must be one of ", all, ", got ", named));
}

}  // namespace gossamer
