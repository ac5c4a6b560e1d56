// SPDX-License-Identifier: MIT
/// Two rules in one node: each sends and receives as if it were alone.
#pragma once

#include <gossamer/rule/context.hpp>

#include <chrono>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// A context whose messages are marked as those of part 0 or part 1 of a rule that is made of two.
/// Parts may be made of two themselves. Threads: as a rule.
class Channel final : public RuleContext {
 public:
  Channel(RuleContext& outer, std::uint32_t part) : outer_(outer), part_(part) {}

  /// Whose message that is.
  static std::uint32_t part_of(const Message& message) { return message.kind % 2; }
  /// The message as that part sent it.
  static Message unmarked(Message message) {
    message.kind /= 2;
    return message;
  }
  /// All messages of a part, as it sent them.
  static std::vector<Message> unmarked(std::span<const Message> messages, std::uint32_t part) {
    std::vector<Message> own;
    for (const Message& message : messages) {
      if (part_of(message) == part) own.push_back(unmarked(message));
    }
    return own;
  }

  [[nodiscard]] PeerId self() const override { return outer_.self(); }
  [[nodiscard]] std::span<const PeerId> peers() const override { return outer_.peers(); }
  [[nodiscard]] transport::Counters counters(PeerId peer) const override { return outer_.counters(peer); }
  [[nodiscard]] PeerHealth health(PeerId peer) const override { return outer_.health(peer); }
  [[nodiscard]] std::chrono::nanoseconds now() const override { return outer_.now(); }
  [[nodiscard]] std::chrono::nanoseconds since_last_step() const override {
    return outer_.since_last_step();
  }
  [[nodiscard]] std::uint64_t step() const override { return outer_.step(); }
  [[nodiscard]] Generator& generator() override { return outer_.generator(); }
  [[nodiscard]] double& weight() override { return outer_.weight(); }
  [[nodiscard]] model::FlatModel& model() override { return outer_.model(); }
  [[nodiscard]] bool may_send() const override { return outer_.may_send(); }
  [[nodiscard]] model::Snapshot snapshot() override { return outer_.snapshot(); }
  [[nodiscard]] model::Snapshot blank() override { return outer_.blank(); }
  void send(Message message) override {
    message.kind = message.kind * 2 + part_;
    outer_.send(std::move(message));
  }

 private:
  RuleContext& outer_;
  std::uint32_t part_;
};

}  // namespace gossamer::rule
