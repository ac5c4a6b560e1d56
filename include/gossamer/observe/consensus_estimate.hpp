// SPDX-License-Identifier: MIT
/// The consensus error of a run while it runs, estimated from the models that messages carry.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/distance.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/connections.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/peers.hpp>
#include <gossamer/rule/rule.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace gossamer::observe {

/// The kind of a rule's messages that carry their sender's parameters as they are, from any node to
/// any other one. Nothing for the rules of which that cannot be said:
///
///     with a codec, ledger_gossip, choco_sgd   codes of differences
///     sync                                     gradients
///     persyn, slowmo, ...                      only when nodes average, just before they are equal
///     easgd, downpour, leader_sgd, ...         between a node and its centre, or its leader
///     sgp, d_psgd, a2cid2, ...                 between neighbours on a graph
///     push_sum                                 nodes of little weight step far: when two meet, and
///                                              how far apart they are, hang together
///     noloco, gasloc, ...                      other vectors than the model
///
/// Payloads of rules with weights are parameters, too.
inline std::optional<std::uint32_t> model_kind(const rule::Rule& rule) {
  static constexpr std::array<std::pair<std::string_view, std::uint32_t>, 6> known{
      {{"gosgd", 0},
       {"gosgd_pull", 0},
       {"gossiping_pull", 0},
       {"gossiping_push", 0},
       {"ad_psgd", 1},           // requests; answers are differences
       {"elastic_gossip", 1}}};  // likewise
  if (rule.agreement().find("(codec ") != std::string::npos) return std::nullopt;
  for (const auto& [name, kind] : known) {
    if (name == rule.name()) return kind;
  }
  return std::nullopt;
}

/// Options of a `ConsensusEstimate`.
struct ConsensusEstimateOptions {
  /// At least so much time, on the transport's clock, between two messages that a node looks at;
  /// >= 0.
  TORCH_ARG(std::chrono::nanoseconds, every) = std::chrono::milliseconds(100);
  /// Of how many messages, the last ones, the estimate is made; >= 8.
  TORCH_ARG(std::size_t, samples) = 32;
  /// At how many parameters of a message it looks, about; those of larger models are drawn in
  /// blocks of 1024; >= 1024.
  TORCH_ARG(std::int64_t, numbers) = 1 << 18;
  /// Of a rule of one's own: the kind of its messages that carry their sender's model.
  TORCH_ARG(std::optional<std::uint32_t>, kind) = std::nullopt;
};

/// Estimates `consensus_error`, the sum over nodes of ||x_m - mean||^2, while nodes run, where they
/// run, and without a byte sent for it: a message that carries its sender's model shows its
/// receiver how far apart two nodes are, and
///
///     sum over m of ||x_m - mean||^2 = (M - 1) / 2 * mean over pairs i, j of ||x_i - x_j||^2
///
///     auto estimate = std::make_shared<observe::ConsensusEstimate>(rule);
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(estimate), rule);
///     estimate->look_at(group);  // its nodes' models; again after one came back
///     group.run_until(...);      // and any time
///     estimate->of(8);
///
/// The mean is that of the last messages by number, not by time: so its standard error is about the
/// same however often nodes meet (of 32 messages, near a tenth), and it lags by as many exchanges
/// as change the error itself, to which about the last 2 M of a group count. A message counts by
/// how few the kept ones are with its sender, and with its receiver: who sends or steps more often
/// than others does not count for more.
///
/// What it is not:
///
///     the error between steps  models are compared as they meet: with the last step, and not yet
///                              averaged. That is more by about half of the messages that a node
///                              merges per step: 1 % at one in 50 steps, 6 % at one in ten.
///                              Where it is more than one in four, there is no estimate.
///     the view of all          in a process of its own, a node sees how far the others are from
///                              itself. The mean of all processes' estimates is that of the group.
///     free of the topology     a ring's neighbours are closer than others, and who is chosen for
///                              little weight (`topology::TwoChoices`) has been alone for long.
///                              Where nodes have met less than half as many different ones as by
///                              chance, there is no estimate.
///     free of the schedule     who meets at random times sees the mean over time. Nodes that all
///                              push in the same step (`schedule::Every`) do so when they are
///                              furthest apart: then it is too much, by a fifth or so.
///     free of delay            a message that is under way for long carries an old model.
///
/// Cost     per message that is looked at, a pass over at most `numbers` parameters of two vectors:
///          2 MB of memory by default, ten times a second and node; a lock for every message and
///          step. On a GPU and for narrow types a pass over all, with a wait for the device.
/// Threads  those of `Callback`: a node's model is read on that node's own thread, between its
///          steps. `look_at`: while the node does not run. The rest: any.
/// Throws   ConfigError from the constructor, naming the option.
class ConsensusEstimate final : public Callback {
 public:
  using Options = ConsensusEstimateOptions;

