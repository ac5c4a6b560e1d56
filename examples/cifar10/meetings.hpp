// SPDX-License-Identifier: MIT
/// Names on the command line for whom nodes meet, and when.
#pragma once

#include <gossamer/schedule/schedule.hpp>
#include <gossamer/topology/topology.hpp>

#include <cstdint>
#include <string>

namespace cifar10 {

/// What names of topologies and schedules may refer to.
struct MeetingOptions {
  double probability = 0.02;
  std::uint64_t seed = 1;
  /// How many steps a turn of a topology lasts that changes: those of an `every` schedule, else 1.
  std::uint64_t steps_per_turn = 1;
};

/// The topology that "NAME" or "NAME:PARAMETERS" spells, as `topology_table` lists them.
/// Throws ConfigError for an unknown name, or a parameter that is missing, too many or wrong.
gossamer::topology::Any make_topology(const std::string& text, const MeetingOptions& options);

/// The same for schedules.
gossamer::schedule::Any make_schedule(const std::string& text, const MeetingOptions& options);

/// The tau of "every:TAU"; 1 for other schedules.
std::uint64_t steps_between(const std::string& schedule);

/// All topologies, one a line: name with parameters, whom it meets.
std::string topology_table();
/// All schedules.
std::string schedule_table();

}  // namespace cifar10
