// SPDX-License-Identifier: MIT
/// What a run's folder is called if nobody says.
#pragma once

#include <ctime>
#include <filesystem>

namespace examples {

/// runs/20260131-235959: a folder that sorts by time.
inline std::filesystem::path folder_named_by_time() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", std::localtime(&now));
  return std::filesystem::path("runs") / text;
}

}  // namespace examples
