// SPDX-License-Identifier: MIT
/// Gossip for a training loop that exists already: wrap the model, call `step()` once per
/// iteration.
#pragma once

#include <gossamer/node/detail/drain.hpp>
#include <gossamer/node/engine.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/transport/threads.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer {

/// Three lines in somebody's own loop, and no inheritance:
///
///     gossamer::Gossip gossip(std::move(context), model);   // before the loop
///     ... forward, backward, optimizer.step() ...
///     ... load the next mini-batch ...
///     gossip.step(loss);                                    // last in the loop
///
/// All nodes start from node 0's parameters, so the constructor waits for them. A newcomer (whose
/// context has weight 0) starts from a member's, with half of its weight. Several models that are
/// trained together, a GAN's two, are given one after the other. They must outlive the object.
///
/// With `rule::Sync`, `average_gradients()` stands between `backward()` and `optimizer.step()`;
/// `GradientOverlap` (node/gradient_overlap.hpp) lets gradients travel while others are computed.
/// The state of optimizers (momentum) stays this node's own.
///
/// Threads  one at a time. Throws ConfigError from the constructor: see `GossipNode`.
class Gossip {
 public:
  template <model::Model... Models>
  requires(sizeof...(Models) > 0) explicit Gossip(Context context, Models&... models)
      : leave_when_(std::move(context.leave_when)),
        patience_(context.patience),
        is_newcomer_(context.weight == 0),
        engine_(std::move(context), list(models...)),
        exceptions_(std::uncaught_exceptions()) {
    engine_.watch([&models...] { return list(models...); });
    is_newcomer_ ? join() : engine_.start_equal();
  }
  Gossip(const Gossip&) = delete;
  Gossip& operator=(const Gossip&) = delete;

  /// `finish()`; while an exception is under way it leaves at once.
  ~Gossip() {
    if (ended_) return;
    if (std::uncaught_exceptions() > exceptions_) {
      engine_.fail();
    } else {
      finish();
    }
  }

  /// After the optimizer's step: counts it, lets the rule push, and merges what has arrived, right
  /// before the next step reads the parameters. Waits only if the rule does (`rule::PerSyn`).
  /// `loss` is for progress and records. Throws std::runtime_error if it, or a parameter, is not
  /// finite, unless the options say otherwise; ConfigError if the rule averages gradients and was
  /// not asked to.
  void step(double loss = 0) {
    if (engine_.rule().needs_gradient_hook() && !std::exchange(averaged_, false)) {
      throw ConfigError("Gossip: rule " + engine_.rule().name() +
                        " averages gradients; call average_gradients() between backward() and the "
                        "optimizer's step()");
    }
    engine_.after_step(loss);
    wait_until([this] { return engine_.may_step(); });
    engine_.before_step();
  }

  /// Between `backward()` and the optimizer's step: lets the rule act on the gradients.
  /// `rule::Sync` puts the mean of all nodes' in their place, and waits for it; most rules do
  /// nothing here.
  void average_gradients() {
    engine_.after_gradient();
    wait_until([this] { return engine_.may_apply(); });
    engine_.before_apply();
    averaged_ = true;
  }

  /// The plain mean of the models of all live nodes, "the result" of the papers: the same bits at
  /// each. All of them must call it, any number of times, before they finish; it waits for them,
  /// and throws std::runtime_error if they do not come in time. Nodes may leave meanwhile.
  [[nodiscard]] model::Flat mean(std::chrono::nanoseconds within = std::chrono::minutes(10));
  /// The same, put into this node's model.
  void average() {
    const at::NoGradGuard no_grad;
    engine_.model().flat().copy_from(mean());
  }
  /// The same, put into `target`, a model of the same shape that belongs to no node. Buffers that
  /// do not travel become this node's.
  template <model::Model Target>
  void average_into(Target& target) {
    const std::array self{observe::Replica{&engine_.model(), weight()}};
    observe::copy_into(target, mean(), self);
  }

