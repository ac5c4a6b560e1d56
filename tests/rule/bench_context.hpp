// SPDX-License-Identifier: MIT
/// A world for rules: M nodes in one thread, and all that is under way between them in the test's
/// hands.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/node/detail/join_and_leave.hpp>
#include <gossamer/rule/rule.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

namespace tests {

using gossamer::Generator;
using gossamer::PeerId;
using gossamer::rule::Message;
using gossamer::transport::Reason;

/// One node: its rule, and what that sees. The model is one vector of doubles.
class BenchContext final : public gossamer::rule::RuleContext {
 public:
  BenchContext(PeerId self, std::size_t nodes, std::int64_t size, gossamer::rule::AnyRule prototype)
      : rule(std::move(prototype)),
        parameters(at::zeros({size}, at::kDouble).set_requires_grad(true)),
        self_(self),
        peers_(nodes),
        weight_(1 / static_cast<double>(nodes)),
        generator_(seed, self),
        model_({{{"x", parameters}}, {}}),
        pool_(model_.flat()) {
    std::iota(peers_.begin(), peers_.end(), PeerId{0});
    std::erase(peers_, self);
  }

  [[nodiscard]] PeerId self() const override { return self_; }
  [[nodiscard]] std::span<const PeerId> peers() const override { return peers_; }
  [[nodiscard]] gossamer::Counters counters(PeerId peer) const override {
    return known ? known(peer) : gossamer::Counters{};
  }
  [[nodiscard]] gossamer::PeerHealth health(PeerId) const override { return {}; }
  [[nodiscard]] std::chrono::nanoseconds now() const override { return {}; }
  [[nodiscard]] std::chrono::nanoseconds since_last_step() const override { return {}; }
  [[nodiscard]] std::uint64_t step() const override { return steps; }
  [[nodiscard]] std::size_t message_bytes() const override { return model_.flat().bytes(); }
  void restarted() override { ++restarts; }
  [[nodiscard]] Generator& generator() override { return generator_; }
  [[nodiscard]] double& weight() override { return weight_; }
  [[nodiscard]] gossamer::model::FlatModel& model() override { return model_; }
  [[nodiscard]] bool may_send() const override { return room; }
  [[nodiscard]] gossamer::model::Snapshot blank() override { return pool_.take(); }
  [[nodiscard]] gossamer::model::Snapshot snapshot() override {
    auto copy = pool_.take();
    copy.writable().copy_from(model_.flat());
    return copy;
  }
  void send(Message message) override { outbox.push_back(std::move(message)); }

  /// The node's parameters.
  [[nodiscard]] std::span<double> x() {
    return {parameters.data_ptr<double>(), static_cast<std::size_t>(parameters.numel())};
  }
  void set(double value) { std::fill(x().begin(), x().end(), value); }
  void forget(PeerId peer) { std::erase(peers_, peer); }
  void remember(PeerId peer) {
    peers_.insert(std::upper_bound(peers_.begin(), peers_.end(), peer), peer);
  }

  gossamer::rule::AnyRule rule;
  std::function<gossamer::Counters(PeerId)> known;  // what this node knows of others
  at::Tensor parameters;
  std::uint64_t steps = 0;
  bool room = true;
  int restarts = 0;
  std::vector<Message> outbox;
  bool halfway = false;   // between gradient and apply
  bool finished = false;  // takes no more steps, still answers
  bool gone = false;

 private:
  PeerId self_;
  std::vector<PeerId> peers_;
  double weight_;
  Generator generator_;
  gossamer::model::FlatModel model_;
  gossamer::model::SnapshotPool pool_;
};

/// The nodes, and the events that wait to be handled. Nothing happens but on command. After each
/// command the total weight must be 1, and the weighted sum of the parameters what it was, but for
/// the steps taken; both over nodes, messages under way, and what went with those that are lost.
class Bench {
 public:
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();

  struct Pending {
    PeerId at;      // who will handle it
    PeerId source;  // whose link it comes over: per source and place, order is kept
    gossamer::transport::Event event;
  };

  /// Nodes with parameters drawn from [0, 1).
  Bench(std::size_t nodes, const gossamer::rule::AnyRule& rule, std::size_t size = 2)
      : conserves(!rule->is_synchronous()), buried_(size, 0) {
    Generator first(seed, 1000);
    for (PeerId id = 0; id < nodes; ++id) {
      nodes_.push_back(
          std::make_unique<BenchContext>(id, nodes, static_cast<std::int64_t>(size), rule));
      for (double& value : nodes_.back()->x()) value = first.uniform();
    }
    rebase();
  }

