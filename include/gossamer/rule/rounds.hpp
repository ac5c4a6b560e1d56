// SPDX-License-Identifier: MIT
/// Waiting for the messages of a round from those neighbours who send some.
#pragma once

#include <gossamer/rule/context.hpp>
#include <gossamer/rule/peer_queries.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// Knows, round by round, from whom this node still waits for something. Rounds are counted as
/// steps are: what a node sends after its k-th step is of round k.
///
/// A peer that goes is not waited for any more. When peers come and go, nodes may see different
/// graphs for a while, and one may wait for a peer who sends nothing to it. So once there has been
/// such a change, who waits asks, and who has passed that round without sending says so.
///
/// Cost      nothing, until peers come or go; then an empty message per neighbour and round, and
///           another one back.
/// Threads   as a rule.
class Rounds {
 public:
  /// Kinds of messages that this class sends; a rule's own are `first_free` and above.
  enum Kind : std::uint32_t { question = 0, pass = 1, first_free = 2 };

  /// At the beginning of every hook. In the first one, a weight that is not everybody's says that
  /// this node is a newcomer. One sends nothing in the rounds before its own, and who asks about
  /// them is told so at once: it may have to get through before this node can go on.
  void start(RuleContext& context) {
    const double w = context.weight() * static_cast<double>(context.peers().size() + 1);
    if (!std::exchange(started_, true) && !(std::abs(w - 1) < 1e-9)) asks_ = true;
    if (round_ >= context.step()) return;
    asks_ = true;
    round_ = context.step();
    answer_asked(context);
  }

  /// A message that this node sends to a peer in a round; call it before `expect`.
  void sent(PeerId to, std::uint64_t round) { sent_.push_back({round, to}); }

  /// This node has come to the round, has sent what it sends, and will hear from these.
  void expect(RuleContext& context, std::uint64_t round, std::span<const PeerId> from) {
    if (round_ == 0 && round != 1) asks_ = true;  // this node came later
    round_ = round;
    for (const PeerId peer : from) {
      if (!take(arrived_, {round, peer})) missing_.push_back({round, peer});
    }
    std::erase_if(arrived_, [round](const Entry& one) { return one.round <= round; });
    std::erase_if(sent_, [round](const Entry& one) { return one.round + kept < round; });
    answer_asked(context);
    if (asks_) ask(context);
  }

  /// Something of that round has come.
  void note(const Message& message) {
    const Entry one{message.round, message.from};
    if (!take(missing_, one) && message.round > round_) arrived_.push_back(one);
  }

  /// Whether everything of the rounds up to that one has come.
  [[nodiscard]] bool all_there(std::uint64_t round) const {
    return std::none_of(missing_.begin(), missing_.end(),
                        [round](const Entry& one) { return one.round <= round; });
  }

  /// True if the message is one of this class's own.
  bool on_message(RuleContext& context, const Message& message) {
    if (message.kind >= first_free) return false;
    const Entry one{message.round, message.from};
    if (message.kind == pass) {
      take(missing_, one);
    } else if (message.round <= round_) {
      answer(context, one);
    } else {
      asked_.push_back(one);
    }
    return true;
  }
  /// The same, of a message that came back. To a live peer, it is sent again.
  bool on_returned(RuleContext& context, const Message& message) {
    if (message.kind >= first_free) return false;
    if (is_live(context, message.to)) context.send(message);
    return true;
  }
  void on_peer_joined(RuleContext& context) {
    asks_ = true;
    ask(context);
  }
  void on_peer_left(RuleContext& context, PeerId peer) {
    for (auto* entries : {&missing_, &asked_}) {
      std::erase_if(*entries, [peer](const Entry& one) { return one.peer == peer; });
    }
    on_peer_joined(context);  // others may not yet know, either
  }

  template <class Archive>
  void checkpoint(Archive& archive) {
    archive("round", round_);
    archive("asks", asks_);
    archive("started", started_);
  }

 private:
  struct Entry {
    std::uint64_t round;
    PeerId peer;
    bool operator==(const Entry&) const = default;
  };

  /// For how many rounds it is known what was sent; nobody is so far behind a node that it waits
  /// for.
  static constexpr std::uint64_t kept = 64;

  static bool take(std::vector<Entry>& from, const Entry& one) {
    const auto found = std::find(from.begin(), from.end(), one);
    if (found == from.end()) return false;
    from.erase(found);
    return true;
  }

  void ask(RuleContext& context) const {
    for (const Entry& one : missing_) {
      context.send({.to = one.peer, .kind = question, .round = one.round, .payload = {}});
    }
  }

  /// Who has asked about rounds that this node has come to.
  void answer_asked(RuleContext& context) {
    for (const Entry& one : asked_) {
      if (one.round <= round_) answer(context, one);
    }
    std::erase_if(asked_, [this](const Entry& one) { return one.round <= round_; });
  }
  void answer(RuleContext& context, const Entry& asker) const {
    if (std::find(sent_.begin(), sent_.end(), asker) != sent_.end()) return;  // it is on its way
    context.send({.to = asker.peer, .kind = pass, .round = asker.round, .payload = {}});
  }

  std::uint64_t round_ = 0;  // the last that this node has come to
  bool started_ = false;
  bool asks_ = false;
  std::vector<Entry> missing_;  // what this node waits for
  std::vector<Entry> arrived_;  // what came before this node had come to its round
  std::vector<Entry> sent_;     // of the last rounds
  std::vector<Entry> asked_;    // questions about rounds that this node has not come to
};

}  // namespace gossamer::rule