  /// The end: answers the others, and lets what is under way land, at most `drain_timeout` long.
  /// True if everybody had finished by then. Only the observers may be called afterwards.
  bool finish() {
    if (ended_) return *ended_;
    ended_ = false;
    detail::drain_returned(engine_, [this] { receive(); });
    engine_.finish();
    return *(ended_ = drain([this] { return engine_.transport().settled(); }));
  }
  /// The end of this node only: its weight goes to a live peer, with its model, and the others go
  /// on. True if that has arrived within `drain_timeout`, or if nobody is there to take it.
  bool leave() {
    if (ended_) return *ended_;
    ended_ = false;
    if (engine_.transport().recall()) receive();
    engine_.leave();
    engine_.finish();
    const bool gone = drain([this] {
      if (weight() > 0 && nodes() > 1) engine_.leave();  // what came late goes on, too
      return engine_.pool().under_way() == 0 && (weight() == 0 || nodes() == 1);
    });
    engine_.transport().close(transport::Reason::left);
    return *(ended_ = gone);
  }
  /// Whether this process has been told to go (SIGTERM, Ctrl+C), if its context knows how to tell:
  /// that of `join_run` does, and catches these signals from the first call on.
  [[nodiscard]] bool should_leave() const { return leave_when_ && leave_when_(); }

  /// Saves the node, or restores it before its first step; see `save_checkpoint()` and
  /// `load_checkpoint()` in node/checkpoint.hpp. What was saved goes on as a new incarnation: with
  /// its parameters and counters, and the weight that it has now. Restore all that a run begins
  /// with, or none: under a synchronous rule all go on from the first one's parameters and step.
  /// One that came as a newcomer keeps the parameters that it was given. Optimizers are the user's:
  /// `on_checkpoint()`.
  void checkpoint(Archive& archive) {
    const at::NoGradGuard no_grad;
    const model::Flat given = archive.loading() ? engine_.model().flat().clone() : model::Flat();
    const std::uint64_t step = engine_.step();
    archive.within("node", [&] { engine_.checkpoint(archive, Restore::rejoin); });
    if (checkpoint_hook_) archive.within("user", [&] { checkpoint_hook_(archive); });
    if (!archive.loading()) return;
    if (is_newcomer_) {
      engine_.model().flat().copy_from(given);
      engine_.keep_step(step);
    } else {
      engine_.start_equal(true);
    }
  }

  /// What to do when the rule begins a new stretch of training: see `GossipNode::on_restart()`.
  void on_restart(std::function<void()> hook) { engine_.on_restart(std::move(hook)); }
  /// Told of those who come, and of those who go, from within the calls that wait.
  void on_peer_joined(std::function<void(PeerId)> hook) { joined_hook_ = std::move(hook); }
  void on_peer_left(std::function<void(PeerId, transport::Reason)> hook) {
    left_hook_ = std::move(hook);
  }
  /// Saves or restores what is the user's, with `checkpoint()`.
  void on_checkpoint(std::function<void(Archive&)> hook) { checkpoint_hook_ = std::move(hook); }

  [[nodiscard]] PeerId id() const { return engine_.self(); }
  [[nodiscard]] double weight() const { return engine_.weight(); }
  [[nodiscard]] const Counters& counters() const { return engine_.counters(); }
  [[nodiscard]] const model::FlatModel& parameters() const { return engine_.model(); }
  /// The live others, ascending.
  [[nodiscard]] std::vector<PeerId> peers() {
    const auto all = engine_.context().peers();
    return {all.begin(), all.end()};
  }
  /// How many live nodes there are, this one too; and its place among them, from 0: for a sampler
  /// (`DistributedRandomSampler`), which may be made anew when somebody comes or goes.
  [[nodiscard]] std::size_t nodes() { return engine_.context().peers().size() + 1; }
  [[nodiscard]] std::size_t place() {
    const auto all = engine_.context().peers();
    return static_cast<std::size_t>(std::lower_bound(all.begin(), all.end(), id()) - all.begin());
  }
  /// The counters of the live nodes, added up, as far as they are known here; steps and samples
  /// also of those who have gone.
  [[nodiscard]] Counters totals() {
    Counters sum = counters();
    for (const PeerId peer : engine_.context().peers()) sum += engine_.transport().counters(peer);
    const transport::WorkDone all = engine_.transport().work_done();
    sum.steps = all.steps;
    sum.samples = all.samples;
    return sum;
  }

