// SPDX-License-Identifier: MIT
/// Shares that come before their round: merged at once, and yet unknown to the next step.
#pragma once

#include <gossamer/model/mix.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/scope.hpp>

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
class Ahead {
 public:
  /// Merges messages, those of rounds after `round` as early ones.
  void merge(Scope& scope, std::span<const Message> messages, std::uint64_t round) {
    whole(scope);
    for (const Message& message : messages) {
      if (!(message.weight > 0)) continue;
      if (message.round > round && message.payload) {
        if (early_.empty()) {
          without_ = scope.snapshot();
          weight_without_ = scope.weight();
        }
        early_.push_back(message);
      } else if (!early_.empty()) {
        weight_without_ += message.weight;
        if (message.payload) {
          model::mix(without_.writable(), *message.payload, message.weight / weight_without_);
        }
      }
      rule::merge(scope, {&message, 1});
    }
    total_ = scope.weight();
  }

  /// The weight without that of the early messages.
  [[nodiscard]] double weight_without(Scope& scope) {
    whole(scope);
    return early_.empty() ? scope.weight() : weight_without_;
  }

  /// Before the step: the model is as if the early messages were not there. The weight stays.
  void hide(Scope& scope) {
    whole(scope);
    if (early_.empty()) return;
    scope.model().flat().copy_from(*without_);
    hidden_ = true;
  }

  /// After the step: the weight, too, is as if they were not there, until `show()`.
  void take_out(Scope& scope) const {
    if (hidden_) scope.weight() = weight_without_;
  }

  /// They are there again; those of rounds up to `round` are early no more.
  void show(Scope& scope, std::uint64_t round) {
    if (!std::exchange(hidden_, false)) return;
    auto messages = std::exchange(early_, {});
    without_ = {};
    std::stable_partition(messages.begin(), messages.end(),
                          [round](const Message& message) { return message.round <= round; });
    merge(scope, messages, round);
  }

  /// The model has other parameters now, which know nothing of the early messages.
  void replaced(Scope& scope) {
    whole(scope);
    hidden_ = !early_.empty();
    take_out(scope);
    show(scope, 0);
  }

  /// Makes the model whole, whatever was planned. If somebody else has changed the weight (a
  /// newcomer was given its share), what is early counts as merged from here on.
  void whole(Scope& scope) {
    if (hidden_) {  // the step did not come
      take_out(scope);
      show(scope, 0);
    }
    if (!early_.empty() && scope.weight() != total_) {
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
