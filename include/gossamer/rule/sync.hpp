// SPDX-License-Identifier: MIT
/// Synchronous SGD: every step with the mean gradient of all nodes.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/gradient_buckets.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Synchronous gradient averaging (the GoSGD slides' map-reduce; "FullySync" and "AllReduce" in the
/// papers): M nodes with batch b take the step of one node with batch M b.
///
///     g <- (1/M) sum over m of g_m,  then each node applies g
///
/// Nodes that start equal stay equal, bit for bit, if they apply alike. Averaged buffers (see
/// `model::Buffers`) are averaged with the gradients, every step.
///
/// Buckets (`bucket_cap_mb`) let gradients travel while others are being computed, if somebody says
/// which are done: see `GradientOverlap`. Contributions are added in the order of the nodes'
/// numbers in any case, so that the mean has the same bits with buckets and without, overlapped or
/// not, while nobody comes or goes.
///
/// Invariant  all x are equal.
/// Cost       2 (M - 1) vectors per step over the group, through one node or, in `parts`, evenly;
///            every node waits for the slowest.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when parts is 0 or a bucket has no bytes, when a peer turns out to use
///            another number, and when a gradient changes after it was said to be final.
/// Needs      `GradientNode`, since it acts between gradient and apply.
class Sync : public Rule {
 public:
  /// Into how many pieces the gradients are cut, each reduced by another node; >= 1, on all nodes
  /// the same. 1 is right within one process, the number of nodes on a network: see `AllReduce`.
  Sync& chunks(std::uint32_t parts) {
    average_ = AllReduce(parts, "Sync");
    chunks_ = parts;
    return *this;
  }
  /// Cuts the gradients into equal buckets of at most so many MB (2^20 bytes), 16 at most, each
  /// into its own `chunks`; > 0, on all nodes the same. One bucket if it is not called. DDP's
  /// default is 25.
  Sync& bucket_cap_mb(double megabytes) {
    if (!(megabytes > 0)) {
      throw ConfigError(c10::str("Sync: bucket_cap_mb must be > 0, got ", megabytes));
    }
    bucket_cap_mb_ = megabytes;
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "sync"; }
  [[nodiscard]] std::string agreement() const override {
    const std::string buckets =
        bucket_cap_mb_ > 0 ? c10::str(", bucket_cap_mb ", bucket_cap_mb_) : std::string();
    return c10::str(name(), "(chunks ", chunks_, buckets, ")");
  }
  [[nodiscard]] bool needs_gradient_hook() const override { return true; }
  [[nodiscard]] bool is_synchronous() const override { return true; }

  bool gradients_ready(RuleContext& context, std::span<const std::size_t> slots) override {
    cut(context);
    if (!early_.is_open()) early_.open(context, average_, context.step() + 1);
    for (const std::size_t slot : slots) early_.take(context, average_, slot);
    return true;
  }
  void after_gradient(RuleContext& context) override {
    cut(context);
    if (early_.is_open()) return early_.close(context, average_);
    model::Snapshot gradients = context.blank();
    context.model().copy_gradients_to(gradients.writable());
    average_.contribute(context, context.step() + 1, gradients);
  }
  bool may_apply(RuleContext&) override { return !average_.waiting(); }
  void before_apply(RuleContext& context) override {
    context.model().set_gradients(average_.result());
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    cut(context);
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
  /// Into buckets, once the model is known.
  void cut(RuleContext& context) {
    if (std::exchange(is_cut_, true) || !(bucket_cap_mb_ > 0)) return;
    const auto bytes = static_cast<double>(context.model().flat().bytes());
    const double buckets = std::ceil(bytes / (bucket_cap_mb_ * 1024 * 1024));
    average_ = AllReduce(chunks_, "Sync",
                         static_cast<std::uint32_t>(std::clamp(buckets, 1.0, most_buckets)));
  }

  /// So many messages, and those of the next step, have room in a transport's queues.
  static constexpr double most_buckets = 16;

  std::uint32_t chunks_ = 1;
  double bucket_cap_mb_ = 0;  // 0: one bucket
  bool is_cut_ = false;
  AllReduce average_;
  GradientBuckets early_;
};

}  // namespace gossamer::rule
