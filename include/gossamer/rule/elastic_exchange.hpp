// SPDX-License-Identifier: MIT
/// One elastic pull between two nodes, in two messages: what the elastic rules are made of.
#pragma once

#include <gossamer/codec/coded.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/pull.hpp>
#include <gossamer/rule/batch_norm_buffers.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/detail/coded_links.hpp>
#include <gossamer/rule/one_request.hpp>
#include <gossamer/rule/peer_queries.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// The asker i sends its x_i; the other, k, computes the pull once, takes its side of it at once,
/// and answers with it; the asker takes its own side, whatever its parameters are by then:
///
///     i -> k   x_i
///     k        d = t (x_i - x_k),  x_k <- x_k + part d
///     k -> i   d
///     i        x_i <- x_i - d
///
/// With part = 1, x_i + x_k stays what it was, whatever both did meanwhile; an answer under way
/// stands for -d. A request that comes back has changed nothing. An answer that comes back is
/// undone (x_k <- x_k - part d), and if the asker is still there it is told that there will be
/// none. If k is lost with its answer, its side is lost too, and the asker, who hears of the loss,
/// has none; if it is lost afterwards, both have theirs. So the sum over the live ones, what is
/// under way and what the lost ones last had is conserved at any time, up to the rounding of x_k +
/// d and x_i - d.
///
/// With a codec, requests and answers are codes of differences to what the other side knows, and
/// both sides apply what is decoded of them (`detail::CodedLinks`): the same sums are conserved,
/// for any code.
///
/// Of averaged buffers the asker gets x_i - d as a whole, and a return does not undo k's: they are
/// averages of what was sent, not sums that are conserved.
///
/// Cost      two vectors, or codes, per exchange; one pass over x on each side. With a codec, a
///           vector more by peer that asks or is asked.
/// Threads   as a rule.
class ElasticExchange {
 public:
  enum Kind : std::uint32_t { request = 1, answer = 2, refusal = 3, unknown_link = 5 };

  ElasticExchange() = default;
  explicit ElasticExchange(codec::AnyCodec codec) : coded_(std::move(codec)) {}

  /// What a rule adds to its own.
  [[nodiscard]] std::string agreement() const {
    return coded_ ? "(codec " + coded_->codec().name() + ")" : "";
  }
  /// Bytes of a message.
  [[nodiscard]] std::size_t message_bytes(const model::FlatModel& model) const {
    return Message::header_bytes +
           (coded_ ? codec::bytes_of(model.layout(), coded_->codec()) : model.flat().bytes());
  }

  /// Asks `peer`; one question at a time.
  void ask(RuleContext& context, PeerId peer) {
    if (!coded_) {
      question_.ask(context, {.to = peer, .kind = request, .payload = context.snapshot()});
    } else if (auto message = coded_->request(context, peer, request, question_.round() + 1U)) {
      question_.ask(context, std::move(*message));
    }
  }
  /// Whether a request says anything that can be answered.
  [[nodiscard]] bool has_model(const Message& question) const {
    return question.payload || (coded_ && question.code);
  }
  /// A question of this node is not answered yet.
  [[nodiscard]] bool waiting() const noexcept { return question_.open(); }
  [[nodiscard]] std::optional<PeerId> asked() const noexcept { return question_.asked(); }

  /// Answers requests, which all carry parameters, with this node's parameters as they were before
  /// the first of them.
  void reply(RuleContext& context, std::span<const Message> requests, double t, double part = 1) {
    if (coded_) return reply_in_code(context, requests, t, part);
    std::vector<model::Snapshot> differences;
    std::vector<model::Pull> pulls;
    for (const Message& one : requests) {
      differences.push_back(context.blank());
      pulls.push_back({&*one.payload, &*differences.back()});
    }
    model::pull(context.model().flat(), pulls, t, part);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      for (const model::Slot& slot : context.model().layout().slots) {
        if (!slot.is_buffer) continue;
        const at::Tensor d = slot.view(*differences[i]);
        d.neg_().add_(slot.view(*requests[i].payload).to(d.device()));
      }
      context.send({.to = requests[i].from,
                    .kind = answer,
                    .round = requests[i].round,
                    .payload = std::move(differences[i])});
    }
    if (!requests.empty()) context.model().on_merged();
  }
  void refuse(RuleContext& context, const Message& question) {
    const bool is_known = !coded_ || coded_->take_request(context, question);
    send(context, question.from, is_known ? refusal : unknown_link, question.round);
  }

  /// For an answer or a refusal; an answer without a difference is one.
  void on_reply(RuleContext& context, const Message& message) {
    if (message.kind == answer && coded_) {
      if (coded_->take_answer(context, message)) context.model().on_merged();
    } else if (message.kind == unknown_link && coded_) {
      coded_->close(message.from);
    } else if (message.kind == answer && message.payload) {
      const auto as_sent = [&](const model::Slot& slot) { return slot.view(*message.payload); };
      with_statistics(context, as_sent, [&] { subtract(context, message, 1); });
    }
    question_.end(message.from, message.round);
  }

  /// For each of the three kinds. `part` is that of the answer.
  void on_returned(RuleContext& context, const Message& message, double part = 1) {
    if (message.kind == request) {
      if (coded_) coded_->undo_request(context, message);
      question_.end(message.to, message.round);
      return;
    }
    if (message.kind == answer && coded_) {
      coded_->undo_answer(context, message, part);
      context.model().on_merged();
    } else if (message.kind == answer) {
      const auto as_is = [&](const model::Slot& slot) {
        return slot.view(context.model().flat()).clone();
      };
      with_statistics(context, as_is, [&] { subtract(context, message, part); });
    }
    if (!is_live(context, message.to)) return;
    send(context, message.to, message.kind == answer ? refusal : message.kind, message.round);
  }

  /// See `OneRequest`. An answer that comes all the same is taken as any other.
  void on_peer_left(const PeerLeft& gone, bool is_patient = true) {
    question_.on_peer_left(gone, is_patient);
    if (coded_ && gone.reason != Reason::finished) coded_->forget(gone.peer);
  }

 private:
  static void send(RuleContext& context, PeerId to, std::uint32_t kind, std::uint64_t round) {
    context.send({.to = to, .kind = kind, .round = round, .payload = {}});
  }
  void reply_in_code(RuleContext& context, std::span<const Message> requests, double t,
                     double part) {
    std::vector<model::Snapshot> differences;
    for (const Message& one : requests) {
      if (!coded_->take_request(context, one)) {
        send(context, one.from, unknown_link, one.round);
        continue;
      }
      model::Snapshot d = context.blank();
      codec::Coded code = coded_->answer(context, one, t, part, d.writable());
      if (!code) {
        send(context, one.from, refusal, one.round);
        continue;
      }
      differences.push_back(std::move(d));
      context.send({.to = one.from,
                    .kind = answer,
                    .round = one.round,
                    .payload = {},
                    .code = std::move(code)});
    }
    for (const model::Snapshot& d : differences) coded_->take_part(context, *d, part);
    if (!differences.empty()) context.model().on_merged();
  }
  static void subtract(RuleContext& context, const Message& message, double part) {
    model::add(context.model().flat(), *message.payload, -part);
    context.model().on_merged();
  }

  OneRequest question_;
  std::optional<detail::CodedLinks> coded_;
};

}  // namespace gossamer::rule
