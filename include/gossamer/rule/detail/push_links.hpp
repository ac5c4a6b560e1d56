// SPDX-License-Identifier: MIT
/// The references of coded pushes: what the receiver of a push is known to have.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/detail/ledgers.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace gossamer::rule::detail {

/// A push has a number n of its sender's, and in the upper half of its `round` that of the push
/// before it on its link, 0 if it is in full. So the receiver knows whether it has the reference R
/// that the sender means; if not, it sends the push back, and the link begins anew.
///
///     sender    push n, q = R + C(x - R)                    one at a time
///     receiver  R <- q, last = n, says that n is taken
///     sender    R <- R + C(x - R), the same bits
///
/// Of averaged buffers, which travel beside a code as they are, R is 0.
/// Threads: as a rule.
class PushLinks {
 public:
  enum Kind : std::uint32_t { push = 0, taken = 1, bounced = 2 };
  static constexpr std::size_t most = 256;
  /// Pushes to peers that are gone of which a reference is kept, so that they may come back.
  static constexpr std::size_t most_lost = 8;

  // The sender's side.

  /// Whether a push to that peer is on its way.
  [[nodiscard]] bool is_busy(PeerId peer) const { return pending_.contains(peer); }
  /// The one that is, as it was sent; its round and code.
  [[nodiscard]] Message pending(PeerId peer) const {
    const auto found = pending_.find(peer);
    if (found == pending_.end()) return {};
    return {.to = peer, .round = found->second.number, .payload = {}, .code = found->second.code};
  }
  [[nodiscard]] Ledger* find(PeerId peer) { return to_.find(peer); }

  /// The round of a push in full, which begins a link; 0 if there is no room for one more.
  std::uint64_t open(RuleContext& context, PeerId peer, const model::Flat& x) {
    if (to_.size() == most) return 0;
    begin(context, to_, peer, ++number_, x);
    pending_[peer] = {number_, {}};
    return number_;
  }
  /// The round of a push in code.
  std::uint64_t begin(PeerId peer, const Ledger& link, codec::Coded code) {
    pending_[peer] = {++number_, std::move(code)};
    return link.opening << 32U | number_;
  }
  void on_taken(RuleContext& context, const codec::Codec& codec, const Message& message) {
    const std::uint64_t number = low(message.round);
    lost_.erase(number);
    const auto found = pending_.find(message.from);
    if (found == pending_.end() || found->second.number != number) return;
    Ledger& link = *to_.find(message.from);
    const Message sent = pending(message.from);
    pending_.erase(found);
    if (!sent.code) return;
    const model::Snapshot step = context.blank();
    link.opening = number;
    if (!decode(context, codec, sent, *step)) return to_.close(message.from);
    zero_buffers(context, *step);
    model::add(link.z.get(context), *step);
  }
  /// What a push of this node's says that has come back; false if nobody knows any more.
  bool take_home(RuleContext& context, const codec::Codec& codec, const Message& message,
                 PeerId peer, model::Snapshot& q) {
    if (!decode(context, codec, message, q.writable())) return false;
    if (message.round == 0) return true;
    const std::uint64_t number = low(message.round);
    if (const auto found = lost_.find(number); found != lost_.end()) {
      model::add(*q, found->second.get(context));
      lost_.erase(found);
      return true;
    }
    const auto found = pending_.find(peer);
    if (found == pending_.end() || found->second.number != number) return false;
    pending_.erase(found);
    model::add(*q, to_.find(peer)->z.get(context));
    if (message.kind == bounced) to_.close(peer);
    return true;
  }
  /// What the push that is on its way to that peer says, for those who look on; 0 without one.
  model::Flat read_own(RuleContext& context, const codec::Codec& codec, PeerId peer) {
    model::Flat q = context.model().flat().zeros_like();
    const Message sent = pending(peer);
    if (sent.code && !decode(context, codec, sent, q)) return q;
    if (Ledger* const link = to_.peek(peer)) model::add(q, link->z.get(context));
    return q;
  }
  /// A push in full has come back.
  void close(PeerId peer, std::uint64_t round) {
    const auto found = pending_.find(peer);
    if (found == pending_.end() || found->second.number != low(round)) return;
    pending_.erase(found);
    to_.close(peer);
  }

  // The receiver's side.

  void on_open(RuleContext& context, const Message& message) {
    begin(context, from_, message.from, low(message.round), *message.payload);
  }
  /// What a push in code says, and R <- q; false, and nothing is done, if it makes no sense here.
  bool read(RuleContext& context, const codec::Codec& codec, const Message& message,
            model::Snapshot& q) {
    if (message.round == 0) return decode(context, codec, message, q.writable());
    Ledger* const link = from_.find(message.from, message.round >> 32U);
    if (link == nullptr || !decode(context, codec, message, q.writable())) return false;
    model::add(*q, link->z.get(context));
    link->z.get(context).copy_from(*q);
    zero_buffers(context, link->z.get(context));
    link->opening = low(message.round);
    return true;
  }

  void on_peer_left(RuleContext& /*context*/, PeerId peer) {
    from_.close(peer);
    if (const auto found = pending_.find(peer); found != pending_.end()) {
      if (found->second.code) {  // it may come back
        lost_[found->second.number] = std::move(to_.find(peer)->z);
        if (lost_.size() > most_lost) lost_.erase(lost_.begin());
      }
      pending_.erase(found);
    }
    to_.close(peer);
  }

  /// When nothing is under way.
  void checkpoint(Archive& archive) {
    archive("number", number_);
    archive.within("to", [&] { to_.checkpoint(archive); });
    archive.within("from", [&] { from_.checkpoint(archive); });
    if (archive.loading()) {
      pending_.clear();
      lost_.clear();
    }
  }

 private:
  struct Pending {
    std::uint64_t number = 0;
    codec::Coded code;
  };

  static std::uint64_t low(std::uint64_t round) { return round & 0xffffffffU; }
  static bool decode(RuleContext& context, const codec::Codec& codec, const Message& message,
                     const model::Flat& to) {
    return !codec::decode(message.code.bytes(), context.model().layout(), codec, to);
  }
  static void zero_buffers(RuleContext& context, const model::Flat& flat) {
    for (const model::Slot& slot : context.model().layout().slots) {
      if (slot.is_buffer) slot.view(flat).zero_();
    }
  }
  static void begin(RuleContext& context, Ledgers& links, PeerId peer, std::uint64_t number,
                    const model::Flat& x) {
    Ledger& link = links.open(context, peer, number, x);
    zero_buffers(context, link.z.get(context));
  }

  std::uint64_t number_ = 0;  // of the last push
  Ledgers to_{most, false};
  Ledgers from_{most, false};
  std::map<PeerId, Pending> pending_;       // on their way on a link
  std::map<std::uint64_t, KeptFlat> lost_;  // R of those whose peer is gone, by their number
};

}  // namespace gossamer::rule::detail
