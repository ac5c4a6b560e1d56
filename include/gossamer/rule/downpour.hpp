// SPDX-License-Identifier: MIT
/// DOWNPOUR: workers add what they have learnt to a centre, and start again from it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/batch_norm_buffers.hpp>
#include <gossamer/rule/one_request.hpp>
#include <gossamer/rule/parameter_server.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// DOWNPOUR SGD, a baseline for EASGD: before each of its steps 0, tau, 2 tau, ... a worker sends
/// what its steps have added up to since it last fetched the centre variable c; c takes all of it
/// in, and the worker, which waits for it, goes on from there:
///
///     worker   d = x - (c as last fetched)
///     centre   c <- c + d
///     worker   x <- c
///
/// The centre is the live node with the lowest number (see `ParameterServer`) and takes no steps. A
/// worker whose centre is gone, or whose message comes back, trains on and sends it all the next
/// time. Before anything else it fetches c, and does so again when it is resumed from a checkpoint:
/// steps that were not sent then are lost.
///
/// Invariant  c, with all d under way and all that is not sent yet, is where the group began plus
///            all steps. What is not sent is lost with its worker, and c with a centre that is
///            lost: the next one has its own x. A centre that only seemed lost can have taken in
///            what is then sent to another, too.
/// Cost       2 vectors per worker and tau steps, all through the centre's link; a worker waits for
///            the way there and back, and keeps a copy of c.
/// Needs      nodes that run by themselves (`GossipNode`), as EASGD.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when tau is 0; nothing after construction.
/// Source     Dean et al., "Large scale distributed deep networks", NIPS 2012, in the form in which
///            Zhang, Choromanska, LeCun, arXiv:1412.6651, compare EASGD with it.
/// Differs    one centre, not shards of it, and plain sums of the workers' steps, not AdaGrad. Of
///            averaged buffers c goes towards the worker's by 1 / workers: sums of variances make
///            no sense.
class Downpour : public Rule {
 public:
  explicit Downpour(std::uint64_t tau = 10) : tau_(tau) {
    if (tau == 0) throw ConfigError("Downpour: tau must be at least 1, got 0");
  }

  [[nodiscard]] std::string name() const override { return "downpour"; }

  bool may_step(RuleContext& context) override {
    centre_.settle_in(context);
    if (ParameterServer::is(context)) return false;
    if (request_.open()) return false;
    if (context.peers().empty()) return true;
    const bool due = once_(context) && is_due(context);
    if (fetched_ && !due) return true;
    push(context);
    return false;
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    for (const Message& message : messages) {
      if (message.kind == handover) {
        centre_.on_message(context, message);
      } else if (message.kind == steps) {
        serve(context, message);
      } else if (message.round == request_.round()) {
        request_.end(message.from, message.round);
        if (!message.payload) continue;
        context.model().flat().copy_from(*message.payload);
        context.model().on_merged();
        fetched_ = message.payload;
      }
    }
  }

  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == steps) request_.end(message.to, message.round);
    if (message.kind == variable && is_live(context, message.to))
      context.send(message);  // it waits
  }

  void on_peer_joined(RuleContext& context, PeerId newcomer) override {
    if (!centre_.on_peer_joined(context, newcomer, handover)) return;
    fetched_ = context.snapshot();  // from here on it is a worker
  }
  void on_peer_left(RuleContext&, const PeerLeft& gone) override {
    request_.on_peer_left(gone, /*is_patient=*/false);
  }
  void on_leave(RuleContext& context) override { centre_.on_leave(context, handover); }
  void checkpoint(Archive& archive) override {
    once_.checkpoint(archive);
    centre_.checkpoint(archive);
  }

 protected:
  /// Whether a worker sends before the step that comes; asked once per step.
  virtual bool is_due(RuleContext& context) { return context.step() % tau_ == 0; }
  /// At the centre: what a worker's steps do to its x.
  virtual void add_steps(RuleContext& context, const model::Flat& d) {
    model::add(context.model().flat(), d);
  }

 private:
  enum Kind : std::uint32_t { variable = 1, steps = 2, handover = 3 };

  void push(RuleContext& context) {
    Message message{.to = ParameterServer::of(context), .kind = steps, .payload = {}};
    if (fetched_) {
      model::Snapshot d = context.blank();
      model::difference(d.writable(), context.model().flat(), *fetched_);
      for (const model::Slot& slot : context.model().layout().slots) {
        if (slot.is_buffer) slot.view(*d).copy_(slot.view(context.model().flat()));
      }
      message.payload = std::move(d);
    }
    request_.ask(context, std::move(message));
  }

  void serve(RuleContext& context, const Message& request) {
    centre_.settle_in(context);
    Message answer{.to = request.from, .kind = variable, .round = request.round, .payload = {}};
    if (context.weight() > 0) {  // else it has no model yet, or goes
      centre_.has_served();
      if (request.payload) take_in(context, *request.payload);
      answer.payload = context.snapshot();
    }
    context.send(std::move(answer));
  }

  void take_in(RuleContext& context, const model::Flat& d) {
    const double part = 1 / static_cast<double>(ParameterServer::workers(context));
    const auto nearer = [&](const model::Slot& slot) {
      const at::Tensor own = slot.view(context.model().flat());
      return own.lerp(slot.view(d).to(own.device()), part);
    };
    with_statistics(context, nearer, [&] { add_steps(context, d); });
    context.model().on_merged();
  }

  std::uint64_t tau_;
  ParameterServer centre_;
  OncePerStep once_;
  model::Snapshot fetched_;  // c as this worker knows it; none yet: it fetches first
  OneRequest request_;
};

}  // namespace gossamer::rule