  /// Whether the weighted sum is checked.
  bool conserves;
  /// By how much of its gradient a node's step moves that sum; its weight, if not set.
  std::optional<double> gradient_weight;
  /// With which factor a message's payload counts in that sum.
  std::function<double(const Message&)> part_of_sum = [](const Message& m) { return m.weight; };

  /// The gradient of coordinate j at a node; the learning rate is 1. Zero if not set.
  std::function<double(PeerId, std::size_t)> gradient;

  BenchContext& operator[](std::size_t id) { return *nodes_[id]; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] const std::vector<Pending>& pending() const { return pending_; }
  /// Commands carried out that changed something.
  [[nodiscard]] std::size_t events() const { return events_; }
  [[nodiscard]] std::vector<PeerId> live() const {
    std::vector<PeerId> ids;
    for (const auto& node : nodes_) {
      if (!node->gone && !node->finished) ids.push_back(node->self());
    }
    return ids;
  }

  /// Call it after parameters were set by hand.
  void rebase() { expected_ = weighted_sum(); }

  /// One step of a node, or half of one, as GossipNode does it. False if the rule waits.
  bool advance(PeerId id) {
    BenchContext& node = *nodes_[id];
    const at::NoGradGuard no_grad;
    if (node.halfway ? !node.rule->may_apply(node) : !node.rule->may_step(node)) {
      flush(node);
      return false;
    }
    flush(node);
    if (node.halfway) {
      node.rule->before_apply(node);
      node.parameters.sub_(node.parameters.grad());
      node.halfway = false;
    } else {
      node.rule->before_step(node);
      at::Tensor change = at::zeros_like(node.parameters);
      for (std::size_t j = 0; gradient && j < node.x().size(); ++j) {
        change.data_ptr<double>()[j] = gradient(id, j);
      }
      if (node.rule->needs_gradient_hook()) {
        node.parameters.mutable_grad() = change;
        node.halfway = true;
        node.rule->after_gradient(node);
        done(node);
        return true;
      }
      node.parameters.sub_(change);
      for (std::size_t j = 0; j < expected_.size(); ++j) {
        expected_[j] -= gradient_weight.value_or(node.weight()) * change.data_ptr<double>()[j];
      }
    }
    ++node.steps;
    node.rule->after_step(node);
    done(node);
    return true;
  }

  /// Lets whoever it is for handle the k-th pending event, in whatever order tests like.
  void handle(std::size_t k) {
    Pending next = std::move(pending_[k]);
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(k));
    BenchContext& node = *nodes_[next.at];
    const at::NoGradGuard no_grad;
    if (auto* delivered = std::get_if<gossamer::transport::Delivered>(&next.event)) {
      take_in(node, {&delivered->message, 1});
    } else if (auto* returned = std::get_if<gossamer::transport::Returned>(&next.event)) {
      take_back(node, returned->message);
    } else if (auto* left = std::get_if<gossamer::transport::PeerLeft>(&next.event)) {
      node.forget(left->peer);
      node.rule->on_peer_left(node, *left);
    }
    done(node);
  }

  /// All messages for a node, in order, in one call of its rule.
  void deliver_to(PeerId id) {
    std::vector<Message> messages;
    for (Pending& one : pending_) {
      auto* delivered = std::get_if<gossamer::transport::Delivered>(&one.event);
      if (one.at == id && delivered != nullptr) messages.push_back(std::move(delivered->message));
    }
    if (messages.empty()) return;
    std::erase_if(pending_, [id](const Pending& one) {
      return one.at == id && std::holds_alternative<gossamer::transport::Delivered>(one.event);
    });
    const at::NoGradGuard no_grad;
    take_in(*nodes_[id], messages);
    done(*nodes_[id]);
  }

  /// A command drawn at random: a node advances, an event is handled, a node gets all its messages
  /// at once, or a message comes back.
  void act(Generator& order) {
    const auto waiting = static_cast<std::uint32_t>(pending_.size());
    const auto count = static_cast<std::uint32_t>(nodes_.size());
    const auto what = order.below(8);
    if (waiting == 0 || what < 3) {
      advance(order.below(count));
    } else if (what < 6) {
      handle(order.below(waiting));
    } else if (what < 7) {
      deliver_to(order.below(count));
    } else if (const auto k = order.below(waiting);
               std::holds_alternative<gossamer::transport::Delivered>(pending_[k].event)) {
      give_back(k);
    }
  }

