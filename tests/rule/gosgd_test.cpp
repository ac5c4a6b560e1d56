// SPDX-License-Identifier: MIT
/// GoSGD: conserved weight and sums, the dense matrices, lost peers, published rates.
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/topology/ring.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/rule/peer_failure.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <variant>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::GoSgd;
using gossamer::schedule::Every;
using gossamer::topology::Ring;
using gossamer::topology::Uniform;
using tests::Approx;
using tests::Bench;
using tests::Departure;
using tests::Reason;

std::uint32_t below(Generator& generator, std::size_t n) {
  return generator.below(static_cast<std::uint32_t>(n));
}

TEST_CASE("A push takes half of the weight with it and leaves the sender's parameters",
          "[rule][gosgd]") {
  Bench bench(2, GoSgd(Every(1)));
  const std::vector<double> before(bench[0].x().begin(), bench[0].x().end());
  REQUIRE(bench.advance(0));
  REQUIRE(bench.pending().size() == 1);
  const auto& message = tests::pending_message(bench, 0);
  CHECK(message.from == 0);
  CHECK(message.to == 1);
  CHECK(message.weight == 0.25);
  CHECK(bench[0].weight() == 0.25);
  const auto* sent = message.payload->segments()[0].data_ptr<double>();
  for (std::size_t j = 0; j < before.size(); ++j) {
    CHECK(sent[j] == before[j]);
    CHECK(bench[0].x()[j] == before[j]);
  }
}

TEST_CASE("No push while there is no room for a copy, and the weight stays", "[rule][gosgd]") {
  Bench bench(2, GoSgd(Every(1)));
  bench[0].room = false;
  bench.advance(0);
  CHECK(bench.pending().empty());
  CHECK(bench[0].weight() == 0.5);
  bench[0].room = true;
  bench.advance(0);
  CHECK(bench.pending().size() == 1);
}

TEST_CASE("What was pushed is a copy: the sender trains on without changing it", "[rule][gosgd]") {
  Bench bench(2, GoSgd(Every(1)));
  bench.advance(0);
  const auto& message = tests::pending_message(bench, 0);
  const double sent = message.payload->segments()[0].data_ptr<double>()[0];
  bench[0].set(100);
  CHECK(message.payload->segments()[0].data_ptr<double>()[0] == sent);
}

TEST_CASE("A message is merged as the weighted average of sender and receiver", "[rule][gosgd]") {
  Bench bench(2, GoSgd(Every(1)), 1);
  bench[0].set(6);
  bench[1].set(3);
  bench.rebase();
  bench.advance(0);  // (6, 1/4) to a node that has (3, 1/2)
  bench.handle(0);
  CHECK(bench[1].weight() == 0.75);
  CHECK(bench[1].x()[0] == Approx(4).epsilon(1e-15));
  CHECK(bench[0].x()[0] == 6);
}

TEST_CASE("Weight and weighted parameters are conserved under any schedule", "[rule][gosgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  Bench bench(nodes, GoSgd(0.5), 3);
  Generator noise(tests::seed, 2001);
  bench.gradient = [&noise](PeerId, std::size_t) { return noise.uniform() - 0.5; };
  tests::wander(bench, 600, 2000);
  bench.settle();
  double weight = 0;
  for (std::size_t i = 0; i < nodes; ++i) weight += bench[i].weight();
  CHECK(std::abs(weight - 1) <= tests::weight_tolerance);
  if (nodes == 1) CHECK(bench[0].weight() == 1);
}

TEST_CASE("Nodes that are equal stay equal, bit for bit, however they meet", "[rule][gosgd]") {
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench(nodes, GoSgd(Every(1)), 3);
  for (std::size_t i = 0; i < nodes; ++i) bench[i].set(0.1);
  bench.rebase();
  tests::wander(bench, 400, 2000);
  bench.settle();
  for (std::size_t i = 0; i < nodes; ++i) {
    for (const double value : bench[i].x()) CHECK(value == 0.1);
  }
}

TEST_CASE("A constant gradient moves the weighted mean by itself in every round", "[rule][gosgd]") {
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 8U);
  Bench bench(nodes, GoSgd(0.5), 2);
  bench.gradient = [](PeerId, std::size_t j) { return j == 0 ? 0.25 : -0.5; };
  const auto before = bench.weighted_sum();
  const int rounds = 40;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < nodes; ++i) bench.advance(static_cast<PeerId>(i));
    bench.settle();  // what is under way takes no step
  }
  const auto after = bench.weighted_sum();
  CHECK(after[0] - before[0] == Approx(-0.25 * rounds).epsilon(1e-12));
  CHECK(after[1] - before[1] == Approx(0.5 * rounds).epsilon(1e-12));
}

