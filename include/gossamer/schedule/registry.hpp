// SPDX-License-Identifier: MIT
/// All schedules by name, for command lines, tests and bindings.
#pragma once

#include <gossamer/named.hpp>
#include <gossamer/schedule/bandwidth.hpp>
#include <gossamer/schedule/bernoulli.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/schedule/poisson.hpp>
#include <gossamer/schedule/schedule.hpp>

#include <torch/arg.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gossamer::schedule {

/// What a name may refer to besides its own parameters.
struct RegistryOptions {
  /// Of `bernoulli`, in [0, 1].
  TORCH_ARG(double, probability) = 0.02;
};

/// A schedule that can be named.
struct Entry {
  NamedUsage usage;
  std::string_view description;
  Any (*make)(const NamedParameters&, const RegistryOptions&);
};

namespace detail {

using P = const NamedParameters&;
using O = const RegistryOptions&;

/// In the order in which they are listed. A new schedule is one header and a line here.
inline constexpr Entry schedules[] = {
    {{"bernoulli"},
     "after a step with the given probability",
     [](P, O o) -> Any { return Bernoulli(o.probability()); }},
    {{"every:TAU"}, "after every TAU-th step", [](P p, O) -> Any { return Every(p.count(0)); }},
    {{"poisson:RATE"},
     "at random times, RATE per second and node",
     [](P p, O) -> Any { return Poisson(p.number(0)); }},
    {{"bandwidth:BYTES"},
     "as often as BYTES per second and node allow",
     [](P p, O) -> Any { return Bandwidth(p.number(0)); }},
};

}  // namespace detail

/// All schedules.
inline std::span<const Entry> known() { return detail::schedules; }

/// The schedule that "NAME" or "NAME:PARAMETERS" spells. Throws ConfigError for a name that is not
/// known, and lists those that are; for a parameter that is missing, too many, or out of range.
inline Any from_text(const std::string& text, const RegistryOptions& options = {}) {
  const Entry& entry = find_named(detail::schedules, text, "schedule");
  return entry.make(entry.usage.of(text), options);
}

/// How many steps a turn of a topology lasts that changes: the TAU of "every:TAU", lest the same
/// turn come up at each exchange; 1 for other schedules. Throws ConfigError as `from_text`.
inline std::uint64_t steps_per_turn(const std::string& text) {
  const Entry& entry = find_named(detail::schedules, text, "schedule");
  return entry.usage.name() == "every" ? entry.usage.of(text).count(0) : 1;
}

}  // namespace gossamer::schedule
