// SPDX-License-Identifier: MIT
/// Whom the node's rule takes for its group, and how the halves of a parted one become one again.
#pragma once

#include <gossamer/node/detail/join_and_leave.hpp>
#include <gossamer/node/detail/model_average.hpp>
#include <gossamer/node/detail/node_context.hpp>
#include <gossamer/rule/rule.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace gossamer::detail {

/// Under most rules the group is who is there. Under a synchronous one, a network that parts leaves
/// halves which go on alone, each with rounds and parameters of its own; when they meet again, the
/// smaller half joins the larger as newcomers do.
///
/// A peer that was lost and is back within two seconds was suspected wrongly, or begins anew, and
/// is taken back at once; so is any under a rule whose weights follow the models. Others are
/// strangers: the rule does not see one until both have said how many others they have, the lowest
/// number among them, a witness (the lowest that is neither of the two), their step, and whether
/// they have taken any since.
///
/// - If neither has, or both have been with the other's witness all the time, and have gone on or
///   are at one step, they are of one group still: when both have said so, all is as before.
/// - Else one yields, as soon as it has met the lowest of the other's half: the one that has taken
///   no steps, since it was cut off from what all wait for; else the one with fewer others; of
///   equally many, that with the higher lowest number.
///
/// Who yields hands its weight over, tells all, forgets its rule's state, and asks for a share.
///
///     hello     of a stranger
///     answer    to a hello, of one that had not missed its sender
///     same      to any of them: both are of one group; echoes it
///     yield     the sender has given its half up for that of the number it names
///
/// A stranger's messages for the rule wait until it is one no more. Threads: as the engine.
class GroupView {
 public:
  GroupView(NodeContext& node, rule::AnyRule& rule, JoinAndLeave& own, ModelAverage& average)
      : node_(node), rule_(rule), fresh_(rule), own_(own), average_(average) {}

  void on_peer_joined(PeerId peer) {
    const auto lost = lost_.extract(peer);
    if (lost.empty() || node_.now() - lost.mapped().when < soon) return admit(peer);
    strangers_[peer] = {.missed_at = lost.mapped().step};
    say(peer, hello);
  }
  void on_peer_left(const transport::PeerLeft& gone) {
    const bool finished = gone.reason == transport::Reason::finished;
    const bool may_part = rule_->is_synchronous() && !rule_->weight_follows_model();
    if (gone.reason == transport::Reason::lost && may_part) {
      lost_.try_emplace(gone.peer, Loss{node_.step(), node_.now()});
    }
    if (const auto stranger = strangers_.find(gone.peer); stranger != strangers_.end()) {
      give_up_waiting(stranger->second);
      strangers_.erase(stranger);
    } else if (!is_over_ || !finished) {
      remove(gone);  // but those who finish together release nobody from a round none completes
    }
    if (!finished) own_.on_peer_gone(gone.peer);
    settle();
  }
  /// The node takes no more steps, and stays in the group that it is in.
  void finish() {
    is_over_ = true;
    for (auto& [peer, stranger] : strangers_) give_up_waiting(stranger);
  }

  /// A message of a reserved kind has come.
  void receive(transport::Message message) {
    if (is_own(message)) {
      hear(message);
    } else if (ModelAverage::is_own(message)) {
      average_.receive(std::move(message));
    } else {
      own_.receive(std::move(message));
    }
  }
  /// One of those is back.
  void take_back(transport::Returned returned) {
    transport::Message& message = returned.message;
    if (is_own(message)) {
      if (returned.reason == transport::Reason::queue_full) node_.send(std::move(message));
    } else if (ModelAverage::is_own(message)) {
      if (!message.stripped) average_.take_back(std::move(message));
    } else {
      own_.take_back(std::move(returned));
    }
  }
  /// Whether the rule must not see the message yet; keeps it, if so.
  bool holds(transport::Message& message) {
    const auto stranger = strangers_.find(message.from);
    if (stranger == strangers_.end()) return false;
    if (message.kind == JoinAndLeave::join_request) admit(message.from);
    if (JoinAndLeave::is_reserved(message) && !ModelAverage::is_own(message)) return false;
    stranger->second.waiting.push_back(std::move(message));
    return true;
  }
  /// What has waited for those who are strangers no more.
  std::vector<transport::Message> take_admitted() { return std::exchange(admitted_, {}); }

