// SPDX-License-Identifier: MIT
/// One piece of an exact mean: who reduces it, who waits for it, and what happens if nodes come and
/// go meanwhile.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/peer_queries.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// A node's view of one piece, round by round; `AllReduce` is made of them.
///
/// Each piece has a home, a node's number. The live node that comes first from there
/// on, cyclically, reduces it: it waits for everybody's contribution, adds them up in the order of
/// the nodes' numbers and sends the mean to all. If it is lost, the next one reduces.
/// Threads: as a rule.
class AllReduceChunk {
 public:
  AllReduceChunk(model::Chunk part, PeerId home) : part_(part), home_(home) {}

  /// A round is started and its mean not yet there.
  [[nodiscard]] bool waiting() const noexcept { return waiting_; }
  /// Where the last mean of this piece is; valid while `!waiting()`.
  [[nodiscard]] const model::Snapshot& result() const noexcept { return last_.snapshot; }

  /// Starts a round: `own` is this node's contribution, `target` where the mean is to be written
  /// (empty if the piece is the whole: then any node's snapshot will do). `hand_in()` comes next.
  void start(std::uint64_t round, const model::Snapshot& own, const model::Snapshot& target) {
    round_ = round;
    own_ = own;
    target_ = target;
    waiting_ = true;
  }

  /// Gives the contribution to whoever reduces, or the mean if that is here already.
  void hand_in(RuleContext& context) {
    const PeerId to = reducer(context);
    if (const std::optional<Mean> known = told_of(context, round_)) {
      if (to != context.self()) say(context, to, mean, *known);
      take(context, known->snapshot);
    } else if (to != context.self()) {
      handed_to_ = to;
      say(context, to, contribution, {own_, round_});
    } else {
      handed_to_.reset();
      try_reduce(context);
    }
  }

  /// Takes a message in; `try_reduce()` comes next.
  void on_message(RuleContext& context, const Message& message) {
    if (!message.payload) return;  // contributions and means have one
    const bool asks = message.kind == contribution;
    const bool ours = waiting_ && message.round == round_;
    if (const Mean* known = mean_of(message.round)) {
      if (asks) say(context, message.from, mean, *known);  // its reducer was lost, or it is new
    } else if (!asks && ours && counts(context, message.from)) {
      take(context, message.payload);
    } else {
      arrived_.push_back(message);
      if (ours) return;
      if (const std::optional<Mean> told = told_of(context, message.round)) {
        asks ? say(context, message.from, mean, *told) : answer_all(context, *told);
      }
    }
  }

