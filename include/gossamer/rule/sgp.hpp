// SPDX-License-Identifier: MIT
/// Stochastic Gradient Push: push-sum by rounds on a directed graph, synchronous or overlapping.
#pragma once

#include <gossamer/rule/debiased_step.hpp>
#include <gossamer/rule/early_messages.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/neighbourhoods.hpp>
#include <gossamer/rule/rounds.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/topology/exponential.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Stochastic Gradient Push (SGP), and with `overlap` > 0 Overlap SGP (OSGP). Numerator s_i,
/// weight w_i, parameters z_i = s_i / w_i; every step is a round, in which node i has d_i
/// out-neighbours:
///
///     step      s_i <- s_i - eta g(z_i)
///     send      (s_i, w_i) / (d_i + 1) to each out-neighbour; as much is kept
///     receive   (s_i, w_i) <- (s_i, w_i) + sum of what in-neighbours sent
///
/// Before the next step a node waits for what its in-neighbours sent in this round (SGP), or
/// `overlap` rounds ago (OSGP). SGP is the paper's iteration, exactly, in whatever order messages
/// come; OSGP merges what has come, so that no message is more than `overlap` rounds late.
///
/// A peer that dies releases who waits for it; what was on its way to it comes home and is merged.
/// The graph's places are the live nodes in the order of their numbers, as each node sees them.
///
/// Invariant  sum of w, and sum of s, over nodes and messages in flight; a step adds -eta g to it.
/// Cost       d vectors per node and step; a node waits for its in-neighbours, at most. One copy
///            and one pass per step where w is not 1 (it is 1 when each node has as many in- as
///            out-neighbours and none is lost), as much where others are ahead.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     what the graph throws.
/// Source     Assran, Loizou, Ballas, Rabbat, "Stochastic Gradient Push for distributed deep
///            learning", ICML 2019, arXiv:1811.10792, Algorithms 1 and 2.
/// Differs    weights always travel; the authors' code leaves them out where they stay 1. Buffers
///            of momentum stay local, as theirs. The authors' default graph also goes through the
///            distances backwards.
class Sgp : public Rule {
 public:
  explicit Sgp(Neighbourhoods graph = topology::OnePeerExponential(), std::uint64_t overlap = 0)
      : graph_(std::move(graph)), overlap_(overlap) {}

  [[nodiscard]] std::string name() const override { return overlap_ > 0 ? "osgp" : "sgp"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(", graph_.agreement(), ", overlap ", overlap_, ")");
  }
  [[nodiscard]] bool is_synchronous() const override { return true; }
  [[nodiscard]] bool weight_follows_model() const override { return true; }

  bool may_step(RuleContext& context) override {
    start(context);
    return context.step() <= overlap_ || rounds_.all_there(context.step() - overlap_);
  }
  void before_step(RuleContext& context) override {
    start(context);
    const double weight = ahead_.weight_without(context);
    ahead_.hide(context);
    step_.begin(context, weight);
  }
  void after_step(RuleContext& context) override {
    ahead_.take_out(context);
    step_.end(context);
    push(context);
    ahead_.show(context, context.step());
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    start(context);
    step_.forget();
    // With an overlap, no message is too early.
    const std::uint64_t round = overlap_ > 0 ? UINT64_MAX : context.step();
    for (const Message& message : messages) {
      if (!rounds_.on_message(context, message)) rounds_.note(message);
    }
    ahead_.merge(context, messages, round);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    if (rounds_.on_returned(context, message)) return;
    if (is_live(context, message.to)) {
      context.send(message);  // somebody waits for it
    } else {
      Message home = message;
      home.round = 0;
      ahead_.merge(context, {&home, 1}, 0);
    }
  }
  void on_peer_joined(RuleContext& context, PeerId) override {
    step_.on_peer_joined(context);
    rounds_.on_peer_joined(context);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    step_.on_peer_left(context, gone);
    rounds_.on_peer_left(context, gone.peer);
  }
  void on_leave(RuleContext& context) override { ahead_.whole(context); }
  void on_replaced(RuleContext& context) override { ahead_.replaced(context); }
  void checkpoint(Archive& archive) override {
    step_.checkpoint(archive);
    rounds_.checkpoint(archive);
  }

 private:
  void start(RuleContext& context) {
    step_.start(context);
    rounds_.start(context);
  }

  static constexpr std::uint32_t share = Rounds::first_free;

  void push(RuleContext& context) {
    const std::uint64_t round = context.step();
    const Neighbourhood& near = graph_.around(context, round - 1);
    if (!near.to.empty()) {
      const double part = context.weight() / static_cast<double>(near.to.size() + 1);
      const model::Snapshot copy = context.snapshot();
      for (const PeerId peer : near.to) {
        context.weight() -= part;
        context.send({.to = peer, .kind = share, .round = round, .weight = part, .payload = copy});
        rounds_.sent(peer, round);
      }
    }
    rounds_.expect(context, round, near.from);
  }

  Neighbourhoods graph_;
  std::uint64_t overlap_;
  DebiasedStep step_;
  Rounds rounds_;
  EarlyMessages ahead_;
};

}  // namespace gossamer::rule
