// SPDX-License-Identifier: MIT
/// GoSGD and push-sum with pushes of a few bits per number, and the weighted sum exact.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/error.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/detail/push_links.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/push_sum.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// The largest kappa, at most 1, with which pushes on n links stay stable, halfway to the bound:
/// a code leaves out |v - C(v)|^2 = left_out |v|^2 of what it is to say, and a push makes of it
/// (1 + kappa)^2 as much on its own link, and adds kappa^2 on each other one:
///
///     left_out ((1 + kappa)^2 + (n - 1) kappa^2) < 1
inline double stable_kappa(double left_out, std::size_t links) {
  if (!(left_out > 0)) return 1;
  const double n = std::max<double>(1, static_cast<double>(links));
  const double spare = std::max(1e-3, 1 - left_out) / (2 * left_out);
  return std::min(1.0, (std::sqrt(1 + n * spare) - 1) / n);
}

/// Pushes of `Base`, GoSGD or push-sum, as codes. Both ends apply q, which is what the code says:
///
///     sender    w = f a,  x <- x + kappa (x - q),  a <- a - w,  message = (code of q, w)
///     receiver  x <- (a x + w q) / (a + w),  a <- a + w                     kappa = f / (1 - f)
///     returned  as received
///
/// so what a code leaves out costs accuracy, never the sum. `direct`: q = C(x). Else each link has
/// a reference R, the same at both ends, q = R + C(x - R), and R <- q when the receiver has said
/// that it has taken the push; what is left out is said later. The first push on a link is x in
/// full. One push at a time is on its way on a link.
///
/// f is 1/2, or less if the code at hand is so coarse that half of the weight would make errors
/// grow: see `stable_kappa`. Averaged BatchNorm buffers travel as they are.
///
/// Invariant  sum of a, and sum of a x, over nodes and pushes in flight (each w q), up to rounding.
///            A push that comes back from a peer that is long gone, or that a receiver could
///            neither read nor send back, brings its weight alone: see `PushLinks::most_lost`.
/// Cost       one code per push, and by reference an empty message back; five passes over x at the
///            sender, three at the receiver.
/// Memory     by reference a vector per peer at either end, at most `PushLinks::most`; beyond them
///            pushes are in full.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when a share is outside (0, 1/2]. A code that is malformed goes back.
/// Source     our own. Exact sums of quantized pushes: Taheri, Mokhtari, Hassani, Pedarsani,
///            "Quantized decentralized stochastic learning over directed graphs", ICML 2020, where
///            all neighbours hear one code, and step sizes are tuned.
template <class Base>
class CodedPush : public Base {
 public:
  /// Direct if the codec leaves out less than a hundredth, else by reference.
  CodedPush(Base base, codec::AnyCodec codec)
      : Base(std::move(base)), codec_(std::move(codec)), direct_(codec_->delta(1U << 20U) > 0.99) {}

  /// Without references, or with them. All nodes need the same.
  CodedPush& direct(bool yes) {
    direct_ = yes;
    return *this;
  }
  /// The part f of the weight that goes with a push, whatever the code leaves out.
  CodedPush& share(double part) {
    if (!(part > 0 && part <= 0.5)) {
      throw ConfigError(c10::str("CodedPush: share must lie in (0, 1/2], got ", part));
    }
    share_ = part;
    return *this;
  }

