// SPDX-License-Identifier: MIT
/// One random schedule of faults, and everything that must hold during it and after.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/node/gossip_node.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/simulation/transport.hpp>

#include <tests/support.hpp>
#include <tests/transport/forwarding_transport.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tests::sweep {

using gossamer::Counters;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::PlannedFault;
using gossamer::transport::Delivered;
using gossamer::transport::Event;
using gossamer::transport::Message;
using gossamer::transport::Reason;
using gossamer::transport::Returned;
using gossamer::transport::Time;
using gossamer::transport::WorkDone;
namespace fault = gossamer::fault;
using namespace std::chrono_literals;

/// Weight, and weight times each parameter: what gossip conserves.
using Mass = std::array<double, 3>;

inline Mass mass_of(double weight, const double* x) {
  return {weight, weight * x[0], weight * x[1]};
}
inline void add(Mass& to, const Mass& mass, double sign = 1) {
  for (std::size_t i = 0; i < mass.size(); ++i) to[i] += sign * mass[i];
}

/// Knows every message that was ever sent, whatever the ledgers say.
class Tracker {
 public:
  /// An incarnation of a node begins; returns its number.
  std::uint32_t begin(PeerId id) {
    if (id >= incarnations_.size()) incarnations_.resize(id + 1U, 0);
    return ++incarnations_[id];
  }
  void crash(PeerId id, const Mass& own) {
    add(with_the_dead_, own);
    crashes_.push_back({id, fates_.size()});
  }

  /// `step` names the message: it says nothing to rules.
  void send(Message& message, PeerId from, const Mass& mass) {
    message.step = static_cast<std::uint32_t>(fates_.size());
    fates_.push_back({from, message.to, State::open, mass});
    add(open_, mass);
  }
  void end(const Message& message, PeerId where, bool delivered) {
    if (message.step >= fates_.size()) return fail("a message comes that nobody sent");
    Fate& fate = fates_[message.step];
    if (fate.state != State::open) {
      return fail("message " + std::to_string(message.step) + " from node " +
                  std::to_string(fate.from) + " to node " + std::to_string(fate.to) + " was " +
                  (fate.state == State::merged ? "merged" : "returned") + ", and is " +
                  (delivered ? "delivered" : "returned") + " once more");
    }
    if (where != (delivered ? fate.to : fate.from)) fail("a message comes to the wrong node");
    fate.state = delivered ? State::merged : State::returned;
    add(open_, fate.mass, -1);
  }

  /// All that is in no living node's model.
  [[nodiscard]] Mass elsewhere() const {
    Mass all = open_;
    add(all, with_the_dead_);
    return all;
  }
  /// At the end: whatever neither arrived nor came back must have gone with a node that crashed.
  void check_missing() {
    for (std::size_t i = 0; i < fates_.size(); ++i) {
      const Fate& fate = fates_[i];
      if (fate.state != State::open) continue;
      const bool justified = std::any_of(crashes_.begin(), crashes_.end(), [&](const Crash& crash) {
        return crash.messages >= i && (crash.id == fate.from || crash.id == fate.to);
      });
      if (!justified) {
        fail("message " + std::to_string(i) + " from node " + std::to_string(fate.from) +
             " to node " + std::to_string(fate.to) + " is lost, and neither of them crashed");
      }
    }
  }
  [[nodiscard]] std::size_t messages() const { return fates_.size(); }

  void fail(const std::string& text) {
    if (broken_.empty()) broken_ = text;
  }
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  enum class State : std::uint8_t { open, merged, returned };
  struct Fate {
    PeerId from;
    PeerId to;
    State state;
    Mass mass;
  };
  struct Crash {
    PeerId id;
    std::size_t messages;  // that had been sent before
  };

  std::vector<Fate> fates_;
  std::vector<Crash> crashes_;
  std::vector<std::uint32_t> incarnations_;
  Mass open_{};
  Mass with_the_dead_{};
  std::string broken_;
};

