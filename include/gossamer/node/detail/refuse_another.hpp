// SPDX-License-Identifier: MIT
/// Whether a checkpoint is one of this node's kind.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/model/layout.hpp>
#include <gossamer/transport/difference.hpp>

#include <string>

namespace gossamer::detail {

/// Saves what model and rule are, or throws CheckpointError if what was saved is another.
inline void refuse_another(Archive& archive, const model::Layout& layout, const std::string& rule) {
  std::string saved_layout = layout.description();
  std::string saved_rule = rule;
  archive("layout", saved_layout);
  archive("rule_name", saved_rule);
  if (!archive.loading()) return;
  const std::string difference = transport::first_difference(layout.description(), saved_layout);
  if (!difference.empty()) throw CheckpointError("checkpoint: of another model: " + difference);
  if (saved_rule != rule) {
    throw CheckpointError("checkpoint: of a run with rule " + saved_rule + ", this one has " +
                          rule);
  }
}

}  // namespace gossamer::detail
