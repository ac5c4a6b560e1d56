// SPDX-License-Identifier: MIT
/// Where transport, rule and model meet: the part of a node that does not depend on the user.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/node/detail/equal_start.hpp>
#include <gossamer/node/detail/event_source.hpp>
#include <gossamer/node/detail/group_view.hpp>
#include <gossamer/node/detail/join_and_leave.hpp>
#include <gossamer/node/detail/model_average.hpp>
#include <gossamer/node/detail/node_context.hpp>
#include <gossamer/node/detail/refuse_another.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/node/stop_condition.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>

#include <ATen/core/grad_mode.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer {

/// How what is restored goes on.
enum class Restore : std::uint8_t {
  resume,  ///< all nodes of the group were saved together, with no message in flight
  rejoin   ///< the others know nothing of it, or have gone on meanwhile
};

/// Receives, sends, counts, and runs a rule's hooks over one model. `GossipNode` and `Gossip` are
/// made of it; users do not need it.
///
///     detail/node_context      the node as its rule sees it
///     detail/equal_start       how those that begin together come by one model
///     detail/join_and_leave    how it comes among others, and goes
///     detail/group_view        whom its rule sees; halves that meet again
///     detail/model_average     the mean of all models, when all ask for it
///
/// Threads: one at a time; `transport().wake()` from any.
class Engine {
 public:
  Engine(Context context, const model::Tensors& tensors)
      : node_(std::move(context.transport), std::move(context.options), context.weight, tensors),
        rule_(std::move(context.rule)),
        members_(node_.peers().size() + 1) {
    if (node_.model().has_merge() && !rule_->merges_by_weighted_average()) {
      throw ConfigError("Engine: rule " + rule_->name() +
                        " averages the numbers of models, and this model has a merge of its own; "
                        "take a rule that uses it, such as gosgd");
    }
    node_.set_message_bytes(rule_->message_bytes(model()));
    transport().set_model_layout(model().layout().description(), node_.payload_shape());
    if (callback() != nullptr) callback()->on_start(now(), self(), 1, weight());
    publish();  // a node that never gets to a step has weight, too
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] PeerId self() const { return node_.self(); }
  [[nodiscard]] double weight() const noexcept { return node_.weight(); }
  [[nodiscard]] double& weight() noexcept { return node_.weight(); }
  [[nodiscard]] const model::FlatModel& model() const noexcept { return node_.model(); }
  [[nodiscard]] const model::SnapshotPool& pool() const noexcept { return node_.pool(); }
  [[nodiscard]] const NodeOptions& options() const noexcept { return node_.options(); }
  [[nodiscard]] transport::Transport& transport() const noexcept { return node_.transport(); }
  [[nodiscard]] const rule::Rule& rule() const noexcept { return *rule_; }
  /// The node as its rule sees it.
  [[nodiscard]] rule::RuleContext& context() noexcept { return node_; }
  /// Completed local steps; under a synchronous rule, those of the group.
  [[nodiscard]] std::uint64_t step() const { return node_.step(); }
  /// Counters of this node, up to date.
  [[nodiscard]] const Counters& counters() const noexcept { return node_.counters(); }
  /// The group's step is that one; it was restored since.
  void keep_step(std::uint64_t step) { node_.joined_at = step - counters().steps; }
  /// How to list the model's tensors anew, to see what has been replaced or added since.
  void watch(std::function<model::Tensors()> list) { list_ = std::move(list); }
  /// Binds again what was cut off from the vector that is exchanged: see `FlatModel::adopt()`. The
  /// engine does so before it looks at the model, and lists its tensors anew after each of the
  /// first steps, and then after every 16th.
  void adopt() { node_.model().adopt(); }
  /// What to do when a rule begins a new stretch of training.
  void on_restart(std::function<void()> hook) { node_.on_restart = std::move(hook); }

