// SPDX-License-Identifier: MIT
/// Copies of a model that travel: shared by count, and returned to the pool they came from.
#pragma once

#include <gossamer/model/fence.hpp>
#include <gossamer/model/flat.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace gossamer::model {

class Snapshot;

/// Keeps the memory of snapshots that are no longer needed, so that in steady state a snapshot is
/// one copy into warm memory and no allocation. It has as many as were alive at once in the last
/// `window` takes, and one to spare: what a rare peak has left is freed.
///
/// Threads: `take()` by one thread at a time; snapshots may be dropped by any thread, also after
/// the pool is gone.
class SnapshotPool {
 public:
  /// So many takes are looked at, before what was idle through all of them is freed.
  static constexpr std::size_t window = 256;

  /// A pool of snapshots shaped like `prototype`, which is only looked at.
  explicit SnapshotPool(Flat prototype) : shelf_(std::make_shared<Shelf>()) {
    shelf_->prototype = std::move(prototype);
  }

  /// A snapshot to write into. Its numbers are those of an earlier one, or 0: so the gaps between
  /// parameters, which nobody writes, stay 0.
  Snapshot take();

  /// How many of its snapshots are in use.
  [[nodiscard]] std::size_t out() const {
    const std::lock_guard lock(shelf_->mutex);
    return shelf_->made - shelf_->idle.size();
  }
  /// Of these, how many are on their way: not set aside.
  [[nodiscard]] std::size_t under_way() const {
    const std::lock_guard lock(shelf_->mutex);
    shelf_->drop_fences();
    return shelf_->made - shelf_->idle.size() - shelf_->aside;
  }
  /// How many snapshots this pool has made and not freed, in use or idle.
  [[nodiscard]] std::size_t made() const {
    const std::lock_guard lock(shelf_->mutex);
    return shelf_->made;
  }

 private:
  friend class Snapshot;
  struct Shelf;

  struct Block {
    Flat flat;
    std::size_t bytes = 0;  // of `flat`, which never changes its shape
    std::shared_ptr<const Fence> fence;
    std::atomic<int> owners{0};
    bool aside = false;           // guarded by the shelf's mutex
    std::shared_ptr<Shelf> home;  // only while the block is out: no cycle
  };

  struct Shelf {
    std::mutex mutex;
    Flat prototype;
    std::vector<std::unique_ptr<Block>> idle;
    std::size_t made = 0;  // and not freed
    std::size_t aside = 0;
    std::size_t takes = 0;       // in this window,
    std::size_t least_idle = 0;  // and how few were idle after any of them

    /// Those that are reached: what they keep is free.
    void drop_fences() {
      for (const auto& block : idle) {
        if (block->fence && block->fence->ready()) block->fence.reset();
      }
    }
    /// After each take. At a window's end, those that it shows to be too many, the longest idle
    /// first: to be freed without the lock. What a device may still write stays.
    std::vector<std::unique_ptr<Block>> excess() {
      least_idle = takes == 0 ? idle.size() : std::min(least_idle, idle.size());
      std::vector<std::unique_ptr<Block>> all;
      if (++takes < window) return all;
      takes = 0;
      drop_fences();
      for (std::unique_ptr<Block>& block : idle) {
        if (all.size() + 1 >= least_idle) break;
        if (!block->fence) all.push_back(std::move(block));
      }
      std::erase(idle, nullptr);
      made -= all.size();
      return all;
    }
  };

  static void put_back(Block* block) {
    const auto home = std::move(block->home);
    const std::lock_guard lock(home->mutex);
    home->aside -= std::exchange(block->aside, false) ? 1 : 0;
    home->idle.emplace_back(block);
    home->drop_fences();
  }

  std::shared_ptr<Shelf> shelf_;
};

/// A shared handle to one copy of a model. Whoever took it from the pool fills it; from the moment
/// it is sent it is read-only. If only a part is sent, that part is: the owner may go on to write
/// the others while receivers read it. The last handle to go puts the memory back. If its numbers
/// are still being written, by a device, say, it has a fence, which `*` and `->` wait for.
/// Threads: distinct handles to one copy may be used from distinct threads.
class Snapshot {
 public:
  Snapshot() = default;
  Snapshot(const Snapshot& other) noexcept : block_(other.block_) { hold(); }
  Snapshot(Snapshot&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Snapshot& operator=(Snapshot other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Snapshot() {
    if (block_ != nullptr && block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      SnapshotPool::put_back(block_);
    }
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  const Flat& operator*() const { return *operator->(); }
  const Flat* operator->() const {
    if (block_->fence) block_->fence->wait();
    return &block_->flat;
  }

  /// For the one who took the snapshot; only what nobody else has been sent may be written. Waits
  /// for the fence, if there is one.
  Flat& writable() {
    if (block_->fence) block_->fence->wait();
    return block_->flat;
  }
  /// What its numbers must wait for from now on. For the one who took the snapshot, before it is
  /// sent.
  void set_fence(std::shared_ptr<const Fence> fence) { block_->fence = std::move(fence); }
  /// Whether it lies apart from the model: see `HostCopies`. Not for an empty handle.
  [[nodiscard]] bool is_apart() const noexcept { return block_->flat.apart() != nullptr; }
  /// Whether both are handles to one copy.
  [[nodiscard]] bool is_same(const Snapshot& other) const noexcept {
    return block_ == other.block_;
  }
  /// Whether it can be read without waiting, or is empty; never blocks.
  [[nodiscard]] bool ready() const {
    return block_ == nullptr || !block_->fence || block_->fence->ready();
  }

  /// Takes the copy out of those that are on their way, until it is back in its pool: nobody knows
  /// when that will be.
  void set_aside() {
    if (block_ == nullptr) return;
    SnapshotPool::Shelf& home = *block_->home;
    const std::lock_guard lock(home.mutex);
    home.aside += std::exchange(block_->aside, true) ? 0 : 1;
  }

  /// Of the copy, or of that part of it; 0 for an empty handle.
  [[nodiscard]] std::size_t bytes(Chunk part = {}) const {
    if (block_ == nullptr) return 0;
    return part.is_all() ? block_->bytes : block_->flat.bytes(part);
  }

 private:
  friend class SnapshotPool;
  explicit Snapshot(SnapshotPool::Block* block) noexcept : block_(block) { hold(); }
  void hold() noexcept {
    if (block_ != nullptr) block_->owners.fetch_add(1, std::memory_order_relaxed);
  }

  SnapshotPool::Block* block_ = nullptr;
};

inline Snapshot SnapshotPool::take() {
  std::unique_ptr<Block> block;
  std::vector<std::unique_ptr<Block>> excess;
  {
    const std::lock_guard lock(shelf_->mutex);
    if (!shelf_->idle.empty()) {
      block = std::move(shelf_->idle.back());
      shelf_->idle.pop_back();
    } else {
      ++shelf_->made;
      shelf_->idle.reserve(shelf_->made);  // so that dropping a snapshot never allocates
    }
    excess = shelf_->excess();
  }
  if (!block) {
    block = std::make_unique<Block>();
    block->flat = shelf_->prototype.zeros_like();
    block->bytes = block->flat.bytes();
  }
  block->home = shelf_;
  return Snapshot(block.release());
}

}  // namespace gossamer::model
