// SPDX-License-Identifier: MIT
/// Batches: every index once an epoch, crops and flips of the right pixels, restorable bits.
#include <cifar10/batches.hpp>
#include <gossamer/error.hpp>

#include <tests/examples/small_files.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace {

using cifar10::Batches;
using cifar10::BatchOptions;
using gossamer::CheckpointError;
using gossamer::ConfigError;
using gossamer::Generator;

/// Random images; image i has label i % 10.
cifar10::Images images(std::int64_t n, std::uint64_t seed = 11) {
  cifar10::Images result{at::empty({n, 3, 32, 32}, at::kByte), at::arange(n).remainder(10)};
  const auto bytes = random_bytes(static_cast<std::size_t>(n * 3072), seed);
  std::copy(bytes.begin(), bytes.end(),
            reinterpret_cast<char*>(result.pixels.data_ptr<std::uint8_t>()));
  return result;
}

/// Images whose pixels all have the number of the image as value, so that a crop tells its image.
cifar10::Images numbered(std::int64_t n) {
  return {at::arange(n).to(at::kByte).view({n, 1, 1, 1}).expand({n, 3, 32, 32}).contiguous(),
          at::arange(n).remainder(10)};
}

cifar10::Normalisation identity() { return {{0, 0, 0}, {1.F / 255, 1.F / 255, 1.F / 255}}; }

/// The normalised image by tensor operations, in double precision.
at::Tensor normalised(const at::Tensor& pixels) {
  const cifar10::Normalisation n;
  const auto row = [](const auto& a) {
    return at::tensor({a[0], a[1], a[2]}).to(at::kDouble).view({3, 1, 1});
  };
  return (pixels.to(at::kDouble) / 255 - row(n.mean)) / row(n.deviation);
}

/// The numbers of `numbered` images in the order of the stream.
std::vector<int> draw(Batches& batches, int count) {
  std::vector<int> numbers;
  while (static_cast<int>(numbers.size()) < count) {
    const auto [x, y] = batches.next();
    for (std::int64_t i = 0; i < x.size(0); ++i) {
      numbers.push_back(static_cast<int>(x[i][0][14][14].item<float>() + 0.5F));
    }
  }
  return numbers;
}

}  // namespace

TEST_CASE("A batch has the shapes and types that a network wants", "[examples][batches]") {
  const auto data = images(12);
  for (const std::int64_t crop : {28, 32}) {
    Batches batches(data, cifar10::all(12), 5, Generator(1), BatchOptions().crop(crop));
    const auto [x, y] = batches.next();
    CHECK(x.sizes() == at::IntArrayRef({5, 3, crop, crop}));
    CHECK(x.scalar_type() == at::kFloat);
    CHECK(x.is_contiguous());
    CHECK(y.sizes() == at::IntArrayRef({5}));
    CHECK(y.scalar_type() == at::kLong);
  }
}

TEST_CASE("Each epoch visits every index once, though batches span its end",
          "[examples][batches]") {
  const std::vector<std::int64_t> indices = {3, 5, 8, 13, 21, 34, 55};
  Batches batches(numbered(60), indices, 3, Generator(5), BatchOptions().normalisation(identity()));
  const auto numbers = draw(batches, 7 * 3 * 4);
  std::set<std::vector<int>> orders;
  for (std::size_t epoch = 0; epoch < 12; ++epoch) {
    const auto begin = numbers.begin() + static_cast<std::ptrdiff_t>(7 * epoch);
    std::vector<int> seen(begin, begin + 7);
    orders.insert(seen);
    std::sort(seen.begin(), seen.end());
    CHECK(seen == std::vector<int>(indices.begin(), indices.end()));
  }
  CHECK(orders.size() > 10);
  CHECK(batches.epoch() == 12);
  CHECK(batches.size() == 7);
}

TEST_CASE("A batch larger than an epoch holds whole epochs", "[examples][batches]") {
  Batches batches(numbered(3), cifar10::all(3), 7, Generator(5),
                  BatchOptions().normalisation(identity()));
  auto numbers = draw(batches, 7);
  CHECK(batches.epoch() == 2);
  std::sort(numbers.begin(), numbers.begin() + 3);
  CHECK(std::vector<int>(numbers.begin(), numbers.begin() + 3) == std::vector<int>{0, 1, 2});
}

TEST_CASE("Labels go with their images", "[examples][batches]") {
  Batches batches(numbered(40), cifar10::all(40), 8, Generator(2),
                  BatchOptions().normalisation(identity()));
  for (int k = 0; k < 10; ++k) {
    const auto [x, y] = batches.next();
    CHECK(x.select(1, 0).select(1, 3).select(1, 3).round().to(at::kLong).remainder(10).equal(y));
  }
}

