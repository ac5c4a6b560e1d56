// SPDX-License-Identifier: MIT
/// Shards with labels that are not alike: a partition, whose shares are as the distribution says.
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>
#include <shared/dirichlet_shards.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

namespace {

using examples::dirichlet_draw;
using examples::dirichlet_shards;
using gossamer::ConfigError;

std::vector<std::int64_t> ten_labels(std::size_t images) {
  std::vector<std::int64_t> labels(images);
  for (std::size_t i = 0; i < images; ++i) labels[i] = static_cast<std::int64_t>(i % 10);
  return labels;
}

}  // namespace

TEST_CASE("Shares by Dirichlet have its mean and its variance", "[examples][batches]") {
  gossamer::Generator random(tests::seed);
  const std::size_t count = 6;
  const int draws = 20'000;
  for (const double alpha : {0.1, 0.3, 1.0, 5.0}) {
    double square = 0;
    double mean = 0;
    for (int i = 0; i < draws; ++i) {
      const auto shares = dirichlet_draw(count, alpha, random);
      CHECK(std::accumulate(shares.begin(), shares.end(), 0.0) == tests::Approx(1));
      mean += shares[2] / draws;
      square += shares[2] * shares[2] / draws;
    }
    const double share = 1.0 / count;
    const double variance = share * (1 - share) / (count * alpha + 1);
    CHECK(std::abs(mean - share) < 5 * std::sqrt(variance / draws));
    CHECK(square - mean * mean == tests::Approx(variance).epsilon(0.06));
  }
}

TEST_CASE("Shards by Dirichlet are disjoint and cover all; a small alpha makes them unlike",
          "[examples][batches]") {
  const auto labels = ten_labels(5000);
  std::vector<double> unlike;
  for (const double alpha : {0.01, 0.3, 100.0}) {
    const auto parts = dirichlet_shards(labels, 60, alpha, tests::seed);
    CHECK(parts == dirichlet_shards(labels, 60, alpha, tests::seed));
    CHECK(parts != dirichlet_shards(labels, 60, alpha, tests::seed + 1));
    std::vector<std::int64_t> together;
    double largest_label = 0;
    for (const auto& part : parts) {
      CHECK_FALSE(part.empty());
      CHECK(std::is_sorted(part.begin(), part.end()));
      together.insert(together.end(), part.begin(), part.end());
      std::vector<double> of_label(10);
      for (const auto i : part) of_label[static_cast<std::size_t>(labels[i])] += 1;
      largest_label += *std::max_element(of_label.begin(), of_label.end()) /
                       static_cast<double>(part.size()) / 60;
    }
    std::sort(together.begin(), together.end());
    std::vector<std::int64_t> all(labels.size());
    std::iota(all.begin(), all.end(), 0);
    CHECK(together == all);
    unlike.push_back(largest_label);
  }
  CHECK(unlike[0] > unlike[1] + 0.1);
  CHECK(unlike[1] > unlike[2] + 0.2);
  CHECK(unlike[2] < 0.2);
}

TEST_CASE("Shards by Dirichlet refuse what cannot be", "[examples][batches]") {
  const auto labels = ten_labels(5);
  CHECK(tests::message_of<ConfigError>([&] { (void)dirichlet_shards(labels, 2, 0, 1); }) ==
        "dirichlet_shards: alpha must lie in (0, 1e6], got 0");
  CHECK(tests::message_of<ConfigError>([&] { (void)dirichlet_shards(labels, 6, 1, 1); }) ==
        "dirichlet_shards: nodes must lie in [1, 5], the number of images, got 6");
}
