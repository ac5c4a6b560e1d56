// SPDX-License-Identifier: MIT
/// What a plan does to the nodes of a simulated group and to the network between them.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/model/archive.hpp>
#include <gossamer/simulation/detail/node_slots.hpp>
#include <gossamer/simulation/detail/step_scheduler.hpp>
#include <gossamer/simulation/faults.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <variant>
#include <vector>

namespace gossamer {

/// The faults of a `SimulatedGroup`, which is made of it; users do not need it.
template <class Node>
class FaultPlayer {
 public:
  using Members = NodeSlots<Node>;
  using Turns = StepScheduler<Node>;

  /// `on_crash` is called before a node dies.
  FaultPlayer(const SimulatedGroupOptions& options, Members& members, Turns& turns,
              const std::function<void(const Node&)>& on_crash)
      : options_(options),
        members_(members),
        turns_(turns),
        world_(members.world()),
        callback_(options.node().callback().get()),
        simulation_(options.simulation_callbacks()),
        on_crash_(on_crash),
        random_(options.node().seed(), group_stream) {
    for (std::uint32_t i = 0; i < options_.plan().size(); ++i) plan(i);
  }

  /// Fault `i` of the plan happens.
  void happen(std::uint32_t i) { apply(options_.plan()[i].what); }
  /// What makes no sense now is left out.
  void apply(const Fault& what) {
    const bool has_happened =
        std::visit([this](const auto& one) { return this->inflict(one); }, what);
    if (!has_happened) return;
    for (SimulationCallback* one : simulation_) one->on_fault(world_.now(), what);
  }

  // Restoring.

  /// Saves or restores the choices to come.
  void checkpoint(Archive& archive) { archive("choices", random_); }
  /// Of the plan, what is still to come at `now`, and the network as the rest has left it.
  void resume(transport::Time now) {
    for (std::uint32_t i = 0; i < options_.plan().size(); ++i) {
      const PlannedFault& fault = options_.plan()[i];
      if (fault.when > now) {
        plan(i);
      } else if (fault::changes_network(fault.what)) {
        apply(fault.what);
      }
    }
  }

 private:
  /// The stream of the seed that belongs to the group.
  static constexpr std::uint64_t group_stream = std::uint64_t{3} << 48U;

  void plan(std::uint32_t i) { turns_.plan(options_.plan()[i].when, Turns::tag_fault, i, 0); }

  // Each returns whether it made sense.

  bool inflict(const fault::Straggle& f) {
    if (!members_.has(f.node)) return false;
    members_[f.node].slowness = f.factor;
    return true;
  }
  bool inflict(const fault::Pause& f) {
    if (!members_.has(f.node)) return false;
    auto& thaws = members_[f.node].thaws;
    thaws = std::max(thaws, world_.now() + f.length);
    world_.freeze(f.node, thaws);
    return true;
  }
  bool inflict(const fault::SlowDisk& f) {
    if (!members_.has(f.node)) return false;
    members_[f.node].busy += f.length;
    return true;
  }
  bool inflict(const fault::Crash& f) {
    if (f.node >= members_.size() || !world_.is_running(f.node)) return false;
    auto& member = members_[f.node];
    const bool was_live = member.is_live();
    if (member.node && on_crash_) on_crash_(*member.node);
    turns_.pause(member);
    world_.crash(f.node);
    member.node.reset();
    if (was_live && callback_ != nullptr) {
      callback_->on_end(world_.now(), f.node, observe::Callback::End::crashed);
    }
    return true;
  }
  bool inflict(const fault::Restart& f) {
    return f.node < members_.size() && !world_.is_running(f.node) && join(f.node);
  }
  bool inflict(const fault::Join&) { return join(static_cast<PeerId>(members_.size())); }
  bool inflict(const fault::Leave& f) {
    if (!members_.has(f.node) || members_.live_nodes().size() < 2) return false;
    members_[f.node].wants_leave = true;
    turns_.wake(f.node);
    return true;
  }
  bool inflict(const fault::Partition& f) {
    for (const PeerId id : f.nodes) {
      if (id < members_.size()) world_.partition(id, 1);
    }
    return true;
  }
  bool inflict(const fault::Heal&) {
    world_.heal();
    return true;
  }
  bool inflict(const fault::Cut& f) { return cut(f.a, f.b, true); }
  bool inflict(const fault::Reconnect& f) { return cut(f.a, f.b, false); }
  bool inflict(const fault::Noise& f) {
    world_.noise() = f.noise;
    return true;
  }

  bool cut(PeerId a, PeerId b, bool is_cut) {
    if (a == b || std::max(a, b) >= world_.size()) return false;
    world_.cut(a, b, is_cut);
    return true;
  }
  bool join(PeerId id) {
    const std::vector<PeerId> live = members_.live_nodes();
    if (live.empty()) return false;
    const bool trains = turns_.is_training();
    members_.join(id, live);
    if (callback_ != nullptr) callback_->on_start(world_.now(), id, world_.incarnation(id), 0);
    const PeerId contact = live[random_.below(static_cast<std::uint32_t>(live.size()))];
    members_[id].node->join(contact);
    if (callback_ != nullptr) {
      callback_->on_wait(world_.now(), id, observe::Callback::Wait::first_weight);
    }
    if (trains) {
      turns_.start(id);
    } else {
      turns_.wake(id);
    }
    return true;
  }

  const SimulatedGroupOptions& options_;
  Members& members_;
  Turns& turns_;
  transport::SimulatedWorld& world_;
  observe::Callback* callback_;
  std::vector<SimulationCallback*> simulation_;
  const std::function<void(const Node&)>& on_crash_;
  Generator random_;
};

}  // namespace gossamer
