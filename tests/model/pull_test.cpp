// SPDX-License-Identifier: MIT
/// Differences of flat vectors and what is added of them, against LibTorch's own arithmetic.
#include <gossamer/generator.hpp>
#include <gossamer/model/pull.hpp>

#include <tests/support.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::model::Flat;
using gossamer::model::Pull;

const std::vector<at::ScalarType> types{at::kFloat, at::kDouble, at::kHalf, at::kBFloat16};

Flat random_flat(Generator& generator, std::int64_t length) {
  std::vector<at::Tensor> segments;
  for (const auto type : types) {
    at::Tensor numbers = at::empty({length}, at::kDouble);
    for (std::int64_t i = 0; i < length; ++i) {
      numbers.data_ptr<double>()[i] = 2 * generator.uniform() - 1;
    }
    segments.push_back(numbers.to(type));
  }
  return Flat(std::move(segments));
}

/// How far apart two tensors are, in units of their type's precision; numbers are about 1.
double distance(const at::Tensor& a, const at::Tensor& b) {
  double unit = 1e-15;
  if (a.scalar_type() == at::kFloat) unit = 1e-6;
  if (a.scalar_type() == at::kHalf) unit = 2e-3;
  if (a.scalar_type() == at::kBFloat16) unit = 2e-2;
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>() / unit;
}

at::Tensor wide(const Flat& flat, std::size_t s) { return flat.segments()[s].to(at::kDouble); }

TEST_CASE("Differences and sums are LibTorch's, for each type and length", "[model][pull]") {
  const std::int64_t length = GENERATE(1, 7, 64, 5000);
  Generator generator(tests::seed, 3400);
  const Flat x = random_flat(generator, length);
  const Flat y = random_flat(generator, length);
  const Flat d = random_flat(generator, length);
  const Flat sum = random_flat(generator, length);
  sum.copy_from(y);
  gossamer::model::difference(d, x, y, 0.3);
  gossamer::model::add(sum, d, -2);
  for (std::size_t s = 0; s < types.size(); ++s) {
    CAPTURE(types[s], length);
    CHECK(distance(d.segments()[s], 0.3 * (wide(x, s) - wide(y, s))) <= 1);
    CHECK(distance(sum.segments()[s], wide(y, s) - 2 * wide(d, s)) <= 2);
  }
}

TEST_CASE("Several pulls at once all start from what was there, and add up", "[model][pull]") {
  const double part = GENERATE(1.0, 0.25);
  Generator generator(tests::seed, 3500);
  std::vector<Flat> xs;
  std::vector<Flat> ds;
  std::vector<Pull> pulls;
  for (int i = 0; i < 3; ++i) {
    xs.push_back(random_flat(generator, 5000));
    ds.push_back(random_flat(generator, 5000));
  }
  for (std::size_t i = 0; i < 3; ++i) pulls.push_back({&xs[i], &ds[i]});
  const Flat y = random_flat(generator, 5000);
  const Flat before = y.zeros_like();
  before.copy_from(y);
  gossamer::model::pull(y, pulls, 0.1, part);
  for (std::size_t s = 0; s < types.size(); ++s) {
    CAPTURE(types[s], part);
    at::Tensor sum = wide(before, s);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(distance(ds[i].segments()[s], 0.1 * (wide(xs[i], s) - wide(before, s))) <= 1);
      sum = sum + part * wide(ds[i], s);
    }
    CHECK(distance(y.segments()[s], sum) <= 2);
  }
}

TEST_CASE("Equal vectors do not pull at each other, bit for bit", "[model][pull]") {
  Generator generator(tests::seed, 3600);
  const Flat y = random_flat(generator, 5000);
  const Flat x = y.zeros_like();
  const Flat d = random_flat(generator, 5000);
  x.copy_from(y);
  const std::vector<Pull> pulls{{&x, &d}};
  gossamer::model::pull(y, pulls, 0.37);
  for (std::size_t s = 0; s < types.size(); ++s) {
    CHECK(d.segments()[s].count_nonzero().item<std::int64_t>() == 0);
    CHECK(at::equal(x.segments()[s], y.segments()[s]));
  }
}

TEST_CASE("Types that the kernels do not know go through LibTorch", "[model][pull]") {
  const auto numbers = [](double re, double im) {
    return Flat({at::full({5}, c10::complex<double>(re, im), at::kComplexDouble)});
  };
  const Flat y = numbers(1, 2);
  const Flat x = numbers(3, -2);
  const Flat d = numbers(0, 0);
  const std::vector<Pull> pulls{{&x, &d}};
  gossamer::model::pull(y, pulls, 0.5);
  CHECK(at::equal(d.segments()[0], numbers(1, -2).segments()[0]));
  CHECK(at::equal(y.segments()[0], numbers(2, 0).segments()[0]));
  gossamer::model::add(y, d, -1);
  CHECK(at::equal(y.segments()[0], numbers(1, 2).segments()[0]));
  gossamer::model::difference(d, x, y);
  CHECK(at::equal(d.segments()[0], numbers(2, -4).segments()[0]));
}

}  // namespace