/// One row per node, then one per message that may be under way; columns a x and a. Each event is
/// one dense matrix from the left.
class Dense {
 public:
  explicit Dense(Bench& bench) : state_(at::zeros({rows, columns(bench)}, at::kDouble)) {
    for (std::size_t i = 0; i < bench.size(); ++i) {
      const double weight = bench[i].weight();
      for (std::size_t j = 0; j < bench[i].x().size(); ++j) at(i, j) = weight * bench[i].x()[j];
      at(i, bench[i].x().size()) = weight;
    }
    for (std::size_t row = bench.size(); row < rows; ++row) free_.push_back(row);
  }
  /// Half of a node goes under way.
  void push(std::size_t from) {
    const std::size_t slot = free_.back();
    free_.pop_back();
    under_way_.push_back(slot);
    auto k = identity();
    k[index(from)][index(from)] = 0.5;
    k[index(slot)][index(from)] = 0.5;
    state_ = k.matmul(state_);
  }
  /// What is at the k-th place under way arrives at a node.
  void merge(std::size_t place, std::size_t to) {
    const std::size_t slot = under_way_[place];
    under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(place));
    free_.push_back(slot);
    auto k = identity();
    k[index(to)][index(slot)] = 1;
    k[index(slot)][index(slot)] = 0;
    state_ = k.matmul(state_);
  }
  [[nodiscard]] bool full() const { return free_.empty(); }
  double& at(std::size_t row, std::size_t column) {
    return state_.data_ptr<double>()[index(row) * state_.size(1) + index(column)];
  }

 private:
  static constexpr std::int64_t rows = 24;
  static std::int64_t columns(Bench& bench) { return index(bench[0].x().size()) + 1; }
  static std::int64_t index(std::size_t i) { return static_cast<std::int64_t>(i); }
  static at::Tensor identity() { return at::eye(rows, at::kDouble); }

  at::Tensor state_;
  std::vector<std::size_t> free_;
  std::vector<std::size_t> under_way_;
};

TEST_CASE("A random schedule of pushes, merges and returns is the product of its matrices",
          "[rule][gosgd]") {
  const std::size_t nodes = GENERATE(2U, 3U, 8U);
  Bench bench(nodes, GoSgd(0.5), 3);
  Dense dense(bench);
  Generator order(tests::seed, 2002);
  std::size_t pushes = 0;
  std::size_t merges = 0;
  std::size_t returns = 0;
  for (int i = 0; i < 400; ++i) {
    const std::size_t waiting = bench.pending().size();
    if (waiting == 0 || (!dense.full() && order.below(2) == 0)) {
      const PeerId id = below(order, nodes);
      bench.advance(id);
      if (bench.pending().size() == waiting) continue;
      dense.push(id);
      ++pushes;
      continue;
    }
    const std::size_t k = below(order, waiting);
    auto message = tests::pending_message(bench, k);
    if (order.below(4) == 0) {
      bench.give_back(k);  // goes to the end of the line, and home
      bench.handle(waiting - 1);
      dense.merge(k, message.from);
      ++returns;
    } else {
      bench.handle(k);
      dense.merge(k, message.to);
      ++merges;
    }
    for (std::size_t m = 0; m < nodes; ++m) {
      const double weight = dense.at(m, 3);
      REQUIRE(bench[m].weight() == Approx(weight).epsilon(1e-12));
      for (std::size_t j = 0; j < 3; ++j) {
        REQUIRE(bench[m].x()[j] == Approx(dense.at(m, j) / weight).epsilon(1e-12));
      }
    }
  }
  CHECK(pushes > 50);
  CHECK(merges > 50);
  CHECK(returns > 10);
}

TEST_CASE("Forty messages in one call are merged as one after the other", "[rule][gosgd]") {
  // More than twice the 16 that go into one pass over the parameters.
  Bench together(3, GoSgd(Every(1), Ring{}), 5);
  Bench apart(3, GoSgd(Every(1), Ring{}), 5);
  for (int i = 0; i < 40; ++i) {
    for (Bench* bench : {&together, &apart}) {
      bench->gradient = [i](PeerId, std::size_t j) { return 0.01 * i + static_cast<double>(j); };
      bench->advance(0);
    }
  }
  REQUIRE(together.pending().size() == 40);
  together.deliver_to(1);
  CHECK(together.pending().empty());
  apart.settle();
  CHECK(together[1].weight() == apart[1].weight());
  for (std::size_t j = 0; j < 5; ++j) CHECK(together[1].x()[j] == apart[1].x()[j]);
}

TEST_CASE("A push to a dead peer brings its weight home", "[rule][gosgd]") {
  Bench bench(3, GoSgd(Every(1), Ring{}));
  const double before = bench[0].x()[0];
  bench.advance(0);
  CHECK(bench[0].weight() == Approx(1.0 / 6));
  bench.lose(1);
  bench.settle();
  CHECK(bench[0].weight() == Approx(1.0 / 3).epsilon(1e-15));
  CHECK(bench[0].x()[0] == before);
  bench.advance(0);
  REQUIRE(bench.pending().size() == 1);
  CHECK(bench.pending()[0].at == 2);  // and the next one goes elsewhere
}

TEST_CASE("What comes back after further steps is averaged in, not put in place", "[rule][gosgd]") {
  Bench bench(2, GoSgd(Every(1)), 1);
  bench[0].set(1);
  bench.rebase();
  bench.advance(0);
  bench[0].set(3);
  bench.rebase();
  bench.give_back(0);
  bench.settle();
  CHECK(bench[0].weight() == 0.5);
  CHECK(bench[0].x()[0] == 2);
}

