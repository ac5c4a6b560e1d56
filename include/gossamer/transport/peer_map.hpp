// SPDX-License-Identifier: MIT
/// One value per peer, for a node that knows a few peers and asks for them all the time.
#pragma once

#include <gossamer/fwd.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// A map from peers to values. Walked through in ascending order, so that a run is the same
/// everywhere; found by binary search in one small block of memory, where a tree takes a cold line
/// of it per level. The values lie in a block of their own, in the order in which they came.
///
/// Cost  O(log peers) to find; adding is O(peers), and may move all values.
template <class Value>
class PeerMap {
 public:
  /// `nullptr` if there is none.
  [[nodiscard]] Value* find(PeerId peer) {
    const auto at = place_of(peer);
    return at != index_.end() && at->first == peer ? &values_[at->second] : nullptr;
  }
  [[nodiscard]] const Value* find(PeerId peer) const {
    const auto at = place_of(peer);
    return at != index_.end() && at->first == peer ? &values_[at->second] : nullptr;
  }

  /// The peer's value, made of `parts` if there is none yet; and whether it is new.
  template <class... Parts>
  std::pair<Value&, bool> add(PeerId peer, const Parts&... parts) {
    if (Value* known = find(peer)) return {*known, false};
    index_.insert(place_of(peer), {peer, static_cast<std::uint32_t>(values_.size())});
    return {values_.emplace_back(parts...), true};
  }

  /// Calls `f(value)` for all, in ascending order of their peers.
  template <class F>
  void for_each(F f) {
    for (const auto& [peer, at] : index_) f(values_[at]);
  }
  template <class F>
  void for_each(F f) const {
    for (const auto& [peer, at] : index_) f(values_[at]);
  }

 private:
  [[nodiscard]] auto place_of(PeerId peer) const {
    return std::lower_bound(index_.begin(), index_.end(), peer,
                            [](const auto& entry, PeerId id) { return entry.first < id; });
  }

  std::vector<std::pair<PeerId, std::uint32_t>> index_;
  std::vector<Value> values_;
};

}  // namespace gossamer::transport