  /// Whether the node has just got a share, after it had yielded, or trains on without one.
  bool is_back() {
    if (!yields_ || own_.joining()) return false;
    yields_ = false;
    settle();  // others may have spoken meanwhile
    return !yields_;
  }

  /// Forgets what has come and was not taken in; returns its weight.
  double forget() {
    double weight = own_.forget();
    for (auto& [peer, stranger] : std::exchange(strangers_, {})) {
      std::ranges::move(stranger.waiting, std::back_inserter(admitted_));
    }
    for (const auto& message : std::exchange(admitted_, {})) weight += message.weight;
    return weight;
  }

 private:
  enum Kind : std::uint32_t {
    hello = JoinAndLeave::first_reserved + 4,  // after the kinds of `ModelAverage`
    answer,
    same,
    yield
  };
  static constexpr PeerId no_witness = 0xffffffffU;
  static constexpr auto soon = std::chrono::seconds(2);

  /// A group as one of its nodes sees it, without the node to which that speaks.
  struct Half {
    std::uint32_t size = 0;    // 0: a newcomer that has no share yet
    PeerId lowest = 0;         // number
    PeerId witness = 0;        // the lowest but the speaker
    bool has_gone_on = false;  // steps since it lost the one to which it speaks
    std::uint16_t step = 0;    // its last digits
    [[nodiscard]] bool prevails_over(const Half& other) const {
      return std::tuple(has_gone_on, size, other.lowest) >
             std::tuple(other.has_gone_on, other.size, lowest);
    }
  };
  struct Stranger {
    std::uint64_t missed_at = 0;    // the node's step when it lost that one
    Half mine = {};                 // as it was told
    std::optional<Half> half = {};  // as it has said
    bool has_yielded = false;
    bool said_same = false;
    bool says_same = false;
    std::vector<transport::Message> waiting = {};
  };
  struct Loss {
    std::uint64_t step = 0;  // the node's
    transport::Time when{0};
  };
  struct Late {
    std::uint64_t step = 0;  // the node's, then
    PeerId yielded_to = 0;
  };

  [[nodiscard]] bool sees(PeerId peer) const {
    const auto peers = node_.peers();
    return std::binary_search(peers.begin(), peers.end(), peer);
  }
  [[nodiscard]] Half mine(PeerId without) const {
    Half half{.lowest = node_.self(),
              .witness = node_.self(),
              .step = static_cast<std::uint16_t>(node_.step())};
    if (own_.joining()) {  // of the group of any of the others
      if (!node_.peers().empty()) half.lowest = node_.peers().front();
      return half;
    }
    half.size = 1;
    for (const PeerId peer : node_.peers()) {
      if (peer == without) continue;
      ++half.size;
      half.lowest = std::min(half.lowest, peer);
      if (half.size == 2) half.witness = peer;
    }
    const auto stranger = strangers_.find(without);
    half.has_gone_on = stranger != strangers_.end() && node_.step() != stranger->second.missed_at;
    return half;
  }
  /// Beside the fields of a rule's message, of which those of the group have no use.
  static transport::Message message_of(PeerId to, Kind kind, const Half& half) {
    const std::uint64_t size = std::min(half.size, 0x7fffU);
    return {.to = to,
            .kind = kind,
            .round = std::uint64_t{half.lowest} << 32U | size << 17U |
                     std::uint64_t{half.has_gone_on} << 16U | half.step,
            .payload = {},
            .chunk = {.index = std::min(half.witness, no_witness - 1), .of = no_witness}};
  }
  static Half half_in(const transport::Message& message) {
    const std::uint64_t number = message.round;
    return {.size = static_cast<std::uint32_t>(number >> 17U & 0x7fffU),
            .lowest = static_cast<PeerId>(number >> 32U),
            .witness = message.chunk.index,
            .has_gone_on = (number >> 16U & 1U) != 0,
            .step = static_cast<std::uint16_t>(number)};
  }
  static bool says(const transport::Message& message, const Half& half) {
    const transport::Message other = message_of(0, same, half);
    return message.round == other.round && message.chunk == other.chunk;
  }
  void say(PeerId to, Kind kind) {
    const Half half = mine(to);
    if (const auto stranger = strangers_.find(to); stranger != strangers_.end()) {
      stranger->second.mine = half;
    }
    node_.send(message_of(to, kind, half));
  }

