// SPDX-License-Identifier: MIT
/// Ledger gossip: the sum of models and codes, both ends' ledgers, openings, and consensus.
#include <gossamer/codec/coded.hpp>
#include <gossamer/codec/exact.hpp>
#include <gossamer/codec/int8.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/codec/top_k.hpp>
#include <gossamer/codec/two_bits.hpp>
#include <gossamer/error.hpp>
#include <gossamer/rule/ledger_gossip.hpp>
#include <gossamer/topology/complete.hpp>
#include <gossamer/topology/exponential.hpp>
#include <gossamer/topology/ring.hpp>
#include <gossamer/topology/torus.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::LedgerGossip;
using gossamer::rule::Message;
using gossamer::rule::Neighbourhoods;
using gossamer::transport::PeerLeft;
using gossamer::transport::Reason;
using tests::Bench;
using tests::BenchContext;
namespace codec = gossamer::codec;
namespace model = gossamer::model;
namespace topology = gossamer::topology;

using Kind = LedgerGossip::Kind;

double normal(Generator& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(6.283185307179586 * random.uniform());
}

LedgerGossip& rule_of(BenchContext& node) { return static_cast<LedgerGossip&>(*node.rule); }

/// A bench that knows what codes are: the sum of x over nodes, and of h over codes under way.
class Books {
 public:
  Books(std::size_t nodes, const LedgerGossip& rule, codec::AnyCodec codec, std::size_t size = 300)
      : bench(nodes, rule, size), random(tests::seed, 3), codec_(std::move(codec)) {
    bench.conserves = false;  // it knows of snapshots only
    bench.gradient = [this](PeerId, std::size_t) { return drifts ? normal(random) : 0; };
    decoded_ = bench[0].model().flat().clone();
    rebase();
  }

  void rebase() { expected = sum(); }
  void start_equal() {
    for (std::size_t i = 0; i < bench.size(); ++i) bench[i].set(0.25);
    rebase();
  }

  [[nodiscard]] double sum() {
    double total = 0;
    for (std::size_t i = 0; i < bench.size(); ++i) {
      if (!bench[i].gone) total += total_of(bench[i].x());
    }
    for (const Bench::Pending& one : bench.pending()) {
      const Message* message = Bench::message_of(one);
      if (message != nullptr && message->code) total += total_of(half_of(*message));
    }
    return total;
  }
  void check() {
    CAPTURE(bench.events());
    CHECK(std::abs(sum() - expected) <= 1e-12 * static_cast<double>(bench[0].x().size()));
  }

  /// One step of a node, with what its gradient adds to the sum.
  void advance(PeerId id) {
    const std::vector<double> before(bench[id].x().begin(), bench[id].x().end());
    const double under_way = sum() - total_of(bench[id].x());
    const Generator::State state = random.state();
    bench.advance(id);
    Generator same(state);
    for (std::size_t j = 0; drifts && j < before.size(); ++j) expected -= normal(same);
    static_cast<void>(under_way);
  }
  /// Every node takes a step, and everything is handled, in an order that links keep.
  void round(Generator& order) {
    for (PeerId id = 0; id < bench.size(); ++id) {
      if (!bench[id].gone) advance(id);
    }
    bench.settle(&order);
  }
  [[nodiscard]] std::size_t pending_of(Kind kind) const {
    std::size_t count = 0;
    for (const Bench::Pending& one : bench.pending()) {
      const Message* message = Bench::message_of(one);
      count += message != nullptr && message->kind == kind ? 1 : 0;
    }
    return count;
  }
  /// How many links have two ends with equal ledgers; fails the test if two ends differ.
  [[nodiscard]] std::size_t equal_links() {
    std::size_t count = 0;
    for (PeerId i = 0; i < bench.size(); ++i) {
      for (PeerId k = i + 1; k < bench.size(); ++k) {
        const model::Flat* here = rule_of(bench[i]).ledger(bench[i], k);
        const model::Flat* there = rule_of(bench[k]).ledger(bench[k], i);
        if (here == nullptr || there == nullptr) continue;
        CAPTURE(i, k);
        CHECK(at::allclose(here->segments()[0], there->segments()[0], 0, 1e-12));
        ++count;
      }
    }
    return count;
  }
  /// Sum over nodes of the squared distance to the mean, per coordinate.
  [[nodiscard]] double consensus_error() {
    const std::size_t size = bench[0].x().size();
    double error = 0;
    for (std::size_t j = 0; j < size; ++j) {
      double mean = 0;
      for (std::size_t i = 0; i < bench.size(); ++i) mean += bench[i].x()[j];
      mean /= static_cast<double>(bench.size());
      for (std::size_t i = 0; i < bench.size(); ++i) {
        error += (bench[i].x()[j] - mean) * (bench[i].x()[j] - mean);
      }
    }
    return error / static_cast<double>(size);
  }

  Bench bench;
  Generator random;
  bool drifts = false;
  double expected = 0;

 private:
  static double total_of(std::span<const double> numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), 0.0);
  }
  std::vector<double> half_of(const Message& message) {
    REQUIRE_FALSE(
        codec::decode(message.code.bytes(), bench[0].model().layout(), *codec_, decoded_));
    const auto* q = decoded_.segments()[0].data_ptr<double>();
    std::vector<double> half(bench[0].x().size());
    std::transform(q, q + half.size(), half.begin(), [](double one) { return one / 2; });
    return half;
  }

  codec::AnyCodec codec_;
  model::Flat decoded_;
};

TEST_CASE("Random unit steps under one bit per number have the consensus error of the analysis",
          "[rule][ledger_gossip]") {
  constexpr std::size_t nodes = 8;
  Books books(nodes, LedgerGossip(), codec::Sign(), 512);
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 7);
  std::vector<PeerId> ids(nodes);
  std::iota(ids.begin(), ids.end(), PeerId{0});
  double error = 0;
  constexpr int warm_up = 200;
  constexpr int rounds = 1200;
  for (int round = 0; round < warm_up + rounds; ++round) {
    std::shuffle(ids.begin(), ids.end(), order);
    for (const PeerId id : ids) {
      books.bench.advance(id);
      books.bench.settle();
    }
    if (round >= warm_up) error += books.consensus_error() / rounds;
  }
  CHECK(error == tests::Approx(12.6).margin(0.6));
}

}  // namespace
