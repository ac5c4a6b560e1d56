// SPDX-License-Identifier: MIT
/// How those that begin together come by one model: along a tree, and who has none asks on.
#pragma once

#include <gossamer/model/snapshot.hpp>
#include <gossamer/node/detail/node_context.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/transport/message.hpp>

#include <c10/util/StringUtil.h>
#include <spdlog/logger.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::detail {

/// Node 0's parameters go along a tree: node n takes them from (n - 1) / `fan_out`, and passes them
/// on to its own children when it has them. No weight moves.
///
/// A node whose parent has gone, or says nothing for `patience`, asks the next in order: the
/// parent's parent, and so on, and the lowest number that is there. One that has the model answers
/// with it, one that waits for it itself answers when it has it, and one that does not wait (a
/// newcomer) refuses. Numbers fall from asker to asked, so that no two wait for each other.
///
/// Who has nobody left below asks those above, one by one, who answer at once. From then on those
/// that had nothing take nothing that was given out before (`Tag::ballot`), so if all refuse,
/// nobody has the model, or will: the asker begins from its own, says so, and passes that on.
///
/// The model is kept until all others are seen to train, for those who ask late. Whoever asks later
/// still is given the model as it is then, and says so.
///
///     first_model    the parameters
///     word           ask     the sender waits for them
///                    coming  it has been heard, and will be given them
///                    none    it will not
///                    have    the sender has them from another: it is not to be given them
///
/// Each start of a node has its number, since a loop that restores a checkpoint starts once more;
/// what belongs to a later one waits for it. Threads: as the engine.
/// Source: the tree is MPI_Bcast's; `ballot` is the promise of Lamport, "Paxos made simple", 2001.
class EqualStart {
 public:
  /// Kinds of messages.
  static constexpr std::uint32_t first_model = 0xffffffffU;
  static constexpr std::uint32_t word = 0xfffffff8U;
  /// How many copies a node gives out. The time over equal links goes with k / ln k, which is the
  /// same for 2 and 4 and least, by 5 %, for 3; with 2 no node sends more than two models.
  static constexpr std::uint64_t fan_out = 2;
  /// How long a node waits for a word before it asks, and before it asks the next.
  static constexpr std::chrono::nanoseconds patience = std::chrono::seconds(2);

  EqualStart(NodeContext& node, const rule::AnyRule& rule)
      : node_(node), rule_(rule), together_(node.peers().begin(), node.peers().end()) {}

  /// The node starts with those that were there when it was made. One that keeps its parameters
  /// only passes on those of the first, or gives its own, if it is the first.
  void begin(bool keeps) {
    number_ = (number_ + 1) % 64;
    given_.clear();
    owed_.clear();
    refused_.clear();
    asked_.clear();
    step_ = unseen_ = 0;
    ballot_ = 0;
    is_late_ = has_ = false;
    steps_before_ = node_.counters().steps;
    first_ = {};
    waits_ = !keeps;
    const bool is_lowest = node_.peers().empty() || node_.self() < node_.peers().front();
    if (node_.self() == 0 || (keeps && is_lowest)) {
      begin_from_own();
    } else if (waits_) {
      const PeerId parent = parent_of(node_.self());
      is_here(parent) ? expect(parent) : ask_on();
    }
    for (auto& message : std::exchange(later_, {})) receive(std::move(message));
    pass_on();
  }
  /// The node is a newcomer, and does not start with others.
  void refuse() { is_newcomer_ = number_ == 0; }
  /// It has not got its first model yet.
  [[nodiscard]] bool waits() const noexcept { return waits_; }

  static bool is_own(const transport::Message& message) {
    return message.kind == first_model || message.kind == word;
  }
  /// A message of these kinds has come.
  void receive(transport::Message message) {
    const Tag tag = Tag::of(message.round);
    const std::uint64_t ahead = (tag.number - number_) % 64;
    if (is_newcomer_) {
      if (message.kind == word && tag.step == ask) say(message.from, none, tag.number);
    } else if (ahead > 0 && ahead < 32) {
      later_.push_back(std::move(message));
    } else if (message.kind == first_model) {
      if (ahead == 0 && message.payload) take(message, tag);
    } else if (ahead > 0) {
      if (tag.step == ask) say(message.from, none, tag.number);
    } else {
      hear(message.from, tag.step);
    }
    node_.flush();
  }
  /// One of ours is back. Who has lost a word says it again, in time.
  void take_back(transport::Returned returned) {
    if (returned.reason == transport::Reason::queue_full) {
      node_.send(std::move(returned.message));
    } else if (returned.message.kind == first_model) {
      given_.erase(returned.message.to);
    }
  }
  /// `peer` has gone, or has finished.
  void on_peer_gone(PeerId peer) {
    given_.erase(peer);
    owed_.erase(peer);
    if (waits_ && parent_ == peer) ask_on();
  }
  /// When all that has come is taken in, since some may have said that they need it no more: gives
  /// the model to those it owes it to.
  void pass_on() {
    if (!has_ || owed_.empty()) return;
    for (const PeerId peer : std::exchange(owed_, {})) {
      if (given_.insert(peer).second) give(peer);
    }
    node_.flush();
  }
  /// From time to time: asks again, or another one; forgets the first model when nobody needs it.
  void look() {
    if (!waits_) return let_go();
    if (node_.now() < next_look_) return;
    const std::uint64_t progress = node_.transport().progress();
    const bool moves = std::exchange(progress_, progress) != progress;
    if (moves && ++looks_ < most_looks) {
      ask_one(parent_);
    } else {
      ask_next();
    }
  }

