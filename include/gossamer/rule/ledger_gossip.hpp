// SPDX-License-Identifier: MIT
/// Ledger gossip: codes of a bit per number, and the sum of all models exactly conserved.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/rule/detail/ledger_openings.hpp>
#include <gossamer/rule/detail/neighbour_turns.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/schedule/every.hpp>
#include <gossamer/schedule/schedule.hpp>
#include <gossamer/topology/exponential.hpp>

#include <c10/util/StringUtil.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace gossamer::rule {

/// Ledger gossip: every link i - j has one vector Z, the same at both ends at its opening. A
/// message is a code C of the difference to it; half of it leaves the sender and half arrives:
///
///     send      r = x - Z,  q = C(r),  h = q / 2,  x <- x - h,  Z <- Z + h,  message = code of q
///     receive   x <- x + h,  Z <- Z + h
///     returned  x <- x + h,  Z <- Z - h
///
/// What a code has left out stays in x - Z and is said later: error feedback by link. With nothing
/// under way both ends have the same Z, so x_i - x_j = r_ij - r_ji, and residuals that go to 0 are
/// consensus. Nobody waits, nobody answers, and no step size is tuned.
///
///     rule::LedgerGossip().codec(codec::TwoBits()).graph(topology::Ring(topology::Ring::Way::both))
///
/// When the schedule says so, after a step, a node sends to that of its neighbours whose
/// turn is longest ago: to each in cyclic order, if they stay the same. The graph's edges are used
/// both ways; turns of a graph that changes are counted by exchanges.
///
/// Opening. Nodes that start with equal parameters x0 begin with Z = x0: `round` of each code names
/// the opening, and that of these is the fingerprint of x0. Any other link, also one that was
/// closed since the peer was away or had to make room, is opened by the lower number, of its own
/// accord or asked by the higher one, with all of x. A code of an opening that the receiver does
/// not have moves x alone, so the sum is right at any time.
///
/// Invariant  sum of x over nodes and h under way, up to the rounding of x, or with `integers` to
///            the bit; but for nodes that are lost, which take their x and the h that reached them
///            with them. A leaver takes its x. A node without weight has no model yet, or none any
///            more, and sends codes back.
/// Weights    never move. Averaged BatchNorm buffers travel beside the code as they are, and the
///            receiver takes the mean of both; a return does not undo that.
/// Cost       one code per exchange, 1/30 of a vector with `codec::Sign`; four passes over x at the
///            sender, three at the receiver. Opening: a vector by link that did not start equal.
/// Memory     one vector by link, at most `max_links` of them, and two more; codes come of a pool.
///            With fewer links than neighbours they are closed and opened all the time.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError for max_links = 0 and what the graph throws. A code that is malformed is
///            sent back to its sender and changes nothing.
/// Source     none is known to us. Nearest: the copies of neighbours of Koloskova, Stich, Jaggi,
///            "Decentralized stochastic optimization and gossip algorithms with compressed
///            communication", ICML 2019 (CHOCO), which goes by rounds and tunes a step size.
class LedgerGossip : public Rule {
 public:
  using Kind = detail::LedgerKind;

  explicit LedgerGossip(schedule::Any when = schedule::Every(1)) : when_(std::move(when)) {}

  /// How differences are written; one bit per number if not said. All nodes need the same.
  LedgerGossip& codec(codec::AnyCodec codec) {
    codec_ = std::move(codec);
    return *this;
  }
  /// Who meets whom; a hypercube if not said. All nodes need the same.
  LedgerGossip& graph(Neighbourhoods graph) {
    turns_ = detail::NeighbourTurns(std::move(graph));
    return *this;
  }
  /// How many links, each with a vector, a node may have open; 64 if not said.
  LedgerGossip& max_links(std::size_t most) {
    max_links_ = most;
    openings_ = detail::LedgerOpenings(max_links_, integers_);
    return *this;
  }
  /// Counts in multiples of 2^-24, so that the sum stays the same to the bit, whatever the order;
  /// some passes over x more per message. Numbers of two nodes must differ by less than 128. All
  /// nodes need the same.
  LedgerGossip& integers(bool yes = true) {
    integers_ = yes;
    openings_ = detail::LedgerOpenings(max_links_, integers_);
    return *this;
  }