TEST_CASE("Every crop is a window of its image, mirrored or not, and all windows occur",
          "[examples][batches]") {
  const std::int64_t crop = GENERATE(28, 32);
  const bool flip = GENERATE(true, false);
  const auto data = images(1);
  const std::int64_t padding = crop == 32 ? 4 : 0;
  const auto black = normalised(at::zeros({3, 1, 1}, at::kByte));
  auto padded = black.expand({3, 32 + 2 * padding, 32 + 2 * padding}).clone();
  padded.slice(1, padding, padding + 32)
      .slice(2, padding, padding + 32)
      .copy_(normalised(data.pixels[0]));
  padded = padded.to(at::kFloat);
  const auto places = 32 + 2 * padding - crop + 1;
  std::vector<at::Tensor> windows;
  for (std::int64_t place = 0; place < places * places; ++place) {
    const auto top = place % places;
    const auto left = place / places;
    windows.push_back(padded.slice(1, top, top + crop).slice(2, left, left + crop).contiguous());
    if (flip) windows.push_back(windows.back().flip(2));
  }
  Batches batches(data, {0}, 1, Generator(9), BatchOptions().crop(crop).flip(flip));
  std::set<std::size_t> found;
  const auto middle = 14 * crop + 14;
  for (std::size_t k = 0; k < 12 * windows.size(); ++k) {
    const auto x = batches.next().first[0];
    int matches = 0;
    for (std::size_t w = 0; w < windows.size(); ++w) {
      if (x.data_ptr<float>()[middle] != windows[w].data_ptr<float>()[middle]) continue;
      if (!x.equal(windows[w])) continue;
      ++matches;
      found.insert(w);
    }
    REQUIRE(matches == 1);
  }
  CHECK(found.size() == windows.size());
}

TEST_CASE("A restored stream goes on with the same bits from any point", "[examples][batches]") {
  const auto data = images(17);
  const auto options = BatchOptions().crop(32);
  for (int before = 0; before < 12; ++before) {
    Batches original(data, cifar10::all(17), 5, Generator(3, 4), options);
    for (int k = 0; k < before; ++k) (void)original.next();
    const auto state = original.state();
    Batches restored(data, cifar10::all(17), 5, Generator(99), options);
    for (int k = 0; k < 3; ++k) (void)restored.next();
    restored.restore(state);
    CHECK(restored.state() == state);
    CHECK(restored.epoch() == original.epoch());
    for (int k = 0; k < 9; ++k) {
      const auto [x, y] = original.next();
      const auto [u, v] = restored.next();
      REQUIRE(x.equal(u));
      REQUIRE(y.equal(v));
    }
    CHECK(restored.state() == original.state());
  }
}

TEST_CASE("A state that does not fit is refused and changes nothing", "[examples][batches]") {
  const auto data = images(9);
  Batches batches(data, cifar10::all(9), 2, Generator(1));
  (void)batches.next();
  const auto before = batches.state();
  const auto refusal = [&](std::vector<std::uint64_t> state) {
    return tests::message_of<CheckpointError>([&] { batches.restore(state); });
  };
  CHECK(refusal({1, 2, 3}) == "batches: a state has 7 numbers, got 3");
  auto other = Batches(data, cifar10::all(8), 2, Generator(1)).state();
  CHECK(refusal(other) == "batches: the state is of 8 images, these batches have 9");
  auto damaged = before;
  damaged[4] = 9;
  CHECK(refusal(damaged).find("damaged: position 9 of 9") != std::string::npos);
  damaged = before;
  damaged[3] = damaged[2] + 1;
  CHECK(refusal(damaged).find("damaged") != std::string::npos);
  CHECK(batches.state() == before);
}

TEST_CASE("Seed and stream decide the batches", "[examples][batches]") {
  const auto data = images(30);
  const auto first = [&](Generator generator) {
    return Batches(data, cifar10::all(30), 10, generator).next().first;
  };
  CHECK(first(Generator(1, 2)).equal(first(Generator(1, 2))));
  CHECK_FALSE(first(Generator(1, 2)).equal(first(Generator(1, 3))));
  CHECK_FALSE(first(Generator(1, 2)).equal(first(Generator(2, 2))));
}

TEST_CASE("ParameterServer crops are the middle of their images in order", "[examples][batches]") {
  const auto data = images(6);
  const auto [small, labels] = cifar10::centre_crops(data, 2, 5);
  CHECK(labels.equal(at::arange(2, 5)));
  REQUIRE(small.sizes() == at::IntArrayRef({3, 3, 28, 28}));
  const auto [whole, same] = cifar10::centre_crops(data, 2, 5, 32);
  REQUIRE(whole.sizes() == at::IntArrayRef({3, 3, 32, 32}));
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto expected = normalised(data.pixels[i + 2]).to(at::kFloat);
    CHECK(whole[i].equal(expected));
    CHECK(small[i].equal(expected.slice(1, 2, 30).slice(2, 2, 30)));
  }
  CHECK(cifar10::centre_crops(data, 6, 6).first.size(0) == 0);
}

