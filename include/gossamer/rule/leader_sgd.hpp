// SPDX-License-Identifier: MIT
/// Leader SGD: now and then a step towards whoever has the smallest loss.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/mix.hpp>
#include <gossamer/rule/one_request.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/peer_map.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// What Leader SGD is told; the defaults are the authors' code's.
struct LeaderSgdOptions {
  /// Steps from one pull towards the group's leader to the next, >= 1.
  TORCH_ARG(std::uint64_t, tau) = 4;
  /// Steps from one pull towards the leader of all to the next; 0: there is none. With one group it
  /// would be the same leader, so it is not asked.
  TORCH_ARG(std::uint64_t, tau_global) = 16;
  /// How far to go towards the group's leader, in [0, 1].
  TORCH_ARG(double, pull) = 0.1;
  /// How far to go towards the leader of all, in [0, 1].
  TORCH_ARG(double, pull_global) = 0.1;
  /// Steps over which a node's loss is averaged, at least; >= 1.
  TORCH_ARG(std::uint64_t, window) = 4;
  /// The group of a node, the same on all nodes: of one machine, say. Unset: all are one group.
  TORCH_ARG(std::function<std::uint32_t(PeerId)>, group_of) = nullptr;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (tau_ == 0) throw ConfigError("LeaderSgdOptions: tau must be at least 1, got 0");
    if (window_ == 0) throw ConfigError("LeaderSgdOptions: window must be at least 1, got 0");
    for (const double t : {pull_, pull_global_}) {
      if (!(t >= 0 && t <= 1)) {
        throw ConfigError(c10::str("LeaderSgdOptions: a pull must lie in [0, 1], got ", t));
      }
    }
  }
};

/// The recent training loss of each node, from what its counters said at two moments.
class RecentLoss {
 public:
  explicit RecentLoss(std::uint64_t window) : window_(window) {}

  /// Mean loss over the last `window` steps that are known, or more: over those since the reading
  /// before last, where readings are at least `window` steps apart. Infinite for a node of which no
  /// step is known, and for one whose loss is no number.
  double operator()(PeerId peer, const Counters& now) {
    Readings& known = readings_.add(peer).first;
    if (now.steps < known.recent.steps) known = {};  // another life of that node
    const std::uint64_t steps = now.steps - known.older.steps;
    const double loss = steps > 0
                            ? (now.loss_sum - known.older.loss_sum) / static_cast<double>(steps)
                            : std::numeric_limits<double>::infinity();
    if (now.steps >= known.recent.steps + window_) {
      known.older = known.recent;
      known.recent = {now.steps, now.loss_sum};
    }
    return loss < std::numeric_limits<double>::infinity() ? loss
                                                          : std::numeric_limits<double>::infinity();
  }

 private:
  struct Reading {
    std::uint64_t steps = 0;
    double loss_sum = 0;
  };
  struct Readings {
    Reading older;
    Reading recent;
  };
  std::uint64_t window_;
  transport::PeerMap<Readings> readings_;
};

/// Leader SGD (LSGD, also LGD): every tau steps of its own a node looks who of its group has the
/// smallest recent training loss, asks it for its parameters, and goes a part of the way when they
/// come; every tau_global steps the same with the best of all groups.
///
///     x <- x + pull (leader - x)
///
/// The leader is not moved by its own pull: whoever finds itself in front asks nobody. A leader
/// that is gone is no peer any more, so the next pull goes to the next best; a question to it is
/// dropped. Losses ride on what nodes let each other know anyway (`RuleContext::counters`), a
/// little stale.
///
/// Invariant  equal nodes stay equal, bit for bit; x stays within what nodes had. Neither sum nor
///            mean is conserved.
/// Cost       two messages per pull, one of them empty: one copy of x at the leader for all that it
///            answers at once, one pass over x at the asker. O(nodes) to choose a leader.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError for options that cannot work; nothing after construction.
/// Source     Teng, Gao, Chalus, Choromanska, Goldfarb, Weller, "Leader stochastic gradient descent
///            for distributed training of deep learning models", NeurIPS 2019, arXiv:1905.10395,
///            and the authors' code.
/// Differs    there all workers stop to gather losses at a common count of steps, and the leader
///            broadcasts; here each asks at its own count and nobody stops. The authors' code also
///            pulls a little towards the last leaders at every step; this does not.
class LeaderSgd : public Rule {
 public:
  explicit LeaderSgd(LeaderSgdOptions options = {})
      : options_((options.check(), std::move(options))), loss_(options_.window()) {}

