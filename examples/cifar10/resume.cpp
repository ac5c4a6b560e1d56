// SPDX-License-Identifier: MIT
/// Compares what a run was begun with and what it is to go on with.
#include <cifar10/resume.hpp>
#include <gossamer/error.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace cifar10 {

std::vector<std::string> resumed_with(const nlohmann::ordered_json& before,
                                      const nlohmann::ordered_json& now, bool is_synchronous) {
  const auto may_change = [&](std::string_view key) {
    constexpr std::array<std::string_view, 3> always{"learning_rate", "images", "seconds"};
    return std::find(always.begin(), always.end(), key) != always.end() ||
           (key == "batch" && !is_synchronous);
  };
  std::vector<std::string> changes;
  std::string refused;
  const auto compare = [&](const std::string& key) {
    const auto value = [&key](const nlohmann::ordered_json& options) {
      return options.contains(key) ? options.at(key).dump() : "none";
    };
    if (value(before) == value(now)) return;
    if (may_change(key)) {
      if (now.contains(key))
        changes.push_back(key + " " + value(now) + " (was " + value(before) + ")");
    } else {
      refused += (refused.empty() ? "" : "; ") + key + " " + value(before) + ", not " + value(now);
    }
  };
  for (const auto& [key, value] : now.items()) compare(key);
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) compare(key);
  }
  if (refused.empty()) return changes;
  throw gossamer::CheckpointError("of a run with " + refused + "; only " +
                                  (is_synchronous ? "learning rate" : "learning rate, batch") +
                                  " and length may change");
}

}  // namespace cifar10
