// SPDX-License-Identifier: MIT
/// Where transport, rule and model meet: the part of a node that does not depend on the user.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/node/options.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/transport/difference.hpp>
#include <gossamer/transport/health.hpp>
#include <gossamer/transport/peer_map.hpp>

#include <ATen/core/grad_mode.h>
#include <spdlog/logger.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer {

/// Whether what is restored goes on where it was, or begins again among others.
enum class Restore : std::uint8_t {
  resume,  ///< all nodes of the group were saved together, with no message under way
  rejoin ///< the others know nothing of it, or have gone on meanwhile
};

/// Receives, sends, counts, and runs a rule's hooks over one model. `GossipNode` and `Gossip` are
/// made of it; users do not need it.
/// Threads: one at a time; `transport().wake()` from any.
template <class Transport, class Rule>
class Engine final : public rule::RuleContext {
 public:
  using Ctx = BasicContext<Transport, Rule>;

  Engine(Ctx context, const model::Tensors& tensors)
      : transport_(std::move(context.transport)),
        rule_(std::move(context.rule)),
        options_((context.options.check(), std::move(context.options))),
        peers_(transport_.peers().begin(), transport_.peers().end()),
        members_(peers_.size() + 1),
        model_(tensors, options_.buffers()),
        pool_(model_.flat()),
        generator_(options_.seed(), gossip_stream + transport_.self()),
        weight_(context.weight) {
    if (!(weight_ >= 0 && std::isfinite(weight_))) {
      throw ConfigError(c10::str("Context: weight must be finite and not negative, got ", weight_));
    }
    if (model_.has_merge() && !rule_.merges_by_weighted_average()) {
      throw ConfigError("Engine: rule " + rule_.name() +
                        " averages the numbers of models, and this model has a merge of its own; "
                        "take a rule that uses it, such as gosgd");
    }
    transport_.set_model_layout(model_.layout().description(), model_.flat());
    publish();  // a node that never gets to a step has weight, too
  }

  // What a rule sees.
  [[nodiscard]] PeerId self() const override { return transport_.self(); }
  /// As of the last event that the rule was told of: what a peer sent before it went, it sent as a
  /// live one.
  [[nodiscard]] std::span<const PeerId> peers() const override { return peers_; }
  [[nodiscard]] transport::Counters counters(PeerId peer) const override {
    return peer == self() ? status_ : transport_.counters(peer);
  }
  [[nodiscard]] transport::PeerHealth health(PeerId peer) const override {
    const transport::PeerHealth* counts = health_.find(peer);
    transport::PeerHealth health = counts != nullptr ? *counts : transport::PeerHealth{};
    health.bytes_per_second = transport::measured_speed(transport_, peer);
    return health;
  }
  [[nodiscard]] std::chrono::nanoseconds now() const override { return transport_.now(); }
  [[nodiscard]] std::chrono::nanoseconds since_last_step() const override {
    return transport_.now() - last_step_;
  }
  [[nodiscard]] std::uint64_t step() const override { return joined_at_ + status_.steps; }
  [[nodiscard]] Generator& generator() override { return generator_; }
  [[nodiscard]] double& weight() override { return weight_; }
  [[nodiscard]] model::FlatModel& model() override { return model_; }
  [[nodiscard]] bool may_send() const override { return pool_.under_way() < options_.max_in_flight(); }
  [[nodiscard]] model::Snapshot blank() override { return pool_.take(); }
  [[nodiscard]] model::Snapshot snapshot() override {
    model::Snapshot copy = pool_.take();
    copy.writable().copy_from(model_.flat());
    return copy;
  }
  void send(transport::Message message) override { outbox_.push_back(std::move(message)); }

  [[nodiscard]] double weight() const noexcept { return weight_; }
  [[nodiscard]] const model::FlatModel& model() const noexcept { return model_; }
  [[nodiscard]] const model::SnapshotPool& pool() const noexcept { return pool_; }
  [[nodiscard]] const NodeOptions& options() const noexcept { return options_; }
  [[nodiscard]] const Transport& transport() const noexcept { return transport_; }
  [[nodiscard]] Transport& transport() noexcept { return transport_; }
  [[nodiscard]] const Rule& rule() const noexcept { return rule_; }
  /// Counters of this node, up to date.
  [[nodiscard]] const transport::Counters& counters() const noexcept { return status_; }

