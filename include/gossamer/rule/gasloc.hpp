// SPDX-License-Identifier: MIT
/// GASLoC: local steps, an outer step with acceleration, and gossip with one or two random peers.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/batch_norm_buffers.hpp>
#include <gossamer/rule/detail/random_pairs.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// What GASLoC is told.
struct GasLocOptions {
  /// Local steps from one exchange to the next, >= 1; each node may have its own.
  TORCH_ARG(std::uint64_t, tau) = 1;
  /// With how many peers a node mixes in a round: 1 or 2.
  TORCH_ARG(std::uint64_t, peers) = 1;
  /// Outer learning rate (eta), > 0.
  TORCH_ARG(double, rate) = 1;
  /// Strength of mixing with one peer, in (0, 1); 0: 1 / (1 + peers), their mean.
  TORCH_ARG(double, alpha) = 0;
  /// Acceleration, in [0, 1); 0: none.
  TORCH_ARG(double, gamma) = 0;
  /// Of the matchings; the same on all nodes.
  TORCH_ARG(std::uint64_t, seed) = 0;

 public:
  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (tau_ == 0) throw ConfigError("GasLocOptions: tau must be at least 1, got 0");
    if (peers_ != 1 && peers_ != 2) {
      throw ConfigError(c10::str("GasLocOptions: peers must be 1 or 2, got ", peers_));
    }
    if (!(rate_ > 0))
      throw ConfigError(c10::str("GasLocOptions: rate must be above 0, got ", rate_));
    if (!(alpha_ >= 0 && alpha_ < 1)) {
      throw ConfigError(c10::str("GasLocOptions: alpha must lie in [0, 1), got ", alpha_));
    }
    if (!(gamma_ >= 0 && gamma_ < 1)) {
      throw ConfigError(c10::str("GasLocOptions: gamma must lie in [0, 1), got ", gamma_));
    }
  }
  [[nodiscard]] double strength() const noexcept {
    return alpha_ > 0 ? alpha_ : 1 / (1 + static_cast<double>(peers_));
  }
};

/// Round t of a node begins at theta_t and ends after tau local steps:
///
///     g = x - theta_t,   y_t = theta_t + eta g
///
///     theta_(t+1) = y_t - alpha (sum over its peers j of y_t - y_j) + gamma (y_t - y_(t-1))
///
/// and x goes on from there; y_(-1) is theta_0. The peers of a round are its partners in one or two
/// random matchings, the same on all nodes without a message. The lower one of two sends its y; the
/// other answers with d = alpha (y_i - y_j), adds it to its theta and x, and the asker takes it
/// from its own, wherever it has got to by then. A node mixes so often per round at most; who asks
/// for more is answered in its next round.
///
///     gamma = 0, eta = 1, tau = 1: x <- x + e, then pairs mix: gossip with a gradient step
///
/// Invariant  exchanges keep the sum of x and that of theta, an answer under way counted as -d: as
///            `ElasticExchange`. With gamma = 0 and eta = 1 nothing else but steps moves them.
/// Cost       two vectors per pair and round; some passes over x; two vectors of memory.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError for options that cannot work; nothing after construction.
/// Source     Cagnasso, Belilovsky, Oyallon, GASLoC, 2026, arXiv:2606.11081. Only the abstract and
///            another's sheet of the equations were at hand: fidelity to it is not claimed, and
///            alpha, gamma and the choice of tau are the user's.
/// Differs    nobody waits: the mixing of a round reaches theta, and x, while the next one is under
///            way. Averaged buffers take the mean of both, and no acceleration.
class GasLoc : public Rule {
 public:
  enum Kind : std::uint32_t { request = 1, answer = 2, refusal = 3 };

  explicit GasLoc(GasLocOptions options = {}) : options_((options.check(), options)) {}

  [[nodiscard]] std::string name() const override { return "gasloc"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(peers ", options_.peers(), ", rate ", options_.rate(), ", alpha ",
                    options_.strength(), ", gamma ", options_.gamma(), ")");
  }

