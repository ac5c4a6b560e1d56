// SPDX-License-Identifier: MIT
/// The exact mean of one vector per node, by messages: what the synchronous rules are made of.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/rule/all_reduce_chunk.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/merge.hpp>

#include <c10/util/StringUtil.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gossamer::rule {

/// Map and reduce over all live nodes, round by round, of a vector that is cut into `parts` equal
/// pieces. Each piece is reduced by one node, the live one that comes first from the piece's number
/// on (modulo `parts`, if it is cut further into buckets): it waits for everybody's contribution,
/// adds them up in the order of the nodes' numbers and sends the mean to all. A peer that finishes
/// or is lost releases those who wait: the mean goes over who is left, and the next node reduces.
///
/// One part is one reducer: the fewest messages, which is right within one process. As many parts
/// as there are nodes at the start make each node reduce its own piece, so that no node's network
/// carries more than another's: right where nodes have links of their own. More gain nothing. All
/// nodes of a group must use the same number.
///
/// Invariant  all live nodes end a round with the same bits. They are the same in each run, and
///            while nobody comes or goes for any number of parts.
/// Cost       2 (M - 1) messages of 1 / parts of a vector for each part: over the group 2 (M - 1)
///            vectors per round. With one part they all pass through one node; with M parts each
///            node sends and receives 2 (M - 1) / M vectors, the least that an all-reduce can do.
///            One copy of the result more per round than with one part.
/// Threads    as a rule.
/// Throws     ConfigError when parts is 0, and when a peer turns out to use another number.
/// Source     reduce-scatter and all-gather: R. Rabenseifner, "Optimization of collective reduction
///            operations", ICCS 2004.
/// Differs    from a ring all-reduce: the same bytes, directly in two hops in place of 2 (M - 1).
///            When a node is lost, joins or finishes within a round, its contribution may be in the
///            mean of some pieces and not in that of others.
class AllReduce {
 public:
  /// `whose` is how errors call it. `buckets` >= 1 stretches of the vector, one after the other,
  /// are cut into `parts` pieces each: for those who hand them in at different times.
  explicit AllReduce(std::uint32_t parts = 1, const std::string& whose = "AllReduce",
                     std::uint32_t buckets = 1) {
    if (parts == 0) throw ConfigError(whose + ": parts must be at least 1, got 0");
    const std::uint32_t all = parts * buckets;
    pieces_.reserve(all);
    for (std::uint32_t i = 0; i < all; ++i) pieces_.emplace_back(model::Chunk{i, all}, i % parts);
  }

  /// Starts a round; `round` grows from call to call, and is the same on all nodes.
  void contribute(RuleContext& context, std::uint64_t round, const model::Snapshot& own) {
    begin(context, round, own);
    // Each node begins with the piece after its own, so that they do not all call on one at a time.
    for (std::size_t i = 1; i <= pieces_.size(); ++i) {
      hand_in(context, (context.self() + i) % pieces_.size());
    }
  }
  /// The same in two: the round is started, and each piece of `own` follows, in any order, when it
  /// has been written.
  void begin(RuleContext& context, std::uint64_t round, const model::Snapshot& own) {
    round_ = round;
    open_ = pieces_.size();
    own_ = own;
    target_ = open_ > 1 ? context.blank() : model::Snapshot();
  }
  void hand_in(RuleContext& context, std::size_t piece) {
    pieces_[piece].start(round_, own_, target_);
    act(pieces_[piece], [&](AllReduceChunk& one) { one.hand_in(context); });
  }

  /// Into how many pieces vectors are cut.
  [[nodiscard]] std::size_t chunks() const noexcept { return pieces_.size(); }
  /// A round is started and its mean not yet there.
  [[nodiscard]] bool waiting() const noexcept { return open_ > 0; }
  /// The last round that was started.
  [[nodiscard]] std::uint64_t round() const noexcept { return round_; }
  /// The mean of the last round; valid while `!waiting()`.
  [[nodiscard]] const model::Flat& result() const noexcept { return *pieces_.front().result(); }

  void on_messages(RuleContext& context, std::span<const Message> messages) {
    for (const Message& message : messages) {
      act(piece_of(context, message),
          [&](AllReduceChunk& piece) { piece.on_message(context, message); });
    }
    for (const Message& message : messages) {
      act(pieces_[message.chunk.index], [&](AllReduceChunk& piece) { piece.try_reduce(context); });
    }
  }
  void on_returned(RuleContext& context, const Message& message) {
    act(pieces_[message.chunk.index],
        [&](AllReduceChunk& piece) { piece.on_returned(context, message); });
  }
  void on_peer_joined(RuleContext& context, PeerId newcomer) {
    for (AllReduceChunk& each : pieces_) {
      act(each, [&](AllReduceChunk& piece) { piece.on_peer_joined(context, newcomer); });
    }
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) {
    for (AllReduceChunk& each : pieces_) {
      act(each, [&](AllReduceChunk& piece) { piece.on_peer_left(context, gone); });
    }
  }

 private:
  /// Lets a piece do something, and sees whether the round is complete by it.
  template <class Action>
  void act(AllReduceChunk& piece, Action action) {
    const bool waited = piece.waiting();
    action(piece);
    if (!waited || piece.waiting() || --open_ > 0) return;
    for (AllReduceChunk& each : pieces_) each.forget_earlier();
    own_ = target_ = {};
  }

  AllReduceChunk& piece_of(const RuleContext& context, const Message& message) {
    const model::Chunk part = message.chunk;
    if (part.of != pieces_.size() || part.index >= part.of) {
      throw ConfigError(c10::str("AllReduce: node ", message.from, " sent piece ", part.index,
                                 " of ", part.of, ", but node ", context.self(), " has ",
                                 pieces_.size(), "; all nodes must use the same number of parts"));
    }
    return pieces_[part.index];
  }

  std::vector<AllReduceChunk> pieces_;
  std::size_t open_ = 0;  // pieces whose mean is not yet there
  std::uint64_t round_ = 0;
  model::Snapshot own_;  // and where the mean goes: of the round, until it is complete
  model::Snapshot target_;
};

}  // namespace gossamer::rule