/// Three nodes in turn, all delivered after each round, and one goes. False if it was over before.
bool lose(const Departure& departure) {
  Bench bench(3, GoSgd(Every(1)), 2);
  const bool lost = tests::take_turns(bench, departure, 3, tests::go);
  double weight = 0;
  for (const PeerId id : bench.live()) {
    weight += bench[id].weight();
    const auto peers = bench[id].peers();
    if (lost) CHECK(std::find(peers.begin(), peers.end(), departure.victim) == peers.end());
  }
  CHECK(weight <= 1 + tests::weight_tolerance);
  CHECK(weight > (lost ? 0.05 : 1 - tests::weight_tolerance));
  return lost;
}

TEST_CASE("A peer that goes at any point takes no more weight than its own", "[rule][gosgd]") {
  const PeerId victim = GENERATE(0U, 1U, 2U);
  const std::size_t still_arrive = GENERATE(as<std::size_t>{}, 0, 1, Bench::all);
  const Reason reason = GENERATE(Reason::lost, Reason::left);
  CHECK(tests::before_each_event({victim, reason, still_arrive}, lose) > 12);
}

TEST_CASE("A node that leaves hands all its weight to the others", "[rule][gosgd]") {
  const PeerId victim = GENERATE(0U, 1U, 2U);
  Bench bench(3, GoSgd(Every(1)));
  bench.advance(victim);
  bench.leave(victim);
  CHECK(bench[victim].weight() == 0);
  bench.settle();
  double others = 0;
  for (const PeerId id : bench.live()) others += bench[id].weight();
  CHECK(others == Approx(1).epsilon(1e-12));
}

TEST_CASE("A node without weight takes the parameters of the first who gives it some",
          "[rule][gosgd]") {
  Bench bench(2, GoSgd(Every(1)), 1);
  bench[0].set(0.3);
  bench[1].set(-5);
  bench[0].weight() = 1;
  bench[1].weight() = 0;
  bench.rebase();
  bench.advance(0);
  bench.handle(0);
  CHECK(bench[1].weight() == 0.5);
  CHECK(bench[1].x()[0] == Approx(0.3).epsilon(1e-15));
}

TEST_CASE("A push between uniform peers contracts the potential by the published rate",
          "[rule][gosgd]") {
  const std::size_t n = GENERATE(2U, 3U, 8U, 16U);
  const double size = static_cast<double>(n);
  const double rate = 1 - 1 / (2 * size) - 1 / (size * (size - 1));
  // Contribution vectors: v_ij = n a_i x_ij, with x_i = e_i at first.
  const auto fresh = [n] {
    auto bench = std::make_unique<Bench>(n, GoSgd(Every(1)), n);
    for (std::size_t i = 0; i < n; ++i) {
      (*bench)[i].set(0);
      (*bench)[i].x()[i] = 1;
    }
    bench->rebase();
    return bench;
  };
  const auto potential = [n, size](Bench& bench) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      for (const double x : bench[i].x()) {
        sum += std::pow(size * bench[i].weight() * (x - 1 / size), 2);
      }
    }
    return sum;
  };
  Generator order(tests::seed, n);
  double ratios = 0;
  int pushes = 0;
  for (int repeat = 0; repeat < 60; ++repeat) {
    auto bench = fresh();
    // Each run draws from where the last one's generators would be.
    for (std::size_t i = 0; i < n; ++i) {
      (*bench)[i].generator() = Generator(tests::seed, 100 * repeat + i + 100);
    }
    double before = potential(*bench);
    for (std::size_t i = 0; i < 4 * n; ++i) {
      bench->advance(below(order, n));
      bench->settle();
      const double after = potential(*bench);
      ratios += after / before;
      before = after;
      ++pushes;
    }
  }
  CHECK(ratios / pushes == Approx(rate).epsilon(0.02));
}

TEST_CASE("Eight nodes under random steps stay as close as the reference simulation's",
          "[rule][gosgd]") {
  // The consensus experiment of arXiv:1804.01852: N(0, 1) in place of gradients, p = 0.5.
  const std::size_t dimensions = 32;
  const int steps = 2500;
  Bench bench(8, GoSgd(0.5), dimensions);
  Generator noise(tests::seed, 2003);
  std::normal_distribution<double> normal;
  bench.gradient = [&](PeerId, std::size_t) { return normal(noise); };
  double sum = 0;
  int counted = 0;
  for (int step = 0; step < steps; ++step) {
    for (PeerId id = 0; id < 8; ++id) {
      bench.deliver_to(id);
      bench.advance(id);
    }
    if (step < 50) continue;
    ++counted;
    for (std::size_t j = 0; j < dimensions; ++j) {
      double mean = 0;
      for (PeerId id = 0; id < 8; ++id) mean += bench[id].x()[j] / 8;
      for (PeerId id = 0; id < 8; ++id) sum += std::pow(bench[id].x()[j] - mean, 2);
    }
  }
  CHECK(sum / counted / dimensions == Approx(29).epsilon(0.1));
}

}  // namespace