  /// Gives all nodes that begin together the parameters of node 0, along a tree: `EqualStart`. Call
  /// it before anything else, on all nodes; it waits. Those that were restored keep their own,
  /// unless the rule is synchronous: then they also count their steps as the first one does.
  void start_equal(bool restored = false) {
    const auto aggregate = [this](std::span<const transport::Message> all) { merge(all); };
    for (begin_start(restored); is_starting();) {
      transport().wait(now() + std::chrono::seconds(1));
      receive(aggregate, [](const transport::Event&) {});
    }
  }
  /// Its first part, for who runs many nodes in one thread; `receive()` is the rest.
  void begin_start(bool restored = false) {
    adopt();
    ask([&] { return own_.start().begin(restored && !rule_->is_synchronous()), true; });
  }
  [[nodiscard]] bool is_starting() const noexcept { return own_.start().waits(); }

  /// Asks `member` for half of its weight, with its model: so a newcomer, which begins with weight
  /// 0, starts from a trained model. If that member is gone or has nothing to give, another one is
  /// asked, as soon as one is known. Any rule's members answer. Under a synchronous rule the one
  /// with the lowest number is asked in any case, and the newcomer counts its steps as that one
  /// does: the others wait for it from its first step on.
  void join(PeerId member) { own_.join(member); }
  [[nodiscard]] bool joining() const noexcept { return own_.joining(); }

  /// Takes in everything that has arrived. `aggregate` is called with the messages (a span), as
  /// often as other events separate them; `on_event` with each PeerJoined and PeerLeft.
  /// True if there was anything. `rule_only`: stops before what may change the model.
  template <class Aggregate, class OnEvent>
  bool receive(Aggregate aggregate, OnEvent on_event, bool rule_only = false) {
    const at::NoGradGuard no_grad;
    const std::uint64_t merged = counters().messages_merged;
    if (!rule_only) adopt();
    bool any = false;
    double arrived = 0;
    own_.catch_up();
    while (auto event = events_.next(rule_only)) {
      any = true;
      if (auto* delivered = std::get_if<transport::Delivered>(&*event)) {
        arrived += delivered->message.weight;
        take_in(std::move(delivered->message), aggregate);
        take_in_admitted(aggregate);
      } else if (auto* returned = std::get_if<transport::Returned>(&*event)) {
        returned_.push_back(std::move(*returned));
      } else {
        merge_inbox(aggregate);
        if (const auto* joined = std::get_if<transport::PeerJoined>(&*event)) {
          peer_joined(joined->peer);
        } else if (const auto* gone = std::get_if<transport::PeerLeft>(&*event)) {
          peer_left(*gone);
        }
        on_event(*event);
        node_.flush();
        take_in_admitted(aggregate);
      }
    }
    merge_inbox(aggregate);
    own_.start().pass_on();
    take_back();
    if (any) publish();
    if (any && callback() != nullptr) tell_merged(counters().messages_merged - merged, arrived);
    return any;
  }

  /// The rule's own way to take messages in; the default of `aggregate`.
  void merge(std::span<const transport::Message> messages) {
    if (!rule_->weight_follows_model()) rule::take_weights(node_, messages);
    rule_->on_messages(node_, messages);
  }

  bool may_step() {
    return ask([this] { return !joining() && !is_starting() && rule_->may_step(node_); });
  }
  bool may_apply() {
    return ask([this] { return !joining() && rule_->may_apply(node_); });
  }
  void before_step() {
    if (callback() != nullptr) callback()->on_step(now(), self());
    call([this] { rule_->before_step(node_); });
  }
  /// While the user computes gradients: those of these slots are final.
  void gradients_ready(std::span<const std::size_t> slots) {
    const auto aggregate = [this](std::span<const transport::Message> all) { merge(all); };
    const auto ignore = [](const transport::Event&) {};
    if (ask([&] { return rule_->gradients_ready(node_, slots); })) receive(aggregate, ignore, true);
  }
  void after_gradient() {
    between_halves_ = rule_->needs_gradient_hook();
    call([this] { rule_->after_gradient(node_); });
  }
  void before_apply() {
    between_halves_ = false;
    call([this] { rule_->before_apply(node_); });
  }
  /// Settles what the rule has open with others, then hands the weight to one of them; again, if
  /// weight has come since.
  void leave() {
    if (!std::exchange(leaving_, true)) {
      if (callback() != nullptr) callback()->on_leaving(now(), self());
      call([this] { rule_->on_leave(node_); });
    }
    call([this] { own_.leave(); });
    publish();
  }
  /// Goes, after `leave()`: what others have sent meanwhile goes back to them.
  void depart() {
    if (callback() != nullptr) callback()->on_end(now(), self(), observe::Callback::End::left);
    transport().close(transport::Reason::left);
  }

