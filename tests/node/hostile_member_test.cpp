// SPDX-License-Identifier: MIT
/// Nodes that train over TCP, and a peer that was let in and says what no node would.
#include <gossamer/gossamer.hpp>
#include <gossamer/node/tcp_group.hpp>

#include <tests/support.hpp>
#include <tests/transport/hostile_peer.hpp>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::TcpGroup;
using gossamer::TcpGroupOptions;
using gossamer::transport::TcpOptions;
using tests::Approx;
using tests::hostile::Peer;
using namespace std::chrono_literals;

/// Learns nothing, but counts its steps where others can see them.
class Idle final : public gossamer::GossipNode<torch::nn::Linear> {
 public:
  Idle(Context context, std::atomic<std::uint64_t>& steps)
      : GossipNode(std::move(context), torch::nn::Linear(2, 1)), steps_(steps) {}

 private:
  double local_step() override {
    ++steps_;
    return 0;
  }
  std::atomic<std::uint64_t>& steps_;
};

/// A node in a thread of its own, until it is told to leave.
struct Trainer {
  explicit Trainer(TcpOptions tcp) {
    tcp.world_size(2).timers({.heartbeat = 100ms,
                              .dead_after = 5s,
                              .resend_after = 100ms,
                              .redial_after = 10ms,
                              .handshake = 30s});
    const auto options = TcpGroupOptions(tcp)
                             .node(gossamer::NodeOptions().drain_timeout(60s))
                             .leave_when([this] { return leave.load(); })
                             .tick(5ms);
    thread = std::thread([this, options] {
      try {
        member = std::make_unique<TcpGroup<Idle>>(
            options, gossamer::rule::GoSgd(0.2),
            [this](Context context) { return std::make_unique<Idle>(std::move(context), steps); });
        ready = true;
        member->run(StopCondition().steps(std::uint64_t{1} << 40U));
      } catch (const std::exception& caught) {
        error = caught.what();
      }
      ended = true;
    });
  }
  ~Trainer() { end(); }
  void end() {
    leave = true;
    if (thread.joinable()) thread.join();
  }
  /// Whether it takes so many steps more.
  bool trains_on(std::uint64_t more = 50) const {
    const std::uint64_t until = steps + more;
    while (steps < until && !ended) std::this_thread::yield();
    return !ended;
  }

  std::atomic<bool> leave{false};
  std::atomic<bool> ready{false};
  std::atomic<bool> ended{false};
  std::atomic<std::uint64_t> steps{0};
  std::string error;
  std::unique_ptr<TcpGroup<Idle>> member;
  std::thread thread;
};

std::string free_address() {
  gossamer::transport::Tcp tcp{TcpOptions()};
  return tcp.address();
}

TEST_CASE("Nodes train on, whatever a peer says, and lose no weight but what it took",
          "[node][tcp][threads][parse]") {
  const std::string address = free_address();
  Trainer zero(TcpOptions(0).listen(address));
  Trainer one(TcpOptions(1).contacts({address}));
  while (!(zero.ready && one.ready)) std::this_thread::yield();

  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::size_t bytes = zero.member->node().parameters().flat().bytes();
  const std::vector<float> fine(bytes / sizeof(float), 1.0F);
  std::vector<float> spoiled = fine;
  spoiled.back() = nan;
  struct Message {
    double weight;
    const std::vector<float>& numbers;
    bool is_taken;
  };
  std::vector<Message> all = {{-0.25, fine, false}, {1e300, fine, false},   {inf, fine, false},
                              {nan, fine, false},   {0.25, spoiled, false}, {0, fine, true}};
  for (int i = 0; i < 4; ++i) all.push_back({2, fine, true});  // more than there is, bit by bit
  std::list<Peer> peers;                                       // those that were not refused stay
  PeerId number = 9;
  std::uint64_t bad = 0;
  for (const Message& message : all) {
    INFO("weight " << message.weight << " of node " << number);
    Peer& peer = peers.emplace_back(address, bytes);
    peer.enter(number++, 1);
    peer.offer(message.weight, std::as_bytes(std::span(message.numbers)), true);
    if (message.is_taken) {
      peer.grant();
    } else {
      const auto refusal = peer.hear<tests::hostile::wire::Refusal>();
      REQUIRE(refusal);
      CHECK(refusal->code == tests::hostile::wire::Refusal::Code::offer);
      CHECK(zero.member->counts().bad_offers == ++bad);
      peers.pop_back();
    }
    CHECK(zero.trains_on());
    CHECK(one.trains_on());
  }
  peers.clear();
  const auto are_lost = [&] {  // not one of them is dialed, for they gave no address
    const auto view = zero.member->peers();
    return std::all_of(view.begin(), view.end(), [](const auto& peer) {
      return peer.peer == 1 || peer.presence != tests::hostile::wire::Presence::live;
    });
  };
  while (!are_lost() && zero.trains_on()) {
  }
  one.end();
  zero.end();
  CHECK(zero.error == "");
  CHECK(one.error == "");
  CHECK(gossamer::transport::wire::all_finite(zero.member->node().parameters().flat()));
  double total = zero.member->node().weight() + one.member->node().weight();
  for (const auto& peer : zero.member->peers()) {
    if (peer.peer != 1) total += peer.ledger.surplus();
  }
  CHECK(total == Approx(1.0).margin(tests::weight_tolerance));
}

}  // namespace
