// SPDX-License-Identifier: MIT
/// What a topology or a schedule sees, in the test's hands; without a model.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/peers.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace tests {

class ChoiceContext final : public gossamer::PeerContext {
 public:
  using PeerId = gossamer::PeerId;

  /// Node `self` of 0, ..., nodes - 1.
  ChoiceContext(PeerId self, std::size_t nodes) : self_(self), generator_(seed, self) {
    members.resize(nodes);
    std::iota(members.begin(), members.end(), PeerId{0});
  }
  /// Node `self` of those.
  ChoiceContext(PeerId self, std::vector<PeerId> all)
      : members(std::move(all)), self_(self), generator_(seed, self) {}

  [[nodiscard]] PeerId self() const override { return self_; }
  [[nodiscard]] std::span<const PeerId> peers() const override {
    peers_ = members;
    std::erase(peers_, self_);
    return peers_;
  }
  [[nodiscard]] gossamer::Counters counters(PeerId peer) const override {
    gossamer::Counters status;
    if (const auto at = weights.find(peer); at != weights.end()) status.weight = at->second;
    return status;
  }
  [[nodiscard]] gossamer::PeerHealth health(PeerId peer) const override {
    const auto at = healths.find(peer);
    return at != healths.end() ? at->second : gossamer::PeerHealth{};
  }
  [[nodiscard]] std::chrono::nanoseconds now() const override { return clock; }
  [[nodiscard]] std::chrono::nanoseconds since_last_step() const override { return passed; }
  [[nodiscard]] std::uint64_t step() const override { return steps; }
  [[nodiscard]] gossamer::Generator& generator() override { return generator_; }
  [[nodiscard]] std::size_t message_bytes() const override { return bytes; }
  [[nodiscard]] double& weight() { return weights[self_]; }

  std::vector<PeerId> members;  // ascending, this node included
  std::map<PeerId, double> weights;
  std::map<PeerId, gossamer::PeerHealth> healths;
  std::uint64_t steps = 0;
  std::chrono::nanoseconds clock{0};
  std::chrono::nanoseconds passed{0};
  std::size_t bytes = 0;

 private:
  PeerId self_;
  mutable std::vector<PeerId> peers_;
  gossamer::Generator generator_;
};

}  // namespace tests