  static bool is_own(const transport::Message& message) {
    return message.kind >= hello && message.kind <= yield;
  }
  void hear(const transport::Message& message) {
    const PeerId from = message.from;
    const Half half = half_in(message);
    const auto at = strangers_.find(from);
    if (message.kind == yield) {
      hear_yield(from, half);
    } else if (at == strangers_.end()) {
      if (message.kind == hello && sees(from)) hear_of_one_not_missed(from, half);
    } else if (message.kind == same) {
      if (!says(message, at->second.mine)) return;        // said before something else
      if (at->second.mine.size == 0) return admit(from);  // a welcome
      at->second.says_same = true;
    } else if (half.size == 0) {
      // A newcomer: the node is of its group, or it belongs to those to whom it has yielded.
      message.kind == answer ? admit(from) : hear_yield(from, half);
    } else {
      at->second.half = half;
      const bool knows_of_yield = at->second.mine.size == 0;
      if (knows_of_yield && sees_or_is(half.lowest)) admit(from);
    }
    settle();
  }

  void echo(PeerId to, const Half& half) { node_.send(message_of(to, same, half)); }

  enum class Verdict { one_group, join_it, wait };
  [[nodiscard]] Verdict judge(PeerId peer, const Stranger& stranger) const {
    if (!stranger.half || stranger.has_yielded) return Verdict::wait;
    const Half& its = *stranger.half;
    // The lowest of two halves decide by what they have told each other, so that one yields.
    const bool is_lowest = stranger.mine.size > 0 && stranger.mine.lowest == node_.self();
    const Half own = is_lowest ? stranger.mine : mine(peer);
    const bool both = own.has_gone_on && its.has_gone_on;
    const bool are_in_step = static_cast<std::uint16_t>(own.step - its.step + 1) <= 2;
    if (!own.has_gone_on && !its.has_gone_on) return Verdict::one_group;
    if ((both || are_in_step) && has_been_with(its.witness, stranger.missed_at)) {
      return Verdict::one_group;
    }
    return its.prevails_over(own) && speaks_for_half(peer, its) ? Verdict::join_it : Verdict::wait;
  }
  /// The lowest does, and anybody if the lowest has come to them by yielding.
  [[nodiscard]] bool speaks_for_half(PeerId peer, const Half& its) const {
    if (its.lowest == peer) return true;
    const auto lowest = strangers_.find(its.lowest);
    return lowest != strangers_.end() && lowest->second.has_yielded;
  }
  /// Whether that one is seen, and has not come from another half since that step.
  [[nodiscard]] bool has_been_with(PeerId peer, std::uint64_t since) const {
    const auto late = late_.find(peer);
    return sees(peer) && (late == late_.end() || late->second.step <= since);
  }
  [[nodiscard]] bool sees_or_is(PeerId peer) const { return peer == node_.self() || sees(peer); }

  void admit(PeerId peer) {
    if (const auto stranger = strangers_.find(peer); stranger != strangers_.end()) {
      if (stranger->second.has_yielded) {
        late_[peer] = {.step = node_.step(), .yielded_to = stranger->second.half->lowest};
      }
      std::ranges::move(stranger->second.waiting, std::back_inserter(admitted_));
      strangers_.erase(stranger);
    }
    node_.add_peer(peer);
    rule_->on_peer_joined(node_, peer);
    average_.on_peer_joined(peer);
    own_.on_peer_joined(peer);
    admit_who_yielded_to(peer);
  }
  void admit_who_yielded_to(PeerId peer) {
    std::vector<PeerId> more;
    for (const auto& [other, stranger] : strangers_) {
      if (stranger.has_yielded && stranger.half->lowest == peer) more.push_back(other);
    }
    for (const PeerId other : more) welcome(other);
  }
  void remove(const transport::PeerLeft& gone) {
    node_.remove_peer(gone.peer);
    rule_->on_peer_left(node_, gone);
    average_.on_peer_left(gone);
  }
  /// A peer whose rounds are not the node's any more.
  Stranger& estrange(PeerId peer) {
    const auto [at, is_new] = strangers_.try_emplace(peer);
    if (is_new) {
      at->second.missed_at = node_.step();
      remove({peer, transport::Reason::left});
      own_.on_peer_gone(peer);
    }
    return at->second;
  }

