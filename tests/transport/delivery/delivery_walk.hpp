// SPDX-License-Identifier: MIT
/// Three nodes and a bad network between them, at random, for a long time.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/transport/delivery/delivery.hpp>

#include <tests/transport/delivery/delivery_search.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tests::delivery {

/// Nodes 0 and 1 never crash, so that their ledgers tell all; node 2 does, again and again. Frames
/// are lost, repeated and overtaken, and anybody may suspect anybody.
class Walk {
 public:
  using Node = Delivery;
  using Frame = DeliveryFrame;
  static constexpr PeerId nodes = 3;
  static constexpr PeerId mortal = 2;
  static constexpr double start_weight = 1.0 / nodes;

  explicit Walk(std::uint64_t seed) : random_(seed) {
    limits_.messages = 4;
    if (seed % 2 == 0) {  // offers are asked for, and there is little room
      limits_.eager = 0;
      limits_.budget = 3 * Message::header_bytes;
      limits_.budget_messages = 1;
    }
    for (PeerId x = 0; x < nodes; ++x) begin(x, start_weight);
  }

  /// The first promise that does not hold; empty if all do.
  [[nodiscard]] const std::string& broken() const { return broken_; }
  [[nodiscard]] std::size_t delivered() const { return delivered_; }
  [[nodiscard]] std::size_t returned() const { return returned_; }
  [[nodiscard]] std::size_t crashes() const { return crashes_; }
  [[nodiscard]] std::size_t suspicions() const { return suspicions_; }

  void step() {
    const PeerId x = random_.below(nodes);
    const PeerId y = (x + 1 + random_.below(nodes - 1)) % nodes;
    const std::uint32_t what = random_.below(100);
    auto& net = net_[x][y];
    if (what < 15) {
      send(x, y);
    } else if (what < 45) {
      if (auto frame = node(x).next_frame(y); frame && net.size() < 20) net.push_back(*frame);
    } else if (what < 75 && !net.empty()) {
      const auto at = net.begin() + random_.below(static_cast<std::uint32_t>(net.size()));
      node(y).receive(x, *at);  // and in one case of three it stays, to arrive again
      if (random_.below(3) > 0) net.erase(at);
    } else if (what < 80 && !net.empty()) {
      net.erase(net.begin() + random_.below(static_cast<std::uint32_t>(net.size())));
    } else if (what < 90) {
      poll(x);
    } else if (what < 97) {
      if (node(x).waits_for(y)) node(x).resend(y);
    } else if (what < 98) {
      if (random_.below(4) == 0 && node(x).is_open(y)) {
        ++suspicions_;
        node(x).declare_dead(y);
      }
    } else if (what < 99 && random_.below(20) == 0) {
      begin(mortal, 0);
    }
  }

  /// Ends all trouble, and checks that everything is settled and every book agrees.
  void heal() {
    for (auto& from : net_) {
      for (auto& net : from) net.clear();
    }
    for (int round = 0; round < 8; ++round) {
      for (PeerId x = 0; x < nodes; ++x) {
        poll(x);
        for (PeerId y = 0; y < nodes; ++y) {
          if (x == y) continue;
          if (node(x).waits_for(y)) node(x).resend(y);
          while (auto frame = node(x).next_frame(y)) {
            if (node(y).receive(x, *frame).fate == FrameFate::refused) fail("a frame is refused");
          }
        }
      }
    }
    check();
  }

 private:
  struct Fate {
    PeerId from;
    PeerId to;
    std::uint64_t sender_incarnation;
    bool delivered = false;
    bool returned = false;
  };

  Node& node(PeerId x) { return *nodes_[x]; }
  void fail(const std::string& text) {
    if (broken_.empty()) broken_ = text;
  }

  void begin(PeerId x, double weight) {
    if (incarnations_[x]++ > 0) ++crashes_;
    weights_[x] = weight;
    nodes_[x].emplace(x, incarnations_[x], limits_);
    for (PeerId y = 0; y < nodes; ++y) {
      if (y != x) node(x).add(y);
    }
  }

  void send(PeerId x, PeerId y) {
    const double half = weights_[x] / 2;
    weights_[x] -= half;
    const auto name = static_cast<std::uint32_t>(fates_.size());
    fates_.push_back({x, y, incarnations_[x]});
    node(x).send({.to = y, .round = name, .weight = half, .payload = {}});
  }

  void poll(PeerId x) {
    while (const auto event = node(x).poll()) {
      if (const auto* delivered = std::get_if<Delivered>(&*event)) {
        Fate& fate = fates_[delivered->message.round];
        if (fate.delivered || fate.returned || fate.to != x) fail("a message is used twice");
        fate.delivered = true;
        weights_[x] += delivered->message.weight;
        ++delivered_;
      } else if (const auto* returned = std::get_if<Returned>(&*event)) {
        Fate& fate = fates_[returned->message.round];
        if (fate.delivered || fate.returned || fate.from != x) fail("a message is used twice");
        fate.returned = true;
        weights_[x] += returned->message.weight;
        ++returned_;
      }
    }
  }

  void check() {
    double mortals =
        start_weight;  // what all incarnations of the mortal one held, by the others' books
    for (PeerId x = 0; x < nodes; ++x) {
      for (PeerId y = 0; y < nodes; ++y) {
        if (x == y) continue;
        const Ledger here = node(x).ledger(y);
        const Ledger there = node(y).ledger(x);
        if (!node(x).is_open(y)) fail("a session does not open again");
        if (node(x).under_way(y) > 0) fail("something stays under way");
        if (here.in_doubt.messages() > 0) fail("something stays in doubt");
        if (here.confirmed.messages() != there.delivered.messages() ||
            here.confirmed.weight() != there.delivered.weight()) {
          fail("two ledgers do not agree");
        }
        if (y != mortal) continue;
        Ledger all = here;
        static_cast<Flows&>(all) += node(x).past(y);
        mortals += all.surplus();
      }
    }
    if (!(std::abs(weights_[0] + weights_[1] + mortals - 1) < 1e-12)) fail("weight is lost");
    if (!(weights_[mortal] <= mortals + 1e-12)) fail("weight is counted twice");
    for (const Fate& fate : fates_) {
      if (fate.delivered || fate.returned || fate.from == mortal || fate.to == mortal) continue;
      fail("a message between two nodes that never died is lost");
    }
  }

  DeliveryLimits limits_;
  gossamer::Generator random_;
  std::array<std::optional<Node>, nodes> nodes_;
  std::array<std::uint64_t, nodes> incarnations_{};
  std::array<double, nodes> weights_{};
  std::array<std::array<std::vector<Frame>, nodes>, nodes> net_;
  std::vector<Fate> fates_;
  std::string broken_;
  std::size_t delivered_ = 0;
  std::size_t returned_ = 0;
  std::size_t crashes_ = 0;
  std::size_t suspicions_ = 0;
};

}  // namespace tests::delivery
