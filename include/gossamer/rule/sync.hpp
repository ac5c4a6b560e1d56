// SPDX-License-Identifier: MIT
/// Synchronous SGD: every step with the mean gradient of all nodes.
#pragma once

#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <span>
#include <string>

namespace gossamer::rule {

/// Synchronous gradient averaging (the GoSGD slides' map-reduce; "FullySync" and "AllReduce" in the
/// papers): M nodes with batch b take the step of one node with batch M b.
///
///     g <- (1/M) sum over m of g_m,  then each node applies g
///
/// Nodes that start equal stay equal, bit for bit, if they apply alike. Averaged buffers (see
/// `model::Buffers`) are averaged with the gradients, every step.
///
/// Invariant  all x are equal.
/// Cost       2 (M - 1) vectors per step over the group, through one node or, in `parts`, evenly;
///            every node waits for the slowest.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when parts is 0, and when a peer turns out to use another number.
/// Needs      `GradientNode`, since it acts between gradient and apply.
class Sync : public Rule {
 public:
  /// Into how many pieces the gradients are cut, each reduced by another node; >= 1, on all nodes
  /// the same. 1 is right within one process, the number of nodes on a network: see `AllReduce`.
  Sync& chunks(std::uint32_t parts) {
    average_ = AllReduce(parts, "Sync");
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "sync"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(chunks ", average_.chunks(), ")");
  }
  [[nodiscard]] bool needs_gradient_hook() const override { return true; }
  [[nodiscard]] bool is_synchronous() const override { return true; }

  void after_gradient(RuleContext& context) override {
    model::Snapshot gradients = context.blank();
    context.model().copy_gradients_to(gradients.writable());
    average_.contribute(context, context.step() + 1, gradients);
  }
  bool may_apply(RuleContext&) override { return !average_.waiting(); }
  void before_apply(RuleContext& context) override {
    context.model().set_gradients(average_.result());
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    average_.on_messages(context, messages);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    average_.on_returned(context, message);
  }
  void on_peer_joined(RuleContext& context, PeerId peer) override {
    average_.on_peer_joined(context, peer);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    average_.on_peer_left(context, gone);
  }

 private:
  AllReduce average_;
};

}  // namespace gossamer::rule