  void hear_yield(PeerId from, const Half& half) {
    if (!sees(from) && !strangers_.contains(from)) return;  // it has gone meanwhile
    Stranger& stranger = estrange(from);
    give_up_waiting(stranger);
    stranger.half = half;
    stranger.has_yielded = true;
    if (sees_or_is(half.lowest)) welcome(from);
  }
  /// One that has yielded.
  void welcome(PeerId peer) {
    echo(peer, *strangers_.at(peer).half);
    admit(peer);
  }
  /// It lost the node, which has not lost it.
  void hear_of_one_not_missed(PeerId from, const Half& half) {
    const Half own = mine(from);
    say(from, answer);
    if (own.size == 0) return;
    if (!half.has_gone_on) return echo(from, half);
    Stranger& stranger = estrange(from);
    stranger.mine = own;
    stranger.half = half;
    const auto late = late_;
    for (const auto& [peer, how] : late) {  // with that one, not here
      if (how.yielded_to != from || !sees(peer)) continue;
      Stranger& other = estrange(peer);
      other.half = Half{.size = 0, .lowest = from};
      other.has_yielded = true;
      late_.erase(peer);
    }
  }

  /// What a stranger said in rounds of its own is not for the rule. Its weight is.
  void give_up_waiting(Stranger& stranger) {
    for (auto& message : std::exchange(stranger.waiting, {})) {
      if (message.weight > 0) JoinAndLeave::take_over(node_, *rule_, message);
    }
  }

  void settle() {
    if (is_over_) return;
    if (own_.joining() && !(yields_ && node_.peers().empty())) return;
    std::vector<PeerId> same_as;
    for (auto& [peer, stranger] : strangers_) {
      const Verdict verdict = judge(peer, stranger);
      if (verdict == Verdict::join_it) return yield_to(stranger.half->lowest);
      if (verdict == Verdict::wait) continue;
      if (!std::exchange(stranger.said_same, true)) echo(peer, *stranger.half);
      if (stranger.says_same) same_as.push_back(peer);
    }
    for (const PeerId peer : same_as) admit(peer);
    if (own_.joining()) own_.stop_joining();  // all others have gone
  }
  void yield_to(PeerId lowest) {
    node_.log("gives up its half of the group for that of node ", lowest);
    own_.hand_over_to(lowest);
    const std::vector<PeerId> peers(node_.peers().begin(), node_.peers().end());
    for (const PeerId peer : peers) estrange(peer);
    rule_ = fresh_;
    late_.clear();
    yields_ = true;
    const Half half{.size = 0, .lowest = lowest};
    for (auto& [peer, stranger] : strangers_) {
      stranger.mine = half;
      stranger.missed_at = node_.step();
      node_.send(message_of(peer, yield, half));
    }
    admit(lowest);  // the others when they welcome it
    late_.clear();
    own_.join(lowest);
  }

  NodeContext& node_;
  rule::AnyRule& rule_;
  const rule::AnyRule fresh_;  // as the rule was in the beginning
  JoinAndLeave& own_;
  ModelAverage& average_;
  bool is_over_ = false;
  bool yields_ = false;  // and has not been given a share yet
  std::map<PeerId, Loss> lost_;
  std::map<PeerId, Late> late_;           // who have yielded to this group
  std::map<PeerId, Stranger> strangers_;  // live, and of another group as far as is known
  std::vector<transport::Message> admitted_;
};

}  // namespace gossamer::detail
