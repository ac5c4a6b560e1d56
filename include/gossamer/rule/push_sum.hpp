// SPDX-License-Identifier: MIT
/// Push-sum with gradients: any schedule, any topology, nobody waits.
#pragma once

#include <gossamer/rule/debiased_step.hpp>
#include <gossamer/rule/gosgd.hpp>

namespace gossamer::rule {

/// Push-sum with a gradient step at the de-biased parameters z = s / w:
///
///     step      s <- s - eta g(z)           that is, z <- z - eta g(z) / w
///     sender    (s, w) <- (s, w) / 2,       message = (s, w)
///     receiver  (s, w) <- (s, w) + (s', w')
///
/// The exchange is GoSGD's, in which a weight is w / M; here each node's gradients count the same,
/// there they count by weight. A node of little weight takes long steps: where weights vary much
/// (random peers), GoSGD is the stable one of the two.
///
/// Invariant  sum of w, and sum of s, over nodes and messages in flight; a step adds -eta g to it.
/// Cost       as GoSGD; one copy and one pass per step while w is not 1.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the probability is outside [0, 1]; nothing after construction.
/// Source     Kempe, Dobra, Gehrke, "Gossip-based computation of aggregate information", FOCS 2003
///            (the exchange); Assran, Loizou, Ballas, Rabbat, "Stochastic Gradient Push for
///            distributed deep learning", ICML 2019, arXiv:1811.10792 (the step).
/// Differs    Kempe's nodes push every round and count themselves among the peers; for the second
///            paper's rounds and graphs see `Sgp`.
class PushSum : public GoSgd {
 public:
  using GoSgd::GoSgd;

  [[nodiscard]] std::string name() const override { return "push_sum"; }

  void before_step(RuleContext& context) override {
    step_.start(context);
    step_.begin(context, context.weight());
  }
  void after_step(RuleContext& context) override {
    step_.end(context);
    GoSgd::after_step(context);
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    step_.start(context);
    GoSgd::on_messages(context, messages);
  }
  void on_peer_joined(RuleContext& context, PeerId peer) override {
    step_.on_peer_joined(context);
    GoSgd::on_peer_joined(context, peer);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    step_.on_peer_left(context, gone);
    GoSgd::on_peer_left(context, gone);
  }
  void checkpoint(Archive& archive) override { step_.checkpoint(archive); }

 private:
  DebiasedStep step_;
};

}  // namespace gossamer::rule
