// SPDX-License-Identifier: MIT
/// What rules that wait for a mean over all nodes have in common.
#pragma once

#include <gossamer/rule/rule.hpp>

#include <span>

namespace gossamer::rule {

/// Hands what comes, and who comes and goes, on to an average (`AllReduce`,
/// `detail::CodedAverage`), and lets the rule take its mean when that may have come by it. Threads:
/// as a rule.
template <class Average>
class AveragingRule : public Rule {
 public:
  [[nodiscard]] bool is_synchronous() const override { return true; }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    average_.on_messages(context, messages);
    take(context);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    average_.on_returned(context, message);
    take(context);
  }
  void on_peer_joined(RuleContext& context, PeerId peer) override {
    average_.on_peer_joined(context, peer);
    take(context);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    average_.on_peer_left(context, gone);
    take(context);
  }

 protected:
  /// Takes the mean, if it is there and not yet taken.
  virtual void take(RuleContext& context) = 0;

  Average average_;
};

}  // namespace gossamer::rule