  /// Handles everything, and what comes of it: first come first served, or, given a generator, in a
  /// random order that keeps each link's own.
  void settle(Generator* order = nullptr) {
    while (!pending_.empty()) handle(order != nullptr ? choose(*order) : 0);
  }

  /// The place of a random event of those that come first on their link.
  [[nodiscard]] std::size_t choose(Generator& order) const {
    std::vector<std::size_t> first;
    for (std::size_t k = 0; k < pending_.size(); ++k) {
      const bool waits = std::any_of(first.begin(), first.end(), [&](std::size_t i) {
        return pending_[i].at == pending_[k].at && pending_[i].source == pending_[k].source;
      });
      if (!waits) first.push_back(k);
    }
    return first[order.below(static_cast<std::uint32_t>(first.size()))];
  }

  /// Puts a message under way that no rule has sent; its weight is its sender's.
  void forge(Message message) {
    nodes_[message.from]->weight() -= message.weight;
    const PeerId to = message.to;
    const PeerId from = message.from;
    pending_.push_back({to, from, gossamer::transport::Delivered{std::move(message)}});
  }

  /// Sends the k-th pending event, a message, back to where it came from.
  void give_back(std::size_t k, Reason reason = Reason::queue_full) {
    Message message = std::get<gossamer::transport::Delivered>(pending_[k].event).message;
    pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(k));
    take_home(std::move(message), reason);
    ++events_;
    check();
  }

  /// The node takes no more steps, but still answers.
  void finish(PeerId id) {
    if (std::exchange(nodes_[id]->finished, true)) return;
    tell(id, Reason::finished);
    ++events_;
  }

  void leave(PeerId id) {
    const at::NoGradGuard no_grad;
    nodes_[id]->rule->on_leave(*nodes_[id]);
    if (auto message = Leaving::give_all(*nodes_[id])) nodes_[id]->send(std::move(*message));
    done(*nodes_[id]);
    finish(id);
  }

  /// The node is gone. Of the messages that it sent and that are under way, the first
  /// `still_arrive` do so, the others are lost with it. What waits for it comes back.
  void close(PeerId id, Reason reason, std::size_t still_arrive = all) {
    BenchContext& node = *nodes_[id];
    node.gone = true;
    bury(node.weight(), node.x());
    std::erase_if(pending_, [&](Pending& one) {
      auto* delivered = std::get_if<gossamer::transport::Delivered>(&one.event);
      if (delivered == nullptr || delivered->message.from != id) return false;
      if (still_arrive > 0) {
        --still_arrive;
        return false;
      }
      bury(delivered->message);
      return true;
    });
    tell(id, reason);
    std::vector<Pending> kept;
    for (Pending& one : std::exchange(pending_, {})) {
      if (one.at != id) {
        kept.push_back(std::move(one));
      } else if (auto* delivered = std::get_if<gossamer::transport::Delivered>(&one.event)) {
        back_.push_back(std::move(delivered->message));
      } else if (auto* returned = std::get_if<gossamer::transport::Returned>(&one.event)) {
        bury(returned->message);
      }
    }
    pending_ = std::move(kept);
    for (Message& message : std::exchange(back_, {})) take_home(std::move(message), reason);
    ++events_;
    check();
  }
  void lose(PeerId id, std::size_t still_arrive = all) { close(id, Reason::lost, still_arrive); }

  [[nodiscard]] double total_weight() const {
    double weight = buried_weight_;
    for (const auto& node : nodes_) weight += node->gone ? 0 : node->weight();
    for (const Pending& one : pending_) {
      if (const Message* message = message_of(one)) weight += message->weight;
    }
    return weight;
  }

  /// Sum of a x over nodes, messages under way, and what is lost.
  [[nodiscard]] std::vector<double> weighted_sum() const {
    std::vector<double> sum = buried_;
    for (const auto& node : nodes_) {
      if (!node->gone) add(sum, node->weight(), node->x());
    }
    for (const Pending& one : pending_) {
      const Message* message = message_of(one);
      if (message != nullptr && message->payload) {
        add(sum, part_of_sum(*message), numbers_of(*message));
      }
    }
    return sum;
  }

  [[nodiscard]] static const Message* message_of(const Pending& one) {
    if (const auto* delivered = std::get_if<gossamer::transport::Delivered>(&one.event)) {
      return &delivered->message;
    }
    const auto* returned = std::get_if<gossamer::transport::Returned>(&one.event);
    return returned != nullptr ? &returned->message : nullptr;
  }

 private:
  [[nodiscard]] std::span<const double> numbers_of(const Message& message) const {
    return {message.payload->segments()[0].data_ptr<double>(), buried_.size()};
  }
  static void add(std::vector<double>& sum, double weight, std::span<const double> x) {
    for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += weight * x[j];
  }
  void bury(double weight, std::span<const double> x) {
    buried_weight_ += weight;
    add(buried_, weight, x);
  }
  void bury(const Message& message) {
    buried_weight_ += message.weight;
    if (message.payload) add(buried_, part_of_sum(message), numbers_of(message));
  }

  using Leaving = gossamer::detail::JoinAndLeave;

  // As the engine does it.
  static void take_in(BenchContext& node, std::span<const Message> messages) {
    std::vector<Message> of_the_rule;
    for (const Message& message : messages) {
      if (message.kind == Leaving::hand_over) {
        Leaving::take_over(node, *node.rule, message);
      } else {
        of_the_rule.push_back(message);
      }
    }
    if (of_the_rule.empty()) return;
    if (!node.rule->weight_follows_model()) gossamer::rule::take_weights(node, of_the_rule);
    node.rule->on_messages(node, of_the_rule);
  }
  static void take_back(BenchContext& node, const Message& message) {
    if (message.kind == Leaving::hand_over) {
      return Leaving::take_over(node, *node.rule, message);
    }
    if (!node.rule->weight_follows_model()) gossamer::rule::take_weights(node, {&message, 1});
    node.rule->on_returned(node, message);
  }

  void tell(PeerId about, Reason reason) {
    for (const auto& node : nodes_) {
      if (node->self() == about || node->gone) continue;
      pending_.push_back({node->self(), about, gossamer::transport::PeerLeft{about, reason}});
    }
  }

  void take_home(Message message, Reason reason) {
    if (nodes_[message.from]->gone) return bury(message);
    const PeerId home = message.from;
    const PeerId over = message.to;
    pending_.push_back({home, over, gossamer::transport::Returned{std::move(message), reason}});
  }

  void flush(BenchContext& node) {
    for (Message& message : std::exchange(node.outbox, {})) {
      message.from = node.self();
      const PeerId to = message.to;
      if (nodes_[to]->gone) {
        take_home(std::move(message), Reason::lost);
      } else {
        pending_.push_back({to, node.self(), gossamer::transport::Delivered{std::move(message)}});
      }
    }
  }

  void done(BenchContext& node) {
    flush(node);
    ++events_;
    check();
  }

  void check() const {
    if (!(std::abs(total_weight() - 1) <= weight_tolerance)) {
      FAIL("after event " << events_ << ": the total weight is " << total_weight());
    }
    if (!conserves) return;
    const auto sum = weighted_sum();
    for (std::size_t j = 0; j < sum.size(); ++j) {
      if (!(std::abs(sum[j] - expected_[j]) <= 1e-11 * (1 + std::abs(expected_[j])))) {
        FAIL("after event " << events_ << ": the weighted sum is " << sum[j] << ", expected "
                            << expected_[j]);
      }
    }
  }

  std::vector<std::unique_ptr<BenchContext>> nodes_;
  std::vector<Pending> pending_;
  std::vector<Message> back_;
  std::vector<double> buried_;  // a x of what is lost
  double buried_weight_ = 0;
  std::vector<double> expected_;
  std::size_t events_ = 0;
};

/// Steps, deliveries in any order, returns: a few hundred events drawn at random. The bench checks
/// the books after each.
inline void wander(Bench& bench, int events, std::uint64_t stream) {
  Generator order(seed, stream);
  const auto below = [&order](std::size_t n) { return order.below(static_cast<std::uint32_t>(n)); };
  for (int i = 0; i < events; ++i) {
    const std::size_t waiting = bench.pending().size();
    const auto what = below(8);
    if (waiting == 0 || what < 3) {
      bench.advance(below(bench.size()));
    } else if (what < 6) {
      bench.handle(below(waiting));
    } else if (what < 7) {
      bench.deliver_to(below(bench.size()));
    } else if (const std::size_t k = below(waiting);
               std::holds_alternative<gossamer::transport::Delivered>(bench.pending()[k].event)) {
      bench.give_back(k);
    }
  }
}

/// The message of the k-th pending event; fails the test if that is something else.
inline const Message& pending_message(const Bench& bench, std::size_t k) {
  REQUIRE(k < bench.pending().size());
  const Message* message = Bench::message_of(bench.pending()[k]);
  REQUIRE(message != nullptr);
  return *message;
}

}  // namespace tests