  [[nodiscard]] std::string name() const override { return "ledger_gossip"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(codec ", codec_->name(), ", ", turns_.agreement(),
                    integers_ ? ", integers)" : ")");
  }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return codec::bytes_of(model.layout(), *codec_) + Message::header_bytes;
  }
  /// How many links are open.
  [[nodiscard]] std::size_t links() const noexcept { return openings_.links().size(); }
  /// The Z of the link to a peer, for those who look on; null if it is closed.
  [[nodiscard]] const model::Flat* ledger(RuleContext& context, PeerId peer) {
    detail::Ledger* const link = openings_.links().peek(peer);
    return link != nullptr ? &link->z.get(context) : nullptr;
  }

  /// What a node counts as its numbers, in units of 2^-24, for those who look on; with `integers`.
  [[nodiscard]] model::Flat counted(RuleContext& context) { return numbers().counted(context); }

  void before_step(RuleContext& context) override { openings_.start(context); }
  void after_step(RuleContext& context) override {
    if (when_(context) && context.may_send()) exchange(context);
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    openings_.start(context);
    bool has_met = false;
    for (const Message& message : messages) {
      if (message.kind == Kind::code) {
        has_met = receive(context, message) || has_met;
      } else if (message.kind == Kind::refused) {
        take_home(context, message, message.from);
      } else if (message.kind == Kind::open) {
        openings_.on_open(context, message);
      } else if (message.kind == Kind::ask) {
        openings_.on_ask(context, message);
      }
    }
    if (has_met) context.model().on_merged();
  }
  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == Kind::code) {
      take_home(context, message, message.to);
    } else if (message.kind == Kind::refused) {
      send_back_again(context, message);
    } else {
      openings_.on_returned(context, message);
    }
  }
  void on_peer_left(RuleContext& /*context*/, const PeerLeft& gone) override {
    if (gone.reason == Reason::finished) return;  // it keeps its ledger, and may go on later
    turns_.forget(gone.peer);
    openings_.on_peer_left(gone.peer);
  }
  void checkpoint(Archive& archive) override {
    turns_.checkpoint(archive);
    openings_.checkpoint(archive);
  }

 private:
  detail::LedgerNumbers& numbers() noexcept { return openings_.links().numbers(); }

  void exchange(RuleContext& context) {
    openings_.count_exchange();
    if (const auto peer = openings_.wanted()) return openings_.send_all(context, *peer);
    for (const PeerId peer : turns_.next(context)) {
      turns_.take(peer);
      if (detail::Ledger* const link = openings_.link_to(context, peer)) {
        return send_code(context, peer, *link);
      }
      if (context.self() < peer) return openings_.send_all(context, peer);
      openings_.ask_for(context, peer, 0);  // and meanwhile, the next one
    }
  }

  void send_code(RuleContext& context, PeerId peer, detail::Ledger& link) {
    const model::Flat& x = context.model().flat();
    const model::Flat& z = link.z.get(context);
    const model::Flat& q = scratch_.get(context);
    numbers().difference(context, q, z);
    context.model().copy_buffers(q, x);
    codec::Coded coded = codec::encode(q, context.model().layout(), *codec_, context.generator(),
                                       context.codes(), q);
    if (!coded) return;  // a number is not finite, and nobody wants it
    for_buffers(context, [&](const model::Slot& slot) { slot.view(q).zero_(); });
    numbers().add_to_model(context, q, -1);
    numbers().add(z, q, 1);
    context.send({.to = peer,
                  .kind = Kind::code,
                  .round = link.opening,
                  .payload = {},
                  .code = std::move(coded)});
  }

  /// Whether the code was taken.
  bool receive(RuleContext& context, const Message& message) {
    if (context.weight() == 0 || !read(context, message)) {
      send_back(context, message);
      return false;
    }
    const model::Flat& x = context.model().flat();
    const model::Flat& q = scratch_.get(context);
    for_buffers(context, [&](const model::Slot& slot) { slot.view(q).sub_(slot.view(x)); });
    numbers().add_to_model(context, q, 1);
    if (detail::Ledger* const link = openings_.link_of(context, message)) {
      numbers().add(link->z.get(context), q, 1);
    }
    return true;
  }
  /// A code of ours on the link to `peer` has not arrived: its numbers are ours again.
  void take_home(RuleContext& context, const Message& message, PeerId peer) {
    if (!read(context, message)) return;
    const model::Flat& q = scratch_.get(context);
    for_buffers(context, [&](const model::Slot& slot) { slot.view(q).zero_(); });
    numbers().add_to_model(context, q, 1);
    if (detail::Ledger* const link = openings_.links().find(peer, message.round)) {
      numbers().add(link->z.get(context), q, -1);
    }
  }

  static void send_back(RuleContext& context, const Message& message) {
    context.weight() -= message.weight;
    context.send({.to = message.from,
                  .kind = Kind::refused,
                  .round = message.round,
                  .weight = message.weight,
                  .payload = {},
                  .code = message.code});
  }
  /// What was to go back has not: the peer had no room, or is gone and leaves its numbers here.
  void send_back_again(RuleContext& context, const Message& message) {
    if (is_live(context, message.to)) {
      context.weight() -= message.weight;
      context.send(message);
    } else {
      take_home(context, message, context.self());
    }
  }

  /// Decodes into the scratch; false if it is no code of this model and codec.
  bool read(RuleContext& context, const Message& message) {
    return message.code && !codec::decode(message.code.bytes(), context.model().layout(), *codec_,
                                          scratch_.get(context));
  }
  template <class Visitor>
  static void for_buffers(RuleContext& context, Visitor visit) {
    for (const model::Slot& slot : context.model().layout().slots) {
      if (slot.is_buffer) visit(slot);
    }
  }

  schedule::Any when_;
  detail::NeighbourTurns turns_{topology::Hypercube()};
  codec::AnyCodec codec_ = codec::Sign();
  std::size_t max_links_ = 64;
  bool integers_ = false;
  detail::LedgerOpenings openings_{64, false};
  KeptFlat scratch_;  // what is coded or decoded
};

}  // namespace gossamer::rule