  /// Gives all nodes of a group the parameters of the live one with the lowest number: that one
  /// sends them, the others wait for them. Call it before anything else, on all nodes. Those that
  /// were restored keep their own, unless the rule is synchronous: then they also count their steps
  /// as the first one does.
  void start_equal(bool restored = false) {
    const bool keeps = restored && !rule_.is_synchronous();
    waits_for_first_ = !keeps;  // what faster nodes send meanwhile is merged afterwards
    const auto aggregate = [this](std::span<const transport::Message> all) { merge(all); };
    while (waits_for_first_ && !peers_.empty() && peers_.front() < self()) {
      transport_.wait(transport_.now() + std::chrono::seconds(1));
      receive(aggregate, [](const transport::Event&) {});
    }
    const bool is_first = peers_.empty() || self() < peers_.front();
    if (std::exchange(waits_for_first_, false) || (keeps && is_first)) {
      call([this] {
        const model::Snapshot first = snapshot();
        for (const PeerId peer : peers_) {
          send({.to = peer, .kind = first_model, .round = step(), .payload = first});
        }
      });
    }
    hand_over(aggregate);
  }

  /// Asks `member` for half of its weight, with its model: so a newcomer, which begins with weight
  /// 0, starts from a trained model. If that member is gone or has nothing to give, another one is
  /// asked, as soon as one is known. Any rule's members answer. Under a synchronous rule the one
  /// with the lowest number is asked in any case, and the newcomer counts its steps as that one
  /// does: the others wait for it from its first step on.
  void join(PeerId member) {
    joining_ = true;
    ask_for_share(rule_.is_synchronous() && !peers_.empty() ? peers_.front() : member);
  }
  [[nodiscard]] bool joining() const noexcept { return joining_; }

  /// Takes in everything that has arrived. `aggregate` is called with the messages (a span), as
  /// often as other events separate them; `on_event` with each PeerJoined and PeerLeft.
  /// True if there was anything.
  template <class Aggregate, class OnEvent>
  bool receive(Aggregate aggregate, OnEvent on_event) {
    const at::NoGradGuard no_grad;
    bool any = false;
    for (const PeerId newcomer : std::exchange(owed_, {})) share_with(newcomer);
    while (auto event = transport_.poll()) {
      any = true;
      if (auto* delivered = std::get_if<transport::Delivered>(&*event)) {
        if (delivered->message.kind == first_model) {
          if (!delivered->message.payload) continue;
          if (std::exchange(waits_for_first_, false)) take_first(delivered->message);
          continue;
        }
        if (delivered->message.kind == join_request) {
          hand_over(aggregate);
          share_with(delivered->message.from);
          continue;
        }
        if (delivered->message.kind == join_answer) {
          hand_over(aggregate);
          take_share(delivered->message);
          continue;
        }
        inbox_.push_back(std::move(delivered->message));
        continue;
      }
      if (auto* returned = std::get_if<transport::Returned>(&*event)) {
        returned_.push_back(std::move(*returned));
        continue;
      }
      hand_over(aggregate);
      if (const auto* joined = std::get_if<transport::PeerJoined>(&*event)) {
        log("peer ", joined->peer, " has joined");
        peers_.insert(std::upper_bound(peers_.begin(), peers_.end(), joined->peer), joined->peer);
        rule_.on_peer_joined(*this, joined->peer);
        if (joining_ && !asked_) ask_for_share(joined->peer);
        on_event(*event);
      } else if (const auto* gone = std::get_if<transport::PeerLeft>(&*event)) {
        log("peer ", gone->peer, " goes: ", to_string(gone->reason));
        // Those who finish together do not release each other from a round that nobody completes.
        if (!finishing_ || gone->reason != transport::Reason::finished) {
          std::erase(peers_, gone->peer);
          if (transport::PeerHealth* counts = health_.find(gone->peer)) *counts = {};
          rule_.on_peer_left(*this, *gone);
        }
        if (gone->reason != transport::Reason::finished) ask_another(gone->peer);
        on_event(*event);
      }
      flush();
    }
    hand_over(aggregate);
    take_back();
    if (any) publish();
    return any;
  }

  /// The rule's own way to take messages in; the default of `aggregate`.
  void merge(std::span<const transport::Message> messages) { rule_.on_messages(*this, messages); }

