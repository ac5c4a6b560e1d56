// SPDX-License-Identifier: MIT
/// Codes that travel: bytes shared by count, and returned to the pool they came from.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::codec {

class Coded;

/// Keeps the memory of codes that are no longer needed, as `model::SnapshotPool` does that of
/// snapshots: in steady state a code costs no allocation. It grows to the largest number of codes
/// that were alive at once, each of the largest size asked for.
///
/// Threads: `take()` by one thread at a time; codes may be dropped by any thread, also after the
/// pool is gone.
class CodedPool {
 public:
  CodedPool() : shelf_(std::make_shared<Shelf>()) {}

  /// A code of that many bytes to write into, their values unspecified.
  Coded take(std::size_t bytes);

  /// How many of its codes are in use.
  [[nodiscard]] std::size_t out() const {
    const std::lock_guard lock(shelf_->mutex);
    return shelf_->made - shelf_->idle.size();
  }
  /// The bytes of those that are on their way: in use, and not set aside.
  [[nodiscard]] std::size_t bytes_under_way() const {
    const std::lock_guard lock(shelf_->mutex);
    return shelf_->under_way;
  }
  /// How many codes this pool ever made.
  [[nodiscard]] std::size_t made() const {
    const std::lock_guard lock(shelf_->mutex);
    return shelf_->made;
  }

 private:
  friend class Coded;
  struct Shelf;

  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
    std::size_t capacity = 0;
    std::atomic<int> owners{0};
    bool aside = false;           // guarded by the shelf's mutex
    std::shared_ptr<Shelf> home;  // only while the block is out: no cycle
  };

  struct Shelf {
    std::mutex mutex;
    std::vector<std::unique_ptr<Block>> idle;
    std::size_t made = 0;
    std::size_t under_way = 0;  // bytes
  };

  static void put_back(Block* unused) {
    const auto home = std::move(unused->home);
    const std::lock_guard lock(home->mutex);
    home->under_way -= std::exchange(unused->aside, false) ? 0 : unused->size;
    home->idle.emplace_back(unused);
  }

  std::shared_ptr<Shelf> shelf_;
};

/// A shared handle to one code. Whoever took it from the pool fills it; from the moment it is sent
/// it is read-only. The last handle to go puts the memory back.
/// Threads: distinct handles to one code may be used from distinct threads.
class Coded {
 public:
  Coded() = default;
  Coded(const Coded& other) noexcept : block_(other.block_) { hold(); }
  Coded(Coded&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Coded& operator=(Coded other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Coded() {
    if (block_ != nullptr && block_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      CodedPool::put_back(block_);
    }
  }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  /// 0 for an empty handle.
  [[nodiscard]] std::size_t size() const noexcept { return block_ == nullptr ? 0 : block_->size; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return block_ == nullptr ? std::span<const std::byte>()
                             : std::span(block_->bytes.get(), size());
  }
  /// Takes the code out of those that are on their way, until it is back in its pool: nobody knows
  /// when that will be.
  void set_aside() {
    if (block_ == nullptr) return;
    CodedPool::Shelf& home = *block_->home;
    const std::lock_guard lock(home.mutex);
    home.under_way -= std::exchange(block_->aside, true) ? 0 : block_->size;
  }
  /// For the one who took it, before it is sent; the handle is not empty.
  [[nodiscard]] std::span<std::byte> writable() noexcept { return {block_->bytes.get(), size()}; }

 private:
  friend class CodedPool;
  explicit Coded(CodedPool::Block* taken) noexcept : block_(taken) { hold(); }
  void hold() noexcept {
    if (block_ != nullptr) block_->owners.fetch_add(1, std::memory_order_relaxed);
  }

  CodedPool::Block* block_ = nullptr;
};

inline Coded CodedPool::take(std::size_t bytes) {
  std::unique_ptr<Block> taken;
  {
    const std::lock_guard lock(shelf_->mutex);
    shelf_->under_way += bytes;
    if (!shelf_->idle.empty()) {
      taken = std::move(shelf_->idle.back());
      shelf_->idle.pop_back();
    } else {
      taken = std::make_unique<Block>();
      ++shelf_->made;
      shelf_->idle.reserve(shelf_->made);  // so that dropping a code never allocates
    }
  }
  if (taken->capacity < bytes) {
    taken->bytes.reset(new std::byte[bytes]);  // not make_unique, which writes zeros
    taken->capacity = bytes;
  }
  taken->size = bytes;
  taken->home = shelf_;
  return Coded(taken.release());
}

}  // namespace gossamer::codec