/// Two numbers that stand still: only gossip moves them.
class Still final : public gossamer::GossipNode<std::vector<at::Tensor>> {
 public:
  explicit Still(gossamer::Context context)
      : GossipNode(std::move(context), {torch::zeros({2}, torch::kDouble)}) {}
  double* numbers() { return model()[0].data_ptr<double>(); }
  [[nodiscard]] const double* numbers() const { return const_cast<Still*>(this)->numbers(); }

 private:
  double local_step() override { return 0; }
};

inline constexpr Time chaos = 1500ms;    ///< faults happen until then,
inline constexpr Time the_end = 4000ms;  ///< and training goes on until then

/// The rule of a sweep, and what it conserves. This one is GoSGD: weights, and the weighted sum.
class Subject {
 public:
  Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  [[nodiscard]] virtual gossamer::rule::AnyRule rule() const { return gossamer::rule::GoSgd(0.4); }
  [[nodiscard]] virtual Mass of_node(const Still& node) const {
    return mass_of(node.weight(), node.numbers());
  }
  /// While it is under way.
  [[nodiscard]] virtual Mass of_message(const Message& message) const {
    if (!message.payload) return {message.weight, 0, 0};
    return mass_of(message.weight, message.payload->segments().front().data_ptr<double>());
  }
  /// What is in none of them.
  [[nodiscard]] virtual Mass rest() const { return {}; }
  /// How far the sums, but for the weights', may be from what they were.
  [[nodiscard]] virtual double tolerance() const { return weight_tolerance; }
  /// How far apart survivors may be at the end, and until when they train.
  [[nodiscard]] virtual double apart() const { return 1e-3; }
  [[nodiscard]] virtual Time end() const { return the_end; }
};

/// A node's end of the world, with the tracker looking on.
class Probe final : public ForwardingTransport {
 public:
  Probe(gossamer::transport::AnyTransport inner, Tracker& tracker, const Subject& subject)
      : ForwardingTransport(std::move(inner)), tracker_(tracker), subject_(subject) {}

  void send(Message message) override {
    tracker_.send(message, self(), subject_.of_message(message));
    ForwardingTransport::send(std::move(message));
  }
  std::optional<Event> poll() override {
    auto event = ForwardingTransport::poll();
    if (!event) return event;
    if (const auto* delivered = std::get_if<Delivered>(&*event)) {
      tracker_.end(delivered->message, self(), true);
    } else if (const auto* returned = std::get_if<Returned>(&*event)) {
      tracker_.end(returned->message, self(), false);
    }
    return event;
  }

 private:
  Tracker& tracker_;
  const Subject& subject_;
};

/// What a schedule came to.
struct Outcome {
  std::string broken;  ///< the first promise that did not hold; empty if all did
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  std::uint64_t suspicions = 0;
  std::uint64_t lost_frames = 0;
  std::array<std::uint64_t, std::variant_size_v<gossamer::Fault>> faults{};  ///< by kind
};

/// The kinds of faults, in the order of `gossamer::Fault`.
inline constexpr std::array<const char*, std::variant_size_v<gossamer::Fault>> kinds{
    "straggle", "pause",     "slow disk", "crash", "restart", "join",
    "leave",    "partition", "heal",      "cut",   "restore", "noise"};

