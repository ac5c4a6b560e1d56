// SPDX-License-Identifier: MIT
/// What two nodes that ask each other know of each other's models, so that codes suffice.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/detail/ledgers.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <cstdint>
#include <optional>
#include <utility>

namespace gossamer::rule::detail {

/// A link from an asker i to an answerer k has a reference R, the same at both ends, which follows
/// i's model. C is a code, and both sides apply what is decoded of it:
///
///     i -> k   q = C(x_i - R),  R <- R + q         the first time x_i in full, and R <- x_i
///     k -> i   d = C(t (R - x_k)),  x_k <- x_k + part d,  R <- R - d
///     i        x_i <- x_i - d,  R <- R - d
///
/// A request's number n has that of the link's request before it in its upper half (0: this one is
/// in full), and k says so if that is not what it knows: then i's next one is in full. Of averaged
/// buffers, which travel beside codes as they are, R has what i sent last.
/// Cost     a vector by link at either end, at most `most` of them each way.
/// Threads  as a rule.
class CodedLinks {
 public:
  static constexpr std::size_t most = 256;

  explicit CodedLinks(codec::AnyCodec codec) : codec_(std::move(codec)) {}

  [[nodiscard]] const codec::Codec& codec() const noexcept { return *codec_; }

  // The asker's side.

  /// What to send; nothing if a number is not finite.
  std::optional<Message> request(RuleContext& context, PeerId to, std::uint32_t kind,
                                 std::uint64_t number) {
    Ledger* const link = asking_.find(to);
    const model::Flat& x = context.model().flat();
    if (link == nullptr) {
      Message all{.to = to, .kind = kind, .round = number, .payload = context.snapshot()};
      asking_.open(context, to, number, *all.payload);
      return all;
    }
    const model::Flat& r = link->z.get(context);
    const model::Flat& q = scratch_.get(context);
    model::difference(q, x, r);
    context.model().copy_buffers(q, x);
    codec::Coded code = encode(context, q);
    if (!code) return std::nullopt;
    follow(context, r, q);
    const std::uint64_t before = std::exchange(link->opening, number);
    return Message{.to = to,
                   .kind = kind,
                   .round = before << 32U | number,
                   .payload = {},
                   .code = std::move(code)};
  }
  /// A request of this node's has come back.
  void undo_request(RuleContext& context, const Message& request) {
    Ledger* const link = asking_.find(request.to, low(request.round));
    if (link == nullptr) return;
    if (!request.code || !decode(context, request)) return asking_.close(request.to);
    add(context, link->z.get(context), -1);
    link->opening = request.round >> 32U;
  }
  /// The asker's side of an exchange. False if it is no code of this codec, and nothing is done.
  bool take_answer(RuleContext& context, const Message& answer) {
    if (!decode(context, answer)) return false;
    const model::Flat& d = scratch_.get(context);
    const model::Flat& x = context.model().flat();
    context.model().copy_buffers(x, d);
    add(context, x, -1);
    if (Ledger* const link = asking_.find(answer.from, low(answer.round))) {
      add(context, link->z.get(context), -1);
    }
    return true;
  }
  /// The answerer has another reference, or none.
  void close(PeerId peer) { asking_.close(peer); }

  // The answerer's side.

  /// Takes in what a request says of its sender's model; false if it makes no sense here.
  bool take_request(RuleContext& context, const Message& request) {
    if (request.payload) {
      asked_.open(context, request.from, low(request.round), *request.payload);
      return true;
    }
    Ledger* const link = asked_.find(request.from, request.round >> 32U);
    if (link == nullptr || !decode(context, request)) return false;
    follow(context, link->z.get(context), scratch_.get(context));
    link->opening = low(request.round);
    return true;
  }
  /// Into `d` what both sides will apply, and its code; no code if a number is not finite. Buffers
  /// meet at once; those of `d` are the asker's new ones.
  codec::Coded answer(RuleContext& context, const Message& request, double t, double part,
                      const model::Flat& d) {
    const model::Flat& x = context.model().flat();
    const model::Flat& r = asked_.find(request.from)->z.get(context);
    model::difference(d, r, x, t);
    for_buffers(context, [&](const model::Slot& slot) {
      slot.view(x).add_(slot.view(d), part);
      slot.view(d).neg_().add_(slot.view(r));
    });
    codec::Coded code = encode(context, d);
    if (!code) return code;
    scratch_.get(context).copy_from(d);
    add(context, r, -1);
    return code;
  }
  /// The answerer's side of an exchange.
  void take_part(RuleContext& context, const model::Flat& d, double part) {
    scratch_.get(context).copy_from(d);
    add(context, context.model().flat(), part);
  }
  /// An answer of this node's has come back, and its side of it was `part` of it.
  void undo_answer(RuleContext& context, const Message& answer, double part) {
    if (!decode(context, answer)) return;
    add(context, context.model().flat(), -part);
    if (Ledger* const link = asked_.find(answer.to, low(answer.round))) {
      add(context, link->z.get(context), 1);
    }
  }

  void forget(PeerId peer) {
    asking_.close(peer);
    asked_.close(peer);
  }

 private:
  static std::uint64_t low(std::uint64_t round) { return round & 0xffffffffU; }

  template <class Visitor>
  static void for_buffers(RuleContext& context, Visitor visit) {
    for (const model::Slot& slot : context.model().layout().slots) {
      if (slot.is_buffer) visit(slot);
    }
  }
  codec::Coded encode(RuleContext& context, const model::Flat& q) {
    return codec::encode(q, context.model().layout(), *codec_, context.generator(), context.codes(),
                         q);
  }
  bool decode(RuleContext& context, const Message& message) {
    return message.code && !codec::decode(message.code.bytes(), context.model().layout(), *codec_,
                                          scratch_.get(context));
  }
  /// y <- y + t times what was decoded last, but for the buffers.
  void add(RuleContext& context, const model::Flat& y, double t) {
    const model::Flat& decoded = scratch_.get(context);
    for_buffers(context, [&](const model::Slot& slot) { slot.view(decoded).zero_(); });
    model::add(y, decoded, t);
  }
  /// R goes by the parameters of q, and has its buffers.
  void follow(RuleContext& context, const model::Flat& r, const model::Flat& q) {
    for_buffers(context, [&](const model::Slot& slot) { slot.view(r).zero_(); });
    model::add(r, q, 1);
  }

  codec::AnyCodec codec_;
  Ledgers asking_{most, false};
  Ledgers asked_{most, false};
  KeptFlat scratch_;
};

}  // namespace gossamer::rule::detail
