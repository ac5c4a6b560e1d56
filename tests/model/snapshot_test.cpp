// SPDX-License-Identifier: MIT
/// How many snapshots a pool keeps.
#include <gossamer/generator.hpp>
#include <gossamer/model/fence.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/model/snapshot.hpp>

#include <tests/support.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace {

using gossamer::model::Fence;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;

SnapshotPool small_pool() { return SnapshotPool(Flat({at::ones({4})})); }

/// So many are alive at once, and then none.
void peak(SnapshotPool& pool, std::size_t count) {
  std::vector<Snapshot> alive;
  for (std::size_t i = 0; i < count; ++i) alive.push_back(pool.take());
}

}  // namespace

TEST_CASE("A pool frees what a rare peak has left, and keeps one to spare", "[model][snapshot]") {
  SnapshotPool pool = small_pool();
  peak(pool, 20);
  CHECK(pool.made() == 20);
  CHECK(pool.out() == 0);
  for (std::size_t i = 0; i < 2 * SnapshotPool::window; ++i) peak(pool, 2);
  CHECK(pool.made() == 3);
  CHECK(pool.out() == 0);
  peak(pool, 5);
  CHECK(pool.made() == 5);
}

TEST_CASE("A pool whose peaks come again allocates nothing", "[model][snapshot]") {
  SnapshotPool pool = small_pool();
  gossamer::Generator random(tests::seed, 1);
  for (int i = 0; i < 2000; ++i) {
    peak(pool, i % 25 == 0 ? 8 : 1 + random.below(3));
    REQUIRE(pool.made() == 8);  // so none was freed, and none had to be made again
  }
}

TEST_CASE("What is in use, and what a device may still write, is not freed", "[model][snapshot]") {
  class Never final : public Fence {
   public:
    void wait() const override {}
    [[nodiscard]] bool ready() const override { return false; }
  };
  SnapshotPool pool = small_pool();
  {
    std::vector<Snapshot> alive;
    for (int i = 0; i < 6; ++i) alive.push_back(pool.take());
    for (int i = 0; i < 6; ++i) alive[i].set_fence(std::make_shared<Never>());
  }
  const Snapshot kept = pool.take();
  const float* const numbers = kept.bytes() > 0 ? kept->segments()[0].data_ptr<float>() : nullptr;
  for (std::size_t i = 0; i < 3 * SnapshotPool::window; ++i) peak(pool, 1);
  CHECK(pool.made() == 6);
  CHECK(pool.out() == 1);
  CHECK(kept->segments()[0].data_ptr<float>() == numbers);
}
