// SPDX-License-Identifier: MIT
/// No exchange at all: the baseline that every exchange must beat.
#pragma once

#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>

namespace gossamer::rule {

/// Each node trains alone; with one node, plain single-thread SGD. A leaver's weight goes to a
/// peer.
struct None : Rule {
  [[nodiscard]] std::string name() const override { return "none"; }
  /// Nothing meets, so any model will do.
  [[nodiscard]] bool merges_by_weighted_average() const override { return true; }
  [[nodiscard]] bool weight_follows_model() const override { return false; }
};

}  // namespace gossamer::rule
