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

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
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

using Numbers = std::vector<double>;

/// A bench that knows what codes are, and what the sum of x over nodes, and of h over codes under
/// way, must be.
class Books {
 public:
  Books(std::size_t nodes, const LedgerGossip& rule, codec::AnyCodec codec, std::size_t size = 40)
      : bench(nodes, rule, size), codec_(std::move(codec)), random_(tests::seed, 3) {
    bench.conserves = false;  // it knows of snapshots only
    bench.gradient = [this](PeerId, std::size_t j) {
      if (!drifts) return 0.0;
      const double step = normal(random_);
      expected[j] -= step;
      return step;
    };
    decoded_ = bench[0].model().flat().clone();
    rebase();
  }

  void rebase() { expected = sum(); }
  void start_equal() {
    for (std::size_t i = 0; i < bench.size(); ++i) bench[i].set(0.25);
    rebase();
  }

  [[nodiscard]] Numbers sum() {
    Numbers total(bench[0].x().size(), 0);
    const auto add = [&total](std::span<const double> numbers, double factor) {
      for (std::size_t j = 0; j < total.size(); ++j) total[j] += factor * numbers[j];
    };
    for (std::size_t i = 0; i < bench.size(); ++i) {
      if (!bench[i].gone) add(bench[i].x(), 1);
    }
    for (const Bench::Pending& one : bench.pending()) {
      const Message* message = Bench::message_of(one);
      if (message == nullptr || !message->code) continue;
      REQUIRE_FALSE(
          codec::decode(message->code.bytes(), bench[0].model().layout(), *codec_, decoded_));
      add({decoded_.segments()[0].data_ptr<double>(), total.size()}, 0.5);
    }
    return total;
  }
  /// The largest difference from what the sum must be.
  [[nodiscard]] double error_of_sum() {
    const Numbers now = sum();
    double error = 0;
    for (std::size_t j = 0; j < now.size(); ++j) {
      error = std::max(error, std::abs(now[j] - expected[j]));
    }
    return error;
  }

  /// Every node takes a step, and then everything is handled, in an order that links keep.
  void round(Generator& order) {
    for (PeerId id = 0; id < bench.size(); ++id) {
      if (!bench[id].gone) bench.advance(id);
    }
    bench.settle(&order);
  }
  [[nodiscard]] std::size_t pending_of(Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(bench.pending().begin(), bench.pending().end(), [kind](const auto& one) {
          const Message* message = Bench::message_of(one);
          return message != nullptr && message->kind == kind;
        }));
  }
  /// How many links have two ends; fails the test if their ledgers differ.
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
    const auto nodes = static_cast<double>(bench.size());
    double error = 0;
    for (std::size_t j = 0; j < bench[0].x().size(); ++j) {
      double total = 0;
      double squares = 0;
      for (std::size_t i = 0; i < bench.size(); ++i) {
        const double x = bench[i].x()[j] - bench[0].x()[j];
        total += x;
        squares += x * x;
      }
      error += squares - total * total / nodes;
    }
    return error / static_cast<double>(bench[0].x().size());
  }

  Bench bench;
  bool drifts = false;
  Numbers expected;

 private:
  codec::AnyCodec codec_;
  Generator random_;
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

/// Graphs, each with as many links as eight nodes have.
std::vector<std::pair<Neighbourhoods, std::size_t>> graphs() {
  return {{topology::Hypercube(), 12},
          {topology::Exponential(), 20},
          {topology::Ring(topology::Ring::Way::both), 8},
          {topology::Complete(), 28},
          {topology::OnePeerExponential(), 20}};
}

