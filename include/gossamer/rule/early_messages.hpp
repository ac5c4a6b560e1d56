// SPDX-License-Identifier: MIT
/// Shares that come before their round: merged at once, and yet unknown to the next step.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/context.hpp>
#include <gossamer/rule/merge.hpp>

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// Weight must never be out of the books, so what comes before its round is merged like anything
/// else. A copy of the parameters without it is kept, and put in place for the step: this way a
/// synchronous rule computes what its paper says, in whatever order messages come.
///
/// Cost      nothing while nobody is ahead; else a copy before and after the step, and one more
///           pass per message.
/// Threads   as a rule.
class EarlyMessages {
 public:
  /// Merges messages, those of rounds after `round` as early ones.
  void merge(RuleContext& context, std::span<const Message> messages, std::uint64_t round) {
    whole(context);
    for (const Message& message : messages) {
      if (!(message.weight > 0)) continue;
      if (message.round > round && message.payload) {
        if (early_.empty()) {
          without_ = context.snapshot();
          weight_without_ = context.weight();
        }
        early_.push_back(message);
      } else if (!early_.empty()) {
        weight_without_ += message.weight;
        if (message.payload) {
          model::mix(without_.writable(), *message.payload, message.weight / weight_without_);
        }
      }
      rule::merge(context, {&message, 1});
    }
    total_ = context.weight();
  }

  /// The weight without that of the early messages.
  [[nodiscard]] double weight_without(RuleContext& context) {
    whole(context);
    return early_.empty() ? context.weight() : weight_without_;
  }

  /// Before the step: the model is as if the early messages were not there. The weight stays.
  void hide(RuleContext& context) {
    whole(context);
    if (early_.empty()) return;
    context.model().flat().copy_from(*without_);
    hidden_ = true;
  }

  /// After the step: the weight, too, is as if they were not there, until `show()`.
  void take_out(RuleContext& context) const {
    if (hidden_) context.weight() = weight_without_;
  }

  /// They are there again; those of rounds up to `round` are early no more.
  void show(RuleContext& context, std::uint64_t round) {
    if (!std::exchange(hidden_, false)) return;
    auto messages = std::exchange(early_, {});
    without_ = {};
    std::stable_partition(messages.begin(), messages.end(),
                          [round](const Message& message) { return message.round <= round; });
    merge(context, messages, round);
  }

  /// The model has other parameters now, which know nothing of the early messages.
  void replaced(RuleContext& context) {
    whole(context);
    hidden_ = !early_.empty();
    take_out(context);
    show(context, 0);
  }

  /// Makes the model whole, whatever was planned. If somebody else has changed the weight (a
  /// newcomer was given its share), what is early counts as merged from here on.
  void whole(RuleContext& context) {
    if (hidden_) {  // the step did not come
      take_out(context);
      show(context, 0);
    }
    if (!early_.empty() && context.weight() != total_) {
      early_.clear();
      without_ = {};
    }
  }

 private:
  std::vector<Message> early_;
  model::Snapshot without_;
  double weight_without_ = 0;
  double total_ = 0;
  bool hidden_ = false;
};

}  // namespace gossamer::rule
