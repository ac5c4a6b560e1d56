// SPDX-License-Identifier: MIT
/// With which options a run may go on that was begun with others.
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace cifar10 {

/// Compares the options of a run with those with which it is to go on: `Options::description()` and
/// `Options::length()`, by key. Learning rate, batch and length may be others; under synchronous
/// rules, which count steps, not the batch.
/// @return what is new, as "learning_rate 0.001 (was 0.01)".
/// @throws gossamer::CheckpointError for what cannot change, key by key, with both values.
[[nodiscard]] std::vector<std::string> resumed_with(const nlohmann::ordered_json& before,
                                                    const nlohmann::ordered_json& now,
                                                    bool is_synchronous);

}  // namespace cifar10