TEST_CASE("The sum of models and codes is conserved in any order, with returns and losses",
          "[rule][ledger_gossip]") {
  Generator order(tests::seed, 11);
  for (const codec::AnyCodec& one :
       {codec::AnyCodec(codec::Sign()), codec::AnyCodec(codec::Int8(codec::Rounding::stochastic)),
        codec::AnyCodec(codec::TopK(0.1))}) {
    for (const bool equal : {true, false}) {
      CAPTURE(one->name(), equal);
      Books books(5, LedgerGossip().codec(one).graph(topology::Complete()), one);
      if (equal) books.start_equal();
      books.drifts = true;
      for (int i = 0; i < 1500; ++i) {
        books.bench.act(order);
        REQUIRE(books.error_of_sum() < 1e-12);
      }
      // What a lost node had, and what was under way from it, is lost; no more than that.
      books.bench.lose(3, 1);
      books.rebase();
      for (int i = 0; i < 200; ++i) {
        books.bench.advance(order.below(3));
        books.bench.settle(&order);
        REQUIRE(books.error_of_sum() < 1e-12);
      }
      CHECK(rule_of(books.bench[0]).ledger(books.bench[0], 3) == nullptr);
    }
  }
}

/// What all nodes count, and the halves of codes under way, in units of 2^-24.
std::vector<std::int64_t> counted_sum(Bench& bench, const codec::Codec& codec) {
  std::vector<std::int64_t> sum(bench[0].x().size(), 0);
  for (std::size_t i = 0; i < bench.size(); ++i) {
    if (bench[i].gone) continue;
    const model::Flat counted = rule_of(bench[i]).counted(bench[i]);
    for (std::size_t j = 0; j < sum.size(); ++j) {
      sum[j] += counted.segments()[0].data_ptr<std::int64_t>()[j];
    }
  }
  const model::Flat decoded = bench[0].model().flat().clone();
  for (const Bench::Pending& one : bench.pending()) {
    const Message* message = Bench::message_of(one);
    if (message == nullptr || !message->code) continue;
    REQUIRE_FALSE(codec::decode(message->code.bytes(), bench[0].model().layout(), codec, decoded));
    for (std::size_t j = 0; j < sum.size(); ++j) {
      const double q = decoded.segments()[0].data_ptr<double>()[j];
      sum[j] += static_cast<std::int64_t>(std::nearbyint(std::ldexp(q, 23)));
    }
  }
  return sum;
}

TEST_CASE("In integers the sum is the same to the bit, in any order, with returns and losses",
          "[rule][ledger_gossip]") {
  Generator order(tests::seed, 22);
  for (const codec::AnyCodec& one :
       {codec::AnyCodec(codec::Sign()), codec::AnyCodec(codec::Int8(codec::Rounding::stochastic)),
        codec::AnyCodec(codec::TopK(0.1))}) {
    for (const bool equal : {true, false}) {
      CAPTURE(one->name(), equal);
      Bench bench(5, LedgerGossip().codec(one).graph(topology::Complete()).integers(), 40);
      bench.conserves = false;
      for (std::size_t i = 0; equal && i < 5; ++i) bench[i].set(0.3);
      std::vector<std::int64_t> expected = counted_sum(bench, *one);
      bench.gradient = [&](PeerId, std::size_t j) {
        const double units = std::nearbyint(std::ldexp(normal(order), 24));
        expected[j] -= static_cast<std::int64_t>(units);
        return std::ldexp(units, -24);
      };
      for (int i = 0; i < 600; ++i) {
        bench.act(order);
        REQUIRE(counted_sum(bench, *one) == expected);
      }
      bench.lose(3, 1);
      expected = counted_sum(bench, *one);
      for (int i = 0; i < 100; ++i) {
        bench.advance(order.below(3));
        bench.settle(&order);
        REQUIRE(counted_sum(bench, *one) == expected);
      }
    }
  }
}

