// SPDX-License-Identifier: MIT
/// The exact mean of all live nodes' models, asked for by all of them at once.
#pragma once

#include <gossamer/node/detail/join_and_leave.hpp>
#include <gossamer/node/detail/node_context.hpp>
#include <gossamer/rule/all_reduce.hpp>
#include <gossamer/rule/sub_rule_context.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace gossamer::detail {

/// `rule::AllReduce` beside the node's rule, in messages of reserved kinds. Averages are counted;
/// one who has missed some, since it came later, takes up the others' count when it hears of it.
/// Threads: as the engine.
class ModelAverage {
 public:
  explicit ModelAverage(NodeContext& node)
      : node_(node), pool_(std::as_const(node).model().flat()) {}

  static bool is_own(const transport::Message& message) {
    return message.kind >= first_kind && message.kind < first_kind + kinds;
  }

  /// Contributes this node's model to the next average.
  void begin() {
    own_ = Outbox(*this).snapshot();
    contribute(std::max(average_.round(), seen_) + (seen_ > average_.round() ? 0 : 1));
  }
  [[nodiscard]] bool waiting() const noexcept { return average_.waiting(); }
  /// The mean of the last average; valid while `!waiting()`.
  [[nodiscard]] const model::Flat& result() const noexcept { return average_.result(); }
  /// Gives an average up that others do not come to.
  void give_up() { average_ = rule::AllReduce(); }

  void receive(transport::Message message) {
    message.kind -= first_kind;
    seen_ = std::max(seen_, message.round);
    if (average_.waiting() && message.round > average_.round()) contribute(message.round);
    Outbox out(*this);
    average_.on_messages(out, {&message, 1});
  }
  void take_back(transport::Message message) {
    message.kind -= first_kind;
    Outbox out(*this);
    average_.on_returned(out, message);
  }
  void on_peer_joined(PeerId peer) {
    Outbox out(*this);
    average_.on_peer_joined(out, peer);
  }
  void on_peer_left(const transport::PeerLeft& gone) {
    Outbox out(*this);
    average_.on_peer_left(out, gone);
  }

 private:
  static constexpr std::uint32_t first_kind = JoinAndLeave::first_reserved;
  static constexpr std::uint32_t kinds = 4;

  /// The node, but that what is said is of a reserved kind, and that copies which are kept here do
  /// not count among the node's own in flight.
  class Outbox final : public rule::ForwardingContext {
   public:
    explicit Outbox(ModelAverage& average)
        : ForwardingContext(average.node_), pool_(average.pool_) {}
    model::Snapshot blank() override { return pool_.take(); }
    model::Snapshot snapshot() override {
      model::Snapshot copy = pool_.take();
      copy.writable().copy_from(model().flat());
      return copy;
    }
    void send(rule::Message message) override {
      message.kind += first_kind;
      ForwardingContext::send(std::move(message));
    }

   private:
    model::SnapshotPool& pool_;
  };

  void contribute(std::uint64_t round) {
    Outbox out(*this);
    average_.contribute(out, round, own_);
  }

  NodeContext& node_;
  model::SnapshotPool pool_;
  rule::AllReduce average_;
  model::Snapshot own_;
  std::uint64_t seen_ = 0;  // the latest round that somebody has spoken of
};

}  // namespace gossamer::detail
