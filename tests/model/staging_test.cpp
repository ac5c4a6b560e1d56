// SPDX-License-Identifier: MIT
/// Arithmetic with vectors that lie elsewhere, and the copies that are sent from there. No device
/// is needed: what lies apart from the model takes the same way.
#include <gossamer/generator.hpp>
#include <gossamer/model/distance.hpp>
#include <gossamer/model/fence.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/host_copies.hpp>
#include <gossamer/model/mix.hpp>
#include <gossamer/model/pull.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/model/staging.hpp>
#include <gossamer/model/vectors.hpp>

#include <tests/model/same_bits.hpp>
#include <tests/support.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <future>
#include <limits>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::model::Apart;
using gossamer::model::Chunk;
using gossamer::model::Flat;
using gossamer::model::HostCopies;
using gossamer::model::Pull;
using gossamer::model::Share;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using tests::same_bits;
namespace model = gossamer::model;

const std::vector<at::ScalarType> types{at::kFloat, at::kDouble, at::kHalf, at::kBFloat16,
                                        at::kComplexFloat};

Flat random_flat(std::uint64_t stream, std::int64_t length) {
  Generator generator(tests::seed, stream);
  at::Tensor numbers = at::empty({length}, at::kDouble);
  for (std::int64_t i = 0; i < length; ++i) {
    numbers.data_ptr<double>()[i] = 2 * generator.uniform() - 1;
  }
  std::vector<at::Tensor> segments;
  for (const auto type : types) segments.push_back(numbers.to(type));
  return Flat(std::move(segments));
}
/// The same numbers, in memory that the arithmetic takes for another.
Flat apart(const Flat& flat, std::shared_ptr<Apart> common = std::make_shared<Apart>()) {
  return Flat(flat.clone().segments(), std::move(common));
}

/// Less than one piece, and more than one of each type.
constexpr std::array<std::int64_t, 3> lengths{1, 5000, model::staging_bytes / 2 + 5};

}  // namespace

TEST_CASE("Mixes with what lies apart have the bits of mixes with what does not",
          "[model][staging]") {
  const std::int64_t length = GENERATE(from_range(lengths));
  const Flat start = random_flat(1, length);
  const Flat x = random_flat(2, length);
  const Flat z = random_flat(3, length);
  const auto common = std::make_shared<Apart>();
  const Flat far_x = apart(x, common);
  const Flat plain = start.clone();
  const Flat staged = start.clone();
  model::mix(plain, std::array{Share{&x, 0.3}, Share{&z, 0.6}, Share{&x, 1}, Share{&z, 0.25}});
  model::mix(staged,
             std::array{Share{&far_x, 0.3}, Share{&z, 0.6}, Share{&far_x, 1}, Share{&z, 0.25}});
  CHECK(same_bits(plain, staged));
  CHECK_FALSE(same_bits(plain, start));
  CHECK(common->staged == 2 * x.bytes());
}

TEST_CASE("Means of vectors of which some lie apart have the bits of those of which none does",
          "[model][staging]") {
  const std::int64_t length = GENERATE(from_range(lengths));
  const Flat x = random_flat(4, length);
  const Flat z = random_flat(5, length);
  const auto common = std::make_shared<Apart>();
  const Flat far_x = apart(x, common);
  const Flat far_z = apart(z, common);
  for (const Chunk part : {Chunk{}, Chunk{1, 3}}) {
    const std::uint64_t before = common->staged;
    const Flat plain = random_flat(6, length);
    const Flat staged = random_flat(6, length);
    model::mean(plain, std::array{&x, &z, &x}, part);
    model::mean(staged, std::array{&far_x, &far_z, &x}, part);
    CHECK(same_bits(plain, staged));
    CHECK(common->staged - before == 2 * x.bytes(part));
  }
}

TEST_CASE("Differences, sums and pulls have the same bits, whichever of the vectors lies apart",
          "[model][staging]") {
  const std::int64_t length = GENERATE(from_range(lengths));
  const Flat x = random_flat(7, length);
  const Flat y = random_flat(8, length);
  const Flat d = random_flat(9, length);
  const Flat sum = y.clone();
  model::difference(d, x, y, 0.3);
  model::add(sum, d, -2);
  const Flat pulled = y.clone();
  const Flat pull_d = d.zeros_like();
  const std::array<Pull, 1> plain{Pull{&x, &pull_d}};
  model::pull(pulled, plain, 0.3, 0.5);
  for (int which = 1; which < 7; ++which) {  // not all of them: those lie beside each other
    CAPTURE(which, length);
    const auto common = std::make_shared<Apart>();
    const auto place = [&](const Flat& flat, int bit) {
      return (which & bit) != 0 ? apart(flat, common) : flat.clone();
    };
    const Flat there = place(y, 1);
    const Flat theirs = place(x, 2);
    const Flat apart_d = place(d.zeros_like(), 4);
    model::difference(apart_d, theirs, there, 0.3);
    CHECK(same_bits(apart_d, d));
    CHECK(common->staged > 0);
    const Flat apart_sum = there.clone();
    model::add(there, apart_d, -2);
    CHECK(same_bits(there, sum));
    const std::array<Pull, 1> far{Pull{&theirs, &apart_d}};
    model::pull(apart_sum, far, 0.3, 0.5);
    CHECK(same_bits(apart_sum, pulled));
    CHECK(same_bits(apart_d, pull_d));
  }
}

