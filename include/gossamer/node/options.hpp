// SPDX-License-Identifier: MIT
/// What a node is told when it is made: options, and its place in a group.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/observe/callback_pair.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/transport.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace spdlog {
class logger;
}

namespace gossamer {

/// Options of one node; copied and checked once, when the node is made.
struct NodeOptions {
  /// The seed of the group; each node derives streams of its own from it.
  TORCH_ARG(std::uint64_t, seed) = 0;
  /// Training samples per local step (the batch size), >= 1: for stop conditions and progress.
  TORCH_ARG(std::uint64_t, samples_per_step) = 1;
  /// Copies of the model that may be on their way at once, >= 1, codes counted by their bytes. A
  /// push beyond them is left out, and its weight stays: receivers that slow are better served by
  /// the next one. What is in doubt with a peer that is out of reach does not count, or that peer
  /// would silence the node; so as many again may be kept
  /// for each such peer.
  TORCH_ARG(std::size_t, max_in_flight) = 3;
  /// What happens to BatchNorm statistics when models meet.
  TORCH_ARG(model::Buffers, buffers) = model::Buffers::average;
  /// Whether a loss, or a parameter after a step, that is not finite stops the node with an error.
  TORCH_ARG(bool, stop_on_bad_loss) = true;
  /// How long a node that goes waits for what is in flight while nothing of it moves; > 0.
  TORCH_ARG(std::chrono::milliseconds, drain_timeout) = std::chrono::seconds(2);
  /// Where log lines go; `nullptr` keeps the node silent.
  TORCH_ARG(std::shared_ptr<spdlog::logger>, logger) = nullptr;

 public:
  /// Told what happens, besides those that were given before; `nullptr`: nobody is.
  NodeOptions& callback(std::shared_ptr<observe::Callback> one) {
    if (callback_ && one) {
      one = std::make_shared<observe::CallbackPair>(std::move(callback_), std::move(one));
    }
    callback_ = std::move(one);
    return *this;
  }
  [[nodiscard]] const std::shared_ptr<observe::Callback>& callback() const { return callback_; }

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (samples_per_step_ == 0) {
      throw ConfigError("NodeOptions: samples_per_step must be at least 1, got 0");
    }
    if (max_in_flight_ == 0) {
      throw ConfigError("NodeOptions: max_in_flight must be at least 1, got 0");
    }
    if (drain_timeout_.count() <= 0) {
      throw ConfigError(c10::str("NodeOptions: drain_timeout must be positive, got ",
                                 drain_timeout_.count(), " ms"));
    }
  }

 private:
  std::shared_ptr<observe::Callback> callback_;
};

/// A node's place in a group: its end of the transport, its rule, its options. Made by a group (or
/// by hand), moved into the node.
struct Context {
  transport::AnyTransport transport;
  rule::AnyRule rule;
  NodeOptions options = {};
  /// Weight at the start; 1 / M for each of M nodes that start together; 0 for one that joins.
  double weight = 1;
  /// Whether the node is to leave; for `Gossip::should_leave()`.
  std::function<bool()> leave_when = nullptr;
  /// How long a `Gossip` that joins waits for a member's model.
  std::chrono::milliseconds patience = std::chrono::seconds(60);
};

}  // namespace gossamer