TEST_CASE("In integers both ends of a link have the same bits, and nodes agree",
          "[rule][ledger_gossip]") {
  Generator order(tests::seed, 23);
  Bench bench(8, LedgerGossip().codec(codec::TwoBits()).integers(), 40);
  bench.conserves = false;
  for (double& x : bench[3].x()) x = 40 * x - 20;  // less than 128 apart
  const auto sum = counted_sum(bench, codec::TwoBits());
  for (int i = 0; i < 400; ++i) {
    for (PeerId id = 0; id < 8; ++id) bench.advance(id);
    bench.settle(&order);
  }
  CHECK(counted_sum(bench, codec::TwoBits()) == sum);
  for (PeerId i = 0; i < 8; ++i) {
    for (PeerId k = 0; k < i; ++k) {
      const model::Flat* here = rule_of(bench[i]).ledger(bench[i], k);
      const model::Flat* there = rule_of(bench[k]).ledger(bench[k], i);
      CHECK((here == nullptr) == (there == nullptr));
      if (here != nullptr && there != nullptr) {
        CHECK(here->segments()[0].scalar_type() == at::kInt);
        CHECK(at::equal(here->segments()[0], there->segments()[0]));
      }
      for (std::size_t j = 0; j < 40; ++j) {
        CHECK(std::abs(bench[i].x()[j] - bench[k].x()[j]) < 1e-6);
      }
    }
  }
}

TEST_CASE("Ledger gossip says its codec, and how long its messages are", "[rule][ledger_gossip]") {
  Bench bench(2, LedgerGossip());
  const model::FlatModel& model = bench[0].model();
  CHECK_THAT(LedgerGossip().agreement(), tests::contains("ledger_gossip(codec sign, graph "));
  CHECK_THAT(LedgerGossip().codec(codec::TopK(0.1)).integers().agreement(),
             tests::contains("(codec top_k:0.1, graph ") && tests::contains(", integers)"));
  CHECK(LedgerGossip().message_bytes(model) ==
        Message::header_bytes + codec::bytes_of(model.layout(), codec::Sign()));
}

TEST_CASE("With nothing under way both ends of a link have the same ledger",
          "[rule][ledger_gossip]") {
  Generator order(tests::seed, 12);
  for (const auto& [graph, links] : graphs()) {
    for (const bool equal : {true, false}) {
      CAPTURE(links, equal);
      Books books(8, LedgerGossip().graph(graph), codec::Sign());
      if (equal) books.start_equal();
      books.drifts = true;
      for (int i = 0; i < 40; ++i) books.round(order);
      CHECK(books.equal_links() == links);
      CHECK(books.error_of_sum() < 1e-12);
    }
  }
}

TEST_CASE("A message that comes back leaves both ledgers as they were", "[rule][ledger_gossip]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 13);
  for (int i = 0; i < 60; ++i) {
    books.bench.advance(order.below(2));
    if (order.below(2) == 0) books.bench.give_back(0);
    books.bench.settle();
    CHECK(books.equal_links() <= 1);
    REQUIRE(books.error_of_sum() < 1e-12);
  }
  CHECK(books.equal_links() == 1);
}

TEST_CASE("Two messages of an exact code give a pair its mean, one after the other or at once",
          "[rule][ledger_gossip]") {
  const bool at_once = GENERATE(false, true);
  Books books(2, LedgerGossip().codec(codec::Exact()), codec::Exact());
  books.start_equal();
  books.bench.gradient = [](PeerId id, std::size_t) { return id == 0 ? -1.0 : -3.0; };
  books.bench.advance(0);
  if (!at_once) books.bench.settle();
  books.bench.advance(1);
  CHECK(books.pending_of(Kind::code) == (at_once ? 2 : 1));
  books.bench.settle();
  for (std::size_t i = 0; i < 2; ++i) {
    for (const double x : books.bench[i].x()) CHECK(x == 2.25);
  }
}

TEST_CASE("Links of nodes that start equal need no opening, others one, from the lower number",
          "[rule][ledger_gossip]") {
  const bool equal = GENERATE(true, false);
  CAPTURE(equal);
  Books books(4, LedgerGossip(), codec::TwoBits());
  if (equal) books.start_equal();
  std::size_t openings = 0;
  for (int i = 0; i < 30; ++i) {
    for (PeerId id = 0; id < 4; ++id) {
      books.bench.advance(id);
      openings += books.pending_of(Kind::open);
      for (std::size_t k = 0; k < books.bench.pending().size(); ++k) {
        const Message& message = tests::pending_message(books.bench, k);
        if (message.kind == Kind::open) CHECK(message.from < message.to);
      }
      books.bench.settle();
    }
  }
  CHECK(openings == (equal ? 0 : 4));
  CHECK(books.equal_links() == 4);
}

