// SPDX-License-Identifier: MIT
/// The checksum of frames: XXH3, 64 bits. It finds damage, not forgery. Needs xxHash (`xxhash.h`).
#pragma once

#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gossamer::transport::wire {

/// Fed piece by piece, as the bytes pass.
class Checksum {
 public:
  Checksum() { restart(); }
  void restart() { XXH3_64bits_reset(&state_); }
  void add(std::span<const std::byte> bytes) {
    XXH3_64bits_update(&state_, bytes.data(), bytes.size());
  }
  [[nodiscard]] std::uint64_t value() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

/// A number that stands for a text: the name of a run, the description of a model. Never 0.
inline std::uint64_t fingerprint(std::string_view text) {
  const std::uint64_t hash = XXH3_64bits(text.data(), text.size());
  return hash != 0 ? hash : 1;
}

}  // namespace gossamer::transport::wire
