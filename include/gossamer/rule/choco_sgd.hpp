// SPDX-License-Identifier: MIT
/// CHOCO-SGD: D-PSGD in codes of differences to what neighbours know.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/codec/sign.hpp>
#include <gossamer/error.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/detail/ledgers.hpp>
#include <gossamer/rule/kept_flat.hpp>

#include <c10/util/StringUtil.h>

#include <cstddef>
#include <set>
#include <string>
#include <utility>

namespace gossamer::rule {

/// CHOCO-SGD, for comparison: each node has a public copy X_i of its model, which goes by codes C,
/// and which its neighbours have, too. After each step,
///
///     q_i = C(x_i - X_i),  to all neighbours;    X_j <- X_j + q_j,  for j = i and the neighbours
///     x_i <- x_i + gamma sum over j of W_ij (X_j - X_i)
///
/// with D-PSGD's weights W. X_i is 0 at first; who is new among the neighbours is sent all of it.
///
/// Invariant  sum of x, as D-PSGD.
/// Cost       one code per neighbour and step; waits for the neighbours. Memory: a vector for each
///            that ever was one, and two.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when gamma is not in (0, 1], and what D-PSGD throws.
/// Source     Koloskova, Stich, Jaggi, "Decentralized stochastic optimization and gossip algorithms
///            with compressed communication", ICML 2019, arXiv:1902.00340, Algorithm 2, from
///            memory. gamma is to be tuned: the authors' code has 0.45 for signs, 0.0375 for the
///            largest hundredth.
/// Differs    peers may come and go. Averaged buffers travel as they are, and are mixed like x.
class ChocoSgd : public DPsgd {
 public:
  explicit ChocoSgd(codec::AnyCodec codec = codec::Sign(), double gamma = 0.4,
                    Neighbourhoods graph = topology::Ring(topology::Ring::Way::both))
      : DPsgd(std::move(graph), Mixing::after_gradient), codec_(std::move(codec)), gamma_(gamma) {
    if (!(gamma > 0 && gamma <= 1)) {
      throw ConfigError(c10::str("ChocoSgd: gamma must lie in (0, 1], got ", gamma));
    }
  }

  [[nodiscard]] std::string name() const override { return "choco_sgd"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(DPsgd::agreement(), "(codec ", codec_->name(), ", gamma ", gamma_, ")");
  }
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const override {
    return codec::bytes_of(model.layout(), *codec_) + Message::header_bytes;
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    informed_.erase(gone.peer);
    DPsgd::on_peer_left(context, gone);
  }
  /// Who is informed is not kept: all are sent X once more.
  void checkpoint(Archive& archive) override {
    DPsgd::checkpoint(archive);
    own_.checkpoint(archive, "own");
    theirs_.checkpoint(archive);
    if (archive.loading()) informed_.clear();
  }

 protected:
  model::Snapshot own(RuleContext& context) override {
    const model::FlatModel& model = context.model();
    const model::Flat& q = scratch_.get(context);
    model::difference(q, model.flat(), own_.get(context));
    model.copy_buffers(q, model.flat());
    code_ = codec::encode(q, model.layout(), *codec_, context.generator(), context.codes(), q);
    if (code_) step(context, own_.get(context), q);
    model::Snapshot copy = context.blank();
    copy.writable().copy_from(own_.get(context));
    return copy;
  }
  void write(const model::Snapshot& own, Message& message) override {
    const bool is_new = informed_.insert(message.to).second;
    if (is_new || !code_) {
      message.payload = own;
    } else {
      message.code = code_;
    }
  }
  const model::Flat* read(RuleContext& context, const Message& message) override {
    if (message.payload) theirs_.open(context, message.from, 1, *message.payload);
    detail::Ledger* const link = theirs_.find(message.from);
    if (link == nullptr) return nullptr;
    const model::Flat& copy = link->z.get(context);
    const model::Flat& q = scratch_.get(context);
    if (message.code &&
        !codec::decode(message.code.bytes(), context.model().layout(), *codec_, q)) {
      step(context, copy, q);
    }
    return &copy;
  }
  [[nodiscard]] double step_size() const override { return gamma_; }

 private:
  /// A copy goes on by q, which has averaged buffers as they are.
  static void step(RuleContext& context, const model::Flat& copy, const model::Flat& q) {
    model::add(copy, q);
    context.model().copy_buffers(copy, q);
  }

  codec::AnyCodec codec_;
  double gamma_;
  KeptFlat own_;                         // X of this node
  detail::Ledgers theirs_{1024, false};  // X of others, as far as this node knows
  KeptFlat scratch_;
  codec::Coded code_;          // of this round
  std::set<PeerId> informed_;  // those who have X
};

}  // namespace gossamer::rule
