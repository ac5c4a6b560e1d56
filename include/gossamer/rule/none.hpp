// SPDX-License-Identifier: MIT
/// No exchange at all: the baseline that every exchange must beat.
#pragma once

#include <gossamer/rule/rule.hpp>

namespace gossamer::rule {

/// Each node trains alone; with one node, plain single-thread SGD.
struct None : Neutral {
  [[nodiscard]] std::string name() const { return "none"; }
  [[nodiscard]] bool uses_merge() const { return true; }
};

}  // namespace gossamer::rule
