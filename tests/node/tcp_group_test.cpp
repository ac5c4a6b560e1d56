// SPDX-License-Identifier: MIT
/// Nodes that meet over TCP: how they begin, and that no weight is lost when they come and go.
#include <gossamer/error.hpp>
#include <gossamer/gossamer.hpp>
#include <gossamer/node/tcp_group.hpp>

#include <tests/node/side_by_side.hpp>
#include <tests/support.hpp>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::Archive;
using gossamer::CheckpointError;
using gossamer::ConfigError;
using gossamer::Context;
using gossamer::NodeError;
using gossamer::NodeOptions;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::TcpGroup;
using gossamer::TcpGroupOptions;
using gossamer::transport::TcpOptions;
using tests::Approx;
using namespace std::chrono_literals;

/// Learns nothing, but counts its steps and can be told to throw.
class Idle final : public gossamer::GossipNode<torch::nn::Linear> {
 public:
  Idle(Context context, int throw_at)
      : GossipNode(std::move(context), torch::nn::Linear(2, 1)), throw_at_(throw_at) {}
  std::function<void()> on_each;

 private:
  double local_step() override {
    if (on_each) on_each();
    if (static_cast<int>(counters().steps) == throw_at_) throw std::runtime_error("out of data");
    return 0;
  }
  int throw_at_;
};

TcpGroupOptions options_of(TcpOptions tcp) {
  tcp.timers({.heartbeat = 50ms,
              .dead_after = 60s,
              .resend_after = 1s,
              .redial_after = 5ms,
              .handshake = 30s});
  return TcpGroupOptions(tcp).node(NodeOptions().drain_timeout(60s)).tick(5ms);
}
auto maker(int throw_at = -1) {
  return
      [throw_at](Context context) { return std::make_unique<Idle>(std::move(context), throw_at); };
}
/// A port that was free a moment ago.
std::string free_address() {
  gossamer::transport::Tcp tcp{TcpOptions()};
  return tcp.address();
}

TEST_CASE("Founders start equal, train together and keep the weight", "[node][tcp][threads]") {
  constexpr std::size_t m = 3;
  const std::string first = free_address();
  std::vector<double> weights(m);
  std::vector<float> biases(m);
  std::vector<std::uint64_t> steps(m);
  std::vector<std::uint64_t> totals(m);
  std::vector<std::size_t> known(m);
  tests::side_by_side(m, [&](std::size_t i) {
    TcpOptions tcp(static_cast<PeerId>(i));
    tcp.world_size(m);
    if (i == 0) tcp.listen(first);
    if (i > 0) tcp.contacts({first});
    TcpGroup<Idle> member(options_of(tcp), gossamer::rule::GoSgd(0.5), maker());
    member.run(StopCondition().steps(200));
    biases[i] = member.node().model()->bias.item<float>();
    weights[i] = member.node().weight();
    steps[i] = member.node().counters().steps;
    totals[i] = member.totals().steps;
    known[i] = member.peers().size();
  });
  CHECK(weights[0] + weights[1] + weights[2] == Approx(1.0).margin(tests::weight_tolerance));
  CHECK(known == std::vector<std::size_t>(m, m - 1));
  CHECK(biases == std::vector<float>(m, biases[0]));
  CHECK(steps[0] + steps[1] + steps[2] >= 600);
  for (const std::uint64_t total : totals) CHECK(total == steps[0] + steps[1] + steps[2]);
}

/// Founders' nodes, side by side. `work(i, member)`.
template <class Work>
void found(std::size_t count, const gossamer::rule::AnyRule& rule, Work work) {
  const std::string first = free_address();
  tests::side_by_side(count, [&](std::size_t i) {
    TcpOptions tcp(static_cast<PeerId>(i));
    tcp.world_size(static_cast<std::uint32_t>(count));
    if (i == 0) tcp.listen(first);
    if (i > 0) tcp.contacts({first});
    TcpGroup<Idle> member(options_of(tcp), rule, maker());
    work(i, member);
  });
}
void set_bias(TcpGroup<Idle>& member, double value) {
  const at::NoGradGuard no_grad;
  member.node().model()->bias.fill_(value);
}
double bias(TcpGroup<Idle>& member) { return member.node().model()->bias.item<double>(); }