  /// Reduces if it is this node's turn, and everybody's contribution is there.
  void try_reduce(RuleContext& context) {
    const auto peers = context.peers();
    if (!waiting_ || arrived_.size() < peers.size() || reducer(context) != context.self()) return;
    // One contribution a node (a node may have handed in twice), in the order of their numbers.
    contributions_.assign(1, {context.self(), &*own_});
    for (const Message& message : arrived_) {
      if (message.kind == contribution && message.round == round_) {
        contributions_.emplace_back(message.from, &*message.payload);
      }
    }
    std::stable_sort(contributions_.begin(), contributions_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    contributions_.erase(
        std::unique(contributions_.begin(), contributions_.end(),
                    [](const auto& a, const auto& b) { return a.first == b.first; }),
        contributions_.end());
    const auto is_there = [this](PeerId peer) {
      const auto at = std::lower_bound(contributions_.begin(), contributions_.end(), peer,
                                       [](const auto& one, PeerId id) { return one.first < id; });
      return at != contributions_.end() && at->first == peer;
    };
    if (std::all_of(peers.begin(), peers.end(), is_there)) {
      flats_.clear();
      for (const Contribution& one : contributions_) flats_.push_back(one.second);
      if (part_.is_all()) target_ = context.blank();
      model::mean(target_.writable(), flats_, part_);
      complete(context);
    }
    contributions_.clear();
    flats_.clear();
  }

  /// A message of ours came back.
  void on_returned(RuleContext& context, const Message& message) {
    if (message.kind == contribution) {
      if (waiting_ && message.round == round_) hand_in(context);
    } else if (mean_of(message.round) != nullptr && is_live(context, message.to)) {
      context.send(message);
    }
  }

  /// A newcomer that is nearer to the piece's home reduces from now on.
  void on_peer_joined(RuleContext& context, PeerId newcomer) {
    if (reducer(context) != newcomer) return;
    tell(context, newcomer);
    if (waiting_) hand_in(context);
  }

  void on_peer_left(RuleContext& context, const PeerLeft& gone) {
    const PeerId next = reducer(context);
    if (next != context.self() && comes_before(gone.peer, next)) tell(context, next);
    if (!waiting_) return;
    if (handed_to_ == gone.peer) {
      hand_in(context);
    } else {
      try_reduce(context);
    }
  }

  /// All pieces of the round are there: nobody will ask for the mean before it.
  void forget_earlier() { earlier_ = {}; }

 private:
  enum Kind : std::uint32_t { contribution = 1, mean = 2 };
  using Contribution = std::pair<PeerId, const model::Flat*>;
  struct Mean {
    model::Snapshot snapshot;
    std::uint64_t round = 0;
  };

  /// Whether a comes before b from the piece's home on; after the highest number comes the lowest.
  [[nodiscard]] bool comes_before(PeerId a, PeerId b) const {
    return PeerId(a - home_) < PeerId(b - home_);
  }

  [[nodiscard]] PeerId reducer(const RuleContext& context) const {
    const auto peers = context.peers();
    if (peers.empty()) return context.self();
    const auto next = std::lower_bound(peers.begin(), peers.end(), home_);
    const PeerId peer = next != peers.end() ? *next : peers.front();
    return comes_before(peer, context.self()) ? peer : context.self();
  }

  /// The mean of that round, if this node has had it in a round of its own.
  [[nodiscard]] const Mean* mean_of(std::uint64_t round) const {
    for (const Mean* one : {&last_, &earlier_}) {
      if (one->snapshot && one->round == round) return one;
    }
    return nullptr;
  }
  /// The mean of that round, if a live peer has told it unasked: a newcomer, which has not yet come
  /// to that round, or one that has handed in elsewhere.
  [[nodiscard]] std::optional<Mean> told_of(const RuleContext& context, std::uint64_t round) const {
    for (const Message& message : arrived_) {
      if (message.kind == mean && message.round == round && is_live(context, message.from)) {
        return Mean{message.payload, round};
      }
    }
    return std::nullopt;
  }
  /// Whether a mean from that peer settles the round: if it is the one to whom we handed in.
  /// Another one's does not, since that one may not know of it, and reduce anew.
  [[nodiscard]] bool counts(const RuleContext& context, PeerId from) const {
    return handed_to_ ? *handed_to_ == from : is_live(context, from);
  }

  void take(RuleContext& context, const model::Snapshot& payload) {
    if (part_.is_all()) {
      target_ = payload;
    } else {
      target_.writable().copy_from(*payload, part_);
    }
    complete(context);
  }

  /// The mean is there: keep it, and pass it on to all who handed in here.
  void complete(RuleContext& context) {
    earlier_ = std::exchange(last_, {std::exchange(target_, {}), round_});
    waiting_ = false;
    own_ = {};
    handed_to_.reset();
    answer_all(context, last_);
    std::erase_if(arrived_, [this](const Message& message) { return message.round <= round_; });
  }

  /// Passes a mean on to all who handed in here.
  void answer_all(RuleContext& context, const Mean& known) {
    for (const Message& message : arrived_) {
      if (message.kind == contribution && message.round == known.round) {
        say(context, message.from, mean, known);
      }
    }
  }

  /// Who is to reduce now may lack the last means, and be asked for them.
  void tell(RuleContext& context, PeerId next) {
    for (const Mean* one : {&earlier_, &last_}) {
      if (one->snapshot) say(context, next, mean, *one);
    }
  }

  void say(RuleContext& context, PeerId to, Kind kind, const Mean& what) {
    context.send(
        {.to = to, .kind = kind, .round = what.round, .payload = what.snapshot, .chunk = part_});
  }

  model::Chunk part_;
  PeerId home_;
  bool waiting_ = false;
  std::uint64_t round_ = 0;
  model::Snapshot own_;
  model::Snapshot target_;
  std::optional<PeerId> handed_to_;
  std::vector<Message> arrived_;  // contributions not yet answered, and means that nobody asked for
  Mean last_;
  Mean earlier_;  // while other pieces of the last one's round are still missing
  std::vector<Contribution> contributions_;  // only while one reduces, as `flats_`
  std::vector<const model::Flat*> flats_;
};

}  // namespace gossamer::rule
