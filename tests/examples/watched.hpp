// SPDX-License-Identifier: MIT
/// Watches what travels between the nodes of a simulated group, so that a test can add up all that
/// a group holds, at any moment.
#pragma once

#include <gossamer/simulation/group.hpp>
#include <gossamer/simulation/transport.hpp>

#include <tests/support.hpp>
#include <tests/transport/forwarding_transport.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tests {

/// What a model with a weight amounts to, as numbers that add up over nodes and messages.
using Amount = std::function<at::Tensor(double weight, const gossamer::model::Flat& model)>;

/// Adds up what messages under way and nodes that are gone hold. Its numbers replace the messages'
/// `round`, which GoSGD does not use.
class Watch {
 public:
  explicit Watch(Amount amount) : amount_(std::move(amount)) {}
  /// Before anything travels.
  void measure_by(Amount amount) { amount_ = std::move(amount); }

  void send(gossamer::transport::Message& message) {
    message.round = under_way_.size();
    under_way_.push_back(message.payload ? amount_(message.weight, *message.payload)
                                         : at::Tensor());
  }
  /// It came to one of the two.
  void end(const gossamer::transport::Message& message) { under_way_[message.round].reset(); }

  /// A node that crashes. What it had received and not merged goes with it as well.
  void bury(double weight, const gossamer::model::Flat& model) {
    buried_.push_back(amount_(weight, model));
  }

  /// All that the group holds: its live nodes, the messages, and what went with the dead.
  [[nodiscard]] at::Tensor total(const std::vector<gossamer::observe::Replica>& live) const {
    at::Tensor sum;
    const auto add = [&sum](const at::Tensor& part) {
      if (part.defined()) sum = sum.defined() ? sum + part : part;
    };
    for (const auto& member : live) add(amount_(member.weight, member.model->flat()));
    for (const at::Tensor& part : under_way_) add(part);
    for (const at::Tensor& part : buried_) add(part);
    return sum;
  }
  [[nodiscard]] std::size_t messages() const { return under_way_.size(); }

 private:
  Amount amount_;
  std::vector<at::Tensor> under_way_;  // by number; undefined: it has arrived
  std::vector<at::Tensor> buried_;
};

/// A node's end of the network, with a watch.
class Watched final : public ForwardingTransport {
 public:
  Watched(gossamer::transport::AnyTransport inner, std::shared_ptr<Watch> watch)
      : ForwardingTransport(std::move(inner)), watch_(std::move(watch)) {}

  void send(Message message) override {
    watch_->send(message);
    ForwardingTransport::send(std::move(message));
  }
  std::optional<Event> poll() override {
    auto event = ForwardingTransport::poll();
    if (!event) return event;
    if (const auto* delivered = std::get_if<gossamer::transport::Delivered>(&*event)) {
      watch_->end(delivered->message);
    } else if (const auto* returned = std::get_if<gossamer::transport::Returned>(&*event)) {
      watch_->end(returned->message);
    }
    return event;
  }

 private:
  std::shared_ptr<Watch> watch_;
};

/// Runs a group on threads until every node has taken a step, and 200 a node on average. (A budget
/// is the group's: on a busy machine the others may spend it before one node begins.)
template <class Group>
void run_all(Group& group) {
  for (std::uint64_t steps = 200; steps < 200'000; steps += 50) {
    group.run_until(gossamer::StopCondition().steps(steps));
    bool all = true;
    for (std::size_t i = 0; i < group.size(); ++i) all = all && group.counters(i).steps > 0;
    if (all) return group.finish();
  }
  FAIL("a node never took a step");
}

/// A bad day: frames are lost, doubled and late all the time; a node stands still, another one
/// straggles; a part of the network is cut off and comes back; one node crashes, one leaves, two
/// join.
inline gossamer::SimulatedGroupOptions bad_day(std::size_t nodes) {
  using namespace std::chrono_literals;
  namespace fault = gossamer::fault;
  const auto world = gossamer::transport::SimulatedOptions(nodes)
                         .link({.latency = 1ms, .bytes_per_second = 1e7})
                         .noise({.loss = 0.1, .duplicate = 0.1, .reorder = 0.2, .late_by = 10ms})
                         .limits({.messages = 2})
                         .resend_after(8ms)
                         .dead_after(80ms);
  return gossamer::SimulatedGroupOptions(nodes)
      .world(world)
      .node(gossamer::NodeOptions().seed(seed))
      .cost(gossamer::cost::LogNormal(10ms, 0.5))
      .plan({{50ms, fault::Straggle{1, 5}},
             {100ms, fault::Pause{2, 150ms}},
             {200ms, fault::Partition{{0, 1}}},
             {350ms, fault::Heal{}},
             {450ms, fault::Crash{3}},
             {500ms, fault::Join{}},
             {550ms, fault::Leave{2}},
             {600ms, fault::Join{}}});
}

}  // namespace tests
