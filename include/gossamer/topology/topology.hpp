// SPDX-License-Identifier: MIT
/// Whom to meet: the contract, and a holder of any topology.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/peers.hpp>

#include <concepts>
#include <functional>
#include <optional>

namespace gossamer::topology {

/// Chooses one of `context.peers()`, or nobody (there may be none). Random choices draw from
/// `context.generator()` alone; without state of its own, so that a checkpoint needs nothing of it.
template <class T>
concept Topology = std::copy_constructible<T> && requires(const T& topology, PeerContext& context) {
  { topology(context) } -> std::same_as<std::optional<PeerId>>;
};

/// Says what a would-be topology lacks.
template <class T>
consteval void check_topology() {
  static_assert(Topology<T>,
                "Topology needs: std::optional<PeerId> operator()(PeerContext& context) const");
}

/// Any topology, chosen at run time.
using Any = std::function<std::optional<PeerId>(PeerContext&)>;

}  // namespace gossamer::topology
