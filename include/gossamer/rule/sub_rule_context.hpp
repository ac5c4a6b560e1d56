// SPDX-License-Identifier: MIT
/// Two rules in one node: each sends and receives as if it were alone.
#pragma once

#include <gossamer/rule/context.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// A context that stands for another one; derive it to change a part. Threads: as a rule.
class ForwardingContext : public RuleContext {
 public:
  explicit ForwardingContext(RuleContext& outer) : outer_(outer) {}

  [[nodiscard]] PeerId self() const override { return outer_.self(); }
  [[nodiscard]] std::span<const PeerId> peers() const override { return outer_.peers(); }
  [[nodiscard]] Counters counters(PeerId peer) const override { return outer_.counters(peer); }
  [[nodiscard]] PeerHealth health(PeerId peer) const override { return outer_.health(peer); }
  [[nodiscard]] std::chrono::nanoseconds now() const override { return outer_.now(); }
  [[nodiscard]] std::chrono::nanoseconds since_last_step() const override {
    return outer_.since_last_step();
  }
  [[nodiscard]] std::uint64_t step() const override { return outer_.step(); }
  [[nodiscard]] std::size_t message_bytes() const override { return outer_.message_bytes(); }
  [[nodiscard]] Generator& generator() override { return outer_.generator(); }
  [[nodiscard]] double& weight() override { return outer_.weight(); }
  [[nodiscard]] model::FlatModel& model() override { return outer_.model(); }
  [[nodiscard]] bool may_send() const override { return outer_.may_send(); }
  [[nodiscard]] model::Snapshot snapshot() override { return outer_.snapshot(); }
  [[nodiscard]] model::Snapshot blank() override { return outer_.blank(); }
  [[nodiscard]] codec::CodedPool& codes() override { return outer_.codes(); }
  void send(Message message) override { outer_.send(std::move(message)); }
  void restarted() override { outer_.restarted(); }

 private:
  RuleContext& outer_;
};

/// A context whose messages are marked as those of sub-rule 0 or 1 of a rule that is made of two.
/// Sub-rules may be made of two themselves. Threads: as a rule.
class SubRuleContext final : public ForwardingContext {
 public:
  SubRuleContext(RuleContext& outer, std::uint32_t sub_rule)
      : ForwardingContext(outer), sub_rule_(sub_rule) {}

  /// Whose message that is.
  static std::uint32_t sub_rule_of(const Message& message) { return message.kind % 2; }
  /// The message as that sub-rule sent it.
  static Message unmarked(Message message) {
    message.kind /= 2;
    return message;
  }
  /// All messages of a sub-rule, as it sent them.
  static std::vector<Message> unmarked(std::span<const Message> messages, std::uint32_t sub_rule) {
    std::vector<Message> own;
    for (const Message& message : messages) {
      if (sub_rule_of(message) == sub_rule) own.push_back(unmarked(message));
    }
    return own;
  }

  void send(Message message) override {
    message.kind = message.kind * 2 + sub_rule_;
    ForwardingContext::send(std::move(message));
  }

 private:
  std::uint32_t sub_rule_;
};

}  // namespace gossamer::rule
