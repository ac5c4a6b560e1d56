// SPDX-License-Identifier: MIT
/// Who is in a simulated group: the nodes, their incarnations, and the weight of all.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/simulation/group_options.hpp>
#include <gossamer/simulation/transport.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace gossamer {

/// One number of a simulated group: its node, while it has one, and what it is about.
template <class Node>
struct NodeSlot {
  enum class Role { idle, trains, leaves };

  std::unique_ptr<Node> node;
  Generator random;
  cost::Any cost;
  std::uint64_t costs = 0;  // drawn so far
  double slowness = 1;
  std::uint32_t ticket = 0;  // of the incarnation
  Role role = Role::idle;
  bool planned = false;  // its next turn is among the events
  bool halfway = false;  // of a step in two halves
  bool works = false;    // its step's time is not over
  bool waits = false;    // for others
  bool listed = false;   // among those who wait
  bool watched = false;  // and is going to ask whether they are there
  bool wants_leave = false;
  bool failed = false;
  transport::Time turned{-1};  // when its last turn was
  transport::Time thaws{0};
  transport::Time busy{0};  // with its disk, beside the next step

  [[nodiscard]] bool is_live() const { return node && !failed; }
};

/// The members of a `SimulatedGroup`, which is made of it; users do not need it.
template <class Node>
class NodeSlots {
 public:
  using World = transport::SimulatedWorld;
  using Slot = NodeSlot<Node>;
  using Factory = std::function<std::unique_ptr<Node>(Context)>;

  /// Makes the world and its nodes, with equal weights and node 0's parameters.
  NodeSlots(const SimulatedGroupOptions& options, const rule::AnyRule& rule, Factory make)
      : options_(options),
        rule_(rule),
        make_(std::move(make)),
        node_options_(NodeOptions(options.node()).callback(nullptr)),
        world_(World::make(options.world())) {
    const std::size_t nodes = world_->size();
    for (PeerId id = 0; id < nodes; ++id)
      begin(id, world_->endpoint(id), 1.0 / static_cast<double>(nodes));
    const at::NoGradGuard no_grad;
    for (auto& member : members_) {
      member->node->engine().adopt();  // a constructor may have loaded a model
      if (member != members_.front()) {
        member->node->parameters().flat().copy_from(members_.front()->node->parameters().flat());
      }
    }
  }

  [[nodiscard]] World& world() { return *world_; }
  [[nodiscard]] const World& world() const { return *world_; }
  /// How many numbers there are; some nodes may be gone.
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] Slot& operator[](std::size_t id) { return *members_[id]; }
  [[nodiscard]] const Slot& operator[](std::size_t id) const { return *members_[id]; }
  [[nodiscard]] bool has(std::size_t id) const { return id < size() && members_[id]->is_live(); }

  /// The next incarnation of a node that is gone, or the first of the next number.
  void join(PeerId id, std::vector<PeerId> peers) {
    begin(id, world_->join(id, std::move(peers)), 0);
  }
  /// Those whom a newcomer could ask.
  [[nodiscard]] std::vector<PeerId> live_nodes() const {
    std::vector<PeerId> live;
    for (PeerId id = 0; id < size(); ++id) {
      if (has(id) && world_->is_live(id)) live.push_back(id);
    }
    return live;
  }
  [[nodiscard]] bool anybody_joins() const {
    return std::any_of(members_.begin(), members_.end(), [](const auto& member) {
      return member->is_live() && member->node->is_joining();
    });
  }

  /// Weight of all nodes and of all that is under way, by the ledgers of those who run, and of what
  /// went with the others.
  [[nodiscard]] double total_weight(const transport::WeightAudit& books) const {
    double total = gone_ + books.in_hand + books.on_the_way + books.with_the_gone;
    for (PeerId id = 0; id < size(); ++id) {
      if (members_[id]->node && world_->is_running(id)) total += members_[id]->node->weight();
    }
    for (const Incarnation& one : incarnations_) {
      if (!world_->is_running(one.id) || world_->incarnation(one.id) != one.number)
        total += one.start;
    }
    return total;
  }

  // Restoring.

  /// As many numbers as the saved group had, of which `gone` of the weight was with nobody.
  void prepare_to_restore(std::size_t size, double gone) {
    while (members_.size() < size) {
      join(static_cast<PeerId>(members_.size()), live_nodes());
    }
    incarnations_.clear();
    gone_ = gone;
  }
  /// Saves or restores one of them.
  void checkpoint(Archive& archive, PeerId id) {
    Slot& member = *members_[id];
    bool is_here = member.is_live();
    archive("is_here", is_here);
    archive("slowness", member.slowness);
    archive("costs", member.costs);
    Counters status = world_->counters(id);
    archive.within("status", [&] { status.checkpoint(archive); });
    if (!is_here && archive.loading()) {
      member.node->engine().transport().publish(status);
      world_->crash(id);
      member.node.reset();
    }
    if (is_here) member.node->checkpoint(archive);
    if (!archive.loading()) return;
    for (std::uint64_t i = 0; i < member.costs; ++i) member.cost(member.random);
    if (is_here) incarnations_.push_back({id, world_->incarnation(id), member.node->weight()});
  }

 private:
  struct Incarnation {
    PeerId id;
    std::uint64_t number;
    double start;
  };

  /// The stream of the seed that belongs to the costs of computing.
  static constexpr std::uint64_t cost_stream = std::uint64_t{2} << 48U;

  void begin(PeerId id, transport::Simulated endpoint, double weight) {
    if (id == members_.size()) members_.push_back(std::make_unique<Slot>());
    auto fresh = std::make_unique<Slot>();
    fresh->ticket = members_[id]->ticket + 1;
    fresh->random =
        Generator(options_.node().seed(), cost_stream + id + (std::uint64_t{fresh->ticket} << 32U));
    fresh->cost = options_.cost_of() ? options_.cost_of()(id) : options_.cost();
    members_[id] = std::move(fresh);
    incarnations_.push_back({id, world_->incarnation(id), weight});
    members_[id]->node = make_(Context{std::move(endpoint), rule_, node_options_, weight});
  }

  const SimulatedGroupOptions& options_;
  rule::AnyRule rule_;
  Factory make_;
  NodeOptions node_options_;  // the group tells what happens, at its virtual times
  std::shared_ptr<World> world_;
  std::vector<std::unique_ptr<Slot>> members_;
  std::vector<Incarnation> incarnations_;
  double gone_ = 0;  // weight that was gone when the group was restored
};

}  // namespace gossamer
