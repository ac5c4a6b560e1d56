// SPDX-License-Identifier: MIT
/// Reading one table of a TOML file with care: every mistake gets its line, its key and what was
/// expected. Needs toml++ (`toml++/toml.h`), hence not part of gossamer.hpp.
#pragma once

#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

/// A range of numbers, with or without its ends.
struct NumberRange {
  double low = 0;
  double high = std::numeric_limits<double>::infinity();
  bool with_low = true;

  [[nodiscard]] bool has(double x) const {
    return std::isfinite(x) && (with_low ? x >= low : x > low) && x <= high;
  }
  [[nodiscard]] std::string text() const {
    if (std::isfinite(high)) return c10::str("in ", with_low ? "[" : "(", low, ", ", high, "]");
    return c10::str(with_low ? "of at least " : "above ", low);
  }
};

/// One table of a file, and the keys that were asked for: `close()` refuses all others. Throws
/// ConfigError "FILE:LINE: TABLE.KEY must be ..., got ...".
class TomlSection {
 public:
  TomlSection(std::string file, std::string name, const toml::table& table)
      : file_(std::move(file)), name_(std::move(name)), table_(table) {}

  /// The node of a key, or nullptr; the key is known from now on.
  const toml::node* find(const std::string& key) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.push_back(key);
    return table_.get(key);
  }
  [[nodiscard]] bool has(const std::string& key) const { return table_.contains(key); }

  /// A number; without it `otherwise`, or an error if there is none.
  double number(const std::string& key, NumberRange range, std::optional<double> otherwise = {}) {
    const toml::node* node = find(key);
    if (node == nullptr && otherwise) return *otherwise;
    const std::optional<double> value = node != nullptr ? number_in(*node) : std::nullopt;
    if (!value || !range.has(*value)) wrong(key, node, "a number " + range.text());
    return *value;
  }
  std::uint64_t whole(const std::string& key, std::uint64_t least, std::uint64_t most,
                      std::optional<std::uint64_t> otherwise = {}) {
    const std::string expected = c10::str("a whole number in [", least, ", ", most, "]");
    const toml::node* node = find(key);
    if (node == nullptr && otherwise) return *otherwise;
    return whole_in(key, node, least, most, expected);
  }
  std::string text(const std::string& key, const std::vector<std::string>& choices) {
    std::string list;
    for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
    const std::string expected = "one of " + list;
    const toml::node* node = find(key);
    const auto value = text_in(node);
    if (!value || std::find(choices.begin(), choices.end(), *value) == choices.end()) {
      wrong(key, node, expected);
    }
    return *value;
  }

  /// A list of two.
  const toml::array& pair(const std::string& key, const std::string& expected) {
    const toml::node* node = find(key);
    const toml::array* pair = node != nullptr ? node->as_array() : nullptr;
    if (pair == nullptr || pair->size() != 2) wrong(key, node, expected);
    return *pair;
  }

  /// The tables of `[[key]]`, in their order.
  std::vector<TomlSection> sections(const std::string& key) {
    std::vector<TomlSection> all;
    const toml::node* node = find(key);
    if (node == nullptr) return all;
    const toml::array* list = node->as_array();
    const std::string expected = "a list of tables, written [[" + path(key) + "]]";
    if (list == nullptr) wrong(key, node, expected);
    for (const toml::node& entry : *list) {
      if (!entry.is_table()) wrong(key, &entry, expected);
      all.emplace_back(file_, path(key), *entry.as_table());
    }
    return all;
  }
  /// The table `[key]`, if there.
  std::optional<TomlSection> section(const std::string& key) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    if (!node->is_table()) wrong(key, node, "a table");
    return TomlSection(file_, path(key), *node->as_table());
  }

  /// What a node holds, if that is a number.
  static std::optional<double> number_in(const toml::node& node) {
    if (const auto whole = node.value_exact<std::int64_t>()) return static_cast<double>(*whole);
    return node.value_exact<double>();
  }
  static std::optional<std::string> text_in(const toml::node* node) {
    return node != nullptr ? node->value_exact<std::string>() : std::nullopt;
  }
  std::uint64_t whole_in(const std::string& key, const toml::node* node, std::uint64_t least,
                         std::uint64_t most, const std::string& expected) const {
    const auto value = node != nullptr ? node->value_exact<std::int64_t>() : std::nullopt;
    if (!value || *value < 0 || static_cast<std::uint64_t>(*value) < least ||
        static_cast<std::uint64_t>(*value) > most) {
      wrong(key, node, expected);
    }
    return static_cast<std::uint64_t>(*value);
  }

  /// Refuses keys that nobody asked for.
  void close() const {
    for (const auto& [key, node] : table_) {
      const std::string name(key.str());
      if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
      std::string list;
      for (const std::string& known : known_) list += (list.empty() ? "" : ", ") + known;
      throw ConfigError(c10::str(file_, ":", node.source().begin.line, ": ", path(name),
                                 " is no key", name_.empty() ? "" : " of " + name_,
                                 "; these are: ", list));
    }
  }

  /// The sentence for a value that is wrong, or, without a node, for a key that is missing.
  [[noreturn]] void wrong(const std::string& key, const toml::node* node,
                          const std::string& expected) const {
    if (node == nullptr) {
      throw ConfigError(c10::str(file_, ":", table_.source().begin.line, ": ", path(key),
                                 " is missing; it must be ", expected));
    }
    std::ostringstream value;
    node->visit([&value](const auto& one) { value << one; });
    throw ConfigError(c10::str(file_, ":", node->source().begin.line, ": ", path(key), " must be ",
                               expected, ", got ", value.str()));
  }

 private:
  [[nodiscard]] std::string path(const std::string& key) const {
    return name_.empty() ? key : name_ + "." + key;
  }

  std::string file_;
  std::string name_;
  const toml::table& table_;
  std::vector<std::string> known_;
};

}  // namespace gossamer