  [[nodiscard]] std::string name() const override { return "leader_sgd"; }
  [[nodiscard]] const LeaderSgdOptions& options() const noexcept { return options_; }

  bool may_step(RuleContext& context) override {
    if (context.step() == 0 || !once_(context)) return true;  // no losses to compare yet
    if (context.step() % options_.tau() == 0) ask(context, local_, group_of(context.self()));
    if (options_.group_of() && options_.tau_global() > 0 &&
        context.step() % options_.tau_global() == 0) {
      ask(context, global_, std::nullopt);
    }
    return true;
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    model::Snapshot copy;  // one for all who ask at once
    for (const Message& message : messages) {
      if (message.kind == local || message.kind == global) {
        // One without weight has no model yet, or goes.
        if (!copy && context.weight() > 0) copy = context.snapshot();
        context.send({.to = message.from,
                      .kind = message.kind + to_answer,
                      .round = message.round,
                      .payload = copy});
      } else {
        Question& question = message.kind == global + to_answer ? global_ : local_;
        question.request.end(message.from, message.round);
        if (!message.payload) continue;
        model::mix(context.model().flat(), *message.payload, pull_of(question));
        context.model().on_merged();
        copy = {};
      }
    }
  }

  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == local || message.kind == global) {
      Question& question = message.kind == global ? global_ : local_;
      question.request.end(message.to, message.round);
    } else if (is_live(context, message.to)) {
      // Its queue was full: it is at least told not to wait.
      context.send({.to = message.to, .kind = message.kind, .round = message.round, .payload = {}});
    }
  }

  void on_peer_left(RuleContext&, const PeerLeft& gone) override {
    local_.request.on_peer_left(gone);
    global_.request.on_peer_left(gone);
  }
  void checkpoint(Archive& archive) override { once_.checkpoint(archive); }

  /// Who of a group, or of all, has the smallest recent loss; the lowest number of equals. Nobody
  /// if no loss is known.
  std::optional<PeerId> leader(const RuleContext& context, std::optional<std::uint32_t> group) {
    std::optional<PeerId> best;
    double smallest = std::numeric_limits<double>::infinity();
    const auto look_at = [&](PeerId peer) {
      if (group && group_of(peer) != *group) return;
      const double loss = loss_(peer, context.counters(peer));
      if (loss < smallest || (loss == smallest && best && peer < *best)) {
        smallest = loss;
        best = peer;
      }
    };
    look_at(context.self());
    for (const PeerId peer : context.peers()) look_at(peer);
    return best;
  }

 private:
  enum Kind : std::uint32_t { local = 0, global = 1 };
  static constexpr std::uint32_t to_answer = 2;  // from a question's kind to its answer's
  struct Question {
    Kind kind;
    OneRequest request;
  };

  [[nodiscard]] std::uint32_t group_of(PeerId peer) const {
    return options_.group_of() ? options_.group_of()(peer) : 0;
  }
  [[nodiscard]] double pull_of(const Question& question) const {
    return question.kind == global ? options_.pull_global() : options_.pull();
  }

  void ask(RuleContext& context, Question& question, std::optional<std::uint32_t> group) {
    const auto best = leader(context, group);
    if (!best || *best == context.self() || question.request.open()) return;
    question.request.ask(context, {.to = *best, .kind = question.kind, .payload = {}});
  }

  LeaderSgdOptions options_;
  RecentLoss loss_;
  Question local_{local, {}};
  Question global_{global, {}};
  OncePerStep once_;
};

}  // namespace gossamer::rule
