// SPDX-License-Identifier: MIT
/// Says in what two nodes' models differ, for the error that keeps them from meeting.
#pragma once

#include <sstream>
#include <string>

namespace gossamer::transport {

/// A sentence on the first line in which two descriptions differ; empty if they are equal.
inline std::string first_difference(const std::string& here, const std::string& there) {
  std::istringstream ours(here);
  std::istringstream theirs(there);
  std::string mine;
  std::string other;
  while (true) {
    const bool more_here = static_cast<bool>(std::getline(ours, mine));
    const bool more_there = static_cast<bool>(std::getline(theirs, other));
    if (!more_here && !more_there) return {};
    if (!more_here) return "\"" + other + "\" is only there";
    if (!more_there) return "\"" + mine + "\" is only here";
    if (mine != other) return "\"" + mine + "\" here is \"" + other + "\" there";
  }
}

}  // namespace gossamer::transport