TEST_CASE("Shards are disjoint, cover all and differ by at most one", "[examples][batches]") {
  for (const std::int64_t n : {0, 1, 7, 50, 53}) {
    for (const std::size_t nodes : {1U, 2U, 7U, 10U}) {
      std::vector<std::int64_t> together;
      std::size_t smallest = std::numeric_limits<std::size_t>::max();
      std::size_t largest = 0;
      for (std::size_t node = 0; node < nodes; ++node) {
        const auto part = cifar10::shard(n, node, nodes);
        smallest = std::min(smallest, part.size());
        largest = std::max(largest, part.size());
        together.insert(together.end(), part.begin(), part.end());
      }
      std::sort(together.begin(), together.end());
      CHECK(together == cifar10::all(n));
      CHECK(largest - smallest <= 1);
    }
  }
  CHECK(cifar10::shard(7, 1, 3) == std::vector<std::int64_t>{1, 4});
  CHECK(tests::message_of<ConfigError>([] { (void)cifar10::shard(7, 3, 3); }) ==
        "shard: node must lie in [0, 3), got 3");
  CHECK(tests::message_of<ConfigError>([] { (void)cifar10::shard(-1, 0, 3); }) ==
        "shard: n must be at least 0, got -1");
}

TEST_CASE("Shards that overlap share what is common, deal out the rest, and cover all",
          "[examples][batches]") {
  for (const std::int64_t n : {0, 1, 7, 50, 53}) {
    for (const std::size_t nodes : {1U, 2U, 4U}) {
      for (const double share : {0.0, 0.125, 0.25, 1.0}) {
        std::vector<int> owners(static_cast<std::size_t>(n), 0);
        for (std::size_t node = 0; node < nodes; ++node) {
          const auto part = cifar10::overlapping_shard(n, node, nodes, share);
          CHECK(std::is_sorted(part.begin(), part.end()));
          for (const auto i : part) ++owners[static_cast<std::size_t>(i)];
          if (share == 0) CHECK(part == cifar10::shard(n, node, nodes));
          if (share == 1) CHECK(part == cifar10::all(n));
        }
        std::int64_t common = 0;
        for (const int count : owners) {
          CHECK((count == 1 || count == static_cast<int>(nodes)));
          common += count == 1 ? 0 : 1;
        }
        if (nodes > 1) CHECK(common == static_cast<std::int64_t>(static_cast<double>(n) * share));
      }
    }
  }
  CHECK(tests::message_of<ConfigError>([] { (void)cifar10::overlapping_shard(7, 0, 3, 1.5); }) ==
        "overlapping_shard: share must lie in [0, 1], got 1.5");
  CHECK(tests::message_of<ConfigError>([] { (void)cifar10::overlapping_shard(7, 3, 3, 0.5); }) ==
        "shard: node must lie in [0, 3), got 3");
}

TEST_CASE("Batches refuse what cannot work, by name and value", "[examples][batches]") {
  const auto data = images(4);
  const auto refusal = [&](std::vector<std::int64_t> indices, std::int64_t batch,
                           const BatchOptions& options = {}) {
    return tests::message_of<ConfigError>(
        [&] { Batches(data, std::move(indices), batch, Generator(1), options); });
  };
  CHECK(refusal({0}, 0) == "batches: batch must be at least 1, got 0");
  CHECK(refusal({}, 1) == "batches: there must be at least one index, got none");
  CHECK(refusal({0, 4}, 1) == "batches: an index must lie in [0, 4), got 4");
  CHECK(refusal({-1}, 1) == "batches: an index must lie in [0, 4), got -1");
  CHECK(refusal({0}, 1, BatchOptions().crop(30)) == "batches: crop must be 28 or 32, got 30");
  auto normalisation = cifar10::Normalisation();
  normalisation.deviation[1] = 0;
  CHECK(refusal({0}, 1, BatchOptions().normalisation(normalisation))
            .find("normalisation of channel 1") != std::string::npos);
  normalisation.deviation[1] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(refusal({0}, 1, BatchOptions().normalisation(normalisation)).empty());

  auto wrong = data;
  wrong.pixels = data.pixels.to(at::kFloat);
  CHECK_THROWS_AS(Batches(wrong, {0}, 1, Generator(1)), ConfigError);
  wrong.pixels = data.pixels.transpose(2, 3);
  CHECK_THROWS_AS(Batches(wrong, {0}, 1, Generator(1)), ConfigError);
  wrong = data;
  wrong.labels = data.labels.slice(0, 0, 3);
  CHECK_THROWS_AS(cifar10::centre_crops(wrong, 0, 1), ConfigError);
  CHECK(tests::message_of<ConfigError>([&] { (void)cifar10::centre_crops(data, 2, 5); }) ==
        "centre_crops: the range must lie in [0, 4], got 2 to 5");
  CHECK_THROWS_AS(Batches({}, {0}, 1, Generator(1)), ConfigError);
}