/// All kinds of faults at random times, several at once. Node 0 never goes, so that there is
/// somebody to join.
inline std::vector<PlannedFault> random_plan(Generator& random, std::uint32_t nodes) {
  std::vector<PlannedFault> plan;
  const auto when = [&] { return Time(static_cast<Time::rep>(random.uniform() * 1.5e9)); };
  const auto share = [&](double most) { return random.below(2) * most * random.uniform(); };
  const auto noise = [&]() -> fault::Noise {
    return {{.loss = share(0.3), .duplicate = share(0.3), .reorder = share(0.5), .late_by = 20ms}};
  };
  const std::uint32_t most = nodes + 2;
  plan.push_back({Time(0), noise()});
  const std::uint32_t count = 3 + random.below(12);
  for (std::uint32_t i = 0; i < count; ++i) {
    const PeerId any = random.below(most);
    const PeerId mortal = 1 + random.below(most - 1);
    switch (random.below(12)) {
      case 0:
        plan.push_back({when(), fault::Straggle{any, 1 + 9 * random.uniform()}});
        break;
      case 1:
        plan.push_back({when(), fault::Pause{any, Time(random.below(300'000'000))}});
        break;
      case 2:
        plan.push_back({when(), fault::Crash{mortal}});
        break;
      case 3: {  // a crash, and a restart soon after it
        const Time at = when();
        plan.push_back({at, fault::Crash{mortal}});
        plan.push_back({at + Time(random.below(200'000'000)), fault::Restart{mortal}});
        break;
      }
      case 4:
        plan.push_back({when(), fault::Join{}});
        break;
      case 5:
        plan.push_back({when(), fault::Leave{mortal}});
        break;
      case 6: {
        fault::Partition part;
        for (PeerId id = 0; id < most; ++id) {
          if (random.below(2) == 0) part.nodes.push_back(id);
        }
        const Time at = when();
        plan.push_back({at, part});
        plan.push_back({at + Time(random.below(500'000'000)), fault::Heal{}});
        break;
      }
      case 7:
      case 8: {
        const PeerId other = random.below(most);
        const Time at = when();
        plan.push_back({at, fault::Cut{any, other}});
        plan.push_back({at + Time(random.below(500'000'000)), fault::Reconnect{any, other}});
        break;
      }
      case 9:
        plan.push_back({when(), fault::Restart{mortal}});
        break;
      case 10:
        plan.push_back({when(), fault::SlowDisk{any, Time(random.below(300'000'000))}});
        break;
      default:
        plan.push_back({when(), noise()});
    }
  }
  // And an end of all trouble.
  for (PeerId id = 0; id < most; ++id) plan.push_back({chaos + 500ms, fault::Straggle{id, 1}});
  plan.push_back({chaos + 500ms, fault::Noise{}});
  plan.push_back({chaos + 500ms, fault::Heal{}});
  return plan;
}

