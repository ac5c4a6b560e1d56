// SPDX-License-Identifier: MIT
/// D-PSGD: every step, each node mixes its model with its neighbours'.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/vectors.hpp>
#include <gossamer/rule/merge.hpp>
#include <gossamer/rule/neighbourhoods.hpp>
#include <gossamer/rule/rounds.hpp>
#include <gossamer/rule/rule.hpp>
#include <gossamer/topology/ring.hpp>

#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gossamer::rule {

/// Which parameters D-PSGD's neighbours exchange.
enum class Mixing {
  before_gradient,  ///< those before the step, as the paper: the exchange goes on meanwhile
  after_gradient    ///< those after it ("adapt, then combine"): the gradient is mixed, too
};

/// Decentralized parallel SGD: synchronous mixing with a doubly stochastic matrix on a graph,
///
///     x_i <- sum over j of W_ij x_j - eta g(x_i)       (before_gradient, the paper's)
///     x_i <- sum over j of W_ij (x_j - eta g(x_j))     (after_gradient)
///
/// with Metropolis weights W_ij = 1 / (1 + max(d_i, d_j)) between neighbours, d_i of them, and
/// W_ii = what is left to 1. A node waits for its neighbours; one that dies releases those who
/// wait, and counts for nothing where nothing of it came.
///
/// Invariant  sum of x, from round to round, also while peers come and go: two nodes move by the
///            same, in opposite directions, or not at all. It fails, by W_ij (x_j - x_i), where a
///            node's last message was mixed and the node then is lost.
/// Cost       d vectors per node and step; one copy, and two passes per neighbour.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when edges do not go both ways: of 8 places when it is made, of those of
///            the live nodes in a hook; what the graph throws.
/// Source     Lian, Zhang, Zhang, Hsieh, Zhang, Liu, "Can decentralized algorithms outperform
///            centralized algorithms?", NeurIPS 2017, arXiv:1705.09056, Algorithm 1.
/// Differs    the paper leaves W open; the weights are those of Metropolis and Hastings, which on a
///            ring are its thirds.
class DPsgd : public Rule {
 public:
  explicit DPsgd(Neighbourhoods graph = topology::Ring(topology::Ring::Way::both),
                 Mixing mixing = Mixing::before_gradient)
      : graph_(std::move(graph)), mixing_(mixing) {
    graph_.require_two_way("DPsgd");
  }

  [[nodiscard]] std::string name() const override { return "d_psgd"; }
  [[nodiscard]] std::string agreement() const override {
    return c10::str(name(), "(", graph_.agreement(), ", mixing ",
                    mixing_ == Mixing::before_gradient ? "before" : "after", " the gradient)");
  }
  [[nodiscard]] bool is_synchronous() const override { return true; }

  bool may_step(RuleContext& context) override {
    rounds_.start(context);
    return !own_;
  }
  void before_step(RuleContext& context) override {
    if (mixing_ == Mixing::before_gradient) begin(context, context.step() + 1);
  }
  void after_step(RuleContext& context) override {
    if (round_ < context.step()) begin(context, context.step());
  }

  void on_messages(RuleContext& context, std::span<const Message> messages) override {
    rounds_.start(context);
    for (const Message& message : messages) {
      if (rounds_.on_message(context, message)) continue;
      rounds_.note(message);
      if (message.has_content()) inbox_.push_back(message);
    }
    try_mix(context);
  }
  void on_returned(RuleContext& context, const Message& message) override {
    if (rounds_.on_returned(context, message)) return;
    if (is_live(context, message.to)) context.send(message);  // somebody waits for it
  }
  void on_peer_joined(RuleContext& context, PeerId) override { rounds_.on_peer_joined(context); }
  void on_peer_left(RuleContext& context, const PeerLeft& gone) override {
    rounds_.on_peer_left(context, gone.peer);
    try_mix(context);
  }
  void checkpoint(Archive& archive) override {
    rounds_.checkpoint(archive);
    archive("last_round", round_);
  }

 protected:
  // What a rule that mixes something else than models does in another way.

  /// What this node's neighbours mix, in a new round.
  virtual model::Snapshot own(RuleContext& context) { return context.snapshot(); }
  /// Puts that into a message to one of them.
  virtual void write(const model::Snapshot& own, Message& message) { message.payload = own; }
  /// What a message says, of which there is one by peer and round, in their order.
  virtual const model::Flat* read(RuleContext& /*context*/, const Message& message) {
    return message.payload ? &*message.payload : nullptr;
  }
  /// By how much of W a round moves x.
  [[nodiscard]] virtual double step_size() const { return 1; }

 private:
  /// A message of parameters has its sender's number of neighbours in its kind.
  static constexpr std::uint32_t first_kind = Rounds::first_free;

  void begin(RuleContext& context, std::uint64_t round) {
    const Neighbourhood& near = graph_.around(context, round - 1);
    if (near.to != near.from) {
      throw ConfigError(c10::str("DPsgd: needs a graph whose edges go both ways; in round ", round,
                                 " node ", context.self(), " sends to ", near.to.size(),
                                 " peers that are not those it hears from"));
    }
    round_ = round;
    neighbours_ = near.to;
    if (!neighbours_.empty()) own_ = own(context);
    const auto kind = first_kind + static_cast<std::uint32_t>(neighbours_.size());
    for (const PeerId peer : neighbours_) {
      Message message{.to = peer, .kind = kind, .round = round, .payload = {}};
      write(own_, message);
      context.send(std::move(message));
      rounds_.sent(peer, round);
    }
    rounds_.expect(context, round, neighbours_);
    try_mix(context);
  }

  /// When all is there, x <- x + sum over neighbours of W (theirs - own), in the order of their
  /// numbers.
  void try_mix(RuleContext& context) {
    if (!own_ || !rounds_.all_there(round_)) return;
    std::sort(inbox_.begin(), inbox_.end(), [](const Message& a, const Message& b) {
      return std::pair(a.round, a.from) < std::pair(b.round, b.from);
    });
    model::Snapshot difference = context.blank();
    for (const Message& message : inbox_) {
      if (message.round > round_) break;
      const model::Flat* const theirs = read(context, message);
      if (theirs == nullptr || message.round != round_ || !is_neighbour(message.from)) continue;
      const auto degree = std::max<std::uint64_t>(message.kind - first_kind, neighbours_.size());
      model::difference(difference.writable(), *theirs, *own_);
      model::add(context.model().flat(), *difference,
                 step_size() / (1 + static_cast<double>(degree)));
    }
    std::erase_if(inbox_, [this](const Message& message) { return message.round <= round_; });
    own_ = {};
    context.model().on_merged();
  }

  [[nodiscard]] bool is_neighbour(PeerId peer) const {
    return std::binary_search(neighbours_.begin(), neighbours_.end(), peer);
  }

  Neighbourhoods graph_;
  Mixing mixing_;
  Rounds rounds_;
  std::uint64_t round_ = 0;         // the last that was begun
  std::vector<PeerId> neighbours_;  // in it
  model::Snapshot own_;             // what they were sent, until theirs are mixed in
  std::vector<Message> inbox_;
};

}  // namespace gossamer::rule
