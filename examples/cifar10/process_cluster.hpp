// SPDX-License-Identifier: MIT
/// A cluster whose nodes are processes: the part of it that is here.
#pragma once

#include <cifar10/cluster.hpp>
#include <cifar10/options.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/process_group.hpp>
#include <shared/peer_records.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cifar10 {

/// This process's node of a run over many. `Member` is a `ProcessGroup`.
template <class Member>
class ProcessCluster : public Cluster {
 public:
  /// `how` is what the member is made of, before the rule.
  template <class... How>
  ProcessCluster(const Options& options, const Images& train, const How&... how)
      : member_(how..., options.make_rule(), [&options, &train](gossamer::Context context) {
          auto node = std::make_unique<CifarNode>(std::move(context), options, train);
          if (!options.tcp.step_log.empty()) node->log_steps(options.tcp.step_log);
          return node;
        }) {}

  void train(const Stretch& stretch) override {
    gossamer::StopCondition budget;
    if (stretch.images != Stretch::no_limit) budget.samples(stretch.images);
    if (stretch.seconds > 0) {
      budget.duration(gossamer::transport::seconds(std::max(1e-9, stretch.seconds - wall_)));
    }
    const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
    member_.run_until(budget);
    wall_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  void finish() override { member_.finish(); }
  std::vector<CifarNode*> nodes() override { return {&member_.node()}; }
  std::vector<gossamer::observe::Replica> members() const override {
    return {{&member_.node().parameters(), member_.node().weight()}};
  }
  gossamer::Counters totals() const override { return member_.totals(); }
  double total_weight() const override { return member_.node().weight(); }
  double wall_seconds() const override { return wall_; }
  void checkpoint(gossamer::Archive& archive) override {
    member_.checkpoint(archive);
    archive("wall_seconds", wall_);
  }
  nlohmann::ordered_json peers() const override { return examples::peer_records(member_.peers()); }
  nlohmann::ordered_json connections() const override {
    const gossamer::transport::MembershipCounts counts = member_.counts();
    return {{"refused", counts.refused},
            {"malformed", counts.malformed},
            {"bad_offers", counts.bad_offers},
            {"suspicions", counts.suspicions},
            {"reconnects", counts.reconnects}};
  }
  std::string network() const override {
    std::size_t connected = 0;
    std::size_t gone = 0;
    std::uint64_t bytes = 0;
    double slowest = 0;
    for (const auto& peer : member_.peers()) {
      using gossamer::transport::wire::Presence;
      connected += peer.connected ? 1 : 0;
      gone += peer.presence == Presence::left || peer.presence == Presence::lost ? 1 : 0;
      bytes += peer.traffic.bytes_sent + peer.traffic.bytes_received;
      slowest = std::max(slowest, static_cast<double>(peer.round_trip.count()) / 1e6);
    }
    char text[96];
    std::snprintf(text, sizeof text, "peers %zu up, %zu gone, %.1f MB, slowest %.1f ms", connected,
                  gone, static_cast<double>(bytes) / 1e6, slowest);
    return text;
  }

 protected:
  [[nodiscard]] const Member& member() const { return member_; }

 private:
  Member member_;
  double wall_ = 0;
};

}  // namespace cifar10