  bool may_step() {
    return ask([this] { return rule_.may_step(*this); });
  }
  bool may_apply() {
    return ask([this] { return rule_.may_apply(*this); });
  }
  void before_step() {
    call([this] { rule_.before_step(*this); });
  }
  void after_gradient() {
    call([this] { rule_.after_gradient(*this); });
  }
  void before_apply() {
    call([this] { rule_.before_apply(*this); });
  }
  void leave() {
    call([this] { rule_.on_leave(*this); });
    publish();
  }

  /// Starts no more exchanges, but still answers.
  void finish() {
    finishing_ = true;
    transport_.finish();
  }

  /// Counts a step that the user has just completed, and lets the rule act on it.
  void after_step(double loss) {
    if (options_.stop_on_bad_loss() && !std::isfinite(loss)) {
      throw std::runtime_error(c10::str("the loss is ", loss, " at step ", status_.steps + 1,
                                        "; a lower learning rate may help"));
    }
    ++status_.steps;
    status_.samples += options_.samples_per_step();
    status_.loss_sum += loss;
    call([this] { rule_.after_step(*this); });
    last_step_ = transport_.now();
    publish();
  }

  /// Whether the group has done the steps and samples that the budget asks for.
  [[nodiscard]] bool work_done(const StopCondition& budget) const {
    transport::WorkDone totals = transport_.totals();
    if (rule_.is_synchronous()) {
      totals = {step() * members_, step() * options_.samples_per_step() * members_};
    }
    return (budget.samples() > 0 && totals.samples >= budget.samples()) ||
           (budget.steps() > 0 && totals.steps >= budget.steps() * members_);
  }

  /// Whether the budget's time is over for a run that began at `begin`.
  [[nodiscard]] bool time_up(const StopCondition& budget, transport::Time begin) const {
    return budget.duration().count() > 0 && transport_.now() - begin >= budget.duration();
  }

  /// After a hook threw: what was polled and not merged counts as this node's own, what it wanted
  /// to say is not said, and what waits in its queue goes back to its senders.
  void fail() {
    for (const auto& message : outbox_) weight_ += message.weight;
    for (const auto& message : inbox_) weight_ += message.weight;
    for (const auto& returned : returned_) weight_ += returned.message.weight;
    outbox_.clear();
    inbox_.clear();
    returned_.clear();
    publish();
    transport_.close(transport::Reason::lost);
  }

  /// Parameters, buffers, weight, counters, generator and the rule's state. Call it when nothing is
  /// under way, else what is will be missing. For the next restore, only the parameters, buffers,
  /// counters and the generator are restored: the weight is the one that the node was made with,
  /// and the rule has no exchange under way.
  void checkpoint(Archive& archive, Restore restore = Restore::resume) {
    const at::NoGradGuard no_grad;
    std::string layout = model_.layout().description();
    std::string rule_name = rule_.name();
    archive("layout", layout);
    archive("rule_name", rule_name);
    if (archive.loading()) {
      const std::string difference =
          transport::first_difference(model_.layout().description(), layout);
      if (!difference.empty()) {
        throw CheckpointError("checkpoint: of another model: " + difference);
      }
      if (rule_name != rule_.name()) {
        throw CheckpointError("checkpoint: of a run with rule " + rule_name + ", this one has " +
                              rule_.name());
      }
    }
    for (std::size_t s = 0; s < model_.flat().segments().size(); ++s) {
      archive("parameters/" + std::to_string(s), model_.flat().segments()[s]);
    }
    for (const auto& buffer : model_.kept_buffers())
      archive("buffer/" + buffer.name, buffer.tensor);
    status_.checkpoint(archive);
    archive("generator", generator_);
    if (restore == Restore::resume || !archive.loading()) {
      archive("weight", weight_);
      archive("joined_at", joined_at_);
      archive.within("rule", [&] { rule_.checkpoint(archive); });
    }
    if (archive.loading()) publish();
  }

 private:
  /// Streams of the seed that belong to gossip; users' generators take lower ones.
  static constexpr std::uint64_t gossip_stream = std::uint64_t{1} << 32U;
  /// The kind of message by which a group starts equal; no rule uses it.
  static constexpr std::uint32_t first_model = 0xffffffffU;
  /// Those by which a newcomer joins.
  static constexpr std::uint32_t join_request = 0xfffffffeU;
  static constexpr std::uint32_t join_answer = 0xfffffffdU;

  void take_first(const transport::Message& message) {
    model_.flat().copy_from(*message.payload);
    if (rule_.is_synchronous()) joined_at_ = message.round - status_.steps;  // modulo 2^64
  }

