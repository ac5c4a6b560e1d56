// SPDX-License-Identifier: MIT
/// PCA that gossips: pooled components are those of the pooled samples, and on a bad day nothing
/// of them is lost.
#include <gossamer/error.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossip_pca/node.hpp>
#include <shared/mnist.hpp>

#include <tests/examples/watched.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::PeerId;
using gossamer::StopCondition;
using gossamer::model::NamedTensor;
using pca::Components;
using pca::PcaNode;
using tests::Approx;
using namespace std::chrono_literals;
namespace rule = gossamer::rule;
using Group = gossamer::SimulatedGroup<PcaNode>;

at::Tensor numbers(std::int64_t count, std::int64_t columns, std::uint64_t stream) {
  gossamer::Generator random(tests::seed, stream);
  at::Tensor all = at::empty({count, columns}, at::kDouble);
  for (std::int64_t i = 0; i < all.numel(); ++i) {
    all.data_ptr<double>()[i] = random.uniform() - 0.5;
  }
  return all;
}

/// Samples in 12 dimensions around a mean of (1, 1, ...), with a covariance of the given rank.
at::Tensor samples_of_rank(std::int64_t rank, std::int64_t count) {
  return numbers(count, rank, 1).mm(numbers(rank, 12, 2)) + 1;
}

at::Tensor covariance(const at::Tensor& samples) {
  const at::Tensor centred = samples - samples.mean(0);
  return centred.t().mm(centred) / static_cast<double>(samples.size(0));
}
at::Tensor covariance(const Components& c) { return (c.basis * c.variances).mm(c.basis.t()); }

bool close(const at::Tensor& a, const at::Tensor& b, double within = 1e-9) {
  return (a - b).abs().max().item<double>() <= within;
}

Components copy(const Components& c) {
  return {c.basis.clone(), c.variances.clone(), c.mean.clone(), c.samples.clone()};
}

Group::Factory nodes_with(const at::Tensor& samples, std::size_t nodes, std::int64_t q) {
  const auto parts = examples::shares(samples, nodes, true);
  return [=](Context context) {
    const std::size_t place = context.transport->self();
    const bool founder = context.weight > 0 && place < parts.size();
    return std::make_unique<PcaNode>(std::move(context),
                                     founder ? parts[place] : samples.narrow(0, 0, 0), q);
  };
}

/// n, n m, n (C + m m^T): what adds up.
at::Tensor moments(double n, const at::Tensor& mean, const at::Tensor& cov) {
  return n * at::cat({at::ones({1}, at::kDouble), mean, (cov + at::outer(mean, mean)).flatten()});
}

}  // namespace

TEST_CASE("Components of samples in a line, by hand", "[examples][pca]") {
  const at::Tensor samples =
      at::tensor({1.0, 1.0, 4.0, 5.0, 7.0, 9.0}, at::kDouble).view({3, 2});  // (4, 5) + t (3, 4)
  const Components c = pca::components_of(samples, 2);
  CHECK(c.count() == 3);
  CHECK(close(c.mean, at::tensor({4.0, 5.0}, at::kDouble)));
  CHECK(c.variances[0].item<double>() == Approx(25.0 * 2 / 3));
  CHECK(c.variances[1].item<double>() == 0);
  CHECK(std::abs(c.basis[0][0].item<double>()) == Approx(0.6));
  CHECK(std::abs(c.basis[1][0].item<double>()) == Approx(0.8));
  CHECK(close(c.basis.select(1, 1), at::zeros({2}, at::kDouble)));
}

TEST_CASE("Components of samples are the eigenvectors of their covariance", "[examples][pca]") {
  const at::Tensor samples = examples::synthetic_points(tests::seed, 300).values;
  const Components c = pca::components_of(samples, 6);
  const auto [values, vectors] = at::linalg_eigh(covariance(samples.to(at::kDouble)));
  CHECK(close(c.variances, values.flip(0).narrow(0, 0, 6), 1e-8));
  CHECK(pca::largest_angle(c.basis, vectors.flip(1).narrow(1, 0, 6)) < 0.01);
  CHECK(close(c.basis.t().mm(c.basis), at::eye(6, at::kDouble)));
  CHECK(pca::captured_variance(samples, c.basis) ==
        Approx((c.variances.sum() / values.sum()).item<double>()).epsilon(1e-6));
}