  /// The mean of the models of all live nodes, which all of them ask for at once; the same bits at
  /// each. Waits for the others; nothing if they have not come by then. Nodes may come and go
  /// meanwhile. `aggregate` takes in what else comes.
  template <class Aggregate, class OnEvent>
  std::optional<model::Flat> mean(transport::Time deadline, Aggregate aggregate, OnEvent on_event) {
    adopt();
    call([this] { average_.begin(); });
    while (average_.waiting() && now() < deadline) {
      if (!receive(aggregate, on_event) && average_.waiting()) transport().wait(deadline);
    }
    if (!average_.waiting()) return average_.result().clone();
    average_.give_up();
    return std::nullopt;
  }

  /// What the node does instead of a step: it waits, or it has trained enough.
  void waits() const {
    using Wait = observe::Callback::Wait;
    if (callback() == nullptr) return;
    callback()->on_wait(now(), self(), joining() ? Wait::first_weight : Wait::others);
  }
  void rests() const {
    if (callback() != nullptr) callback()->on_rest(now(), self());
  }

  /// Starts no more exchanges, but still answers.
  void finish() {
    group_.finish();
    transport().finish();
  }

  /// Counts a step that the user has just completed, and lets the rule act on it. Throws
  /// std::runtime_error for a loss or a parameter that is not finite, unless the options allow it.
  void after_step(double loss) {
    const std::uint64_t number = counters().steps + 1;
    const bool lists = list_ && (number <= 16 || number % 16 == 0);
    lists ? node_.model().adopt(list_()) : adopt();
    if (options().stop_on_bad_loss()) node_.refuse_not_finite(loss);
    node_.count_step(loss);
    call([this] { rule_->after_step(node_); });
    node_.end_step();
    publish();
    if (callback() != nullptr) callback()->on_step_end(now(), self(), counters());
  }

  /// Whether the group has done the steps and samples that the condition asks for.
  [[nodiscard]] bool work_done(const StopCondition& until) const {
    if (rule_->is_synchronous()) {
      const std::uint64_t all = step() * members_;
      return until.is_done(all, all * options().samples_per_step(), members_);
    }
    const transport::WorkDone all = transport().work_done();
    return until.is_done(all.steps, all.samples, members_);
  }

  /// After a hook threw: what was polled and not merged counts as this node's own, what it wanted
  /// to say is not said, and what waits in its queue goes back to its senders.
  void fail() {
    weight() += node_.unsay() + group_.forget() + events_.forget();
    for (const auto& message : std::exchange(inbox_, {})) weight() += message.weight;
    for (const auto& returned : std::exchange(returned_, {})) weight() += returned.message.weight;
    publish();
    if (callback() != nullptr) callback()->on_end(now(), self(), observe::Callback::End::failed);
    transport().close(transport::Reason::lost);
  }

  /// Parameters, buffers, weight, counters, generator and the rule's state. Call it when nothing is
  /// in flight, else what is will be missing. To rejoin, only the parameters, buffers, counters and
  /// the generator are restored: the weight is the one that the node was made with, and the rule
  /// has no exchange in flight.
  void checkpoint(Archive& archive, Restore restore = Restore::resume) {
    const at::NoGradGuard no_grad;
    adopt();
    detail::refuse_another(archive, model().layout(), rule_->name());
    for (std::size_t s = 0; s < model().flat().segments().size(); ++s) {
      archive("parameters/" + std::to_string(s), model().flat().segments()[s]);
    }
    for (const auto& buffer : model().kept_buffers())
      archive("buffer/" + buffer.name, buffer.tensor);
    node_.counters().checkpoint(archive);
    archive("generator", node_.generator());
    if (restore == Restore::resume || !archive.loading()) {
      archive("weight", weight());
      archive("joined_at", node_.joined_at);
      archive.within("rule", [&] { rule_->checkpoint(archive); });
    }
    if (archive.loading()) publish();
  }

