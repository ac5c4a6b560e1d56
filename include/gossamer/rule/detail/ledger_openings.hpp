// SPDX-License-Identifier: MIT
/// How the links of ledger gossip are opened, and opened anew.
#pragma once

#include <gossamer/model/archive.hpp>
#include <gossamer/model/flat.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/detail/ledgers.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/peer_queries.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace gossamer::rule::detail {

/// What a message of ledger gossip is: a code, all of x, a request for that, a code that comes
/// back.
enum LedgerKind : std::uint32_t { code = 1, open = 2, ask = 3, refused = 4 };

/// Each opening of a link has a number, which codes repeat:
///
///     both start with x0         its fingerprint; Z = x0 at either end, without a message
///     else                       the lower one sends x (`open`) with a number drawn at random, of
///                                its own accord, or since the higher one asks
///     a code of another opening  the higher one asks; the lower one opens the link if it is
///                                closed, else its opening is on its way, or it is asked
///
/// A link begins with x0 at most once, and not with a peer that was away. An opening that comes is
/// believed, whatever was there; so both ends agree when nothing is under way.
///
/// x0 is kept for 1,000 exchanges after the last link that began with it.
/// Threads: as a rule.
class LedgerOpenings {
 public:
  LedgerOpenings(std::size_t most_links, bool integers) : links_(most_links, integers) {}

  [[nodiscard]] Ledgers& links() noexcept { return links_; }
  [[nodiscard]] const Ledgers& links() const noexcept { return links_; }

  /// Before anything else has changed the model.
  void start(RuleContext& context) {
    if (std::exchange(started_, true)) return;
    first_.get(context).copy_from(context.model().flat());
    first_opening_ = fingerprint(context.model().flat());
  }
  /// One more exchange begins.
  void count_exchange() {
    if (++exchanges_ > first_used_ + keeps_first) first_ = {};
  }

  /// The link to a peer if it is open, or can be since both start equal; else null.
  Ledger* link_to(RuleContext& context, PeerId peer) {
    Ledger* const link = links_.find(peer);
    if (link != nullptr || !first_.exists() || !met_.insert(peer).second) return link;
    first_used_ = exchanges_;
    return &links_.open(context, peer, first_opening_, first_.get(context));
  }
  /// The link that a code of a live peer's is of; null, and what is to be done is done, if this
  /// node has none of that opening.
  Ledger* link_of(RuleContext& context, const Message& message) {
    const PeerId peer = message.from;
    if (message.round == first_opening_ && links_.peek(peer) == nullptr) link_to(context, peer);
    Ledger* const link = links_.find(peer, message.round);
    if (link == nullptr && is_live(context, peer)) {
      if (context.self() > peer) {
        ask_for(context, peer, message.round);
      } else if (links_.peek(peer) == nullptr) {
        wanted_.insert(peer);
      }
    }
    return link;
  }

  /// Somebody waits for this node's opening.
  [[nodiscard]] std::optional<PeerId> wanted() const {
    return wanted_.empty() ? std::nullopt : std::optional(*wanted_.begin());
  }
  void send_all(RuleContext& context, PeerId peer) {
    model::Snapshot all = context.snapshot();
    std::uint64_t opening = context.generator()();
    opening = (opening << 32U | context.generator()()) | 1U;
    links_.open(context, peer, opening, *all);
    wanted_.erase(peer);
    met_.insert(peer);
    context.send({.to = peer, .kind = open, .round = opening, .payload = std::move(all)});
  }
  /// Asks a lower number, once; `opening` is that of which this node knows nothing, 0 if there is
  /// none.
  void ask_for(RuleContext& context, PeerId peer, std::uint64_t opening) {
    if (!asked_.insert(peer).second) return;
    context.send({.to = peer, .kind = ask, .round = opening, .payload = {}});
  }

  void on_open(RuleContext& context, const Message& message) {
    if (!message.payload || message.from > context.self()) return;
    links_.open(context, message.from, message.round, *message.payload);
    asked_.erase(message.from);
    met_.insert(message.from);
  }
  void on_ask(RuleContext& context, const Message& message) {
    if (message.from < context.self() || !is_live(context, message.from)) return;
    const Ledger* const link = links_.peek(message.from);
    const bool is_stale = link != nullptr && message.round != 0 && link->opening != message.round;
    if (is_stale) return;  // the present one is on its way
    links_.close(message.from);
    wanted_.insert(message.from);
  }
  /// An opening or a request of ours has come back.
  void on_returned(RuleContext& context, const Message& message) {
    const Ledger* const link = links_.peek(message.to);
    if (message.kind == ask) {
      asked_.erase(message.to);
    } else if (link != nullptr && link->opening == message.round) {
      links_.close(message.to);
      if (is_live(context, message.to)) wanted_.insert(message.to);
    }
  }
  /// What was said on the link may be lost with the peer, or its memory of it.
  void on_peer_left(PeerId peer) {
    links_.close(peer);
    asked_.erase(peer);
    wanted_.erase(peer);
    met_.insert(peer);
  }

  /// What was asked is not kept: it is asked again.
  void checkpoint(Archive& archive) {
    std::vector<PeerId> met(met_.begin(), met_.end());
    archive("exchanges", exchanges_);
    archive("started", started_);
    archive("first_opening", first_opening_);
    archive("first_used", first_used_);
    archive("met", met);
    if (archive.loading()) {
      met_ = {met.begin(), met.end()};
      asked_.clear();
      wanted_.clear();
    }
    first_.checkpoint(archive, "first");
    links_.checkpoint(archive);
  }

 private:
  static constexpr std::uint64_t keeps_first = 1000;

  Ledgers links_;
  std::set<PeerId> met_;     // their links do not begin with x0 any more
  std::set<PeerId> asked_;   // lower numbers that have not answered yet
  std::set<PeerId> wanted_;  // higher ones that wait for an answer
  std::uint64_t exchanges_ = 0;
  bool started_ = false;
  std::uint64_t first_opening_ = 0;  // x0's fingerprint
  std::uint64_t first_used_ = 0;     // how many exchanges there were when x0 was last used
  KeptFlat first_;                   // x0
};

}  // namespace gossamer::rule::detail