TEST_CASE("The components of two pooled parts are those of all samples, if their rank allows",
          "[examples][pca]") {
  const std::int64_t rank = GENERATE(1, 2, 4);
  const at::Tensor all = samples_of_rank(rank, 30);
  Components one = pca::components_of(all.narrow(0, 0, 7), 4);
  const Components two = pca::components_of(all.narrow(0, 7, 23), 4);
  pca::pool(one, one.count(), two, two.count());
  CHECK(one.count() == 30);
  CHECK(close(one.mean, all.mean(0)));
  CHECK(close(covariance(one), covariance(all)));
  const Components central = pca::components_of(all, 4);
  CHECK(close(one.variances, central.variances));
  CHECK(pca::largest_angle(one.basis.narrow(1, 0, rank), central.basis.narrow(1, 0, rank)) < 1e-5);
}

TEST_CASE("Beyond their rank, pooling keeps what is strongest of both", "[examples][pca]") {
  // Parts along different axes, with variances 4 and 1 of one, 3 and 2 of the other.
  const auto part = [](std::int64_t first, double strong, double weak) {
    Components c = pca::no_components(4, 2);
    c.basis[first][0] = 1;
    c.basis[first + 1][1] = 1;
    c.variances.copy_(at::tensor({strong, weak}, at::kDouble));
    c.samples.fill_(5);
    return c;
  };
  Components one = part(0, 4, 1);
  pca::pool(one, 5, part(2, 3, 2), 5);
  CHECK(close(one.variances, at::tensor({2.0, 1.5}, at::kDouble)));
  CHECK(close(covariance(one), at::diag(at::tensor({2.0, 0.0, 1.5, 0.0}, at::kDouble))));
}

TEST_CASE("A part without samples changes nothing, and into nothing a part goes whole",
          "[examples][pca]") {
  const Components some = pca::components_of(samples_of_rank(3, 20), 4);
  Components same = copy(some);
  pca::pool(same, 20, pca::no_components(12, 4), 0);
  Components into = pca::no_components(12, 4);
  pca::pool(into, 0, some, 20);
  for (const Components* c : {&same, &into}) {
    CHECK(close(covariance(*c), covariance(some)));
    CHECK(close(c->mean, some.mean));
    CHECK(c->count() == 20);
  }
}

TEST_CASE("Angles are those between spans, from 0 to 90 degrees", "[examples][pca]") {
  const at::Tensor plane = at::eye(3, at::kDouble).narrow(1, 0, 2);
  CHECK(pca::largest_angle(plane, plane.flip(1)) == Approx(0).margin(1e-9));
  const double degree = 0.017453292519943295;
  for (const double angle : {1e-6, 1.0, 30.0, 90.0}) {
    at::Tensor tilted = plane.clone();
    tilted[1][1] = std::cos(angle * degree);
    tilted[2][1] = std::sin(angle * degree);
    CHECK(pca::largest_angle(plane, tilted) == Approx(angle).epsilon(1e-6));
  }
}

TEST_CASE(
    "A model's own merge pools by weight times samples, and the new sample count is by "
    "weight, too",
    "[examples][pca]") {
  const at::Tensor all = samples_of_rank(3, 40);
  pca::Model mine{pca::components_of(all.narrow(0, 0, 10), 3)};
  pca::Model theirs{pca::components_of(all.narrow(0, 10, 30), 3)};
  mine.components.samples.fill_(10 / 0.25);  // weights 1/4 and 3/4, as in a group
  theirs.components.samples.fill_(30 / 0.75);
  gossip_tensors(mine).merge(0.25, gossip_tensors(theirs).parameters, 0.75);
  CHECK(mine.components.count() == Approx(40));
  CHECK(close(covariance(mine.components), covariance(all)));
  CHECK(close(mine.components.mean, all.mean(0)));
}

