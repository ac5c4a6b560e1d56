// SPDX-License-Identifier: MIT
/// Something for each node, in callbacks that nodes call from threads of their own.
#pragma once

#include <gossamer/peers.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

namespace gossamer::observe {

/// A value per node, which stays where it is.
/// Threads  any; the values themselves are not protected.
template <class Value>
class PerNode {
 public:
  /// The node's; `make(i)` returns a `std::unique_ptr` of it where it is not there yet, as the
  /// i-th, from 1.
  template <class Make>
  Value& of(PeerId node, Make make) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = values_.find(node); found != values_.end()) return *found->second;
    }
    const std::unique_lock lock(mutex_);
    auto& value = values_[node];
    if (!value) value = make(values_.size());
    return *value;
  }
  [[nodiscard]] bool has(PeerId node) const {
    const std::shared_lock lock(mutex_);
    return values_.contains(node);
  }
  /// No other is added meanwhile.
  template <class Action>
  void for_each(Action action) {
    const std::shared_lock lock(mutex_);
    for (const auto& [node, value] : values_) action(*value);
  }

 private:
  mutable std::shared_mutex mutex_;
  std::unordered_map<PeerId, std::unique_ptr<Value>> values_;
};

}  // namespace gossamer::observe
