// SPDX-License-Identifier: MIT
/// How far nodes drift apart that take random unit steps and say a bit per number: on graphs, with
/// delays, returns and a slow node. The error is the mean over time, per coordinate.
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <deque>
#include <numeric>
#include <string>
#include <variant>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::LedgerGossip;
using gossamer::rule::Neighbourhoods;
using tests::Bench;
namespace topology = gossamer::topology;

struct Setting {
  std::string name;
  std::size_t nodes = 8;
  Neighbourhoods graph = topology::Hypercube();
  std::size_t latency = 0;     ///< in steps
  double returned = 0;         ///< share of messages
  std::uint64_t slowness = 1;  ///< of node 0
};
struct Drift {
  double error = 0;         ///< of consensus
  double error_of_sum = 0;  ///< when nothing is under way, relative to the largest number
};

class Drifting {
 public:
  Drifting(const Setting& setting, std::size_t size)
      : setting_(setting),
        bench_(setting.nodes, LedgerGossip().graph(setting.graph), size),
        expected_(size, 0.25 * static_cast<double>(setting.nodes)) {
    bench_.conserves = false;  // it knows of snapshots only
    for (std::size_t i = 0; i < setting.nodes; ++i) bench_[i].set(0.25);
    bench_.gradient = [this](PeerId, std::size_t j) {
      const double radius = std::sqrt(-2 * std::log(1 - steps_.uniform()));
      const double step = radius * std::cos(6.283185307179586 * steps_.uniform());
      expected_[j] -= step;
      return step;
    };
  }

  Drift run(std::uint64_t warm_up, std::uint64_t rounds) {
    Drift drift;
    std::vector<PeerId> ids(setting_.nodes);
    std::iota(ids.begin(), ids.end(), PeerId{0});
    for (std::uint64_t round = 0; round < warm_up + rounds; ++round) {
      std::shuffle(ids.begin(), ids.end(), order_);
      for (const PeerId id : ids) {
        if (id == 0 && round % setting_.slowness != 0) continue;
        bench_.advance(id);
        if (setting_.latency == 0) land(bench_.pending().size());
      }
      if (setting_.latency > 0) land_late();
      if (round >= warm_up) drift.error += consensus_error() / static_cast<double>(rounds);
    }
    land(bench_.pending().size());
    drift.error_of_sum = error_of_sum();
    return drift;
  }

 private:
  /// The first so many messages arrive, or come back; and whatever comes of it.
  void land(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_message =
          std::holds_alternative<gossamer::transport::Delivered>(bench_.pending()[0].event);
      if (is_message && order_.uniform() < setting_.returned) {
        bench_.give_back(0);
        bench_.handle(bench_.pending().size() - 1);
      } else {
        bench_.handle(0);
      }
    }
  }
  void land_late() {
    const std::size_t before =
        std::accumulate(under_way_.begin(), under_way_.end(), std::size_t{0});
    under_way_.push_back(bench_.pending().size() - before);
    if (under_way_.size() <= setting_.latency) return;
    land(under_way_.front());
    under_way_.pop_front();
  }

  double consensus_error() {
    double error = 0;
    for (std::size_t j = 0; j < expected_.size(); ++j) {
      double total = 0;
      double squares = 0;
      for (std::size_t i = 0; i < setting_.nodes; ++i) {
        const double x = bench_[i].x()[j] - bench_[0].x()[j];
        total += x;
        squares += x * x;
      }
      error += squares - total * total / static_cast<double>(setting_.nodes);
    }
    return error / static_cast<double>(expected_.size());
  }
  double error_of_sum() {
    double error = 0;
    double largest = 1;
    for (std::size_t j = 0; j < expected_.size(); ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < setting_.nodes; ++i) {
        sum += bench_[i].x()[j];
        largest = std::max(largest, std::abs(bench_[i].x()[j]));
      }
      error = std::max(error, std::abs(sum - expected_[j]));
    }
    return error / (largest * static_cast<double>(setting_.nodes));
  }

  Setting setting_;
  Bench bench_;
  std::vector<double> expected_;
  std::deque<std::size_t> under_way_;
  Generator steps_{tests::seed, 3};
  Generator order_{tests::seed, 7};
};

std::vector<Setting> settings() {
  const topology::Ring ring(topology::Ring::Way::both);
  return {{.name = "8 nodes, hypercube"},
          {.name = "8, ring", .graph = ring},
          {.name = "8, exponential", .graph = topology::Exponential()},
          {.name = "8, all links", .graph = topology::Complete()},
          {.name = "8, hypercube, three steps late", .latency = 3},
          {.name = "8, hypercube, a tenth returned", .returned = 0.1},
          {.name = "8, hypercube, one node four times slower", .slowness = 4},
          {.name = "64, hypercube", .nodes = 64},
          {.name = "64, ring", .nodes = 64, .graph = ring},
          {.name = "64, exponential", .nodes = 64, .graph = topology::Exponential()},
          {.name = "64, all links", .nodes = 64, .graph = topology::Complete()},
          {.name = "64, hypercube, three steps late", .nodes = 64, .latency = 3},
          {.name = "64, hypercube, a tenth returned", .nodes = 64, .returned = 0.1},
          {.name = "64, hypercube, one node four times slower", .nodes = 64, .slowness = 4}};
}

TEST_CASE("Delays, returns and a slow node do not set nodes adrift that say a bit per number",
          "[rule][ledger_gossip]") {
  for (const Setting& setting : settings()) {
    if (setting.nodes > 8) continue;
    CAPTURE(setting.name);
    const Drift drift = Drifting(setting, 256).run(50, 150);
    CHECK(drift.error > 9);
    CHECK(drift.error < 22);  // without gossip it would grow by 7 a step
    CHECK(drift.error_of_sum < 1e-12);
  }
}

// Minutes; prints the table of its figures.
TEST_CASE("The consensus error of ledger gossip, by graph and trouble", "[.][ledger_consensus]") {
  for (const Setting& setting : settings()) {
    const Drift drift = Drifting(setting, 512).run(200, setting.nodes > 8 ? 400 : 1200);
    std::printf("| %s | %.2f | %.1e |\n", setting.name.c_str(), drift.error, drift.error_of_sum);
    std::fflush(stdout);
    CHECK(drift.error_of_sum < 1e-12);
  }
}

}  // namespace
