// SPDX-License-Identifier: MIT
/// The class that users derive: a model, a local step, and everything between nodes taken care of.
#pragma once

#include <gossamer/node/detail/drain.hpp>
#include <gossamer/node/engine.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <utility>
#include <variant>

namespace gossamer {

/// What `GossipNode::advance()` did.
enum class Progress {
  stepped,  ///< it worked; call again
  waiting,  ///< nothing to do until an event comes: `transport().wait(...)`
  paused    ///< the condition holds, or a stop was asked for; going on is possible
};

/// One node. Derive it, write `local_step()`, and run it on any transport with any rule:
///
///     class MyNode : public gossamer::GossipNode<Net> {
///      public:
///       explicit MyNode(gossamer::Context context) : GossipNode(std::move(context), Net()) {}
///      private:
///       double local_step() override { ...one mini-batch...; return loss; }
///     };
///
/// The model's tensors become views into flat vectors (`model::FlatModel`) when the node is made;
/// optimizers made before or after see them all the same.
///
/// Threads  The hooks of one node never run concurrently, so user code needs no locks. All members
///          are for the thread that runs the node, but `request_stop()`, which any may call.
/// Throws   ConfigError from the constructor: bad options, a model that cannot be averaged, a rule
///          that needs `GradientNode`, peers with another model.
template <class ModelType>
class GossipNode {
 public:
  using Model = ModelType;

  GossipNode(Context context, Model model)
      : GossipNode(std::move(context), std::move(model), false) {}
  GossipNode(const GossipNode&) = delete;
  GossipNode& operator=(const GossipNode&) = delete;
  virtual ~GossipNode() = default;

  [[nodiscard]] Model& model() noexcept { return model_; }
  [[nodiscard]] PeerId id() const { return engine_.self(); }
  [[nodiscard]] double weight() const { return engine_.weight(); }
  [[nodiscard]] const Counters& counters() const { return engine_.counters(); }
  [[nodiscard]] const model::FlatModel& parameters() const { return engine_.model(); }
  [[nodiscard]] const NodeOptions& options() const { return engine_.options(); }
  [[nodiscard]] Engine& engine() noexcept { return engine_; }
  [[nodiscard]] const Engine& engine() const noexcept { return engine_; }

  /// A stream of random numbers of this node's own, from the group's seed; `purpose` < 2^16 tells
  /// several apart. Equal for equal seed, node and purpose.
  [[nodiscard]] Generator generator(std::uint64_t purpose = 0) const {
    return Generator(options().seed(), (purpose << 16U) + id());
  }

  /// For a node that was made with weight 0, into a group that runs: asks `member` for half of its
  /// weight, with its model. Until that has come, `advance()` waits.
  void join(PeerId member) { engine_.join(member); }
  [[nodiscard]] bool is_joining() const { return engine_.joining(); }

  /// Takes in what has arrived and does at most one step (or half of one). Never blocks. The state
  /// of the node between two calls is whole: it can be paused, saved, looked at. `begin` is the
  /// moment from which the condition's duration counts.
  Progress advance(const StopCondition& until, transport::Time begin) {
    const Progress progress = prepare(until, begin);
    if (progress == Progress::stepped) work();
    return progress;
  }

  /// The first part of `advance()`: takes in what has arrived. `stepped` if the node may now
  /// `work()`.
  Progress prepare(const StopCondition& until, transport::Time begin) {
    if (!started_) {
      started_ = true;
      on_start();
    }
    receive();
    const bool stop = must_stop(until, begin);
    if (engine_.joining()) return stop ? Progress::paused : Progress::waiting;
    const bool ready = halfway_ ? engine_.may_apply() : engine_.may_step();
    const bool enough = !halfway_ && engine_.work_done(until);
    if (!ready) {
      // One whose role is not to train rests with those who do; a synchronous one ends its round.
      return stop || (enough && !engine_.rule().is_synchronous()) ? Progress::paused
                                                                  : Progress::waiting;
    }
    if (halfway_) return Progress::stepped;
    if (stop || enough) return Progress::paused;
    return is_ready_to_step() ? Progress::stepped : Progress::waiting;
  }

