// SPDX-License-Identifier: MIT
/// Periodic averaging and SlowMo in code: bytes, sums, and what is asked for in full.
#include <gossamer/codec/int4.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/error.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/slow_momentum.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::AnyRule;
using gossamer::rule::Message;
using gossamer::rule::None;
using gossamer::rule::PerSyn;
using gossamer::rule::SlowMo;
using tests::Bench;
namespace codec = gossamer::codec;

constexpr std::size_t nodes = 4;
constexpr std::size_t size = 300;

/// Rounds of all nodes; how many messages were in full, and how many in code.
struct Sent {
  std::size_t full = 0;
  std::size_t code = 0;
};
Sent train(Bench& bench, int turns, Generator* order = nullptr) {
  Sent sent;
  const auto count = [&] {
    for (const auto& one : bench.pending()) {
      const Message* message = Bench::message_of(one);
      if (message == nullptr) continue;
      sent.full += message->payload ? 1 : 0;
      sent.code += message->code ? 1 : 0;
    }
  };
  for (int turn = 0; turn < turns; ++turn) {
    for (const PeerId id : bench.live()) bench.advance(id);
    count();
    if (order != nullptr && !bench.pending().empty() && turn % 3 == 0) {
      bench.give_back(bench.choose(*order));
    }
    bench.settle(order);
  }
  return sent;
}

double sum(Bench& bench, std::size_t j) {
  double all = 0;
  for (const PeerId id : bench.live()) all += bench[id].x()[j];
  return all;
}
double apart(Bench& bench) {
  double most = 0;
  for (const PeerId id : bench.live()) {
    for (std::size_t j = 0; j < size; ++j) {
      most = std::max(most, std::abs(bench[id].x()[j] - bench[bench.live()[0]].x()[j]));
    }
  }
  return most;
}

}  // namespace

TEST_CASE("A mean in code leaves nothing out for good", "[rule][coded_average]") {
  Bench bench(nodes, PerSyn(2).codec(codec::Sign()), size);
  std::vector<double> expected;
  for (std::size_t j = 0; j < size; ++j) expected.push_back(sum(bench, j));
  Generator random(tests::seed, 95);
  bench.gradient = [&](PeerId, std::size_t j) {
    const double step = random.uniform() - 0.5;
    expected[j] -= step;
    return step;
  };
  Generator order(tests::seed, 96);
  train(bench, 60, &order);
  bench.gradient = nullptr;
  const double before = apart(bench);
  train(bench, 4400, &order);  // signs of few numbers say what is left out slowly
  CHECK(apart(bench) < 1e-4 * before);
  for (std::size_t j = 0; j < size; ++j) {
    CHECK(sum(bench, j) == tests::Approx(expected[j]).margin(1e-5));
  }
}

TEST_CASE("Means are sent in full once, then in code", "[rule][coded_average]") {
  Bench bench(nodes, PerSyn(1).codec(codec::Int4()), size);
  bench.gradient = [](PeerId id, std::size_t j) {
    return 0.01 * id + 1e-3 * static_cast<double>(j % 7);
  };
  const Sent first = train(bench, 2);
  CHECK(first.full == nodes - 1);
  const Sent rest = train(bench, 10);
  CHECK(rest.full == 0);
  CHECK(rest.code == 5 * (nodes - 1));
  CHECK(PerSyn(1).codec(codec::Int4()).agreement() == "persyn(tau 1, chunks 1, codec int4)");
}

TEST_CASE("A reducer that is lost with its memory does not stop means in code",
          "[rule][coded_average]") {
  Bench bench(nodes, PerSyn(1).codec(codec::Int4()), size);
  Generator random(tests::seed, 97);
  bench.gradient = [&](PeerId, std::size_t) { return random.uniform() - 0.5; };
  train(bench, 5);
  bench.advance(1);
  bench.lose(0);
  bench.settle();
  const auto before = bench[2].steps;
  train(bench, 20);
  CHECK(bench[2].steps >= before + 8);
  bench.gradient = nullptr;
  train(bench, 60);
  CHECK(apart(bench) < 1e-6);
}

TEST_CASE("SlowMo averages in code, and its momentum is that of all", "[rule][coded_average]") {
  Bench bench(nodes, SlowMo(None(), 2, 1, 0.5).codec(codec::Int4()), size);
  bench.gradient = [](PeerId id, std::size_t) { return id == 0 ? 0.04 : 0; };
  const double start = sum(bench, 3);
  const Sent sent = train(bench, 40);
  CHECK(sent.code > 3 * sent.full);
  const double moved = (start - sum(bench, 3)) / (0.04 * static_cast<double>(bench[0].steps));
  CHECK(moved > 1.5);  // 2, but for the first rounds
  CHECK(moved < 2.01);
  CHECK(apart(bench) < 0.2);
}

TEST_CASE("A mean in code is not cut into chunks", "[rule][coded_average]") {
  CHECK(tests::message_of<gossamer::ConfigError>([] {
          PerSyn(2).chunks(2).codec(codec::Sign());
        }) == "PerSyn: in code a mean is one chunk, got 2");
}
