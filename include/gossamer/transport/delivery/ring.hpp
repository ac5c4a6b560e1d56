// SPDX-License-Identifier: MIT
/// A queue in one block of memory, for the delivery of messages.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// First in, first out, with an index. It grows to the largest number of elements that were in it
/// at once and allocates no more after that, which `std::deque` does for ever. What is taken out
/// leaves a default value behind, so that a handle is let go at once.
template <class T>
class Ring {
 public:
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// The element that was pushed as the i-th of those that are left.
  [[nodiscard]] T& operator[](std::size_t i) { return cells_[place(i)]; }
  [[nodiscard]] const T& operator[](std::size_t i) const { return cells_[place(i)]; }

  void push(T value) {
    if (size_ == cells_.size()) grow();
    cells_[place(size_++)] = std::move(value);
  }

  /// The oldest element; there must be one.
  T pop() {
    T value = std::exchange(cells_[head_], T{});
    head_ = --size_ == 0 ? 0 : place(1);  // a queue that runs empty stays in one place
    return value;
  }

  /// Drops the newest elements until `size` are left.
  void shrink(std::size_t size) {
    while (size_ > size) cells_[place(--size_)] = T{};
  }

 private:
  [[nodiscard]] std::size_t place(std::size_t i) const {
    const std::size_t end = head_ + i;
    return end < cells_.size() ? end : end - cells_.size();
  }

  void grow() {
    std::vector<T> larger(cells_.empty() ? 4 : 2 * cells_.size());
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    cells_ = std::move(larger);
    head_ = 0;
  }

  std::vector<T> cells_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace gossamer::transport