  void ask_for_share(PeerId member) {
    asked_ = member;
    send({.to = member, .kind = join_request, .payload = {}});
    flush();
  }
  /// The newcomer will hear nothing from `member`.
  void ask_another(PeerId member) {
    if (!joining_ || asked_ != member) return;
    asked_.reset();
    if (peers_.empty()) return;
    const auto peers = static_cast<std::uint32_t>(rule_.is_synchronous() ? 1 : peers_.size());
    ask_for_share(peers_[generator_.below(peers)]);
  }
  void share_with(PeerId newcomer) {
    if (weight_ > 0) {
      transport::Message answer = rule::split(*this, newcomer, 0.5, join_answer);
      answer.round = step();
      send(std::move(answer));
    } else {
      send({.to = newcomer, .kind = join_answer, .payload = {}});
    }
    flush();
  }
  void take_share(const transport::Message& answer) {
    if (answer.weight > 0) {
      joining_ = false;
      if (rule_.is_synchronous()) joined_at_ = answer.round;
      rule::merge(*this, {&answer, 1});
      ++status_.messages_merged;
    } else {
      ask_another(answer.from);
    }
  }

  template <class Hook>
  void call(Hook hook) {
    const at::NoGradGuard no_grad;
    hook();
    flush();
  }

  template <class Question>
  bool ask(Question question) {
    const at::NoGradGuard no_grad;
    const bool yes = question();
    flush();
    return yes;
  }

  template <class Aggregate>
  void hand_over(const Aggregate& aggregate) {
    if (inbox_.empty() || waits_for_first_) return;
    double total = weight_;
    for (const auto& message : inbox_) total += message.weight;
    try {
      aggregate(std::span<const transport::Message>(inbox_));
    } catch (...) {  // half merged: whatever it was, the weight is this node's now
      weight_ = total;
      inbox_.clear();
      outbox_.clear();
      throw;
    }
    for (const auto& message : inbox_) status_.messages_merged += message.payload ? 1 : 0;
    inbox_.clear();
    flush();
  }

  /// After all else, and once each: a rule may send a message again that comes back at once.
  void take_back() {
    for (transport::Returned& returned : returned_) {
      if (returned.message.kind == first_model) {
        if (returned.reason == transport::Reason::queue_full) send(std::move(returned.message));
        continue;
      }
      if (returned.message.kind == join_request) {
        ask_another(returned.message.to);
        continue;
      }
      ++status_.messages_returned;
      health_.add(returned.message.to).first.count_returned();
      log("message to peer ", returned.message.to, " came back, weight ", returned.message.weight,
          ": ", to_string(returned.reason));
      if (returned.message.kind == join_answer) {
        rule::merge(*this, {&returned.message, 1});
        if (returned.reason == transport::Reason::queue_full) owed_.push_back(returned.message.to);
        continue;
      }
      rule_.on_returned(*this, returned.message);
    }
    returned_.clear();
    flush();
  }

  void flush() {
    for (auto& message : outbox_) {
      message.from = self();
      ++status_.messages_sent;
      status_.bytes_sent += message.bytes();
      health_.add(message.to).first.count_sent();
      transport_.send(std::move(message));
    }
    outbox_.clear();
  }

  void publish() {
    status_.weight = weight_;
    transport_.publish(status_);
  }

  template <class... Parts>
  void log(const Parts&... parts) const {
    if (options_.logger() && options_.logger()->should_log(spdlog::level::debug)) {
      options_.logger()->debug(c10::str("node ", self(), ": ", parts...));
    }
  }

  Transport transport_;
  Rule rule_;
  NodeOptions options_;
  std::vector<PeerId> peers_;  // ascending
  std::uint64_t members_;      // at the start
  model::FlatModel model_;
  model::SnapshotPool pool_;
  Generator generator_;
  double weight_;
  bool waits_for_first_ = false;
  bool finishing_ = false;
  std::uint64_t joined_at_ = 0;  // the step of a synchronous group at which it came
  bool joining_ = false;         // it has not yet been given its weight
  std::optional<PeerId> asked_;  // the member from whom it hopes for it
  std::vector<PeerId> owed_;     // newcomers whose links had no room for the answer
  transport::Counters status_;
  transport::PeerMap<transport::PeerHealth> health_;
  transport::Time last_step_ = transport_.now();
  std::vector<transport::Message> inbox_;
  std::vector<transport::Returned> returned_;
  std::vector<transport::Message> outbox_;
};

}  // namespace gossamer
