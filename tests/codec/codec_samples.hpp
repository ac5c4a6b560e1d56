// SPDX-License-Identifier: MIT
/// Vectors on which codecs are tried.
#pragma once

#include <gossamer/codec/registry.hpp>
#include <gossamer/generator.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace tests::codec {

using Numbers = std::vector<float>;
using Code = std::vector<std::byte>;

/// Lengths about blocks, bytes and vectors.
inline const std::vector<std::size_t> lengths{
    1,   2,   3,   5,   7,   8,   9,   16,  31,  33,  100,  239,  241,  255,  256,
    257, 511, 512, 515, 777, 768, 769, 801, 900, 999, 1000, 1024, 1025, 4099, 10000};

/// Normally distributed (Box and Muller).
inline Numbers gaussian(std::size_t n, std::uint64_t stream, double deviation = 1) {
  gossamer::Generator generator(20170318, stream);
  Numbers v(n);
  for (float& x : v) {
    const double radius = std::sqrt(-2 * std::log(1 - generator.uniform()));
    x = static_cast<float>(deviation * radius * std::cos(6.283185307179586 * generator.uniform()));
  }
  return v;
}

struct Sample {
  std::string name;
  Numbers v;
};

/// What codecs find hard, of n numbers; all within the magnitudes of which qualities are promised.
inline std::vector<Sample> hard(std::size_t n) {
  std::vector<Sample> all{{"gaussian", gaussian(n, n)},
                          {"small gaussian", gaussian(n, n + 1, 1e-3)},
                          {"zeros", Numbers(n, 0)},
                          {"equal", Numbers(n, 0.3F)},
                          {"equal and negative", Numbers(n, -7)}};
  const auto add = [&](const std::string& name, auto number_of) {
    Numbers v(n);
    for (std::size_t i = 0; i < n; ++i) v[i] = number_of(i);
    all.push_back({name, std::move(v)});
  };
  add("one number", [](std::size_t i) { return i == 0 ? 3.0F : 0.0F; });
  add("one huge number", [n](std::size_t i) { return i == n / 2 ? 6e4F : 1e-3F; });
  add("negative zeros", [](std::size_t i) { return i % 3 == 0 ? 1.0F : -0.0F; });
  add("just above half a step of int8", [](std::size_t i) { return i == 0 ? 127.0F : 0.5001F; });
  add("just above half a step of int4", [](std::size_t i) { return i == 0 ? -7.0F : 0.5001F; });
  add("a third of a step of int4", [](std::size_t i) { return i == 0 ? 7.0F : -0.3F; });
  add("half of them large", [](std::size_t i) {
    return i == 0 ? 159.0F : i % 2 == 0 ? 0.767F : 0.0F;
  });
  add("powers", [](std::size_t i) { return std::ldexp(1.0F, static_cast<int>(i % 24) - 12); });
  return all;
}

inline double square(std::span<const float> v) {
  double sum = 0;
  for (const float x : v) sum += static_cast<double>(x) * x;
  return sum;
}
inline double square_apart(std::span<const float> v, std::span<const float> w) {
  double sum = 0;
  for (std::size_t i = 0; i < v.size(); ++i) {
    sum += std::pow(static_cast<double>(v[i]) - static_cast<double>(w[i]), 2);
  }
  return sum;
}

inline bool same_bits(std::span<const float> v, std::span<const float> w) {
  return v.size() == w.size() &&
         (v.empty() || std::memcmp(v.data(), w.data(), v.size_bytes()) == 0);
}

}  // namespace tests::codec
