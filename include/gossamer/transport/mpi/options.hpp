// SPDX-License-Identifier: MIT
/// What a node on MPI is told when it is made.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/membership/agreement.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <chrono>
#include <memory>

namespace spdlog {
class logger;
}

namespace gossamer::transport {

/// Options of one node's end of MPI.
struct MpiOptions {
  /// What all nodes must have in common; `MpiGroup` adds its rule and the limits.
  TORCH_ARG(Agreement, agreement) = {};
  /// What may be under way to, and from, each peer.
  TORCH_ARG(DeliveryLimits, limits) = {};
  /// Who has said nothing to a peer for this long tells it what it has done; > 0.
  TORCH_ARG(std::chrono::milliseconds, heartbeat) = std::chrono::milliseconds(500);
  /// How long the destructor waits until all peers have heard that the node goes; > 0.
  TORCH_ARG(std::chrono::milliseconds, linger) = std::chrono::seconds(30);
  /// Where log lines go, from the node's thread; `nullptr` keeps it silent.
  TORCH_ARG(std::shared_ptr<spdlog::logger>, logger) = nullptr;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    limits_.check();
    for (const auto time : {heartbeat_, linger_}) {
      if (time.count() <= 0) {
        throw ConfigError(
            c10::str("MpiOptions: times must be positive, got ", time.count(), " ms"));
      }
    }
  }
};

}  // namespace gossamer::transport
