// SPDX-License-Identifier: MIT
/// Models on a GPU: every rule does there what it does on the CPU. Built only with a LibTorch that
/// has CUDA; without a device each test says so, and CTest counts it as skipped.
#include <gossamer/gossamer.hpp>
#include <gossamer/model/host_copies.hpp>
#include <gossamer/node/checkpoint.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossamer/transport/tcp.hpp>

#include <tests/node/side_by_side.hpp>
#include <tests/support.hpp>
#include <tests/transport/tcp_group.hpp>
#include <torch/cuda.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::StopCondition;
using gossamer::rule::AnyRule;
namespace rule = gossamer::rule;
namespace topology = gossamer::topology;

const at::Device gpu(at::kCUDA, 0);

bool no_device() {
  if (torch::cuda::is_available()) return false;
  std::puts("no CUDA device here");  // what CTest looks for
  return true;
}

/// Descends to its own number. Two of its tensors lie where it is told, the third on the CPU.
class Descender final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  Descender(Context context, at::Device device)
      : GradientNode(
            std::move(context),
            {torch::zeros({5, 8}, at::TensorOptions(device)).requires_grad_(),
             torch::zeros({3}, at::TensorOptions(device).dtype(at::kDouble)).requires_grad_(),
             torch::zeros({2}).requires_grad_()}) {}

 private:
  double gradient() override {
    for (at::Tensor& x : model()) x.mutable_grad() = x.detach() - static_cast<double>(id());
    return std::abs(model()[2].grad()[0].item<double>());
  }
  void apply() override {
    const at::NoGradGuard no_grad;
    for (at::Tensor& x : model()) x.sub_(x.grad(), 0.1);
  }
};

/// Tensor `s` of a node's model.
at::Tensor numbers(const gossamer::observe::Replica& member, std::size_t s) {
  return member.model->layout().slots[s].view(member.model->flat());
}

std::vector<AnyRule> rules() {
  return {rule::None(),
          rule::Sync(),
          rule::PerSyn(3),
          rule::GoSgd(0.5),
          rule::GoSgd(gossamer::schedule::Bernoulli(0.5), topology::TwoChoices()),
          rule::GoSgdPull(0.5),
          rule::PushSum(0.2),
          rule::Sgp(),
          rule::Sgp(topology::NPeerExponential(1), 2),
          rule::DPsgd(),
          rule::AdPsgd(),
          rule::GossipingPull(0.5),
          rule::GossipingPush(0.5),
          rule::SlowMo(rule::None(), 3),
          rule::SlowMo(rule::GoSgd(0.5), 5),
          rule::post_local(4, 3),
          rule::gossip_pga(3),
          rule::ElasticGossip(0.5),
          rule::Easgd(rule::EasgdOptions().tau(3)),
          rule::Easgd(rule::EasgdOptions().tau(3).synchronous(true)),
          rule::DynamicEasgd(rule::EasgdOptions().tau(3)),
          rule::Downpour(3),
          rule::LeaderSgd(rule::LeaderSgdOptions().tau(3).window(3))};
}

using Simulated = gossamer::SimulatedGroup<Descender>;

std::unique_ptr<Simulated> simulate(const AnyRule& one, at::Device device) {
  return std::make_unique<Simulated>(
      gossamer::SimulatedGroupOptions(4).node(gossamer::NodeOptions().seed(tests::seed)), one,
      [device](Context context) {
        return std::make_unique<Descender>(std::move(context), device);
      });
}

TEST_CASE("A simulated group does on a GPU what it does on the CPU, under every rule",
          "[node][cuda]") {
  if (no_device()) return;
  for (const AnyRule& one : rules()) {
    CAPTURE(one->name());
    const auto here = simulate(one, at::kCPU);
    const auto there = simulate(one, gpu);
    here->run_until(StopCondition().steps(30));
    there->run_until(StopCondition().steps(30));
    CHECK(there->totals().messages_sent == here->totals().messages_sent);
    const auto cpu_nodes = here->replicas();
    const auto gpu_nodes = there->replicas();
    REQUIRE(gpu_nodes.size() == cpu_nodes.size());
    for (std::size_t i = 0; i < cpu_nodes.size(); ++i) {
      CHECK(gpu_nodes[i].weight == cpu_nodes[i].weight);
      for (std::size_t s = 0; s < 3; ++s) {
        const at::Tensor x = numbers(gpu_nodes[i], s);
        CHECK(x.device().type() == (s == 2 ? at::kCPU : at::kCUDA));
        CHECK(at::allclose(x.cpu(), numbers(cpu_nodes[i], s), 1e-5, 1e-5));
      }
    }
    CHECK(gossamer::observe::consensus_error(gpu_nodes) ==
          tests::Approx(gossamer::observe::consensus_error(cpu_nodes)).epsilon(1e-4).margin(1e-8));
  }
}

TEST_CASE("Threads share a GPU under every rule", "[node][cuda]") {
  if (no_device()) return;
  for (const AnyRule& one : rules()) {
    if (one->name() == "push_sum") continue;  // a node of little weight makes long steps
    CAPTURE(one->name());
    gossamer::ThreadGroup<Descender> group(gossamer::GroupOptions(4), one, [](Context context) {
      return std::make_unique<Descender>(std::move(context), gpu);
    });
    group.run_until(StopCondition().steps(60));
    double weight = 0;
    for (const auto& member : group.replicas()) {
      weight += member.weight;
      const at::Tensor all = numbers(member, 0).to(at::kCPU, at::kDouble);
      // All descend to 0, 1, 2 or 3; what pulls them past these overshoots by less than a half.
      CHECK(all.min().item<double>() >= -0.5);
      CHECK(all.max().item<double>() <= 3.5);
      // All numbers went the same way, in every vector: none was sent or mixed half-written.
      CHECK(all.min().item<double>() == all.max().item<double>());
      for (const std::size_t s : {1U, 2U}) {
        CHECK(numbers(member, s)[0].item<double>() ==
              tests::Approx(all[0][0].item<double>()).margin(1e-4));
      }
    }
    CHECK(std::abs(weight - 1) < tests::weight_tolerance);
  }
}