TEST_CASE("Pieces cover each number once, in a buffer of bounded length", "[model][staging]") {
  const Flat y({at::arange(1000, at::kFloat)});
  const Flat x = apart(y);
  const Flat z = apart(y);
  std::int64_t next = 100;
  const void* first = nullptr;
  const bool any = model::in_pieces(
      y, std::array{&x, &y, &z}, 0, 100, 777,
      [&](const Flat& to, std::span<const Flat* const> pieces) {
        const std::int64_t n = to.segments()[0].numel();
        CHECK(2 * n * 4 <= 512);  // two of the three are brought
        for (const Flat* piece : pieces)
          CHECK(torch::equal(piece->segments()[0], to.segments()[0]));
        CHECK(to.segments()[0][0].item<float>() == static_cast<float>(next));
        if (first == nullptr) first = pieces[0]->segments()[0].data_ptr();
        CHECK(pieces[0]->segments()[0].data_ptr() == first);
        CHECK(pieces[1]->segments()[0].data_ptr() == to.segments()[0].data_ptr());
        next += n;
      },
      512);
  CHECK(any);
  CHECK(next == 777);
  CHECK_FALSE(model::in_pieces(y, std::array{&y}, 0, [](const auto&, const auto&) { FAIL(); }));
}

TEST_CASE("The distance to what lies apart is the distance", "[model][staging]") {
  const auto dtype = GENERATE(at::kFloat, at::kHalf, at::kComplexFloat);
  torch::manual_seed(tests::seed);
  std::vector<at::Tensor> tensors{torch::randn({5003}, torch::kDouble).to(dtype)};
  const model::FlatModel bound(model::detail::tensors_of(tensors));
  const Flat other = bound.flat().zeros_like();
  const auto distance = [&](const Flat& y) {
    return model::squared_distance(bound.layout(), bound.flat(), y,
                                   std::numeric_limits<std::int64_t>::max(), 0);
  };
  CHECK(distance(other) > 4000);
  CHECK(distance(apart(other)) == tests::Approx(distance(other)).epsilon(1e-6));
}

TEST_CASE("A host copy has the parts that are asked for, in memory of its own kind",
          "[model][staging]") {
  const Flat numbers = random_flat(10, 5000);
  HostCopies copies(numbers);
  CHECK(copies.shape().bytes() == numbers.bytes());
  for (const at::Tensor& segment : copies.shape().segments()) {
    CHECK(segment.storage().nbytes() <= 16);  // it is a shape
  }
  SnapshotPool pool(numbers);
  Snapshot source = pool.take();
  source.writable().copy_from(numbers);
  const std::array all{Chunk{}};
  {
    const Snapshot copy = copies.copy_of(source, all);
    CHECK(copy.is_apart());
    CHECK_FALSE(source.is_apart());
    CHECK(copy.ready());
    CHECK(same_bits(*copy, numbers));
    CHECK(copies.staged() == numbers.bytes());
  }
  const Flat others = random_flat(11, 5000);
  source.writable().copy_from(others);
  const std::array parts{Chunk{0, 4}, Chunk{2, 4}};
  const Snapshot copy = copies.copy_of(source, parts);
  const Flat expected = numbers.clone();  // the pool's memory, as it was
  for (const Chunk part : parts) expected.copy_from(others, part);
  CHECK(same_bits(*copy, expected));
  CHECK(copies.staged() == numbers.bytes() + numbers.bytes(parts[0]) + numbers.bytes(parts[1]));
  CHECK(copies.pool().made() == 1);
  CHECK(pool.out() == 1);
}

namespace {

/// Opened by hand.
class Gate final : public gossamer::model::Fence {
 public:
  /// Keeps that as long as it lives.
  explicit Gate(Snapshot kept = {}) : kept_(std::move(kept)) {}
  [[nodiscard]] bool ready() const override { return open_.load(); }
  void wait() const override {
    waited.store(true);
    waited.notify_all();
    open_.wait(false);
  }
  void open() {
    open_.store(true);
    open_.notify_all();
  }
  mutable std::atomic<bool> waited{false};

 private:
  std::atomic<bool> open_{false};
  Snapshot kept_;
};

}  // namespace

TEST_CASE("Who reads a snapshot waits for its fence, and who asks does not",
          "[model][staging][threads]") {
  SnapshotPool pool(Flat({at::zeros({3})}));
  Snapshot written = pool.take();
  float* const numbers = written.writable().segments()[0].data_ptr<float>();
  const auto gate = std::make_shared<Gate>();
  written.set_fence(gate);
  CHECK_FALSE(written.ready());
  CHECK(written.bytes() == 12);
  auto read = std::async(std::launch::async,
                         [copy = written] { return (*copy).segments()[0].data_ptr<float>()[1]; });
  gate->waited.wait(false);
  numbers[1] = 7;  // as a device would
  gate->open();
  CHECK(read.get() == 7);
  CHECK(written.ready());
  written = {};
  written = pool.take();
  CHECK(written.ready());
  CHECK(pool.made() == 1);
}

TEST_CASE("A copy that is dropped before its fence is reached keeps nothing afterwards",
          "[model][staging]") {
  SnapshotPool sources(Flat({at::zeros({3})}));
  SnapshotPool copies(Flat({at::zeros({3})}));
  auto gate = std::make_shared<Gate>(sources.take());
  const std::weak_ptr<Gate> kept = gate;
  Gate* const held = gate.get();
  {
    Snapshot copy = copies.take();
    copy.set_fence(std::exchange(gate, nullptr));
  }
  CHECK(copies.under_way() == 0);
  CHECK(sources.under_way() == 1);
  held->open();
  CHECK(copies.under_way() == 0);
  CHECK(sources.under_way() == 0);
  CHECK(kept.expired());
}