TEST_CASE("Nodes that start unequal agree on their mean", "[rule][ledger_gossip]") {
  Generator order(tests::seed, 14);
  for (const auto& [graph, links] : graphs()) {
    CAPTURE(links);
    Books books(8, LedgerGossip().codec(codec::TwoBits()).graph(graph), codec::TwoBits());
    CHECK(books.consensus_error() > 0.3);
    for (int i = 0; i < 300; ++i) books.round(order);
    CHECK(books.consensus_error() < 1e-12);
    CHECK(books.error_of_sum() < 1e-12);
  }
}

TEST_CASE("A link to a peer that was away is opened anew", "[rule][ledger_gossip]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 15);
  for (int i = 0; i < 5; ++i) books.round(order);
  // One side, or both, hears that the other was lost, while codes are under way; then it is back.
  const bool both = GENERATE(false, true);
  books.bench.advance(0);
  books.bench.advance(1);
  for (const PeerId id : {PeerId{1}, PeerId{0}}) {
    if (id == 0 && !both) continue;
    BenchContext& node = books.bench[id];
    node.forget(1 - id);
    node.rule->on_peer_left(node, PeerLeft{1 - id, Reason::lost});
    CHECK(rule_of(node).links() == 0);
    node.remember(1 - id);
  }
  books.bench.settle(&order);
  for (int i = 0; i < 6; ++i) {
    books.round(order);
    CHECK(books.error_of_sum() < 1e-12);
  }
  CHECK(books.equal_links() == 1);
}

TEST_CASE("A link outlives that its peer finishes, but not that it leaves",
          "[rule][ledger_gossip]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 21);
  for (int i = 0; i < 5; ++i) books.round(order);
  books.bench.advance(1);
  books.bench.finish(1);
  books.bench.settle(&order);
  CHECK(books.equal_links() == 1);
  books.bench.advance(0);
  CHECK(books.bench.pending().empty());  // nobody to send to
  books.bench[0].remember(1);            // a run later
  books.bench.advance(0);
  CHECK(books.pending_of(Kind::code) == 1);
  books.bench.settle(&order);
  CHECK(books.equal_links() == 1);
  CHECK(books.error_of_sum() < 1e-12);
  books.bench.close(1, Reason::left);
  books.bench.settle(&order);
  CHECK(rule_of(books.bench[0]).links() == 0);
}

TEST_CASE("A malformed code changes nothing, goes back and takes its weight home",
          "[rule][ledger_gossip][parse]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.start_equal();
  BenchContext& node = books.bench[0];
  const std::size_t right = codec::bytes_of(node.model().layout(), codec::Sign());
  Generator random(tests::seed, 16);
  for (int i = 0; i < 300; ++i) {
    const std::size_t size = i % 3 == 0 ? right : random.below(2 * static_cast<unsigned>(right));
    codec::Coded coded = books.bench[1].codes().take(size);
    for (std::byte& byte : coded.writable()) byte = static_cast<std::byte>(random.below(256));
    if (size == right) coded.writable()[1] |= std::byte{0x80};  // a scale below zero
    const Numbers before(node.x().begin(), node.x().end());
    books.bench.forge(
        {.from = 1, .to = 0, .kind = Kind::code, .weight = 0.125, .payload = {}, .code = coded});
    books.bench.handle(0);
    CHECK(std::equal(before.begin(), before.end(), node.x().begin()));
    CHECK(node.weight() == 0.5);
    REQUIRE(books.bench.pending().size() == 1);
    CHECK(tests::pending_message(books.bench, 0).kind == Kind::refused);
    CHECK(tests::pending_message(books.bench, 0).to == 1);
    books.bench.handle(0);
    CHECK(books.bench[1].weight() == 0.5);
    CHECK(books.bench.pending().empty());
  }
  // Codes, openings and requests without what they are for.
  for (const Kind kind : {Kind::code, Kind::open, Kind::ask, Kind::refused, Kind{77}}) {
    books.bench.forge({.from = 1, .to = 0, .kind = kind, .round = 5, .payload = {}});
    books.bench.settle();
  }
  CHECK(books.error_of_sum() == 0);
}

