// SPDX-License-Identifier: MIT
/// How a trace shows a node, whether its run is simulated or real.
#pragma once

#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/chrome_trace.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace gossamer::observe::node_lane {

/// The group of the nodes' lanes, a process to Perfetto.
inline constexpr std::uint32_t nodes = 1;
/// That of their weights.
inline constexpr std::uint32_t weights = 2;

/// What the groups are called. Once a file.
inline void name_groups(ChromeEvents& to) {
  to.name_process(nodes, "nodes", 0);
  to.name_process(weights, "weight", 1);
}
/// What a node's lane is called, and where it stands.
inline void name_node(ChromeEvents& to, std::uint32_t thread, PeerId node,
                      std::uint64_t incarnation) {
  std::string name = "node " + std::to_string(node);
  if (incarnation > 1) name += ", incarnation " + std::to_string(incarnation);
  to.name_lane({nodes, thread}, name, std::uint64_t{node} + 1);
}
/// From now on the node has this weight.
inline void show_weight(ChromeEvents& to, PeerId node, ChromeEvents::Time now, double weight) {
  to.counter(weights, "node " + std::to_string(node), now, weight);
}
/// A node that begins without weight comes to a group that runs.
inline void mark_start(ChromeEvents& to, std::uint32_t thread, ChromeEvents::Time now,
                       std::uint64_t incarnation, double weight) {
  if (!(weight > 0)) to.instant({nodes, thread}, incarnation > 1 ? "restart" : "join", now);
}
/// The node is no more.
inline void mark_end(ChromeEvents& to, std::uint32_t thread, ChromeEvents::Time now,
                     Callback::End how) {
  constexpr std::array<const char*, 3> names{"crash", "left", "failed"};
  to.instant({nodes, thread}, names.at(static_cast<std::size_t>(how)), now);
}

}  // namespace gossamer::observe::node_lane