  /// The second part, at once after the first: the step, or half of one.
  void work() {
    if (halfway_) return second_half();
    is_prepared_ = false;
    engine_.before_step();
    if (engine_.rule().needs_gradient_hook()) {
      loss_ = gradient();
      halfway_ = true;
      engine_.after_gradient();
    } else {
      engine_.after_step(local_step());
    }
  }

  /// Advances until the condition holds or a stop is asked for; waits without spinning. The node
  /// can go on afterwards, under another condition. `before` is how long its group has run already.
  void run_until(const StopCondition& until, transport::Time before = transport::Time(0)) {
    auto& transport = engine_.transport();
    const transport::Time begin = transport.now() - before;
    const transport::Time year = std::chrono::hours(24 * 365);
    while (true) {
      const Progress progress = advance(until, begin);
      if (progress == Progress::paused) {
        // Others wait for what comes back. They may not receive any more if all are to stop.
        if (!must_stop(until, begin)) detail::drain_returned(engine_, [this] { receive(); });
        return engine_.rests();
      }
      if (progress == Progress::stepped) continue;
      engine_.waits();
      transport.wait(begin + until.duration().value_or(year));
    }
  }

  /// Runs to the end: trains until the condition holds or a stop is asked for, then answers the
  /// others and lets their last messages land until everybody has finished, or nothing has moved
  /// for `drain_timeout`. After a stop asked for by `request_leave()`, others go on: the weight is
  /// handed to one of them first. Calls `on_stop()` at the end.
  void run(const StopCondition& until) {
    run_until(until);
    finish();
  }

  /// The second part of `run()`.
  void finish() {
    if (!leaving_) detail::drain_returned(engine_, [this] { receive(); });
    begin_finish();
    detail::drain(engine_, [this] { return settle(); });
    end_finish();
  }

  /// Starts no more exchanges, hands the weight over if the node is leaving, and tells the others.
  void begin_finish() {
    if (leaving_) {
      if (engine_.transport().recall()) receive();
      engine_.leave();
    }
    engine_.finish();
  }

  /// The last call that a node gets.
  void end_finish() { on_stop(); }

  /// Takes in what has arrived, and completes a step whose other half has arrived. True when
  /// nothing more can come, as every live peer has finished.
  bool settle() {
    receive();
    if (leaving_ && weight() > 0) engine_.leave();  // what came late goes on, too
    if (halfway_ && engine_.may_apply()) second_half();
    return engine_.transport().settled();
  }

  /// The mean of all live nodes' models, for which all of them must ask: see `Group::mean`. Nothing
  /// if some have not asked in time.
  std::optional<model::Flat> mean(std::chrono::nanoseconds within) {
    return engine_.mean(engine_.transport().now() + within, taker(), teller());
  }

  /// Asks the node to stop before its next step. Any thread.
  void request_stop() {
    stopping_ = true;
    engine_.transport().wake();
  }
  /// Asks the node to stop, and to hand its weight to a live peer as it goes. Any thread.
  void request_leave() {
    leaving_ = true;
    request_stop();
  }
  /// Takes a request to stop back, so that the node can run again.
  void clear_stop() { stopping_ = false; }

  /// Tells the node that one of its hooks threw: it calls `on_error()` and leaves the group.
  void fail(const std::exception& error) {
    try {
      on_error(error);
    } catch (const std::exception&) {  // the first error is the one to report
    }
    engine_.fail();
  }

  /// Saves or restores the node; call it between runs, when nothing is under way. For
  /// `Restore::rejoin` see `Engine`.
  void checkpoint(Archive& archive, Restore restore = Restore::resume) {
    archive.within("node", [&] {
      archive("started", started_);
      engine_.checkpoint(archive, restore);
    });
    if (archive.loading()) halfway_ = is_prepared_ = false;  // what was begun is begun anew
    archive.within("user", [&] { on_checkpoint(archive); });
  }

 protected:
  GossipNode(Context context, Model model, bool has_halves)
      : model_(std::move(model)),
        engine_((refuse_whole_steps(context, has_halves), std::move(context)),
                model::detail::tensors_of(model_)) {
    model::check_model<Model>();
    engine_.on_restart([this] { on_restart(); });
    engine_.watch([this] { return model::detail::tensors_of(model_); });
  }