 private:
  /// What a word says.
  enum Word : std::uint64_t { ask, coming, none, have };
  /// How often bytes that move count as a word of the one that was asked.
  static constexpr int most_looks = 15;

  /// In a message's `round`. No field is near its limit: numbers of those that begin together are
  /// below their count.
  struct Tag {
    std::uint64_t number = 0;  // of the start, 6 bits
    bool is_late = false;      // the model has been trained since
    PeerId ballot = 0;         // 17 bits: the highest that has asked because all below had gone
    std::uint64_t step = 0;    // 40 bits: the first node's; or a `Word`

    [[nodiscard]] std::uint64_t packed() const {
      const std::uint64_t highest = std::min<PeerId>(ballot, 0x1ffffU);
      return number << 58U | std::uint64_t{is_late} << 57U | highest << 40U |
             (step & 0xffffffffffU);
    }
    static Tag of(std::uint64_t round) {
      return {.number = round >> 58U,
              .is_late = (round >> 57U & 1U) != 0,
              .ballot = static_cast<PeerId>(round >> 40U & 0x1ffffU),
              .step = round & 0xffffffffffU};
    }
  };

  static PeerId parent_of(PeerId node) { return static_cast<PeerId>((node - 1) / fan_out); }
  /// Whether that one began with this one, and is there.
  [[nodiscard]] bool is_here(std::uint64_t peer) const {
    const auto has = [peer](auto all) { return std::binary_search(all.begin(), all.end(), peer); };
    return has(std::span<const PeerId>(together_)) && has(node_.peers());
  }
  template <class... Texts>
  void warn(const Texts&... texts) const {
    if (!node_.options().logger()) return;
    node_.options().logger()->log(spdlog::level::warn,
                                  c10::str("node ", node_.self(), ": ", texts...));
  }

  void say(PeerId to, Word what, std::uint64_t number) {
    const Tag tag{.number = number, .step = what};
    node_.send({.to = to, .kind = word, .round = tag.packed(), .payload = {}});
  }
  void hear(PeerId from, std::uint64_t what) {
    if (what == ask) return answer(from);
    if (what == have) {
      given_.insert(from);
      owed_.erase(from);
    } else if (waits_ && what == none) {
      refused_.insert(from);
      if (parent_ == from) ask_on();
    } else if (parent_ == from) {
      is_heard_ = true;
    }
  }
  void answer(PeerId from) {
    const bool is_below = from < node_.self();  // and has found nobody below itself
    if (is_below) ballot_ = std::max(ballot_, from);
    if (!has_ && (!waits_ || is_below)) return say(from, none, number_);
    const bool is_due = given_.contains(from) || !has_;
    if (!given_.contains(from)) owed_.insert(from);
    if (is_due) say(from, coming, number_);
  }

  // Asking.