 private:
  template <class Model>
  static model::Tensors list(Model& model) {
    return model::detail::tensors_of(model);
  }
  template <class First, class Second, class... More>
  static model::Tensors list(First& first, Second& second, More&... more) {
    return model::detail::tensors_of_all(first, second, more...);
  }

  void join() {
    const transport::Time deadline = engine_.transport().now() + patience_;
    const auto all = peers();
    if (all.empty()) throw ConfigError("Gossip: a newcomer needs a member to start from, got none");
    auto& random = engine_.context().generator();
    engine_.join(all[random.below(static_cast<std::uint32_t>(all.size()))]);
    while (engine_.joining()) {
      if (engine_.transport().now() > deadline) {
        throw ConfigError(c10::str("Gossip: no member has given node ", id(), " a model within ",
                                   patience_.count(), " ms"));
      }
      if (!receive()) engine_.transport().wait(deadline);
    }
    // One that comes between two steps takes part in what a synchronous rule does there.
    wait_until([this] { return engine_.may_step(); });
  }

  auto taker() {
    return [this](std::span<const transport::Message> messages) { engine_.merge(messages); };
  }
  auto teller() {
    return [this](const transport::Event& event) {
      if (const auto* joined = std::get_if<transport::PeerJoined>(&event)) {
        if (joined_hook_) joined_hook_(joined->peer);
      } else if (const auto* gone = std::get_if<transport::PeerLeft>(&event)) {
        if (left_hook_) left_hook_(gone->peer, gone->reason);
      }
    };
  }
  bool receive() { return engine_.receive(taker(), teller()); }

  friend class GradientOverlap;
  /// While gradients are being computed, in whatever thread, but one at a time: those of these
  /// slots are final. Between `average_gradients()` and `step()` it is too late for the step.
  void gradients_ready(std::span<const std::size_t> slots) {
    if (!averaged_ && !ended_) engine_.gradients_ready(slots);
  }

  template <class Condition>
  void wait_until(Condition holds) {
    while (true) {
      receive();
      if (holds()) return;
      engine_.transport().wait(engine_.transport().now() + std::chrono::seconds(1));
    }
  }
  /// Receives until that is so (true), or it has been too long.
  template <class Condition>
  bool drain(Condition holds) {
    return detail::drain(engine_, [this, &holds] {
      receive();
      return holds();
    });
  }

  std::function<bool()> leave_when_;
  std::chrono::milliseconds patience_;
  bool is_newcomer_;
  Engine engine_;
  int exceptions_;
  bool averaged_ = false;      // the gradients of the step under way
  std::optional<bool> ended_;  // and whether all went well
  std::function<void(PeerId)> joined_hook_;
  std::function<void(PeerId, transport::Reason)> left_hook_;
  std::function<void(Archive&)> checkpoint_hook_;
};

inline model::Flat Gossip::mean(std::chrono::nanoseconds within) {
  auto result = engine_.mean(engine_.transport().now() + within, taker(), teller());
  if (result) return *std::move(result);
  throw std::runtime_error(c10::str("node ", id(), ": the mean of all models needs all ", nodes(),
                                    " nodes, and some have not asked for it in time"));
}

/// Calls `loop(context)` in one thread per node, each with its own place in a group, and returns
/// when all have returned. Throws NodeError, the original nested, if one threw; the others go on
/// without it.
inline void run_threads(const GroupOptions& options, const rule::AnyRule& rule,
                        const std::function<void(Context)>& loop) {
  Workers workers(options);
  const auto hub = transport::ThreadHub::make(options.nodes(), options.mailbox_capacity());
  std::vector<std::unique_ptr<Context>> contexts;
  for (PeerId id = 0; id < options.nodes(); ++id) {
    contexts.push_back(std::make_unique<Context>(Context{
        hub->endpoint(id), rule, options.node(), 1 / static_cast<double>(options.nodes())}));
  }
  const Workers::End end =
      workers.run([&](std::size_t i) { loop(std::move(*std::exchange(contexts[i], nullptr))); },
                  [](std::size_t, const std::exception&) {}, [] {});
  if (end.error) rethrow_as_node_error(end.failed, end.error);
}

}  // namespace gossamer
