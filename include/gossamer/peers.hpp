// SPDX-License-Identifier: MIT
/// What a node knows of itself and of its peers: all that schedules and topologies choose by.
#pragma once

#include <gossamer/fwd.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer {

/// What a node lets others know of itself. It may arrive late, and only ever goes forward.
struct Counters {
  std::uint64_t steps = 0;
  std::uint64_t samples = 0;
  double weight = 0;
  double loss_sum = 0;  ///< over all steps: two readings give the mean loss between them
  std::uint64_t messages_sent = 0;
  std::uint64_t messages_merged = 0;
  std::uint64_t messages_returned = 0;
  std::uint64_t bytes_sent = 0;
  /// Of the rule's messages that were merged: how many steps their senders had taken since, added
  /// up, and the most.
  std::uint64_t age_sum = 0;
  std::uint64_t age_max = 0;

  /// What two nodes have done together.
  Counters& operator+=(const Counters& other) {
    steps += other.steps;
    samples += other.samples;
    weight += other.weight;
    loss_sum += other.loss_sum;
    messages_sent += other.messages_sent;
    messages_merged += other.messages_merged;
    messages_returned += other.messages_returned;
    bytes_sent += other.bytes_sent;
    age_sum += other.age_sum;
    age_max = std::max(age_max, other.age_max);
    return *this;
  }
  void count_age(std::uint64_t age) {
    age_sum += age;
    age_max = std::max(age_max, age);
  }
  /// In steps, over all messages merged; 0 if there were none.
  [[nodiscard]] double mean_age() const {
    return messages_merged > 0 ? static_cast<double>(age_sum) / static_cast<double>(messages_merged)
                               : 0;
  }
  /// Over all steps; `unknown` before the first.
  [[nodiscard]] double mean_loss(double unknown) const {
    return steps > 0 ? loss_sum / static_cast<double>(steps) : unknown;
  }
  /// Saves or restores all but the weight, which is the node's own.
  template <class Archive>
  void checkpoint(Archive& archive) {
    archive("steps", steps);
    archive("samples", samples);
    archive("loss_sum", loss_sum);
    archive("messages_sent", messages_sent);
    archive("messages_merged", messages_merged);
    archive("messages_returned", messages_returned);
    archive("bytes_sent", bytes_sent);
    if (archive.loading() && !archive.has("age_sum")) return;  // of an earlier release
    archive("age_sum", age_sum);
    archive("age_max", age_max);
  }
};

/// How messages to one peer have fared, for choosing peers and for looking at.
struct PeerHealth {
  /// Of the last messages to that peer: when there are `window`, both counts are halved, so that
  /// old times are forgotten.
  std::uint32_t sent = 0;
  /// Of these, those that came back: its queue was full, or it could not be reached for too long.
  std::uint32_t returned = 0;
  /// A message's bytes by the time from its sending to the news that the peer has it, a sliding
  /// mean; 0: not measured.
  double bytes_per_second = 0;

  static constexpr std::uint32_t window = 64;

  void count_sent() {
    if (++sent < window) return;
    sent /= 2;
    returned /= 2;
  }
  void count_returned() { ++returned; }
};

/// A node as its schedule and its topology see it.
/// Threads: for the thread that runs the node, while one of its hooks runs.
class PeerContext {
 public:
  PeerContext() = default;
  PeerContext(const PeerContext&) = delete;
  PeerContext& operator=(const PeerContext&) = delete;
  virtual ~PeerContext() = default;

  [[nodiscard]] virtual PeerId self() const = 0;
  /// The others that may be chosen, ascending, without this node.
  [[nodiscard]] virtual std::span<const PeerId> peers() const = 0;
  /// What is known of a peer, perhaps a little stale; of this node itself, its counters.
  [[nodiscard]] virtual Counters counters(PeerId peer) const = 0;
  /// How this node's messages to a peer have fared.
  [[nodiscard]] virtual PeerHealth health(PeerId peer) const = 0;
  /// Time on the transport's clock.
  [[nodiscard]] virtual std::chrono::nanoseconds now() const = 0;
  /// In `after_step`: the time from the end of the step before, or from the making of the node, to
  /// now.
  [[nodiscard]] virtual std::chrono::nanoseconds since_last_step() const = 0;
  /// Completed local steps; in `after_step`, the one just taken included.
  [[nodiscard]] virtual std::uint64_t step() const = 0;
  /// Bytes of one of the rule's messages: of one that carries the whole model, or its code.
  [[nodiscard]] virtual std::size_t message_bytes() const = 0;
  /// The node's stream for gossip; nothing else draws from it.
  [[nodiscard]] virtual Generator& generator() = 0;
};

}  // namespace gossamer
