// SPDX-License-Identifier: MIT
/// The group of nodes that trains, wherever its messages travel.
#pragma once

#include <cifar10/dataset.hpp>
#include <cifar10/node.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/archive.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/transport/message.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace cifar10 {

/// How far to train.
struct Stretch {
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t images = no_limit;  ///< over all nodes, since the beginning
  /// Where the nodes are to stand still with no message under way, >= images. A simulated cluster
  /// may be looked at before that without disturbing it.
  std::uint64_t rest_at = no_limit;
  double seconds = 0;  ///< on the cluster's clock, since the beginning; 0: no limit
};

/// What is done with a group. `status()` and `totals()` may be called from any thread, the rest
/// from the one that made it.
class Cluster {
 public:
  virtual ~Cluster() = default;

  /// Trains. Throws NodeError.
  virtual void train(const Stretch& stretch) = 0;
  virtual void finish() = 0;

  /// The nodes that are there, by number.
  [[nodiscard]] virtual std::vector<CifarNode*> nodes() = 0;
  /// The same with their weights.
  [[nodiscard]] virtual std::vector<gossamer::observe::Member> members() const = 0;
  [[nodiscard]] virtual gossamer::transport::Status totals() const = 0;
  /// Of the nodes that are here, and of messages under way between them.
  [[nodiscard]] virtual double total_weight() const = 0;
  /// Seconds of training that have passed here.
  [[nodiscard]] virtual double wall_seconds() const = 0;
  /// Seconds on a simulated cluster's clock.
  [[nodiscard]] virtual std::optional<double> virtual_seconds() const { return std::nullopt; }
  /// Those by which training is limited.
  [[nodiscard]] double seconds() const { return virtual_seconds().value_or(wall_seconds()); }

  /// Whether all is at rest, so that a checkpoint can be made.
  [[nodiscard]] virtual bool is_calm() const { return true; }
  virtual void checkpoint(gossamer::Archive& archive) = 0;

  /// What is known of nodes in other processes: one object each; null if there are none.
  [[nodiscard]] virtual nlohmann::ordered_json peers() const { return nullptr; }
};

/// Makes the nodes, on the transport that the options name. `stop_when` is asked, and `on_tick`
/// called, now and then while it trains.
std::unique_ptr<Cluster> make_cluster(const Options& options, const Images& train,
                                      std::function<bool()> stop_when,
                                      std::function<void()> on_tick);

}  // namespace cifar10
