// SPDX-License-Identifier: MIT
/// What this process takes of its machine.
#pragma once

#include <fstream>
#include <optional>
#include <sys/resource.h>
#include <unistd.h>

namespace gossamer::observe {

/// Bytes of memory that are in use now; nothing where the system has no /proc.
inline std::optional<double> resident_bytes() {
  double all = 0;
  double resident = 0;  // pages
  if (!(std::ifstream("/proc/self/statm") >> all >> resident)) return std::nullopt;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Seconds that all threads have computed since the process began, the system's work for them
/// included.
inline double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace gossamer::observe
