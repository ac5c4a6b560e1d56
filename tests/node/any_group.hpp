// SPDX-License-Identifier: MIT
/// One program against `Group`, for every transport.
#pragma once

#include <gossamer/node/checkpoint.hpp>
#include <gossamer/node/group.hpp>
#include <gossamer/observe/callback.hpp>

#include <tests/node/mover.hpp>
#include <tests/support.hpp>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
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
  void on_wait(Time, gossamer::PeerId, Wait) override { ++waits; }
  void on_rest(Time, gossamer::PeerId) override { ++rests; }
  void on_end(Time, gossamer::PeerId, End how) override { lefts += how == End::left ? 1 : 0; }
  void on_run_begin(Time, const gossamer::observe::GroupState&) override { ++begins; }
  void on_run_end(Time, const gossamer::observe::GroupState& state) override {
    ++ends;
    live += state.nodes.size();
  }
  void on_evaluation(Time, const Evaluation& found,
                     const gossamer::observe::GroupState& state) override {
    ++evaluations;
    if (found != Evaluation{{"accuracy", 0.5}, {"images", std::uint64_t{7}}}) ++mistakes;
    const std::lock_guard lock(mutex);
    for (const auto& node : state.nodes) weights[node.id] = node.counters.weight;
  }
  void on_checkpoint(Time, const std::string& path) override {
    if (std::filesystem::is_regular_file(path)) ++checkpoints;
  }
  std::atomic<std::uint64_t> waits{0};
  std::atomic<std::uint64_t> rests{0};
  std::atomic<std::uint64_t> lefts{0};
  std::atomic<std::uint64_t> begins{0};
  std::atomic<std::uint64_t> ends{0};
  std::atomic<std::uint64_t> live{0};  // at the ends
  std::atomic<std::uint64_t> evaluations{0};
  std::atomic<std::uint64_t> mistakes{0};
  std::atomic<std::uint64_t> checkpoints{0};
  std::mutex mutex;
  std::map<gossamer::PeerId, double> weights;  // at evaluations
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
  group.evaluated({{"accuracy", 0.5}, {"images", std::uint64_t{7}}});
  const TemporaryFolder folder;
  gossamer::save_checkpoint(group, folder.path() / "checkpoint");
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
