// SPDX-License-Identifier: MIT
/// Gossip for a training loop that exists already: wrap the model, call `step()` once per
/// iteration.
#pragma once

#include <gossamer/node/engine.hpp>
#include <gossamer/node/workers.hpp>
#include <gossamer/transport/stall_timer.hpp>
#include <gossamer/transport/threads.hpp>

#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace gossamer {

/// Three lines in somebody's own loop, and no inheritance:
///
///     gossamer::Gossip gossip(std::move(context), model);   // before the loop
///     ... forward, backward, optimizer.step() ...
///     gossip.step(loss);                                    // last in the loop
///
/// All nodes start from node 0's parameters, so the constructor waits for them. The model must
/// outlive the object. The destructor answers the others and lets this node's last messages land,
/// at most `drain_timeout` long; while an exception is under way it leaves at once.
///
/// Threads  one at a time. Throws ConfigError from the constructor: see `GossipNode`; also for a
///          rule that acts between gradient and apply, since a whole loop has no such place.
class Gossip {
 public:
  template <model::Model ModelType>
  Gossip(Context context, ModelType& model)
      : engine_((refuse_halves(context), std::move(context)), model::detail::tensors_of(model)),
        exceptions_(std::uncaught_exceptions()) {
    engine_.start_equal();
  }
  Gossip(const Gossip&) = delete;
  Gossip& operator=(const Gossip&) = delete;

  ~Gossip() {
    if (std::uncaught_exceptions() > exceptions_) {
      engine_.fail();
      return;
    }
    auto& transport = engine_.transport();
    engine_.finish();
    transport::StallTimer stall(engine_.options().drain_timeout(), transport.progress(),
                                transport.now());
    while (true) {
      receive();
      if (transport.settled() || stall.is_over(transport.progress(), transport.now())) return;
      transport.wait(stall.deadline());
    }
  }

  /// After the optimizer's step: counts it, lets the rule push, and merges what has arrived. Waits
  /// only if the rule does (`rule::PerSyn`). `loss` is for progress and records; one that is not
  /// finite throws std::runtime_error unless the options say otherwise.
  void step(double loss = 0) {
    engine_.after_step(loss);
    while (true) {
      receive();
      if (engine_.may_step()) break;
      engine_.transport().wait(engine_.transport().now() + std::chrono::seconds(1));
    }
    engine_.before_step();
  }

  /// What to do when the rule begins a new stretch of training: see `GossipNode::on_restart()`.
  void on_restart(std::function<void()> hook) { engine_.on_restart(std::move(hook)); }

  [[nodiscard]] PeerId id() const { return engine_.self(); }
  [[nodiscard]] double weight() const { return engine_.weight(); }
  [[nodiscard]] const Counters& counters() const { return engine_.counters(); }
  [[nodiscard]] const model::FlatModel& parameters() const { return engine_.model(); }

 private:
  static void refuse_halves(const Context& context) {
    if (context.rule->needs_gradient_hook()) {
      throw ConfigError("Gossip: rule " + context.rule->name() +
                        " acts between the gradient and its application; derive GradientNode");
    }
  }

  void receive() {
    engine_.receive(
        [this](std::span<const transport::Message> messages) { engine_.merge(messages); },
        [](const transport::Event&) {});
  }

  Engine engine_;
  int exceptions_;
};

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
