// SPDX-License-Identifier: MIT
/// How a member is doing.
#pragma once

#include <cstdint>

namespace gossamer::transport::wire {

/// How a member is doing, as far as somebody knows.
enum class Presence : std::uint8_t { live, left, lost };

}  // namespace gossamer::transport::wire