TEST_CASE(
    "In a group every node comes to the components of all samples, exactly if their rank "
    "allows",
    "[examples][pca]") {
  const at::Tensor all = samples_of_rank(4, 200);
  const std::size_t nodes = GENERATE(1U, 2U, 3U, 9U);
  const auto rule = GENERATE(as<rule::AnyRule>{}, rule::GoSgd(1.0), rule::GoSgdPull(1.0));
  INFO(rule->name() << ", " << nodes << " nodes");
  Group group(gossamer::SimulatedGroupOptions(nodes), rule, nodes_with(all, nodes, 4));
  group.run(StopCondition().steps(300));
  for (std::size_t i = 0; i < nodes; ++i) {
    CHECK(group[i].components().count() == Approx(200).epsilon(1e-6));
    CHECK(close(covariance(group[i].components()), covariance(all), 1e-6));
    CHECK(close(group[i].components().mean, all.mean(0), 1e-6));
  }
}

TEST_CASE("On a bad day, nodes, messages and the dead together hold all samples, at every event",
          "[examples][pca]") {
  const at::Tensor all = samples_of_rank(4, 120);
  const auto watch = std::make_shared<tests::Watch>(nullptr);
  const auto make = nodes_with(all, 6, 4);
  Group group(tests::bad_day(6), rule::GoSgd(0.7), [&](Context context) {
    context.transport = tests::Watched(std::move(context.transport), watch);
    return make(std::move(context));
  });
  const gossamer::model::FlatModel& any = group[0].parameters();
  watch->measure_by([&any](double weight, const gossamer::model::Flat& flat) {
    const std::vector<NamedTensor> parts = any.views(flat);
    const Components c{parts[0].tensor, parts[1].tensor, parts[2].tensor, parts[3].tensor};
    return moments(weight * c.count(), c.mean, covariance(c));
  });
  bool crashed = false;
  group.on_crash = [&](const PcaNode& node) {
    crashed = true;
    watch->bury(node.weight(), node.parameters().flat());
  };
  const at::Tensor expected = moments(120, all.mean(0), covariance(all));
  double worst = 0;
  std::uint64_t looks = 0;
  group.on_step = [&] {
    for (PeerId id = 0; id < 6; ++id) {  // from when each has put in its own samples
      if (group.counters(id).steps == 0) return;
    }
    ++looks;
    const double off = (watch->total(group.replicas()) - expected).abs().max().item<double>();
    worst = std::max(worst, off);
  };
  group.run(StopCondition().duration(1500ms));
  CHECK(crashed);
  CHECK(looks > 1000);
  CHECK(watch->messages() > 200);
  CHECK(group.totals().messages_returned > 0);
  CHECK(group.size() == 8);
  CHECK_FALSE(group.is_live(2));
  CHECK_FALSE(group.is_live(3));
  CHECK(group.total_weight() == Approx(1).margin(tests::weight_tolerance));
  CHECK(worst < 1e-7);
}

TEST_CASE("A rule that averages numbers refuses a model with a merge of its own",
          "[examples][pca]") {
  const at::Tensor all = samples_of_rank(2, 10);
  CHECK(tests::message_of<gossamer::ConfigError>([&] {
          Group group(gossamer::SimulatedGroupOptions(2), rule::PerSyn(1), nodes_with(all, 2, 2));
        }) ==
        "Engine: rule persyn averages the numbers of models, and this model has a merge of "
        "its own; take a rule that uses it, such as gosgd");
}

TEST_CASE("PCA on threads holds all samples", "[examples][pca]") {
  const at::Tensor all = samples_of_rank(4, 200);
  gossamer::ThreadGroup<PcaNode> group(gossamer::GroupOptions(4), rule::GoSgd(1.0),
                                       nodes_with(all, 4, 4));
  tests::run_all(group);
  double held = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    held += group[i].weight() * group[i].components().count();
  }
  CHECK(held == Approx(200));
}

TEST_CASE("A PCA group goes on from a checkpoint without counting samples again",
          "[examples][pca]") {
  const at::Tensor all = samples_of_rank(3, 60);
  const auto make = nodes_with(all, 3, 3);
  Group first(gossamer::SimulatedGroupOptions(3), rule::GoSgd(1.0), make);
  first.run_until(StopCondition().steps(3));
  gossamer::Archive saved;
  first.checkpoint(saved);
  Group second(gossamer::SimulatedGroupOptions(3), rule::GoSgd(1.0), make);
  gossamer::Archive archive(saved.entries());
  second.checkpoint(archive);
  second.run_until(StopCondition().steps(60));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(second[i].components().count() == Approx(60).epsilon(1e-6));
    CHECK(close(covariance(second[i].components()), covariance(all), 1e-6));
  }
}
