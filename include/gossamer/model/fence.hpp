// SPDX-License-Identifier: MIT
/// What must happen before memory may be read.
#pragma once

namespace gossamer::model {

/// The end of a copy that is under way, say. Threads: any.
class Fence {
 public:
  virtual ~Fence() = default;
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

  /// Whether it has happened; never blocks. Once it has, for ever.
  [[nodiscard]] virtual bool ready() const = 0;
  /// Blocks until it has.
  virtual void wait() const = 0;

 protected:
  Fence() = default;
};

}  // namespace gossamer::model
