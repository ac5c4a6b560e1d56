// SPDX-License-Identifier: MIT
/// What a run's record says of its options, for those who take text.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace examples {

/// Names and values, in their order.
inline std::vector<std::pair<std::string, std::string>> as_text(
    const nlohmann::ordered_json& description) {
  std::vector<std::pair<std::string, std::string>> text;
  for (const auto& [name, value] : description.items()) {
    text.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

}  // namespace examples
