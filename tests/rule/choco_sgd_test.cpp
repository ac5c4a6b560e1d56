// SPDX-License-Identifier: MIT
/// CHOCO-SGD beside the paper's equations, and what it conserves.
#include <gossamer/codec/sign.hpp>
#include <gossamer/codec/two_bits.hpp>
#include <gossamer/error.hpp>
#include <gossamer/rule/choco_sgd.hpp>

#include <tests/rule/bench_context.hpp>
#include <tests/support.hpp>

#include <cstddef>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::ChocoSgd;
using tests::Bench;
namespace codec = gossamer::codec;

constexpr std::size_t nodes = 4;
constexpr std::size_t size = 6;
using Vector = std::vector<double>;

/// Of (x - 1 - id)^2 / 2 with a step of 0.1, different in each coordinate.
double gradient(PeerId id, std::size_t j, double x) {
  return 0.1 * (1 + 0.2 * static_cast<double>(j)) * (x - 1 - id);
}

Vector decoded(const codec::Codec& codec, const Vector& v) {
  std::vector<float> numbers(v.begin(), v.end());
  std::vector<std::byte> code(codec.bytes(numbers.size()));
  Generator unused(1);
  REQUIRE(codec.encode(numbers, numbers, unused, code));
  return {numbers.begin(), numbers.end()};
}

/// One step of all, as the equations say it: X is what all know.
void step(std::vector<Vector>& x, std::vector<Vector>& known, const codec::Codec& codec,
          double gamma) {
  for (std::size_t i = 0; i < nodes; ++i) {
    Vector difference(size);
    for (std::size_t j = 0; j < size; ++j) {
      x[i][j] -= gradient(static_cast<PeerId>(i), j, x[i][j]);
      difference[j] = x[i][j] - known[i][j];
    }
    const Vector q = decoded(codec, difference);
    for (std::size_t j = 0; j < size; ++j) known[i][j] += q[j];
  }
  for (std::size_t i = 0; i < nodes; ++i) {
    for (const std::size_t k : {(i + 1) % nodes, (i + nodes - 1) % nodes}) {
      for (std::size_t j = 0; j < size; ++j) x[i][j] += gamma / 3 * (known[k][j] - known[i][j]);
    }
  }
}

}  // namespace

TEST_CASE("CHOCO-SGD takes the steps of its paper", "[rule][choco_sgd]") {
  const codec::TwoBits codec;
  Bench bench(nodes, ChocoSgd(codec, 0.3), size);
  std::vector<Vector> x;
  for (std::size_t i = 0; i < nodes; ++i) x.emplace_back(bench[i].x().begin(), bench[i].x().end());
  std::vector<Vector> known(nodes, Vector(size, 0));
  bench.gradient = [&bench](PeerId id, std::size_t j) { return gradient(id, j, bench[id].x()[j]); };
  for (int turn = 0; turn < 40; ++turn) {
    for (PeerId id = 0; id < nodes; ++id) REQUIRE(bench.advance(id));
    for (const auto& one : bench.pending()) {
      CHECK(static_cast<bool>(Bench::message_of(one)->code) == (turn > 0));
    }
    bench.settle();
    step(x, known, codec, 0.3);
    for (std::size_t i = 0; i < nodes; ++i) {
      for (std::size_t j = 0; j < size; ++j) {
        REQUIRE(bench[i].x()[j] == tests::Approx(x[i][j]).epsilon(1e-12).margin(1e-12));
      }
    }
  }
}

TEST_CASE("CHOCO-SGD keeps the sum of models and brings them together", "[rule][choco_sgd]") {
  Bench bench(nodes, ChocoSgd(codec::Sign(), 0.4), size);
  const auto sum = [&bench](std::size_t j) {
    double all = 0;
    for (std::size_t i = 0; i < nodes; ++i) all += bench[i].x()[j];
    return all;
  };
  Vector before;
  for (std::size_t j = 0; j < size; ++j) before.push_back(sum(j));
  Generator order(tests::seed, 93);
  for (int turn = 0; turn < 400; ++turn) {
    for (PeerId id = 0; id < nodes; ++id) bench.advance(id);
    if (turn % 7 == 0) bench.give_back(bench.choose(order));
    bench.settle(&order);
  }
  for (std::size_t j = 0; j < size; ++j) {
    CHECK(sum(j) == tests::Approx(before[j]).epsilon(1e-12));
    for (std::size_t i = 1; i < nodes; ++i) {
      CHECK(bench[i].x()[j] == tests::Approx(bench[0].x()[j]).margin(1e-3));
    }
  }
}

TEST_CASE("A step size of CHOCO-SGD outside (0, 1] is refused", "[rule][choco_sgd]") {
  CHECK(tests::message_of<gossamer::ConfigError>([] { ChocoSgd(codec::Sign(), 0); }) ==
        "ChocoSgd: gamma must lie in (0, 1], got 0");
}