  [[nodiscard]] std::string agreement() const override {
    return c10::str(Base::agreement(), "(codec ", codec_->name(), direct_ ? ", direct)" : ")");
  }
  /// A difference of models means nothing to a model with a merge of its own.
  [[nodiscard]] bool merges_by_weighted_average() const override { return false; }
  [[nodiscard]] bool weight_follows_model() const override { return true; }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return codec::bytes_of(model.layout(), *codec_) + Message::header_bytes;
  }
  /// What a push that is on its way to a peer says, for those who look on; by reference.
  [[nodiscard]] model::Flat on_its_way(RuleContext& context, PeerId peer) {
    return links_.read_own(context, *codec_, peer);
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    std::vector<Message> pushes;
    for (const Message& message : messages) {
      if (message.kind == Kind::push) {
        take(context, message, pushes);
      } else if (message.kind == Kind::bounced) {
        pushes.push_back(home(context, message, message.from));
      } else {
        if (message.kind == Kind::taken) links_.on_taken(context, *codec_, message);
        pushes.push_back(message);  // whatever its weight is
      }
    }
    Base::on_messages(context, pushes);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    if (message.kind == Kind::push) {
      Base::on_returned(context, home(context, message, message.to));
    } else if (is_live(context, message.to)) {
      context.send(message);
    } else {
      context.weight() += message.weight;
    }
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    if (gone.reason != Reason::finished) links_.on_peer_left(context, gone.peer);
    Base::on_peer_left(context, gone);
  }
  void checkpoint(Archive& archive) override {
    Base::checkpoint(archive);
    links_.checkpoint(archive);
  }

 protected:
  void push(RuleContext& context, PeerId to) override {
    if (direct_) return send_code(context, to, nullptr);
    if (links_.is_busy(to)) return;
    if (detail::Ledger* const link = links_.find(to)) return send_code(context, to, link);
    Message all = split(context, to, 0.5);
    all.round = links_.open(context, to, *all.payload);
    context.send(std::move(all));
  }

 private:
  using Kind = detail::PushLinks::Kind;

  void send_code(RuleContext& context, PeerId to, detail::Ledger* link) {
    const model::Flat& x = context.model().flat();
    const model::Layout& layout = context.model().layout();
    const model::Flat& d = scratch_.get(context);
    d.copy_from(x);
    if (link != nullptr) model::difference(d, x, link->z.get(context));
    const double all = square(context, d);
    codec::Coded code = codec::encode(d, layout, *codec_, context.generator(), context.codes(), d);
    if (!code) return;  // a number is not finite, and nobody wants it
    if (link != nullptr) model::add(d, link->z.get(context));
    model::difference(d, x, d);
    const double left_out = all > 0 ? square(context, d) / all : 0;
    const std::size_t links = context.peers().size();
    const double kappa = share_ > 0 ? share_ / (1 - share_) : stable_kappa(left_out, links);
    model::add(x, d, kappa);
    const double moved = context.weight() * kappa / (1 + kappa);
    context.weight() -= moved;
    const std::uint64_t round = link != nullptr ? links_.begin(to, *link, code) : 0;
    context.send({.to = to,
                  .kind = Kind::push,
                  .round = round,
                  .weight = moved,
                  .payload = {},
                  .code = std::move(code)});
  }

  /// A push has come: it is added to the others, with what it says, or goes back.
  void take(RuleContext& context, const Message& message, std::vector<Message>& pushes) {
    Message read = message;
    if (message.code) {
      read.payload = context.blank();
      if (!links_.read(context, *codec_, message, read.payload)) {
        context.send({.to = message.from,
                      .kind = Kind::bounced,
                      .round = message.round,
                      .weight = message.weight,
                      .payload = {},
                      .code = message.code});
        return;
      }
    } else if (message.payload && message.round != 0) {
      links_.on_open(context, message);
    }
    if (message.round != 0) {
      context.send(
          {.to = message.from, .kind = Kind::taken, .round = message.round, .payload = {}});
    }
    pushes.push_back(std::move(read));
  }
  /// A push of this node's has not been taken: what it says, as one that has come.
  Message home(RuleContext& context, const Message& message, PeerId peer) {
    Message read = message;
    if (message.code) {
      read.payload = context.blank();
      if (!links_.take_home(context, *codec_, message, peer, read.payload)) read.payload = {};
    } else if (message.payload && message.round != 0) {
      links_.close(peer, message.round);
    }
    return read;
  }

  /// The squares of the parameters' numbers, summed.
  static double square(RuleContext& context, const model::Flat& flat) {
    double sum = 0;
    for (const model::Slot& slot : context.model().layout().slots) {
      if (slot.is_buffer) continue;
      const at::Tensor numbers = codec::detail::as_floats(codec::detail::numbers_of(slot, flat));
      sum += std::pow(numbers.norm().item<double>(), 2);
    }
    return sum;
  }

  codec::AnyCodec codec_;
  bool direct_;
  double share_ = 0;  // 0: as the code allows
  detail::PushLinks links_;
  KeptFlat scratch_;
};

using CodedGoSgd = CodedPush<GoSgd>;      ///< GoSGD in code
using CodedPushSum = CodedPush<PushSum>;  ///< push-sum in code

}  // namespace gossamer::rule