TEST_CASE("Founders that are restored go on from their own parameters, with equal weights",
          "[node][tcp][threads]") {
  constexpr std::size_t m = 3;
  std::vector<Archive> saved(m);
  std::vector<std::uint64_t> steps(m);
  found(m, gossamer::rule::GoSgd(0.5), [&](std::size_t i, TcpGroup<Idle>& member) {
    member.run(StopCondition().steps(50));
    set_bias(member, static_cast<double>(i));
    member.checkpoint(saved[i]);
    steps[i] = member.node().counters().steps;
  });
  std::vector<double> weights(m);
  std::vector<double> at_first(m, -1);
  std::vector<std::string> refusals(m);
  found(m, gossamer::rule::GoSgd(0), [&](std::size_t i, TcpGroup<Idle>& member) {
    Archive archive(saved[i].entries());
    member.checkpoint(archive);
    member.node().on_each = [&, i] {
      if (at_first[i] < 0) at_first[i] = bias(member);
    };
    member.run(StopCondition().steps(steps[0] + steps[1] + steps[2]));
    weights[i] = member.node().weight();
    refusals[i] = tests::message_of<CheckpointError>([&] {
      Archive again(saved[i].entries());
      member.checkpoint(again);
    });
  });
  for (std::size_t i = 0; i < m; ++i) {
    CHECK((at_first[i] == static_cast<double>(i) || at_first[i] == -1));
    CHECK(weights[i] == Approx(1.0 / m));
    CHECK_THAT(refusals[i], tests::contains("before its first run"));
  }
  CHECK(std::count(at_first.begin(), at_first.end(), -1) < static_cast<int>(m));
}

TEST_CASE("Synchronous world_size that were saved at different steps go on in step",
          "[node][tcp][threads]") {
  constexpr std::size_t m = 2;
  std::vector<Archive> saved(m);
  found(m, gossamer::rule::PerSyn(10), [&](std::size_t i, TcpGroup<Idle>& member) {
    member.run_until(StopCondition().steps(50));
    if (i == 1) member.checkpoint(saved[i]);
    member.run_until(StopCondition().steps(73));
    set_bias(member, 1 + static_cast<double>(i));
    if (i == 0) member.checkpoint(saved[i]);
    member.finish();
  });
  std::vector<double> after(m);
  std::vector<std::uint64_t> reached(m);
  found(m, gossamer::rule::PerSyn(10), [&](std::size_t i, TcpGroup<Idle>& member) {
    Archive archive(saved[i].entries());
    member.checkpoint(archive);
    member.run(StopCondition().steps(105));
    after[i] = bias(member);
    reached[i] = member.node().engine().step();
  });
  CHECK(after == std::vector<double>(m, 1));  // the first one's
  CHECK(reached == std::vector<std::uint64_t>(m, 105));
}