  /// One step of training, usually one mini-batch; returns its loss.
  virtual double local_step() = 0;

  /// Gets ready what the next step needs and what does not depend on the parameters: its
  /// mini-batch. What arrives meanwhile is merged before the step, so that it is merged as late as
  /// can be. Optional; at most once for each step.
  virtual void prepare_step() {}

  /// Takes in the messages that arrived since the last step; between steps, all at once. The
  /// default is the rule's merge; an override may look at the messages
  /// (`parameters().views(*m.payload)` shows one in the model's shapes) and call it:
  /// `GossipNode::aggregate(messages)`. One that does not call it must account for the messages'
  /// weight itself: `engine().weight()`.
  virtual void aggregate(std::span<const transport::Message> messages) { engine_.merge(messages); }

  /// Called once in the life of a node, before its first step; not again after a resume.
  virtual void on_start() {}
  /// Called at the end of `run()`.
  virtual void on_stop() {}
  virtual void on_peer_joined(PeerId /*peer*/) {}
  virtual void on_peer_left(PeerId /*peer*/, transport::Reason /*reason*/) {}
  /// A rule (`rule::SlowMo`) begins a new stretch of training from where it has put the parameters.
  /// The default keeps the optimizer's buffers as they are; an override may reset them.
  virtual void on_restart() {}
  /// Saves or restores what is the user's: optimizer, data order, generators. One function for
  /// both.
  virtual void on_checkpoint(Archive& /*archive*/) {}
  /// One of this node's hooks threw; none will be called again.
  virtual void on_error(const std::exception& /*error*/) {}

 private:
  template <class>
  friend class GradientNode;

  /// The halves of a step; `GradientNode` has them.
  virtual double gradient() { return 0; }
  virtual void apply() {}

  static void refuse_whole_steps(const Context& context, bool has_halves) {
    if (context.rule->needs_gradient_hook() && !has_halves) {
      throw ConfigError("GossipNode: rule " + context.rule->name() +
                        " acts between the gradient and its application; derive GradientNode and "
                        "write gradient() and apply() in place of local_step()");
    }
  }

  [[nodiscard]] bool must_stop(const StopCondition& until, transport::Time begin) const {
    return stopping_ || until.is_over(engine_.transport().now() - begin);
  }
  bool receive() { return engine_.receive(taker(), teller()); }
  /// Looks once more for what has arrived, right before the step first reads the parameters; after
  /// it the rule may want to wait after all.
  bool is_ready_to_step() {
    if (!std::exchange(is_prepared_, true)) prepare_step();
    return !receive() || engine_.may_step();
  }
  auto taker() {
    return [this](std::span<const transport::Message> messages) { aggregate(messages); };
  }
  auto teller() {
    return [this](const transport::Event& event) {
      if (const auto* joined = std::get_if<transport::PeerJoined>(&event)) {
        on_peer_joined(joined->peer);
      } else if (const auto* gone = std::get_if<transport::PeerLeft>(&event)) {
        on_peer_left(gone->peer, gone->reason);
      }
    };
  }

  void second_half() {
    halfway_ = false;
    engine_.before_apply();
    apply();
    engine_.after_step(loss_);
  }

  Model model_;
  Engine engine_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> leaving_{false};
  bool started_ = false;
  bool halfway_ = false;      // gradient() is done, apply() is not
  bool is_prepared_ = false;  // prepare_step() is done, the step is not
  double loss_ = 0;
};

/// A node whose step is written in two halves, so that a rule can act between them (`rule::Sync`
/// averages the gradients there). With all other rules, the halves run one after the other.
template <class ModelType>
class GradientNode : public GossipNode<ModelType> {
  using Base = GossipNode<ModelType>;

 public:
  GradientNode(Context context, ModelType model)
      : Base(std::move(context), std::move(model), true) {}

 protected:
  /// Computes the gradients of one mini-batch into the parameters' `.grad()`; returns the loss.
  double gradient() override = 0;
  /// Changes the parameters by the gradients: `optimizer.step()`.
  void apply() override = 0;

  double local_step() final {
    const double loss = gradient();
    apply();
    return loss;
  }
};

}  // namespace gossamer