  /// Those to ask that have not refused: first this node's ancestors, then by number.
  [[nodiscard]] std::vector<PeerId> to_ask() const {
    std::vector<PeerId> all;
    const auto add = [&](PeerId peer) {
      const bool may_have = is_here(peer) && !refused_.contains(peer);
      if (may_have && std::find(all.begin(), all.end(), peer) == all.end()) all.push_back(peer);
    };
    for (PeerId node = node_.self(); node > 0; node = parent_of(node)) add(parent_of(node));
    for (const PeerId peer : together_) add(peer);
    return all;
  }
  /// A word is due from that one, which may not know it yet.
  void expect(PeerId peer) {
    parent_ = peer;
    is_heard_ = false;
    looks_ = 0;
    next_look_ = node_.now() + patience;
  }
  void ask_one(PeerId peer) {
    if (peer != parent_) expect(peer);
    next_look_ = node_.now() + patience;
    asked_.insert(peer);
    say(peer, ask, number_);
    node_.flush();
  }
  /// The one whose word was due will not give it.
  void ask_on() {
    const std::vector<PeerId> all = to_ask();
    if (!all.empty()) return ask_one(all.front());
    if (!together_.empty()) {
      warn("none of the ", together_.size(), " nodes that began with it ",
           node_.peers().empty() ? "is there any more" : "has the first one's model",
           "; it begins from its own, which may differ from what those have that have gone");
    }
    begin_from_own();
  }
  /// The one whose word was due has said nothing. Of those below, the next is lower still.
  void ask_next() {
    const std::vector<PeerId> all = to_ask();
    const auto at = std::find(all.begin(), all.end(), parent_);
    if (at == all.end()) return ask_on();
    const PeerId next = at + 1 != all.end() ? *(at + 1) : all.front();
    const bool was_asked = asked_.contains(parent_);
    const bool goes_on = was_asked && !is_heard_ && (next < parent_ || parent_ > node_.self());
    ask_one(goes_on ? next : parent_);
  }

  // Taking and giving.

  void take(const transport::Message& message, const Tag& tag) {
    if (has_ || tag.ballot < ballot_) {  // or given out before all had said that they have none
      if (!has_ && waits_) hear(message.from, none);
      return;
    }
    ballot_ = tag.ballot;
    is_late_ = tag.is_late;
    step_ = tag.step;
    model::Snapshot copy = node_.blank();
    copy.writable().copy_from(*message.payload);
    if (waits_) {
      node_.model().flat().copy_from(*copy);
      if (rule_->is_synchronous()) {
        node_.joined_at = step_ - node_.counters().steps;  // modulo 2^64
      }
      if (is_late_) {
        warn("nobody has the first model any more; it begins from that of node ", message.from,
             ", which has trained on since");
      }
      for (const PeerId peer : asked_) {
        if (peer != message.from) say(peer, have, number_);
      }
    }
    keep(std::move(copy));
  }
  void begin_from_own() {
    ballot_ = std::max(ballot_, node_.self());
    step_ = node_.step();
    keep(node_.snapshot());
  }
  /// The node has it, and owes it to its children.
  void keep(model::Snapshot first) {
    first_ = std::move(first);
    first_.set_aside();  // it is none of the rule's messages under way
    has_ = true;
    waits_ = false;
    for (std::uint64_t i = 1; i <= fan_out; ++i) {
      const std::uint64_t child = fan_out * node_.self() + i;
      if (is_here(child)) owed_.insert(static_cast<PeerId>(child));
    }
  }
  void give(PeerId to) {
    const bool is_old = !first_;
    const Tag tag{.number = number_,
                  .is_late = is_late_ || is_old,
                  .ballot = ballot_,
                  .step = is_old ? node_.step() : step_};
    node_.send({.to = to,
                .kind = first_model,
                .round = tag.packed(),
                .payload = is_old ? node_.snapshot() : first_});
  }
  /// Whoever has taken a step, or has gone, has started.
  void let_go() {
    if (!first_) return;
    for (; unseen_ < together_.size(); ++unseen_) {
      const PeerId peer = together_[unseen_];
      if (is_here(peer) && node_.counters(peer).steps <= steps_before_) return;
    }
    first_ = {};
  }

  NodeContext& node_;
  const rule::AnyRule& rule_;
  const std::vector<PeerId> together_;  // the others that begin with this one, ascending
  std::uint64_t number_ = 0;            // of the start, modulo 64
  bool is_newcomer_ = false;
  bool waits_ = false;
  bool has_ = false;
  model::Snapshot first_;     // gone when all have started
  bool is_late_ = false;      // and so is the model that it has
  std::uint64_t step_ = 0;    // the first node's
  PeerId ballot_ = 0;         // what was given out under a lower one is not taken
  std::set<PeerId> given_;    // who has been given it, or has it
  std::set<PeerId> owed_;     // who has asked for it
  std::set<PeerId> refused_;  // who will not give it
  std::set<PeerId> asked_;    // who has been asked for it
  PeerId parent_ = 0;         // whose word is due
  bool is_heard_ = false;     // it has said that it is there
  transport::Time next_look_{0};
  std::uint64_t progress_ = 0;  // the transport's, at the last look
  int looks_ = 0;
  std::size_t unseen_ = 0;                 // all others before that place have started
  std::uint64_t steps_before_ = 0;         // of this node, when it started
  std::vector<transport::Message> later_;  // belong to a start to come
};

}  // namespace gossamer::detail
