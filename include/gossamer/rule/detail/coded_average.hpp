// SPDX-License-Identifier: MIT
/// The mean of all models in code: what periodic averaging and SlowMo send in few bits.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/error.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/detail/ledgers.hpp>
#include <gossamer/rule/kept_flat.hpp>
#include <gossamer/rule/peer_queries.hpp>
#include <gossamer/rule/sub_rule_context.hpp>

#include <c10/util/StringUtil.h>

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule::detail {

/// An `AllReduce` whose messages are codes C of differences to c, the mean before, with error
/// feedback both ways:
///
///     node i     q_i = C(x_i - c),  u_i = x_i - c - q_i        to the reducer
///     reducer    m = mean of c + q_i, and of its own x;  v = C(m + e - c),  e <- m + e - c - v
///     all        c <- c + v,  x_i <- c + u_i
///
/// What a code leaves out of x stays in x, and what it leaves out of the mean stays with the
/// reducer; both are said later. Without a codec it is the `AllReduce`, and u is 0.
///
/// A message names the c that it means by its fingerprint, 0 for none: who has another one asks for
/// whole vectors. So the first round is in full, and that of a newcomer.
///
/// Invariant  sum of x, and M e at the reducer of M nodes. A reducer that goes takes e along.
/// Cost       three vectors of memory; some passes over x a round.
/// Threads    as a rule.
class CodedAverage {
 public:
  /// Into how many chunks the mean is cut; `whose` is how errors call it.
  void cut(std::uint32_t chunks, const std::string& whose) {
    average_ = AllReduce(chunks, whose);
    check(whose);
  }
  /// Throws ConfigError if the mean is cut into chunks.
  void set_codec(codec::AnyCodec codec, const std::string& whose) {
    codec_ = std::move(codec);
    check(whose);
  }
  [[nodiscard]] std::string agreement() const {
    return codec_ ? ", codec " + (*codec_)->name() : "";
  }
  [[nodiscard]] std::size_t chunks() const noexcept { return average_.chunks(); }
  [[nodiscard]] bool waiting() const noexcept { return average_.waiting(); }
  [[nodiscard]] std::uint64_t round() const noexcept { return average_.round(); }
  [[nodiscard]] const model::Flat& result() const noexcept { return average_.result(); }

  void contribute(RuleContext& context, std::uint64_t round, const model::Snapshot& own) {
    own_ = own;
    is_in_code_ = false;
    Sender sender(*this, context);
    average_.contribute(sender, round, own);
  }
  void on_messages(RuleContext& context, std::span<const Message> messages) {
    std::vector<Message> read;
    for (const Message& message : messages) {
      if (auto one = take(context, message)) read.push_back(std::move(*one));
    }
    if (read.empty()) return;
    Sender sender(*this, context);
    average_.on_messages(sender, read);
  }
  void on_returned(RuleContext& context, const Message& message) {
    if (message.kind == in_full || (message.kind == mean && message.code)) {
      if (is_live(context, message.to)) context.send(message);
      return;
    }
    Message one = message;
    one.round = low(message.round);
    Sender sender(*this, context);
    average_.on_returned(sender, one);
  }
  void on_peer_joined(RuleContext& context, PeerId newcomer) {
    Sender sender(*this, context);
    average_.on_peer_joined(sender, newcomer);
  }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) {
    in_code_.erase(gone.peer);
    Sender sender(*this, context);
    average_.on_peer_left(sender, gone);
  }

  /// After a round, once its mean is in place: what this node's code has left out comes to it.
  void end(RuleContext& context) {
    if (!codec_) return;
    const model::Flat& c = c_.get(context);
    c.copy_from(result());
    for (const model::Slot& slot : context.model().layout().slots) {
      if (slot.is_buffer) slot.view(c).zero_();
    }
    if (is_in_code_ && lowest_live(context) != context.self()) {
      model::add(context.model().flat(), u_.get(context));
    }
    own_ = {};
    name_ = 0;
    in_code_.clear();
  }
  void checkpoint(Archive& archive) {
    if (!codec_) return;
    if (archive.loading()) name_ = 0;
    c_.checkpoint(archive, "c");
    e_.checkpoint(archive, "e");
  }

 private:
  enum Kind : std::uint32_t { contribution = 1, mean = 2, in_full = 3 };

  /// What the mean sends, in code.
  class Sender final : public ForwardingContext {
   public:
    Sender(CodedAverage& average, RuleContext& outer)
        : ForwardingContext(outer), average_(average), outer_(outer) {}
    void send(Message message) override {
      if (average_.codec_ && message.payload) average_.write(outer_, message);
      ForwardingContext::send(std::move(message));
    }

   private:
    CodedAverage& average_;
    RuleContext& outer_;
  };

  void check(const std::string& whose) const {
    if (codec_ && chunks() != 1) {
      throw ConfigError(c10::str(whose, ": in code a mean is one chunk, got ", chunks()));
    }
  }
  static std::uint64_t low(std::uint64_t round) { return round & 0xffffffffU; }
  /// Of c; 0 if there is none.
  std::uint64_t name_of_c(RuleContext& context) {
    if (name_ == 0 && c_.exists()) name_ = fingerprint(c_.get(context)) >> 32U | 1U;
    return name_;
  }

  void write(RuleContext& context, Message& message) {
    if (!c_.exists()) return;
    if (message.kind == contribution) {
      const std::uint64_t round = name_of_c(context) << 32U | message.round;
      const model::Flat& u = u_.get(context);
      codec::Coded code = encode(context, *message.payload, u);
      if (!code) return;
      model::difference(u, *message.payload, u);
      is_in_code_ = true;
      put(message, round, code);
    } else if (message.kind == mean && !in_code_.empty()) {
      if (mean_round_ < message.round) write_mean(context, message);
      if (mean_ && mean_round_ == message.round && in_code_.contains(message.to)) {
        put(message, mean_name_ << 32U | message.round, mean_);
      }
    }
  }
  static void put(Message& message, std::uint64_t round, const codec::Coded& code) {
    message.round = round;
    message.payload = {};
    message.code = code;
  }
  /// The mean that this node has just made becomes what its code says, for all handles to it.
  void write_mean(RuleContext& context, Message& message) {
    mean_round_ = message.round;
    mean_name_ = name_of_c(context);
    const model::Flat& m = message.payload.writable();
    const model::Flat& e = e_.get(context);
    model::add(m, e);
    const model::Snapshot said = context.blank();
    mean_ = encode(context, m, *said);
    if (!mean_) return;
    model::difference(e, m, *said);
    m.copy_from(*said);
  }
  /// The code of x - c, and what it says of x, which is exact in averaged buffers.
  codec::Coded encode(RuleContext& context, const model::Flat& x, const model::Flat& said) {
    const model::Flat& c = c_.get(context);
    model::difference(said, x, c);
    codec::Coded code = codec::encode(said, context.model().layout(), **codec_, context.generator(),
                                      context.codes(), said);
    model::add(said, c);
    return code;
  }

  /// A message with what it says as its payload; nothing if it is not for the mean.
  std::optional<Message> take(RuleContext& context, const Message& message) {
    Message read = message;
    read.round = low(message.round);
    const bool is_open = waiting() && own_ && read.round == round();
    if (message.kind == in_full) {
      if (is_open) send_in_full(context, message.from);
      return std::nullopt;
    }
    if (message.code) {
      read.payload = context.blank();
      read.code = {};
      const bool knows = codec_ && c_.exists() && message.round >> 32U == name_of_c(context);
      if (!knows || codec::decode(message.code.bytes(), context.model().layout(), **codec_,
                                  read.payload.writable())) {
        if (message.kind == contribution) {
          context.send({.to = message.from, .kind = in_full, .round = read.round, .payload = {}});
        } else if (is_open) {
          send_in_full(context, message.from);  // and the answer is in full, too
        }
        return std::nullopt;
      }
      model::add(*read.payload, c_.get(context));
    }
    if (message.kind == contribution && message.code) in_code_.insert(message.from);
    if (message.kind == contribution && message.payload) in_code_.erase(message.from);
    if (message.kind == mean && mean_round_ < read.round) {  // it is somebody else's
      mean_round_ = read.round;
      mean_ = {};
    }
    return read;
  }
  void send_in_full(RuleContext& context, PeerId to) {
    is_in_code_ = false;
    context.send({.to = to, .kind = contribution, .round = round(), .payload = own_});
  }

  AllReduce average_;
  std::optional<codec::AnyCodec> codec_;
  KeptFlat c_;              // the last mean; 0 in averaged buffers
  KeptFlat u_;              // what this node's contribution has left out
  KeptFlat e_;              // what this node's means have left out
  std::uint64_t name_ = 0;  // of c; 0: not known yet
  model::Snapshot own_;
  bool is_in_code_ = false;       // what this node has handed in
  std::set<PeerId> in_code_;      // those who have handed in here in code
  std::uint64_t mean_round_ = 0;  // the last round of which this node knows the mean,
  std::uint64_t mean_name_ = 0;   // the c that its code is of,
  codec::Coded mean_;             // and the code; empty if it is another one's
};

}  // namespace gossamer::rule::detail
