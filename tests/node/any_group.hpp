// SPDX-License-Identifier: MIT
/// One program against `Group`, for every transport.
#pragma once

#include <gossamer/node/group.hpp>
#include <gossamer/observe/callback.hpp>

#include <tests/node/mover.hpp>
#include <tests/support.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

namespace tests {

/// Counts what it is told.
class Listener final : public gossamer::observe::Callback {
 public:
  void on_step_end(Time, gossamer::PeerId, const gossamer::Counters&) override { ++steps; }
  void on_send(Time, const gossamer::transport::Message&) override { ++sent; }
  void on_deliver(Time, const gossamer::transport::Message&) override { ++delivered; }
  void on_merge(Time, gossamer::PeerId, std::uint64_t messages, double) override {
    merged += messages;
  }
  std::atomic<std::uint64_t> steps{0};
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> delivered{0};
  std::atomic<std::uint64_t> merged{0};
};

/// Trains a group, wherever its nodes are, and says what became of it. What has the same key means
/// the same on every transport.
inline std::map<std::string, double> train(gossamer::Group<Mover>& group) {
  using gossamer::StopCondition;
  group.run_until(StopCondition().steps(20));
  group.run_until(StopCondition().steps(20));  // the condition holds already
  const double twenty = static_cast<double>(group.totals().steps);
  group.run_for(StopCondition().steps(10));
  const auto mean = group.mean();
  const double first = mean.segments()[0][0].item<double>();
  group.finish();
  double weight = 0;
  for (std::size_t i = 0; i < group.size(); ++i) weight += group.is_live(i) ? group[i].weight() : 0;
  return {{"nodes", static_cast<double>(group.nodes())},
          {"steps_after_twenty", twenty},
          {"steps", static_cast<double>(group.totals().steps)},
          {"mean", first},
          {"weight_here", weight}};
}

}  // namespace tests