TEST_CASE("A node without weight sends codes back, and their sender takes them in",
          "[rule][ledger_gossip]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 17);
  for (int i = 0; i < 4; ++i) books.round(order);
  books.bench.advance(0);
  books.bench.leave(1);
  for (std::size_t k = 0; k < books.bench.pending().size();) {
    const Message* message = Bench::message_of(books.bench.pending()[k]);
    if (message != nullptr && message->kind == Kind::code) {
      books.bench.handle(k);
    } else {
      ++k;
    }
  }
  CHECK(books.pending_of(Kind::refused) == 1);
  books.bench.settle();
  CHECK(books.error_of_sum() < 1e-12);
  CHECK(books.bench[0].weight() == 1);
}

TEST_CASE("A node keeps no more links than it may, and the sum all the same",
          "[rule][ledger_gossip]") {
  Books books(4, LedgerGossip().graph(topology::Complete()).max_links(2), codec::Sign());
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 18);
  for (int i = 0; i < 60; ++i) {
    books.round(order);
    for (PeerId id = 0; id < 4; ++id) CHECK(rule_of(books.bench[id]).links() <= 2);
    REQUIRE(books.error_of_sum() < 1e-12);
  }
  CHECK(tests::message_of<ConfigError>([] { LedgerGossip().max_links(0); }) ==
        "LedgerGossip: max_links must be at least 1, got 0");
}

TEST_CASE("A node whose receivers are slow sends nothing", "[rule][ledger_gossip]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.bench[0].room = false;
  books.bench.advance(0);
  CHECK(books.bench.pending().empty());
  books.bench[0].room = true;
  books.bench.advance(0);
  CHECK(books.bench.pending().size() == 1);
}

TEST_CASE("A node whose numbers are not finite sends no code", "[rule][ledger_gossip]") {
  Books books(2, LedgerGossip(), codec::Sign());
  books.start_equal();
  books.bench.gradient = [](PeerId, std::size_t j) {
    return j == 7 ? std::numeric_limits<double>::infinity() : 0;
  };
  books.bench.advance(0);
  CHECK(books.bench.pending().empty());
  CHECK(std::isinf(books.bench[0].x()[7]));
  CHECK(books.bench[0].x()[8] == 0.25);
}

TEST_CASE("Ledgers go on from a checkpoint, bit for bit", "[rule][ledger_gossip]") {
  const bool integers = GENERATE(false, true);
  const auto run = [integers](bool stops) {
    Books books(4, LedgerGossip().integers(integers), codec::Sign());
    books.start_equal();
    books.drifts = true;
    Generator order(tests::seed, 19);
    for (int i = 0; i < 9; ++i) books.round(order);
    for (PeerId id = 0; stops && id < 4; ++id) {
      Archive saved;
      books.bench[id].rule->checkpoint(saved);
      Archive restored(saved.entries());
      books.bench[id].rule = LedgerGossip().integers(integers);
      books.bench[id].rule->checkpoint(restored);
    }
    for (int i = 0; i < 9; ++i) books.round(order);
    CHECK(books.equal_links() == 4);
    return Numbers(books.bench[2].x().begin(), books.bench[2].x().end());
  };
  CHECK(run(false) == run(true));
}

TEST_CASE("A node that has lost its rule's state opens its links anew", "[rule][ledger_gossip]") {
  const PeerId who = GENERATE(0U, 3U);
  Books books(4, LedgerGossip(), codec::Sign());
  books.start_equal();
  books.drifts = true;
  Generator order(tests::seed, 20);
  for (int i = 0; i < 9; ++i) books.round(order);
  books.bench[who].rule = LedgerGossip();
  for (int i = 0; i < 9; ++i) books.round(order);
  CHECK(books.equal_links() == 4);
  CHECK(books.error_of_sum() < 1e-12);
}

}  // namespace
