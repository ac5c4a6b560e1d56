// SPDX-License-Identifier: MIT
/// Mixing flat vectors, and the pool that their copies come from.
#include <gossamer/generator.hpp>
#include <gossamer/model/chunk.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/mix.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/message.hpp>

#include <tests/model/same_bits.hpp>
#include <tests/support.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::model::Chunk;
using gossamer::model::Flat;
using gossamer::model::mix;
using gossamer::model::Share;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using gossamer::transport::Message;
using tests::Approx;
using tests::same_bits;

constexpr std::int64_t length = 5000;  // more than two blocks and a half of the kernel's

Flat random_flat(Generator& generator, const std::vector<at::ScalarType>& types) {
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

Flat clone(const Flat& flat) {
  Flat copy = flat.zeros_like();
  copy.copy_from(flat);
  return copy;
}

const std::vector<at::ScalarType> types{at::kFloat, at::kDouble, at::kHalf, at::kBFloat16};

TEST_CASE("A mix is the convex combination, in every dtype", "[model][mix]") {
  Generator generator(tests::seed, 3000);
  const Flat x = random_flat(generator, types);
  const Flat y = random_flat(generator, types);
  for (const double t : {0.0, 0.1, 0.5, 0.75, 1.0}) {
    const Flat mixed = clone(y);
    mix(mixed, x, t);
    const std::vector<double> tolerances{2e-7, 5e-16, 2e-3, 1.6e-2};
    for (std::size_t s = 0; s < types.size(); ++s) {
      const auto expected =
          x.segments()[s].to(at::kDouble) * t + y.segments()[s].to(at::kDouble) * (1 - t);
      const auto error = (mixed.segments()[s].to(at::kDouble) - expected).abs().max();
      CHECK(error.item<double>() <= tolerances[s]);
    }
  }
}

TEST_CASE("t = 0 changes no bit, and equal vectors stay equal, bit for bit", "[model][mix]") {
  Generator generator(tests::seed, 3001);
  const Flat x = random_flat(generator, types);
  const Flat y = random_flat(generator, types);
  const Flat unchanged = clone(y);
  mix(unchanged, x, 0);
  CHECK(same_bits(unchanged, y));
  for (const double t : {0.1, 1.0 / 3, 0.5, 0.9, 1.0}) {
    const Flat equal = clone(x);
    mix(equal, x, t);
    CHECK(same_bits(equal, x));
  }
}

TEST_CASE("Several shares in one pass are as one after the other, bit for bit", "[model][mix]") {
  Generator generator(tests::seed, 3002);
  const std::size_t count = GENERATE(0U, 1U, 2U, 17U);
  std::vector<Flat> flats;
  for (std::size_t i = 0; i < count; ++i) flats.push_back(random_flat(generator, types));
  std::vector<Share> shares;
  for (const Flat& flat : flats) shares.push_back({&flat, generator.uniform()});
  const Flat start = random_flat(generator, types);
  const Flat together = clone(start);
  const Flat apart = clone(start);
  mix(together, shares);
  for (const Share& share : shares) mix(apart, *share.flat, share.t);
  CHECK(same_bits(together, apart));
  CHECK(same_bits(together, start) == (count == 0));
}

TEST_CASE("A mix leaves what it mixes in as it was", "[model][mix]") {
  Generator generator(tests::seed, 3003);
  const Flat x = random_flat(generator, types);
  const Flat before = clone(x);
  mix(random_flat(generator, types), x, 0.3);
  CHECK(same_bits(x, before));
}

TEST_CASE("Complex numbers are mixed too", "[model][mix]") {
  const Flat y({at::zeros({8}, at::kComplexDouble)});
  const Flat x({at::full({8}, c10::complex<double>(2, -4), at::kComplexDouble)});
  mix(y, x, 0.25);
  const auto expected = at::full({8}, c10::complex<double>(0.5, -1), at::kComplexDouble);
  CHECK(torch::equal(y.segments()[0], expected));
}

TEST_CASE("The mean adds in the given order and divides once", "[model][mix]") {
  Generator generator(tests::seed, 3004);
  const std::size_t count = GENERATE(1U, 2U, 3U, 8U);
  std::vector<Flat> flats;
  for (std::size_t i = 0; i < count; ++i) {
    flats.push_back(random_flat(generator, {at::kDouble, at::kFloat}));
  }
  std::vector<const Flat*> all;
  for (const Flat& flat : flats) all.push_back(&flat);
  const Flat result = flats[0].zeros_like();
  gossamer::model::mean(result, all);
  for (std::int64_t i = 0; i < length; i += 7) {
    double sum = 0;
    float narrow = 0;
    for (const Flat& flat : flats) {
      sum += flat.segments()[0].data_ptr<double>()[i];
      narrow += flat.segments()[1].data_ptr<float>()[i];
    }
    REQUIRE(result.segments()[0].data_ptr<double>()[i] == sum / static_cast<double>(count));
    REQUIRE(result.segments()[1].data_ptr<float>()[i] ==
            Approx(narrow / static_cast<float>(count)).margin(1e-6));
  }
}

TEST_CASE("The parts of a vector cover it once, however long it is", "[model]") {
  const std::int64_t numbers =
      GENERATE(as<std::int64_t>{}, 0, 1, 5, 1000, std::int64_t{1} << 40, std::int64_t{1} << 62);
  const std::uint32_t of = GENERATE(1U, 2U, 3U, 7U, 1024U);
  std::int64_t next = 0;
  for (std::uint32_t index = 0; index < of; ++index) {
    const Chunk part{index, of};
    REQUIRE(part.begin(numbers) == next);
    REQUIRE(part.end(numbers) - next >= numbers / of);
    REQUIRE(part.end(numbers) - next <= numbers / of + 1);
    next = part.end(numbers);
  }
  CHECK(next == numbers);
}

TEST_CASE("The mean of a part touches nothing else, and all parts give the bits of the whole",
          "[model][mix]") {
  Generator generator(tests::seed, 3005);
  auto kinds = types;
  kinds.push_back(at::kComplexFloat);
  std::vector<Flat> flats;
  std::vector<const Flat*> all;
  for (std::size_t i = 0; i < 3; ++i) flats.push_back(random_flat(generator, kinds));
  for (const Flat& flat : flats) all.push_back(&flat);
  const Flat whole = flats[0].zeros_like();
  gossamer::model::mean(whole, all);
  const std::uint32_t of = GENERATE(2U, 3U, 8U, 1000U, 9000U);  // the last ones leave some empty
  const Flat result = random_flat(generator, kinds);
  Flat expected = clone(result);
  std::size_t bytes = 0;
  for (std::uint32_t index = 0; index < of; index += 1 + index / 20) {  // some parts, not all
    const Chunk part{index, of};
    gossamer::model::mean(result, all, part);
    expected.copy_from(whole, part);
    bytes += whole.bytes(part);
  }
  CHECK(same_bits(result, expected));
  CHECK_FALSE((of > 40 && same_bits(result, whole)));
  CHECK((bytes < whole.bytes()) == (of > 40));
  for (std::uint32_t index = 0; index < of; ++index) {
    gossamer::model::mean(result, all, Chunk{index, of});
  }
  CHECK(same_bits(result, whole));
}

TEST_CASE("A copy of a part copies its numbers and no others", "[model]") {
  Generator generator(tests::seed, 3006);
  const Flat from = random_flat(generator, types);
  const Flat to = random_flat(generator, types);
  const Flat before = clone(to);
  to.copy_from(from, {1, 3});
  for (std::size_t s = 0; s < types.size(); ++s) {
    const auto part = [s](const Flat& flat, std::int64_t begin, std::int64_t end) {
      return flat.segments()[s].slice(0, begin, end);
    };
    CHECK(torch::equal(part(to, 0, 1666), part(before, 0, 1666)));
    CHECK(torch::equal(part(to, 1666, 3333), part(from, 1666, 3333)));
    CHECK(torch::equal(part(to, 3333, length), part(before, 3333, length)));
  }
}

TEST_CASE("A message counts the bytes of the part that travels", "[model][transport]") {
  SnapshotPool pool(Flat({at::zeros({10}), at::zeros({3}, at::kDouble)}));
  Message message{.payload = pool.take()};
  CHECK(message.bytes() == Message::header_bytes + 10 * 4 + 3 * 8);
  message.chunk = {1, 2};  // numbers 5 to 9, and 1 to 2
  CHECK(message.bytes() == Message::header_bytes + 5 * 4 + 2 * 8);
  message.payload = {};
  CHECK(message.bytes() == Message::header_bytes);
}

SnapshotPool small_pool() {
  return SnapshotPool(Flat({at::ones({4}), at::ones({2}, at::kDouble)}));
}

TEST_CASE("The pool grows to the most snapshots alive at once and no further",
          "[model][snapshot]") {
  SnapshotPool pool = small_pool();
  CHECK(pool.made() == 0);
  for (int round = 0; round < 100; ++round) {
    std::vector<Snapshot> alive;
    for (int i = 0; i < 1 + round % 5; ++i) alive.push_back(pool.take());
  }
  CHECK(pool.made() == 5);
}

TEST_CASE("What nobody writes of a snapshot is 0: the gaps between parameters travel, too",
          "[model][snapshot]") {
  const Flat prototype({at::ones({1000})});
  for (int i = 0; i < 20; ++i) {
    {
      const at::Tensor spoilt = at::full({1000}, std::numeric_limits<float>::quiet_NaN());
      REQUIRE(spoilt.isnan().all().item<bool>());
    }  // its memory is what is given out next
    CHECK(torch::equal(SnapshotPool(prototype).take()->segments()[0], at::zeros({1000})));
  }
}

TEST_CASE("Two snapshots alive at once share no memory", "[model][snapshot]") {
  SnapshotPool pool = small_pool();
  Snapshot first = pool.take();
  Snapshot second = pool.take();
  first.writable().segments()[0].fill_(1);
  second.writable().segments()[0].fill_(2);
  CHECK(torch::equal(first->segments()[0], torch::full({4}, 1.0F)));
  CHECK(first->segments()[1].scalar_type() == at::kDouble);
  CHECK(first.bytes() == 4 * 4 + 2 * 8);
}

TEST_CASE("Copies of a handle keep one block, and the last to go gives it back",
          "[model][snapshot]") {
  SnapshotPool pool = small_pool();
  Snapshot first = pool.take();
  void* const memory = first->segments()[0].data_ptr();
  Snapshot second = first;
  Snapshot third = std::move(first);
  CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move): what a moved-from handle is
  CHECK(second->segments()[0].data_ptr() == memory);
  second = {};
  CHECK(pool.take()->segments()[0].data_ptr() != memory);  // still held by the third
  const Snapshot& same = third;
  third = same;  // NOLINT: assigning a handle to itself
  CHECK(third->segments()[0].data_ptr() == memory);
  third = {};
  CHECK(pool.made() == 2);
  const Snapshot again = pool.take();
  const Snapshot other = pool.take();
  CHECK((again->segments()[0].data_ptr() == memory || other->segments()[0].data_ptr() == memory));
  CHECK(pool.made() == 2);
}

