// SPDX-License-Identifier: MIT
/// The exact mean of one vector per node, by messages: what the synchronous rules are made of.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/scope.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// Map and reduce over all live nodes, round by round. The live node with the lowest number
/// reduces: it waits for everybody's contribution, adds them up in the order of the nodes' numbers
/// (so the result is the same bits in each run) and sends the mean to all. A peer that finishes or
/// is lost releases those who wait: the mean goes over who is left, and the next lowest node
/// reduces.
///
/// Cost      2 (M - 1) messages per round over the group, M vectors in the reducer's hands.
/// Threads   as a rule.
/// Differs   from a ring all-reduce: the same bytes in total, through one node.
class ExactAverage {
 public:
  /// Starts a round; `round` grows from call to call, and is the same on all nodes.
  void contribute(Scope& scope, std::uint64_t round, model::Snapshot own) {
    round_ = round;
    own_ = std::move(own);
    waiting_ = true;
    hand_in(scope);
  }

  /// A round is started and its mean not yet there.
  [[nodiscard]] bool waiting() const noexcept { return waiting_; }
  /// The last round that was started.
  [[nodiscard]] std::uint64_t round() const noexcept { return round_; }
  /// The mean of the last round; valid while `!waiting()`.
  [[nodiscard]] const model::Flat& result() const noexcept { return *result_; }

  void on_messages(Scope& scope, std::span<const Message> messages) {
    for (const Message& message : messages) {
      if (message.kind == mean) {
        // From one that is gone it does not count any more: we have handed in elsewhere.
        if (waiting_ && message.round == round_ && is_live(scope, message.from)) {
          complete(scope, message.payload);
        }
      } else if (result_ && message.round == result_round_) {
        answer(scope, message.from);  // its reducer was lost on the way: we have the mean
      } else if (message.round >= round_) {
        arrived_.push_back(message);
      }
    }
    try_reduce(scope);
  }

  void on_returned(Scope& scope, const Message& message) {
    if (message.kind == contribution) {
      if (waiting_ && message.round == round_) hand_in(scope);
    } else if (message.round == result_round_ && is_live(scope, message.to)) {
      scope.send(message);
    }
  }

  /// A newcomer with the lowest number reduces from now on.
  void on_peer_joined(Scope& scope, PeerId newcomer) {
    if (waiting_ && reducer(scope) == newcomer) hand_in(scope);
  }

  void on_peer_left(Scope& scope, const PeerLeft& gone) {
    // The next reducer may lack the last mean, and be asked for it.
    if (result_ && reducer(scope) != scope.self() && gone.peer < reducer(scope)) {
      answer(scope, reducer(scope));
    }
    if (!waiting_) return;
    if (handed_to_ == gone.peer) {
      hand_in(scope);
    } else {
      try_reduce(scope);
    }
  }

 private:
  enum Kind : std::uint32_t { contribution = 1, mean = 2 };

  static PeerId reducer(const Scope& scope) {
    const auto peers = scope.peers();
    return peers.empty() ? scope.self() : std::min(scope.self(), peers.front());
  }

  static bool is_live(const Scope& scope, PeerId peer) {
    const auto peers = scope.peers();
    return std::binary_search(peers.begin(), peers.end(), peer);
  }

  void hand_in(Scope& scope) {
    const PeerId to = reducer(scope);
    if (to == scope.self()) {
      handed_to_.reset();
      try_reduce(scope);
    } else {
      handed_to_ = to;
      scope.send({.to = to, .kind = contribution, .round = round_, .payload = own_});
    }
  }

  [[nodiscard]] bool has_arrived(PeerId peer) const {
    return std::any_of(arrived_.begin(), arrived_.end(), [&](const Message& message) {
      return message.from == peer && message.round == round_;
    });
  }

  void try_reduce(Scope& scope) {
    if (!waiting_ || reducer(scope) != scope.self()) return;
    for (const PeerId peer : scope.peers()) {
      if (!has_arrived(peer)) return;
    }
    // One contribution a node (a node may have handed in twice), in the order of their numbers.
    std::vector<std::pair<PeerId, const model::Flat*>> parts{{scope.self(), &*own_}};
    for (const Message& message : arrived_) {
      if (message.round == round_) parts.emplace_back(message.from, &*message.payload);
    }
    const auto by_number = [](const auto& a, const auto& b) { return a.first < b.first; };
    std::stable_sort(parts.begin(), parts.end(), by_number);
    parts.erase(std::unique(parts.begin(), parts.end(),
                            [](const auto& a, const auto& b) { return a.first == b.first; }),
                parts.end());
    std::vector<const model::Flat*> flats;
    flats.reserve(parts.size());
    for (const auto& part : parts) flats.push_back(part.second);
    model::Snapshot result = scope.blank();
    model::mean(result.writable(), flats);
    complete(scope, std::move(result));
  }

  /// The mean is there: keep it, and pass it on to all who handed in here.
  void complete(Scope& scope, model::Snapshot result) {
    result_ = std::move(result);
    result_round_ = round_;
    waiting_ = false;
    own_ = {};
    handed_to_.reset();
    for (const Message& message : arrived_) {
      if (message.round == round_) answer(scope, message.from);
    }
    std::erase_if(arrived_, [this](const Message& message) { return message.round <= round_; });
  }

  void answer(Scope& scope, PeerId to) {
    scope.send({.to = to, .kind = mean, .round = result_round_, .payload = result_});
  }

  std::uint64_t round_ = 0;
  bool waiting_ = false;
  model::Snapshot own_;
  std::optional<PeerId> handed_to_;
  std::vector<Message> arrived_;
  model::Snapshot result_;
  std::uint64_t result_round_ = 0;
};

}  // namespace gossamer::rule