  explicit ConsensusEstimate(const rule::AnyRule& rule, const Options& options = {})
      : options_(options), kind_(options.kind() ? options.kind() : model_kind(*rule)) {
    const auto refuse = [](const char* what, auto bound, auto got) {
      throw ConfigError(
          c10::str("ConsensusEstimate: ", what, " must be at least ", bound, ", got ", got));
    };
    if (options_.every().count() < 0) refuse("every", 0, options_.every().count());
    if (options_.samples() < least) refuse("samples", least, options_.samples());
    const std::int64_t block = model::ParameterSample::block;
    if (options_.numbers() < block) refuse("numbers", block, options_.numbers());
  }

  /// Whether the rule's messages carry models, so that there will be an estimate.
  [[nodiscard]] bool is_possible() const noexcept { return kind_.has_value(); }

  /// The node's model, which is looked at until that node ends or begins anew.
  void look_at(PeerId node, const model::FlatModel& model) {
    const std::lock_guard lock(mutex_);
    nodes_[node].model = &model;
  }
  /// Of all live nodes of a group that live here.
  template <class Group>
  requires requires(const Group& group) { group.live(); }
  void look_at(const Group& group) {
    for (const auto* node : group.live()) look_at(node->id(), node->parameters());
  }

  /// An estimate, and how far it is from the mean over many more messages of the same nodes, one
  /// standard deviation, if messages are independent of each other.
  struct Value {
    double error = 0;
    double standard_error = 0;
    std::size_t samples = 0;  ///< messages that it is made of
  };
  /// Of so many live nodes. Nothing before there are 8 samples, and where there is no estimate.
  [[nodiscard]] std::optional<Value> of(std::size_t members) const {
    const std::lock_guard lock(mutex_);
    if (members < 2 || samples_.size() < least || !meets_seldom() || !meets_all(members))
      return std::nullopt;
    std::map<PeerId, double> from;
    std::map<PeerId, double> to;
    for (const Sample& one : samples_) {
      ++from[one.from];
      ++to[one.to];
    }
    const auto share = [&](const Sample& one) { return 1 / (from[one.from] * to[one.to]); };
    double shares = 0;
    double sum = 0;
    for (const Sample& one : samples_) {
      shares += share(one);
      sum += share(one) * one.distance;
    }
    const double mean = sum / shares;
    double variance = 0;
    for (const Sample& one : samples_) variance += std::pow(share(one) * (one.distance - mean), 2);
    const auto n = static_cast<double>(samples_.size());
    const double factor = (static_cast<double>(members) - 1) / 2;
    return Value{factor * mean, factor * std::sqrt(variance * n / (n - 1)) / shares,
                 samples_.size()};
  }
  /// The same, of the live nodes that are known here.
  [[nodiscard]] std::optional<Value> of(const GroupState& state) const {
    std::size_t members = state.nodes.size();
    if (state.connections) {
      for (const auto& peer : state.connections->peers) {
        members += peer.presence == transport::wire::Presence::live ? 1 : 0;
      }
    }
    return of(members);
  }
  /// Messages looked at so far.
  [[nodiscard]] std::uint64_t looked_at() const {
    const std::lock_guard lock(mutex_);
    return looked_at_;
  }