TEST_CASE("An empty handle is false, has no bytes and may be copied", "[model][snapshot]") {
  const Snapshot empty;
  const Snapshot copy = empty;  // NOLINT(performance-unnecessary-copy-initialization)
  CHECK_FALSE(copy);
  CHECK(copy.bytes() == 0);
}

TEST_CASE("A snapshot outlives its pool", "[model][snapshot]") {
  auto pool = std::make_unique<SnapshotPool>(Flat({at::ones({4})}));
  Snapshot snapshot = pool->take();
  snapshot.writable().segments()[0].fill_(3);
  pool.reset();
  Snapshot copy = snapshot;
  snapshot = {};
  CHECK(torch::equal(copy->segments()[0], torch::full({4}, 3.0F)));
}

TEST_CASE("Memory comes back from another thread", "[model][snapshot][threads]") {
  SnapshotPool pool = small_pool();
  for (int round = 0; round < 20; ++round) {
    Snapshot snapshot = pool.take();
    snapshot.writable().segments()[0].fill_(static_cast<float>(round));
    float seen = -1;
    std::thread([mine = std::move(snapshot), &seen]() mutable {
      seen = mine->segments()[0].data_ptr<float>()[0];
      mine = {};
    }).join();
    REQUIRE(seen == static_cast<float>(round));
  }
  CHECK(pool.made() == 1);
}

