// SPDX-License-Identifier: MIT
/// Small parts of rules that look at nodes rather than at models: who is there, whose turn it is.
#pragma once

#include <gossamer/node/archive.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/scope.hpp>
#include <gossamer/topology/uniform.hpp>

#include <algorithm>
#include <cstdint>

namespace gossamer::rule {

/// The live node with the lowest number, this one included.
inline PeerId lowest_live(const Scope& scope) {
  const auto peers = scope.peers();
  return peers.empty() ? scope.self() : std::min(scope.self(), peers.front());
}

/// Whether the node is one of `scope.peers()`.
inline bool is_live(const Scope& scope, PeerId peer) {
  const auto peers = scope.peers();
  return std::binary_search(peers.begin(), peers.end(), peer);
}

/// True at the first call since the last step: for what is said once before each step, from
/// `may_step`, so that it travels while the step is computed.
class OncePerStep {
 public:
  bool operator()(const Scope& scope) {
    if (scope.step() < next_) return false;
    next_ = scope.step() + 1;
    return true;
  }
  void checkpoint(Archive& archive) { archive("next", next_); }

 private:
  std::uint64_t next_ = 0;
};

}  // namespace gossamer::rule
