// SPDX-License-Identifier: MIT
/// The exceptions of the library: wrong use, a failed node, an unreadable checkpoint.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace gossamer {

/// A value or a combination that cannot work. Thrown by constructors, never after them; the text
/// names place, rule and value.
class ConfigError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A hook of one node threw. `what()` is "node N: " and the original text; the original exception
/// is nested (`std::rethrow_if_nested`).
class NodeError : public std::runtime_error {
 public:
  NodeError(std::size_t node, const std::string& text)
      : std::runtime_error("node " + std::to_string(node) + ": " + text), node_(node) {}
  /// The number of the node that failed.
  [[nodiscard]] std::size_t node() const noexcept { return node_; }

 private:
  std::size_t node_;
};

/// A checkpoint that cannot be read: truncated, damaged, foreign, newer, or of another model.
class CheckpointError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace gossamer
