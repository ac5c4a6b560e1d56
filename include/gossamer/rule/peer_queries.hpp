// SPDX-License-Identifier: MIT
/// Small parts of rules that look at nodes rather than at models: who is there, whose turn it is.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/topology/uniform.hpp>

#include <algorithm>
#include <cstdint>

namespace gossamer::rule {

/// The live node with the lowest number, this one included.
inline PeerId lowest_live(const RuleContext& context) {
  const auto peers = context.peers();
  return peers.empty() ? context.self() : std::min(context.self(), peers.front());
}

/// Whether the node is one of `context.peers()`.
inline bool is_live(const RuleContext& context, PeerId peer) {
  const auto peers = context.peers();
  return std::binary_search(peers.begin(), peers.end(), peer);
}

/// True at the first call since the last step: for what is said once before each step, from
/// `may_step`, so that it travels while the step is computed.
class OncePerStep {
 public:
  bool operator()(const RuleContext& context) {
    if (context.step() < next_) return false;
    next_ = context.step() + 1;
    return true;
  }
  void checkpoint(Archive& archive) { archive("next", next_); }

 private:
  std::uint64_t next_ = 0;
};

}  // namespace gossamer::rule
