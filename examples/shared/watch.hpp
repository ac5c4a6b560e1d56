// SPDX-License-Identifier: MIT
/// The live page of a run, if one is wanted.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::observe {
class ConsensusEstimate;
class WatchState;
}  // namespace gossamer::observe

namespace examples {

/// What `--watch [ADDRESS:]PORT` says, with an address in any case; empty if nothing is wanted.
/// Throws ConfigError for what is none.
std::string watch_place(std::string place);

/// The live page at such a place, or what the dashboard alone needs of it; null if neither is
/// wanted. Processes of one machine have ports of their own, so far apart. Says on standard output
/// where the page is. The environment's GOSSAMER_WATCH_TOKEN is what a viewer must know.
/// @param about what is said of the run.
/// Throws ConfigError where there is no such port, or it is taken.
std::shared_ptr<gossamer::observe::WatchState> make_watch(
    const std::string& place, std::uint32_t port_offset, bool has_dashboard,
    std::vector<std::pair<std::string, std::string>> about,
    std::shared_ptr<const gossamer::observe::ConsensusEstimate> estimate = nullptr);

}  // namespace examples
