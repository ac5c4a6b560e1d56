// SPDX-License-Identifier: MIT
/// What all members of a run must have in common, compared before they exchange anything.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/wire/bodies.hpp>

#include <c10/util/StringUtil.h>

#include <map>
#include <sstream>
#include <string>
#include <utility>

namespace gossamer::transport {

/// Named values, such as "rule" and "persyn(tau 10)". A name that only one of two members says is
/// not compared.
///
/// Throws   ConfigError if the text gets longer than a hello can be.
/// Threads  distinct objects are independent.
class Agreement {
 public:
  /// Says one value, or another one for the same name.
  Agreement& say(const std::string& name, const std::string& value) {
    values_[one_line(name)] = one_line(value);
    if (const std::size_t size = text().size(); size > wire::most_agreement) {
      throw ConfigError(c10::str("Agreement: all names and values together must have at most ",
                                 wire::most_agreement, " bytes, got ", size, " with ", name));
    }
    return *this;
  }
  /// A line for each value, in the order of their names.
  [[nodiscard]] std::string text() const {
    std::string all;
    for (const auto& [name, value] : values_) all += name + separator + value + "\n";
    return all;
  }
  /// "its rule is persyn(tau 10), here it is sync", of the first value that differs from what
  /// another member's `text()` says; empty if all agree. Anybody may have written `theirs`.
  [[nodiscard]] std::string difference(const std::string& theirs) const {
    std::istringstream lines(theirs);
    for (std::string line; std::getline(lines, line);) {
      const std::size_t end = line.find(separator);
      if (end == std::string::npos) continue;
      const auto own = values_.find(line.substr(0, end));
      const std::string value = line.substr(end + 1);
      if (own == values_.end() || own->second == value) continue;
      return "its " + own->first + " is " + value + ", here it is " + own->second;
    }
    return {};
  }

 private:
  static constexpr char separator = '\t';

  static std::string one_line(std::string text) {
    for (char& c : text) {
      if (c == separator || c == '\n') c = ' ';
    }
    return text;
  }

  std::map<std::string, std::string> values_;
};

}  // namespace gossamer::transport