TEST_CASE("A group on a GPU goes on from a checkpoint with the same bits", "[node][cuda]") {
  if (no_device()) return;
  const tests::TemporaryFolder folder;
  for (const AnyRule& one : {AnyRule(rule::GoSgd(0.5)), AnyRule(rule::SlowMo(rule::None(), 3))}) {
    CAPTURE(one->name());
    const auto whole = simulate(one, gpu);
    whole->run_until(StopCondition().steps(20));
    gossamer::save_checkpoint(*whole, folder.path() / "run.ckpt");
    whole->run_until(StopCondition().steps(40));
    const auto resumed = simulate(one, gpu);
    gossamer::load_checkpoint(*resumed, folder.path() / "run.ckpt");
    resumed->run_until(StopCondition().steps(40));
    CHECK(gossamer::observe::digest(resumed->replicas()) ==
          gossamer::observe::digest(whole->replicas()));
  }
}

/// Descends to its own number, all of it on one device.
class OneDevice final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  OneDevice(Context context, at::Device device)
      : GradientNode(
            std::move(context),
            {torch::zeros({300, 700}, at::TensorOptions(device)).requires_grad_(),
             torch::zeros({3}, at::TensorOptions(device).dtype(at::kDouble)).requires_grad_()}) {}

 private:
  double gradient() override {
    for (at::Tensor& x : model()) x.mutable_grad() = x.detach() - static_cast<double>(id());
    return 1;
  }
  void apply() override {
    const at::NoGradGuard no_grad;
    for (at::Tensor& x : model()) x.sub_(x.grad(), 0.1);
  }
};

TEST_CASE("Nodes on a GPU meet over TCP, and one on the CPU", "[node][cuda][tcp]") {
  if (no_device()) return;
  using namespace tests::tcp;
  for (const AnyRule& one : {AnyRule(rule::GoSgd(1)), AnyRule(rule::Sync()),
                             AnyRule(rule::ElasticGossip(0.5)), AnyRule(rule::LedgerGossip())}) {
    for (const at::Device other : {gpu, at::Device(at::kCPU)}) {
      CAPTURE(one->name(), other);
      Tcp first(options_of(0).world_size(2));
      Tcp second(options_of(1).world_size(2).contacts({first.address()}));
      REQUIRE(first.gather(1, give_up));
      REQUIRE(second.gather(1, give_up));
      const gossamer::NodeOptions options = gossamer::NodeOptions().seed(tests::seed);
      std::vector<std::unique_ptr<OneDevice>> both;
      both.push_back(
          std::make_unique<OneDevice>(Context{std::move(first), one, options, 0.5}, gpu));
      both.push_back(
          std::make_unique<OneDevice>(Context{std::move(second), one, options, 0.5}, other));
      tests::side_by_side(2, [&](std::size_t i) { both[i]->run(StopCondition().steps(40)); });
      CHECK(std::abs(both[0]->weight() + both[1]->weight() - 1) < tests::weight_tolerance);
      std::vector<at::Tensor> ends;
      for (const auto& node : both) {
        for (const at::Tensor& segment : node->parameters().flat().segments()) {
          ends.push_back(segment.to(at::kCPU, at::kDouble).narrow(0, 0, 3));
          CHECK(ends.back().min().item<double>() == ends.back().max().item<double>());
          CHECK(ends.back().min().item<double>() >= -0.5);
          CHECK(ends.back().max().item<double>() <= 1.5);
        }
      }
      CHECK(both[0]->counters().messages_merged + both[1]->counters().messages_merged > 0);
      if (one->is_synchronous()) CHECK(at::allclose(ends[0], ends[2], 1e-6, 1e-6));
    }
  }
}

TEST_CASE("A copy in host memory has the numbers of its moment, whatever the device does next",
          "[model][cuda][staging]") {
  if (no_device()) return;
  const gossamer::model::Flat model({at::zeros({1 << 24}, at::TensorOptions(gpu))});
  gossamer::model::SnapshotPool pool(model);
  gossamer::model::HostCopies copies(model);
  const std::array all{gossamer::model::Chunk{}};
  std::vector<gossamer::model::Snapshot> sent;
  for (int i = 0; i < 5; ++i) {
    model.segments()[0].fill_(i);
    gossamer::model::Snapshot snapshot = pool.take();
    snapshot.writable().copy_from(model);
    sent.push_back(copies.copy_of(snapshot, all));
  }
  model.segments()[0].fill_(-1);
  for (int i = 0; i < 5; ++i) {
    const at::Tensor& numbers = sent[static_cast<std::size_t>(i)]->segments()[0];
    CHECK(numbers.is_cpu());
    CHECK(numbers.is_pinned());
    CHECK(numbers.min().item<float>() == static_cast<float>(i));
    CHECK(numbers.max().item<float>() == static_cast<float>(i));
    CHECK(sent[static_cast<std::size_t>(i)].ready());
  }
  CHECK(copies.staged() == 5 * model.bytes());
  CHECK(pool.out() == 0);
}

}  // namespace