 private:
  [[nodiscard]] observe::Callback* callback() const noexcept { return node_.callback(); }
  [[nodiscard]] transport::Time now() const { return transport().now(); }
  void publish() { node_.publish(); }
  void tell_merged(std::uint64_t messages, double arrived) {
    if (messages > 0) callback()->on_merge(now(), self(), messages, arrived);
    callback()->on_weight(now(), self(), weight());
  }

  template <class Aggregate>
  void take_in(transport::Message message, const Aggregate& aggregate) {
    if (group_.holds(message)) return;
    if (!detail::JoinAndLeave::is_reserved(message)) return inbox_.push_back(std::move(message));
    merge_inbox(aggregate);
    group_.receive(std::move(message));
    node_.flush();
  }
  /// Who was a stranger may be one no more.
  template <class Aggregate>
  void take_in_admitted(const Aggregate& aggregate) {
    for (auto& message : group_.take_admitted()) take_in(std::move(message), aggregate);
    if (!group_.is_back()) return;
    if (between_halves_) rule_->after_gradient(node_);  // the gradients are still there
    node_.restarted();
    node_.flush();
  }

  void peer_joined(PeerId peer) {
    node_.log("peer ", peer, " has joined");
    group_.on_peer_joined(peer);
    if (callback() != nullptr) callback()->on_peer_joined(now(), self(), peer);
  }
  void peer_left(const transport::PeerLeft& gone) {
    node_.log("peer ", gone.peer, " goes: ", to_string(gone.reason));
    group_.on_peer_left(gone);
    own_.start().on_peer_gone(gone.peer);
    if (callback() != nullptr) callback()->on_peer_left(now(), self(), gone);
  }
  template <class Hook>
  void call(Hook hook) {
    ask([&hook] { return hook(), true; });
  }
  template <class Question>
  bool ask(Question question) {
    const at::NoGradGuard no_grad;
    const bool yes = question();
    node_.flush();
    return yes;
  }

  template <class Aggregate>
  void merge_inbox(const Aggregate& aggregate) {
    if (inbox_.empty() || is_starting()) return;
    double total = weight();
    for (const auto& message : inbox_) total += message.weight;
    try {
      aggregate(std::span<const transport::Message>(inbox_));
    } catch (...) {  // half merged: whatever it was, the weight is this node's now
      weight() = total;
      inbox_.clear();
      node_.unsay();
      throw;
    }
    for (const auto& message : inbox_) node_.count_merged(message);
    inbox_.clear();
    node_.flush();
  }

  /// After all else, and once each: a rule may send a message again that comes back at once.
  void take_back() {
    using Own = detail::JoinAndLeave;
    for (transport::Returned& returned : returned_) {
      const transport::Message& message = returned.message;
      const bool has_weight =
          message.kind != Own::join_request && !detail::EqualStart::is_own(message);
      if (has_weight) {
        node_.count_returned(message.to);
        node_.log("message to peer ", message.to, " came back, weight ", message.weight, ": ",
                  to_string(returned.reason));
      }
      if (Own::is_reserved(message)) {
        group_.take_back(std::move(returned));
        continue;
      }
      if (message.stripped || !rule_->weight_follows_model()) {
        rule::take_weights(node_, {&message, 1});
      }
      if (message.stripped) continue;  // the rule has dealt with it when it heard of the peer
      rule_->on_returned(node_, message);
    }
    returned_.clear();
    node_.flush();
  }

  detail::NodeContext node_;
  rule::AnyRule rule_;
  detail::EventSource events_{node_};
  detail::JoinAndLeave own_{node_, rule_};
  detail::ModelAverage average_{node_};
  detail::GroupView group_{node_, rule_, own_, average_};
  std::uint64_t members_;  // at the start
  std::function<model::Tensors()> list_;
  bool leaving_ = false;
  bool between_halves_ = false;  // of a step whose gradients the rule averages
  std::vector<transport::Message> inbox_;
  std::vector<transport::Returned> returned_;
};

}  // namespace gossamer
