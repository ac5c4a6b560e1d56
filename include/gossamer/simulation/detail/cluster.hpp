// SPDX-License-Identifier: MIT
/// The nodes of a simulated world and the links between them.
#pragma once

#include <gossamer/simulation/detail/node_state.hpp>
#include <gossamer/simulation/options.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// Who is there, who is linked with whom, and who can reach whom; not what happens to them.
///
/// A link comes into being when two nodes first meet. Its two sides have numbers that differ in
/// the last bit: `at` and `at ^ 1`.
class SimulatedCluster {
 public:
  using Side = SimulatedSide;

  explicit SimulatedCluster(const SimulatedOptions& options) : options_(options) {}
  SimulatedCluster(const SimulatedCluster&) = delete;
  SimulatedCluster& operator=(const SimulatedCluster&) = delete;

  // Nodes.

  void add() {
    const auto id = static_cast<PeerId>(places_.size());
    places_.push_back(std::make_unique<NodeState>());
    if (options_.access_of()) places_.back()->access = options_.access_of()(id);
    presence_.emplace_back();
  }
  [[nodiscard]] std::size_t size() const { return places_.size(); }
  [[nodiscard]] NodeState& place(PeerId id) { return *places_[id]; }
  [[nodiscard]] const NodeState& place(PeerId id) const { return *places_[id]; }
  [[nodiscard]] SimulatedPresence& presence(PeerId id) { return presence_[id]; }
  [[nodiscard]] bool is_live(PeerId id) const { return presence_[id].live(); }
  [[nodiscard]] bool is_leaving(PeerId id) const { return presence_[id].leaving(); }
  [[nodiscard]] bool is_running(PeerId id) const { return presence_[id].running(); }

  // Links.

  /// The side of `x` of its link to `y`.
  std::uint32_t connect(PeerId x, PeerId y) {
    if (const std::uint32_t* side = places_[x]->side_to(y)) return *side;
    const auto side = static_cast<std::uint32_t>(sides_.size());
    for (const auto& [from, to] : {std::pair(x, y), std::pair(y, x)}) {
      Side one;
      one.from = from;
      one.to = to;
      one.link = options_.link_of() ? options_.link_of()(from, to) : options_.link();
      places_[from]->add_side(to, static_cast<std::uint32_t>(sides_.size()));
      sides_.push_back(one);
    }
    return side;
  }
  [[nodiscard]] Side& side(std::uint32_t at) { return sides_[at]; }
  [[nodiscard]] const Side& side(std::uint32_t at) const { return sides_[at]; }
  /// Makes sure that a node's delivery has the link.
  Side& open(std::uint32_t at) {
    Side& side = sides_[at];
    if (std::exchange(side.linked, true)) return side;
    NodeState& place = *places_[side.from];
    if (place.has_peer(side.to)) {
      place.delivery->add(side.to);
      side.known = true;
    } else {
      place.delivery->admit(side.to);
    }
    return side;
  }
  /// The link at that side, in its node's delivery, which has it.
  [[nodiscard]] const Session& link(const Side& side) const {
    return places_[side.from]->delivery->session(side.to);
  }

  // The network.

  void cut(PeerId a, PeerId b, bool is_cut) {
    const std::uint32_t at = connect(a, b);
    sides_[at].cut = sides_[at ^ 1U].cut = is_cut;
  }
  void heal() {
    for (SimulatedPresence& one : presence_) one.part = 0;
    for (Side& side : sides_) side.cut = false;
  }
  [[nodiscard]] bool is_apart(const Side& side) const {
    return side.cut || presence_[side.from].part != presence_[side.to].part;
  }

 private:
  const SimulatedOptions& options_;
  std::vector<std::unique_ptr<NodeState>> places_;
  std::vector<SimulatedPresence> presence_;  // of the same nodes
  std::vector<Side> sides_;
};

}  // namespace gossamer::transport