  void before_step(RuleContext& context) override { start(context); }
  void after_step(RuleContext& context) override {
    if (!start(context) || context.step() % options_.tau() != 0) return;
    outer_step(context);
    for (const Message& one : std::exchange(held_, {})) mix(context, one);
    const std::uint64_t round = context.step() / options_.tau();
    for (std::uint64_t i = 0; i < options_.peers(); ++i) {
      if (open_.size() >= options_.peers() || mixed_ >= options_.peers()) break;
      const auto peer = detail::partner_in(context, options_.seed(), round * options_.peers() + i);
      if (!peer || *peer < context.self() || !context.may_send()) continue;
      model::Snapshot y = context.blank();
      y.writable().copy_from(y_.get(context));
      context.send({.to = *peer, .kind = request, .round = round, .payload = std::move(y)});
      open_.push_back(*peer);
      ++mixed_;
    }
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      if (message.kind != request) {
        if (message.kind == answer && message.payload) pull(context, *message.payload, -1);
        close(message.from);
      } else if (!start(context) || !message.payload || held_.size() >= options_.peers()) {
        refuse(context, message.from);
      } else if (mixed_ < options_.peers()) {
        mix(context, message);
      } else {
        held_.push_back(message);
      }
    }
  }
  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == request) return close(message.to);
    if (message.kind == answer && message.payload) pull(context, *message.payload, -1);
    if (is_live(context, message.to)) refuse(context, message.to);
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override {
    std::erase_if(held_, [&](const Message& one) { return one.from == gone.peer; });
    if (gone.reason != Reason::finished) close(gone.peer, /*all=*/true);
  }
  void on_leave(RuleContext& context) override {
    for (const Message& one : std::exchange(held_, {})) refuse(context, one.from);
  }
  void on_replaced(RuleContext& context) override {
    theta_.get(context).copy_from(context.model().flat());
    y_.get(context).copy_from(context.model().flat());
  }
  void checkpoint(Archive& archive) override {
    theta_.checkpoint(archive, "theta");
    y_.checkpoint(archive, "y");
    archive("mixed", mixed_);
  }

 private:
  /// False while the node has no model yet, or none any more.
  bool start(RuleContext& context) {
    if (context.weight() == 0) return false;
    if (!theta_.exists()) on_replaced(context);
    return true;
  }

  /// From the local steps to y, and on with acceleration.
  void outer_step(RuleContext& context) {
    const model::Flat& x = context.model().flat();
    const model::Flat& theta = theta_.get(context);
    const model::Flat& y = y_.get(context);
    context.model().copy_buffers(theta, x);
    context.model().copy_buffers(y, x);
    model::Snapshot change = context.blank();
    if (options_.rate() != 1) {
      model::difference(change.writable(), x, theta, options_.rate() - 1);
      model::add(x, *change);
    }
    if (options_.gamma() > 0) model::difference(change.writable(), x, y, options_.gamma());
    y.copy_from(x);
    if (options_.gamma() > 0) model::add(x, *change);
    theta.copy_from(x);
    mixed_ = 0;
  }

  /// Mixes with one that asks, and answers by how much.
  void mix(RuleContext& context, const Message& question) {
    model::Snapshot d = context.blank();
    model::difference(d.writable(), *question.payload, y_.get(context), options_.strength());
    for (const model::Slot& slot : context.model().layout().slots) {  // both take the mean
      if (!slot.is_buffer) continue;
      const at::Tensor own = slot.view(context.model().flat());
      slot.view(*d).copy_(own.lerp(slot.view(*question.payload).to(own.device()), 0.5));
    }
    pull(context, *d, 1);
    context.send(
        {.to = question.from, .kind = answer, .round = question.round, .payload = std::move(d)});
    ++mixed_;
  }
  /// x and theta go by part d.
  void pull(RuleContext& context, const model::Flat& d, double part) {
    const auto mean = [&](const model::Slot& slot) { return slot.view(d).clone(); };
    with_statistics(context, mean, [&] { model::add(context.model().flat(), d, part); });
    if (start(context)) model::add(theta_.get(context), d, part);
    context.model().on_merged();
  }
  static void refuse(RuleContext& context, PeerId peer) {
    context.send({.to = peer, .kind = refusal, .payload = {}});
  }
  void close(PeerId peer, bool all = false) {
    if (all) {
      std::erase(open_, peer);
    } else if (const auto one = std::find(open_.begin(), open_.end(), peer); one != open_.end()) {
      open_.erase(one);
    }
  }

  GasLocOptions options_;
  KeptFlat theta_;             // where this round began
  KeptFlat y_;                 // of the round before
  std::vector<PeerId> open_;   // asked, and not answered yet
  std::vector<Message> held_;  // who is answered in the next round
  std::uint64_t mixed_ = 0;    // exchanges of this round
};

}  // namespace gossamer::rule