/// Runs the schedule of a seed. The same seed is the same schedule, event for event.
inline Outcome run(std::uint64_t seed, const Subject& subject = Subject()) {
  using Node = Still;
  using Group = gossamer::SimulatedGroup<Node>;
  Generator random(seed, 1);
  const std::uint32_t nodes = 2 + random.below(5);
  Tracker tracker;
  Outcome outcome;
  const auto plan = random_plan(random, nodes);
  gossamer::transport::DeliveryLimits limits{.messages = 1 + random.below(6)};
  if (random.below(2) == 0) {  // offers are asked for, and there is room for few
    limits.eager = 0;
    limits.budget = 1;
    limits.budget_messages = 1 + random.below(3);
  }
  const double bytes_per_second = random.below(2) == 0 ? 1e6 : 5e4;
  for (const auto& planned : plan) ++outcome.faults[planned.what.index()];
  auto options = gossamer::SimulatedGroupOptions(nodes)
                     .world(gossamer::transport::SimulatedOptions(nodes)
                                .link({.latency = 1ms, .bytes_per_second = bytes_per_second})
                                .limits(limits)
                                .resend_after(8ms)
                                .dead_after(80ms))
                     .node(gossamer::NodeOptions().seed(seed))
                     .cost(gossamer::cost::LogNormal(15ms, 0.5))
                     .settle_limit(5s)
                     .plan(plan);
  Group group(options, subject.rule(), [&](gossamer::Context context) {
    tracker.begin(context.transport->self());
    context.transport = Probe(std::move(context.transport), tracker, subject);
    return std::make_unique<Node>(std::move(context));
  });
  for (PeerId id = 0; id < nodes; ++id) {
    for (int i = 0; i < 2; ++i) group[id].numbers()[i] = 2 * random.uniform() - 1;
  }
  const auto all_mass = [&] {
    Mass all = tracker.elsewhere();
    add(all, subject.rest());
    for (PeerId id = 0; id < group.size(); ++id) {
      if (group.is_live(id)) add(all, subject.of_node(std::as_const(group)[id]));
    }
    return all;
  };
  const Mass start = all_mass();
  group.on_crash = [&](const Node& node) { tracker.crash(node.id(), subject.of_node(node)); };
  group.on_step = [&] {
    const Mass now = all_mass();
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (!(std::abs(now[i] - start[i]) <= (i == 0 ? weight_tolerance : subject.tolerance()))) {
        tracker.fail(i == 0 ? "the weights' sum is not 1" : "the sum has changed");
      }
    }
    const auto books = group.world().books();
    const double total = group.total_weight(books);
    if (!(std::abs(total - 1) < weight_tolerance)) {
      tracker.fail("by the ledgers, the weights' sum is " + std::to_string(total));
    }
    if (books.least_on_the_way < -weight_tolerance) {
      tracker.fail("a ledger says that more was delivered than given");
    }
    if (group.world().traffic().refused > 0) tracker.fail("a frame is refused");
    if (group.world().traffic().repetitions > 0) {
      tracker.fail("content is sent twice over a connection that holds");
    }
  };

  constexpr std::uint64_t most_events = 400'000;
  const auto& world = group.world();
  const auto go_on = [&] { return tracker.broken().empty() && world.events() < most_events; };
  group.begin(gossamer::StopCondition().duration(subject.end()));
  while (group.is_training() && go_on()) {
    if (!group.step()) tracker.fail("every node waits, and nothing is under way");
  }
  const Time limit = world.now() + 5s;
  while (!world.is_calm() && world.now() < limit && go_on() && group.step()) {
  }

  if (world.events() >= most_events) tracker.fail("it does not come to an end");
  if (tracker.broken().empty() && !world.is_calm()) tracker.fail("something stays under way");
  tracker.check_missing();
  const auto books = world.books();
  if (books.in_doubt > 0 && tracker.broken().empty()) {
    for (PeerId x = 0; x < group.size(); ++x) {
      for (PeerId y = 0; y < group.size(); ++y) {
        if (world.doubts(x, y) > 0 && world.is_running(y)) tracker.fail("something stays in doubt");
      }
    }
  }
  std::vector<PeerId> live;
  for (PeerId id = 0; id < group.size(); ++id) {
    if (group.is_live(id)) live.push_back(id);
  }
  for (const PeerId x : live) {
    if (group[x].is_joining() && live.size() > 1) tracker.fail("a newcomer was never given weight");
    for (const PeerId y : live) {
      if (x != y && !world.books_agree(x, y)) tracker.fail("two ledgers do not agree");
    }
    for (int i = 0; i < 2; ++i) {
      if (!(std::abs(group[x].numbers()[i] - group[0].numbers()[i]) < subject.apart())) {
        tracker.fail("the survivors do not agree");
      }
    }
  }
  outcome.broken = tracker.broken();
  outcome.events = world.events();
  outcome.messages = tracker.messages();
  outcome.suspicions = world.traffic().suspicions;
  outcome.lost_frames = world.traffic().lost;
  return outcome;
}

/// Two nodes on a link on which a model takes four times as long as a peer may be silent. What goes
/// wrong; empty if nothing does.
inline std::string cross_slow_link() {
  class Large final : public gossamer::GossipNode<std::vector<at::Tensor>> {
   public:
    explicit Large(gossamer::Context context)
        : GossipNode(std::move(context), {torch::zeros({25'000})}) {}

   private:
    double local_step() override { return 0; }
  };
  constexpr double bytes = 100'000;
  const auto options = gossamer::SimulatedGroupOptions(2)
                           .world(gossamer::transport::SimulatedOptions(2)
                                      .link({.latency = 1ms, .bytes_per_second = bytes / 2})
                                      .dead_after(500ms))
                           .cost(gossamer::cost::Constant(100ms))
                           .settle_limit(60s);
  gossamer::SimulatedGroup<Large> group(
      options, gossamer::rule::GoSgd(0.5),
      [](gossamer::Context context) { return std::make_unique<Large>(std::move(context)); });
  group.run_until(gossamer::StopCondition().duration(30s));
  const auto& traffic = group.world().traffic();
  if (traffic.suspicions > 0) return "a peer whose model is on its way is taken for dead";
  if (traffic.repetitions > 0) return "content is sent twice over a connection that holds";
  std::uint64_t merged = 0;
  for (PeerId id = 0; id < 2; ++id) merged += group.counters(id).messages_merged;
  return merged < 10 ? std::to_string(merged) + " models were merged" : std::string();
}

}  // namespace tests::sweep