  void on_start(Time, PeerId node, std::uint64_t, double) override { forget(node); }
  void on_end(Time, PeerId node, End) override { forget(node); }
  void on_peer_left(Time, PeerId, const transport::PeerLeft& gone) override {
    if (gone.reason != transport::Reason::finished) forget_messages(gone.peer);
  }

  void on_step_end(Time, PeerId node, const Counters& counters) override {
    const std::lock_guard lock(mutex_);
    const auto found = nodes_.find(node);
    if (found == nodes_.end()) return;
    found->second.steps = counters.steps;
    found->second.merged = counters.messages_merged;
  }
  void on_deliver(Time now, const transport::Message& message) override {
    if (kind_ != message.kind || !message.payload || !message.chunk.is_all()) return;
    const model::FlatModel* model = nullptr;
    double start = 0;
    {
      const std::lock_guard lock(mutex_);
      const auto found = nodes_.find(message.to);
      if (found == nodes_.end() || found->second.model == nullptr) return;
      Node& node = found->second;
      if (node.looked_at > 0 && now < node.next) return;
      node.next = now + options_.every();
      start = std::fmod(static_cast<double>(node.looked_at++) * golden, 1.0);
      model = node.model;
    }
    const double distance = model::squared_distance(model->layout(), model->flat(),
                                                    *message.payload, options_.numbers(), start);
    if (!std::isfinite(distance)) return;
    const std::lock_guard lock(mutex_);
    ++looked_at_;
    ++nodes_[message.to].met[message.from];
    samples_.push_back({message.from, message.to, distance});
    if (samples_.size() > options_.samples()) samples_.pop_front();
  }

 private:
  static constexpr std::size_t least = 8;
  static constexpr double golden = 0.6180339887498949;  // its multiples fill [0, 1) evenly

  struct Sample {
    PeerId from;
    PeerId to;
    double distance;
  };
  /// One that lives here.
  struct Node {
    const model::FlatModel* model = nullptr;
    Time next{0};
    std::uint64_t looked_at = 0;
    std::uint64_t steps = 0;
    std::uint64_t merged = 0;
    std::map<PeerId, std::uint64_t> met;  // senders of messages that it looked at
  };

  void forget(PeerId node) {
    const std::lock_guard lock(mutex_);
    nodes_.erase(node);
    erase_messages(node);
  }
  void forget_messages(PeerId peer) {
    const std::lock_guard lock(mutex_);
    for (auto& [id, node] : nodes_) node.met.erase(peer);
    erase_messages(peer);
  }

  // Under the lock.

  void erase_messages(PeerId peer) {
    std::erase_if(samples_,
                  [peer](const Sample& one) { return one.from == peer || one.to == peer; });
  }
  [[nodiscard]] bool meets_seldom() const {
    std::uint64_t steps = 0;
    std::uint64_t merged = 0;
    for (const auto& [id, node] : nodes_) {
      steps += node.steps;
      merged += node.merged;
    }
    return 4 * merged <= steps;
  }
  [[nodiscard]] bool meets_all(std::size_t members) const {
    const double others = static_cast<double>(members) - 1;
    double met = 0;
    double expected = 0;
    for (const auto& [id, node] : nodes_) {
      double messages = 0;
      for (const auto& [peer, count] : node.met) messages += static_cast<double>(count);
      met += static_cast<double>(node.met.size());
      expected += others * (1 - std::pow(1 - 1 / others, messages));
    }
    return 2 * met >= expected;
  }

  const Options options_;
  const std::optional<std::uint32_t> kind_;
  mutable std::mutex mutex_;
  std::map<PeerId, Node> nodes_;
  std::deque<Sample> samples_;  // the last ones
  std::uint64_t looked_at_ = 0;
};

}  // namespace gossamer::observe