TEST_CASE("Threads that drop copies of one snapshot give it back once",
          "[model][snapshot][threads]") {
  SnapshotPool pool = small_pool();
  for (int round = 0; round < 200; ++round) {
    Snapshot snapshot = pool.take();
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([copy = snapshot]() mutable {
        const Snapshot another = copy;
        copy = {};
      });
    }
    snapshot = {};
    for (auto& thread : threads) thread.join();
  }
  CHECK(pool.made() == 1);  // back each time
  const Snapshot first = pool.take();
  const Snapshot second = pool.take();
  CHECK(first->segments()[0].data_ptr() != second->segments()[0].data_ptr());  // and not twice
  CHECK(pool.made() == 2);
}

TEST_CASE("A snapshot that another thread drops as the pool ends frees all",
          "[model][snapshot][threads]") {
  for (int round = 0; round < 50; ++round) {
    auto pool = std::make_unique<SnapshotPool>(Flat({at::ones({4})}));
    Snapshot idle = pool->take();
    Snapshot snapshot = pool->take();
    const at::Tensor watched = snapshot->segments()[0];
    idle = {};
    std::thread other([mine = std::move(snapshot)]() mutable { mine = {}; });
    pool.reset();
    other.join();
    REQUIRE(watched.use_count() == 1);  // nobody else has it any more
  }
}

}  // namespace
