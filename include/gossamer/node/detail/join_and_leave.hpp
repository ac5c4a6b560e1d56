// SPDX-License-Identifier: MIT
/// How a node begins, joins and leaves: the messages of the engine's own, which no rule sees.
#pragma once

#include <gossamer/node/detail/equal_start.hpp>
#include <gossamer/node/detail/node_context.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/rule.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::detail {

/// Those that begin together start equal: `EqualStart`. Later three reserved kinds of messages:
///
///     join_request   a newcomer asks a member,
///     join_answer    which gives it half of its weight with its parameters
///     hand_over      a node that leaves gives all of its weight, with its parameters, to a peer
///
/// If a rule's weights follow its models, a hand-over is merged as any message of it; else the
/// receiver takes the weight, and the parameters only if it has no weight of its own yet.
/// Threads: as the engine.
class JoinAndLeave {
 public:
  JoinAndLeave(NodeContext& node, const rule::AnyRule& rule)
      : node_(node), rule_(rule), start_(node, rule) {}

  enum Kind : std::uint32_t {
    join_request = 0xfffffffeU,
    join_answer = 0xfffffffdU,
    hand_over = 0xfffffffcU,
    first_reserved = 0xfffffff0U  ///< a rule's kinds are below
  };

  /// How it starts with others.
  [[nodiscard]] EqualStart& start() noexcept { return start_; }
  [[nodiscard]] const EqualStart& start() const noexcept { return start_; }

  // Joining.

  void join(PeerId member) {
    joining_ = true;
    start_.refuse();
    ask_for_share(rule_->is_synchronous() && !node_.peers().empty() ? node_.peers().front()
                                                                    : member);
  }
  [[nodiscard]] bool joining() const noexcept { return joining_; }
  /// There is nobody who could give it a share.
  void stop_joining() {
    joining_ = false;
    asked_.reset();
  }
  void on_peer_joined(PeerId peer) {
    if (joining_ && !asked_) ask_for_share(peer);
  }
  void on_peer_gone(PeerId peer) { ask_another(peer); }
  /// Does what has had to wait: gives those their share for whom there was no room, and takes in
  /// what came before the first model.
  void catch_up() {
    start_.look();
    for (const PeerId newcomer : std::exchange(owed_, {})) share_with(newcomer);
    take_early();
  }

  // Leaving.

  /// All weight goes to a live peer, if there is one.
  void leave() {
    if (auto message = give_all(node_)) node_.send(std::move(*message));
    node_.flush();
  }
  void hand_over_to(PeerId peer) {
    if (node_.weight() > 0) node_.send(rule::split(node_, peer, 1, hand_over));
  }
  /// The message that hands everything over; nothing without a peer, or without weight.
  static std::optional<transport::Message> give_all(rule::RuleContext& node) {
    const auto peers = node.peers();
    if (peers.empty() || !(node.weight() > 0)) return std::nullopt;
    const PeerId to = peers[node.generator().below(static_cast<std::uint32_t>(peers.size()))];
    return rule::split(node, to, 1, hand_over);
  }
  /// Takes in what another one hands over, or what has come back.
  static void take_over(rule::RuleContext& node, const rule::Rule& rule,
                        const transport::Message& message) {
    const bool has_no_model = node.weight() == 0 && message.from != node.self();
    if (rule.weight_follows_model() || has_no_model) {
      rule::merge(node, {&message, 1});
    } else {
      node.weight() += message.weight;
    }
  }

  // Messages.

  static bool is_reserved(const transport::Message& message) {
    return message.kind >= first_reserved;
  }
  /// A message of a reserved kind has come; all that came before it is merged.
  void receive(transport::Message message) {
    if (EqualStart::is_own(message)) {
      start_.receive(std::move(message));
      take_early();
    } else if (start_.waits()) {
      early_.push_back(std::move(message));  // its parameters are not to be written over
    } else if (message.kind == join_request) {
      share_with(message.from);
    } else if (message.kind == join_answer) {
      take_share(message);
    } else {
      take_over(node_, *rule_, message);
      node_.counters().messages_merged += message.payload ? 1 : 0;
    }
  }
  /// One of ours is back.
  void take_back(transport::Returned returned) {
    const bool had_no_room = returned.reason == transport::Reason::queue_full;
    if (EqualStart::is_own(returned.message)) {
      start_.take_back(std::move(returned));
    } else if (returned.message.kind == join_request) {
      ask_another(returned.message.to);
    } else if (returned.message.kind == join_answer) {
      rule::merge(node_, {&returned.message, 1});
      if (had_no_room) owed_.push_back(returned.message.to);
    } else {
      take_over(node_, *rule_, returned.message);
    }
  }
  /// Forgets what has come and is not merged; returns its weight.
  double forget() {
    double weight = 0;
    for (const auto& message : std::exchange(early_, {})) weight += message.weight;
    return weight;
  }

 private:
  void take_early() {
    if (start_.waits()) return;
    for (transport::Message& early : std::exchange(early_, {})) receive(std::move(early));
  }

  void ask_for_share(PeerId member) {
    asked_ = member;
    node_.send({.to = member, .kind = join_request, .payload = {}});
    node_.flush();
  }
  /// The newcomer will hear nothing from `member`.
  void ask_another(PeerId member) {
    if (!joining_ || asked_ != member) return;
    asked_.reset();
    const auto all = node_.peers();
    if (all.empty()) return;
    if (!rule_->is_synchronous()) {
      return ask_for_share(all[node_.generator().below(static_cast<std::uint32_t>(all.size()))]);
    }
    // In their order: those below the first that has a share are newcomers, too.
    const auto next = std::upper_bound(all.begin(), all.end(), member);
    ask_for_share(next != all.end() ? *next : all.front());
  }
  void share_with(PeerId newcomer) {
    if (node_.weight() > 0 && !joining_) {
      transport::Message answer = rule::split(node_, newcomer, 0.5, join_answer);
      answer.round = node_.step();
      node_.send(std::move(answer));
    } else {
      node_.send({.to = newcomer, .kind = join_answer, .payload = {}});
    }
    node_.flush();
  }
  void take_share(const transport::Message& answer) {
    if (!(answer.weight > 0)) return ask_another(answer.from);
    if (!joining_ || asked_ != answer.from) return take_over(node_, *rule_, answer);
    stop_joining();
    if (rule_->is_synchronous()) {
      node_.joined_at = answer.round - node_.counters().steps;  // modulo 2^64
    }
    if (rule_->is_synchronous() && !rule_->weight_follows_model() && answer.payload) {
      node_.model().flat().copy_from(*answer.payload);  // equal, whatever weight it had
      node_.model().on_merged();
      node_.weight() += answer.weight;
    } else {
      rule::merge(node_, {&answer, 1});
    }
    ++node_.counters().messages_merged;
  }

  NodeContext& node_;
  const rule::AnyRule& rule_;
  EqualStart start_;
  bool joining_ = false;                   // it has not yet been given its weight
  std::optional<PeerId> asked_;            // the member from whom it hopes for it
  std::vector<PeerId> owed_;               // newcomers whose links had no room for the answer
  std::vector<transport::Message> early_;  // came before the first model
};

}  // namespace gossamer::detail
