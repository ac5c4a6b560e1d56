// SPDX-License-Identifier: MIT
/// What one part of a network leaves for the next, which takes it when it has time, and again.
#pragma once

#include <gossamer/error.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::pipeline {

/// The last `capacity` batches that were put in. A new one takes the place of the oldest, used or
/// not, so a slow reader stops no writer. A reader gets, of the batches that were used least often,
/// the newest ("priority LIFO"), and may have each one `max_reuse` times; a fast one trains on what
/// there is, and waits only when all of it is used up.
///
/// Batch     copyable and movable; of tensors, which share memory, whoever puts one in must not
///           write to it afterwards.
/// Cost      O(capacity) per batch; no copies but Batch's own.
/// Threads   any number of writers and readers.
/// Throws    ConfigError when capacity is 0; nothing after construction.
/// Source    Belilovsky, Eickenberg, Oyallon, "Decoupled greedy learning of CNNs", ICML 2020,
///           arXiv:1901.08164, Algorithm 2, and the authors' code.
/// Differs   uses are counted from 0 (there a batch starts with 1), and the newest is the newest
///           also when the buffer is full (there it is the oldest then).
template <class Batch>
class ReplayBuffer {
 public:
  /// `max_reuse` 0: no bound.
  explicit ReplayBuffer(std::size_t capacity, std::uint64_t max_reuse = 0)
      : capacity_(capacity), max_reuse_(max_reuse) {
    if (capacity == 0) throw ConfigError("ReplayBuffer: capacity must be at least 1, got 0");
    slots_.reserve(capacity);
  }

  void put(Batch batch) {
    {
      const std::lock_guard lock(mutex_);
      Slot slot{std::move(batch), 0, written_};
      if (slots_.size() < capacity_) {
        slots_.push_back(std::move(slot));
      } else {
        Slot& oldest = slots_[written_ % capacity_];
        if (oldest.uses == 0) ++unused_;
        oldest = std::move(slot);
      }
      ++written_;
    }
    changed_.notify_all();
  }

  /// Nothing, if there is none, or all are used up.
  std::optional<Batch> try_take() {
    const std::lock_guard lock(mutex_);
    return next();
  }
  /// Waits for one. Nothing, once the buffer is closed and what is in it used up; with `max_reuse`
  /// 0 once it is closed.
  std::optional<Batch> take() {
    std::unique_lock lock(mutex_);
    while (true) {
      if (closed_ && max_reuse_ == 0) return std::nullopt;
      if (auto batch = next()) return batch;
      if (closed_) return std::nullopt;
      changed_.wait(lock);
    }
  }
  /// No more will come: whoever waits stops waiting.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
  }
  /// How many batches were put in.
  [[nodiscard]] std::uint64_t written() const {
    const std::lock_guard lock(mutex_);
    return written_;
  }
  /// How many made room for others before anybody had them.
  [[nodiscard]] std::uint64_t unused() const {
    const std::lock_guard lock(mutex_);
    return unused_;
  }

 private:
  struct Slot {
    Batch batch;
    std::uint64_t uses;
    std::uint64_t number;  // the how manieth it was
  };

  std::optional<Batch> next() {
    Slot* best = nullptr;
    for (Slot& slot : slots_) {
      if (best == nullptr || slot.uses < best->uses ||
          (slot.uses == best->uses && slot.number > best->number)) {
        best = &slot;
      }
    }
    if (best == nullptr || (max_reuse_ > 0 && best->uses >= max_reuse_)) return std::nullopt;
    ++best->uses;
    return best->batch;
  }

  std::size_t capacity_;
  std::uint64_t max_reuse_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Slot> slots_;
  std::uint64_t written_ = 0;
  std::uint64_t unused_ = 0;
  bool closed_ = false;
};

}  // namespace gossamer::pipeline