TEST_CASE("One that comes back to a run that has gone on is given weight, and keeps its counters",
          "[node][tcp][threads]") {
  Archive saved;
  {
    TcpGroup<Idle> alone(options_of(TcpOptions(0)), gossamer::rule::GoSgd(0.2), maker());
    alone.run(StopCondition().steps(30));
    alone.checkpoint(saved);
  }
  std::atomic<bool> left{false};
  TcpGroup<Idle> first(options_of(TcpOptions(0)).leave_when([&] { return left.load(); }),
                       gossamer::rule::GoSgd(0.2), maker());
  double at_first = -1;
  double at_end = -1;
  std::uint64_t steps = 0;
  std::atomic<bool> enough{false};
  std::thread other([&] {
    TcpOptions tcp(7);
    tcp.contacts({first.address()});
    TcpGroup<Idle> member(options_of(tcp).leave_when([&] { return enough.load(); }),
                          gossamer::rule::GoSgd(0.2), maker());
    Archive archive(saved.entries());
    member.checkpoint(archive);
    at_first = member.node().weight();
    member.node().on_each = [&] {
      if (member.node().weight() > 0) enough = true;
    };
    member.run(StopCondition().duration(60s));
    steps = member.node().counters().steps;
    at_end = member.node().weight();
    left = true;
  });
  first.run(StopCondition().duration(60s));
  other.join();
  CHECK(at_first == 0);
  CHECK(at_end == 0);
  CHECK(steps > 30);
  CHECK(first.node().weight() == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A newcomer is given weight, and who leaves hands its own over", "[node][tcp][threads]") {
  std::atomic<bool> joined{false};
  std::atomic<bool> leave{false};
  std::atomic<bool> left{false};
  TcpGroup<Idle> first(options_of(TcpOptions(0)).leave_when([&] { return left.load(); }),
                       gossamer::rule::GoSgd(0.2), maker());
  CHECK(first.node().weight() == 1);
  double of_newcomer = -1;
  double at_first = -1;
  double at_most = 0;
  std::thread newcomer([&] {
    TcpOptions tcp(TcpGroupOptions::newcomers_number());
    tcp.contacts({first.address()});
    TcpGroup<Idle> second(options_of(tcp).leave_when([&] { return leave.load(); }),
                          gossamer::rule::GoSgd(0.2), maker());
    at_first = second.node().weight();
    second.node().on_each = [&] {
      joined = true;
      at_most = std::max(at_most, second.node().weight());
    };
    second.run(StopCondition().duration(60s));
    of_newcomer = second.node().weight();
    left = true;
  });
  first.node().on_each = [&] {
    if (joined) leave = true;
  };
  first.run(StopCondition().duration(60s));
  newcomer.join();
  CHECK(at_first == 0);
  CHECK(at_most > 0);
  CHECK(of_newcomer == 0);
  CHECK(first.node().weight() == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A newcomer asks one who is there, though it hears of one who left first",
          "[node][tcp][threads]") {
  std::atomic<int> left{0};
  TcpGroup<Idle> first(options_of(TcpOptions(0)).leave_when([&] { return left == 2; }),
                       gossamer::rule::GoSgd(0.2), maker());
  std::vector<double> at_most(2);
  std::thread newcomers([&] {
    for (double& most : at_most) {
      std::atomic<bool> leave{false};
      TcpOptions tcp(TcpGroupOptions::newcomers_number());
      tcp.contacts({first.address()});
      TcpGroup<Idle> one(options_of(tcp).leave_when([&] { return leave.load(); }),
                         gossamer::rule::GoSgd(0.2), maker());
      one.node().on_each = [&] {
        most = std::max(most, one.node().weight());
        leave = true;
      };
      one.run(StopCondition().duration(60s));
      ++left;
    }
  });
  first.run(StopCondition().duration(60s));
  newcomers.join();
  CHECK(at_most[0] > 0);
  CHECK(at_most[1] > 0);
  CHECK(first.node().weight() == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("Who is told to leave after its run does not wait for those who go on, nor they for it",
          "[node][tcp][threads]") {
  const std::string first = free_address();
  std::atomic<bool> run_ended{false};
  std::atomic<bool> gone{false};       // as it says itself
  std::atomic<bool> seen_gone{false};  // as the other sees it
  std::atomic<bool> all_ended{false};
  std::vector<double> weights(2);
  tests::side_by_side(2, [&](std::size_t i) {
    TcpOptions tcp(static_cast<PeerId>(i));
    tcp.world_size(2);
    if (i == 0) tcp.listen(first);
    if (i > 0) tcp.contacts({first});
    TcpGroup<Idle> member(
        options_of(tcp).leave_when([&, i] { return i == 1 ? run_ended.load() : seen_gone.load(); }),
        gossamer::rule::GoSgd(0.1), maker());
    if (i == 0) {
      member.node().on_each = [&] {
        const auto peers = member.peers();
        seen_gone = gone && peers.front().presence == gossamer::transport::wire::Presence::left;
      };
      member.run_until(StopCondition().duration(30s));
      member.finish();
      all_ended = true;
    } else {
      member.run_until(StopCondition().duration(1ms));
      run_ended = true;
      member.finish();
      gone = true;
      while (!all_ended) std::this_thread::yield();  // its object is still there
    }
    weights[i] = member.node().weight();
  });
  CHECK(seen_gone);
  CHECK(weights[1] == 0);
  CHECK(weights[0] == Approx(1.0).margin(tests::weight_tolerance));
}

TEST_CASE("A node that throws is named, and the others go on", "[node][tcp][threads]") {
  const std::string first = free_address();
  std::vector<std::string> errors(2);
  std::vector<std::uint64_t> steps(2);
  std::atomic<bool> thrown{false};
  tests::side_by_side(2, [&](std::size_t i) {
    TcpOptions tcp(static_cast<PeerId>(i));
    tcp.world_size(2);
    if (i == 0) tcp.listen(first);
    if (i > 0) tcp.contacts({first});
    TcpGroup<Idle> member(options_of(tcp).leave_when([&] { return i == 0 && thrown; }),
                          gossamer::rule::GoSgd(0.5), maker(i == 1 ? 20 : -1));
    try {
      member.run(StopCondition().duration(60s));
    } catch (const NodeError& error) {
      errors[i] = error.what();
      thrown = true;
    }
    steps[i] = member.node().counters().steps;
  });
  CHECK(errors[0].empty());
  CHECK(steps[0] > 0);
  CHECK(errors[1] == "node 1: out of data");
}

TEST_CASE("Who finds nobody says whom it called, and what came of it", "[node][tcp][threads]") {
  const std::string nobody = free_address();
  auto options =
      options_of(TcpOptions(1).world_size(2).contacts({nobody})).rendezvous_timeout(50ms);
  CHECK_THAT(tests::message_of<ConfigError>(
                 [&] { TcpGroup<Idle> member(options, gossamer::rule::GoSgd(0.5), maker()); }),
             tests::contains("node 1 has met 0 of 1 others within 50 ms") &&
                 tests::contains(nobody + ": ") && tests::contains("refused"));
}

/// How a founder that is told a world size and a rule ends: its error, with the weight that it had.
struct Founded {
  std::uint32_t world_size;
  gossamer::rule::AnyRule rule;
  std::string error = {};
};
void found_apart(std::vector<Founded>& founders) {
  const std::string first = free_address();
  tests::side_by_side(founders.size(), [&](std::size_t i) {
    TcpOptions tcp(static_cast<PeerId>(i));
    tcp.world_size(founders[i].world_size);
    if (i == 0) tcp.listen(first);
    if (i > 0) tcp.contacts({first});
    // The first one waits for its own; it is refused by nobody.
    const auto options = options_of(tcp).rendezvous_timeout(i == 0 ? 3s : 60s);
    try {
      TcpGroup<Idle> member(options, founders[i].rule, maker());
      member.run(StopCondition().steps(10));
    } catch (const ConfigError& error) {
      founders[i].error = error.what();
    }
  });
}

TEST_CASE("Founders that were told two, three and three nodes all end, and say why",
          "[node][tcp][threads]") {
  const gossamer::rule::AnyRule rule = gossamer::rule::GoSgd(0.5);
  std::vector<Founded> founders = {{2, rule}, {3, rule}, {3, rule}};
  found_apart(founders);
  for (const Founded& one : founders) {
    CHECK_THAT(one.error, tests::contains("its world size is 3, here it is 2"));
  }
}

TEST_CASE("Two rules do not train together, nor one rule with two numbers",
          "[node][tcp][threads]") {
  using gossamer::rule::PerSyn;
  std::vector<Founded> founders = {{2, PerSyn(5)}, {2, PerSyn(4)}};
  found_apart(founders);
  for (const Founded& one : founders) {
    CHECK_THAT(one.error, tests::contains("its rule is persyn(tau 4, chunks 1), here it is "
                                          "persyn(tau 5, chunks 1)"));
  }
  founders = {{2, PerSyn(5)}, {2, gossamer::rule::GoSgd(0.5)}};
  found_apart(founders);
  for (const Founded& one : founders) {
    CHECK_THAT(one.error, tests::contains("its rule is gosgd, here it is persyn"));
  }
}

TEST_CASE("Founders with different models both end with an error, whoever looks first",
          "[node][tcp][threads]") {
  class Other final : public gossamer::GossipNode<torch::nn::Linear> {
   public:
    explicit Other(Context context) : GossipNode(std::move(context), torch::nn::Linear(3, 1)) {}

   private:
    double local_step() override { return 0; }
  };
  const std::string first = free_address();
  std::vector<std::string> errors(2);
  const auto train = [&](std::size_t i, auto make) {
    try {
      TcpOptions tcp(static_cast<PeerId>(i));
      tcp.world_size(2);
      if (i == 0) tcp.listen(first);
      if (i > 0) tcp.contacts({first});
      using Node = typename std::remove_reference_t<decltype(*make(std::declval<Context>()))>;
      TcpGroup<Node> member(options_of(tcp), gossamer::rule::GoSgd(0.5), make);
      member.run(StopCondition().duration(60s));
    } catch (const std::exception& error) {
      errors[i] = error.what();
    }
  };
  tests::side_by_side(2, [&](std::size_t i) {
    if (i == 0) return train(0, maker());
    train(1, [](Context context) { return std::make_unique<Other>(std::move(context)); });
  });
  for (const std::string& error : errors) {
    CHECK_THAT(error, tests::contains("different models") && tests::contains("node 0") &&
                          tests::contains("node 1"));
  }
}

}  // namespace
