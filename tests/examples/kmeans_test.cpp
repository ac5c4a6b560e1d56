// SPDX-License-Identifier: MIT
/// k-means that gossips: its algebra by hand, what it conserves on a bad day, and that it finds
/// what Lloyd's algorithm finds.
#include <gossamer/error.hpp>
#include <gossamer/node/thread_group.hpp>
#include <gossamer/observe/consensus.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/rule/gosgd.hpp>
#include <gossamer/rule/gosgd_pull.hpp>
#include <gossamer/rule/none.hpp>
#include <gossamer/rule/persyn.hpp>
#include <gossamer/simulation/group.hpp>
#include <gossip_kmeans/node.hpp>
#include <shared/mnist.hpp>

#include <tests/examples/watched.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace {

using gossamer::Context;
using gossamer::PeerId;
using gossamer::StopCondition;
using kmeans::KMeansNode;
using kmeans::Tally;
using tests::Approx;
using namespace std::chrono_literals;
namespace rule = gossamer::rule;
using Group = gossamer::SimulatedGroup<KMeansNode>;

at::Tensor rows(const std::vector<std::vector<double>>& lines) {
  std::vector<at::Tensor> all;
  for (const auto& line : lines) all.push_back(at::tensor(line, at::kDouble));
  return at::stack(all);
}
at::Tensor list(const std::vector<std::int64_t>& values) { return at::tensor(values, at::kLong); }

bool close(const at::Tensor& a, const at::Tensor& b, double within = 1e-9) {
  return (a - b).abs().max().item<double>() <= within;
}

/// Points in the plane around (0, 0), (10, 0) and (0, 10), in random order.
at::Tensor three_heaps(std::int64_t count) {
  gossamer::Generator random(tests::seed, 3);
  std::vector<std::vector<double>> lines;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t heap = random.below(3);
    lines.push_back({(heap == 1 ? 10 : 0) + random.uniform() - 0.5,
                     (heap == 2 ? 10 : 0) + random.uniform() - 0.5});
  }
  return rows(lines);
}

Group::Factory nodes_with(const std::vector<at::Tensor>& parts, const at::Tensor& start,
                          std::int64_t batch) {
  return [=](Context context) {
    const std::size_t place = context.transport->self() % parts.size();
    return std::make_unique<KMeansNode>(std::move(context), parts[place], start, batch);
  };
}

}  // namespace

TEST_CASE("Points go to the nearest centre, at the squared distance", "[examples][kmeans]") {
  const auto result =
      kmeans::assign(rows({{0, 1}, {9, 0}, {5, 1}}), rows({{0, 0}, {10, 0}, {5, 5}}));
  CHECK(at::equal(result.labels, list({0, 1, 2})));
  CHECK(close(result.distances, at::tensor({1.0, 1.0, 16.0}, at::kDouble)));
  CHECK(kmeans::quantization_error(rows({{0, 1}, {9, 0}}), rows({{0, 0}, {10, 0}})) == Approx(1.0));
}

TEST_CASE("A point that moves is taken out of one cluster and put into another",
          "[examples][kmeans]") {
  const at::Tensor points = rows({{1, 2}, {3, 4}, {5, 6}});
  Tally tally = kmeans::empty_tally(2, points);
  kmeans::transfer(tally, points, list({-1, -1, -1}), list({0, 0, 1}));
  CHECK(close(tally.sums, rows({{4, 6}, {5, 6}})));
  CHECK(close(tally.counts, at::tensor({2.0, 1.0}, at::kDouble)));
  kmeans::transfer(tally, points, list({0, 0, 1}), list({0, 1, 1}), 3);  // thrice, as at a = 1/3
  CHECK(close(tally.sums, rows({{4 - 9, 6 - 12}, {5 + 9, 6 + 12}})));
  CHECK(close(tally.counts, at::tensor({-1.0, 4.0}, at::kDouble)));
}

TEST_CASE(
    "A cluster without points keeps its centre, also if rounding or an early correction "
    "leaves it less than nothing",
    "[examples][kmeans]") {
  const at::Tensor before = rows({{1, 1}, {2, 2}, {3, 3}, {4, 4}});
  const Tally tally{rows({{6, 9}, {0, 0}, {1e-7, 1e-7}, {-8, 2}}),
                    at::tensor({3.0, 0.0, 1e-9, -2.0}, at::kDouble)};
  CHECK(close(kmeans::centres_of(tally, before), rows({{2, 3}, {2, 2}, {3, 3}, {4, 4}})));

  // In a whole run: the third centre is far from all points.
  const at::Tensor points = three_heaps(60);
  const at::Tensor start = rows({{1, 0}, {9, 0}, {100, 100}});
  CHECK(close(kmeans::lloyd(points, start, 20, 0).centres[2], start[2]));
  Group group(gossamer::SimulatedGroupOptions(4), rule::GoSgd(1.0),
              nodes_with(examples::shares(points, 4, true), start, 5));
  group.run(StopCondition().steps(60));
  for (std::size_t i = 0; i < 4; ++i) CHECK(close(group[i].centres()[2], start[2]));
}

TEST_CASE("Starting centres are distinct points, the same for the same seed",
          "[examples][kmeans]") {
  const at::Tensor points = at::arange(20, at::kDouble).unsqueeze(1);
  const at::Tensor all = kmeans::starting_centres(points, 20, tests::seed);
  CHECK(at::equal(std::get<0>(all.sort(0)), points));
  CHECK_FALSE(at::equal(all, points));
  CHECK(at::equal(kmeans::starting_centres(points, 5, tests::seed), all.narrow(0, 0, 5)));
  CHECK(tests::message_of<gossamer::ConfigError>([&] {
          (void)kmeans::starting_centres(points, 21, 0);
        }) == "k-means: clusters must be from 1 to the 20 points, got 21");
}

TEST_CASE("One node alone with one batch takes Lloyd's steps", "[examples][kmeans]") {
  const at::Tensor points = three_heaps(90);
  const at::Tensor start = rows({{1, 0}, {2, 0}, {3, 0}});
  Group group(gossamer::SimulatedGroupOptions(1), rule::GoSgd(1.0),
              nodes_with({points}, start, 90));
  for (std::uint64_t step = 1; step <= 5; ++step) {
    group.run_until(StopCondition().steps(step));
    const auto central = kmeans::lloyd(points, start, static_cast<int>(step), -1);
    CHECK(central.iterations == static_cast<int>(step));
    CHECK(close(group[0].centres(), central.centres));
  }
  CHECK(group[0].weight() == 1);
}

TEST_CASE("A push halves what a node holds, and two that have met hold the tally of both",
          "[examples][kmeans]") {
  const at::Tensor points = rows({{0, 0}, {2, 0}, {10, 0}, {12, 0}, {14, 0}});
  const at::Tensor start = rows({{0, 0}, {10, 0}});
  const std::vector<at::Tensor> parts{points.narrow(0, 0, 3), points.narrow(0, 3, 2)};
  Group group(gossamer::SimulatedGroupOptions(2), rule::GoSgd(0.0), nodes_with(parts, start, 10));
  group.run_until(StopCondition().steps(1));
  // Both have weight 1/2, so the model is twice what they count.
  CHECK(close(group[0].model().sums, rows({{4, 0}, {20, 0}})));
  CHECK(close(group[1].model().counts, at::tensor({0.0, 4.0}, at::kDouble)));
  CHECK(close(group[1].centres(), rows({{0, 0}, {13, 0}})));  // the first is empty there

  Group pair(gossamer::SimulatedGroupOptions(2), rule::GoSgd(1.0), nodes_with(parts, start, 10));
  pair.run_until(StopCondition().steps(40));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(close(pair[i].model().sums, rows({{2, 0}, {36, 0}}), 1e-3));
    CHECK(close(pair[i].model().counts, at::tensor({2.0, 3.0}, at::kDouble), 1e-3));
    CHECK(close(pair[i].centres(), rows({{1, 0}, {12, 0}}), 1e-3));
  }
}

TEST_CASE(
    "On a bad day, nodes, messages and the dead together hold what was counted, at every "
    "event",
    "[examples][kmeans]") {
  const at::Tensor points = three_heaps(200);
  const at::Tensor start = points.narrow(0, 0, 6);
  const auto parts = examples::shares(points, 6, true);
  const auto watch = std::make_shared<tests::Watch>(
      [](double weight, const gossamer::model::Flat& flat) { return flat.segments()[0] * weight; });
  const auto make = nodes_with(parts, start, 8);
  Group group(tests::bad_day(6), rule::GoSgd(0.7), [&](Context context) {
    context.transport = tests::Watched(std::move(context.transport), watch);
    return make(std::move(context));
  });
  at::Tensor buried = at::zeros_like(group[0].parameters().flat().segments()[0]);
  const auto flat_of = [](Tally own) {
    const gossamer::model::FlatModel flat(gossip_tensors(own));
    return flat.flat().segments()[0].clone();
  };
  bool crashed = false;
  group.on_crash = [&](const KMeansNode& node) {
    crashed = true;
    watch->bury(node.weight(), node.parameters().flat());
    buried += flat_of(node.contribution());
  };
  double worst = 0;
  std::vector<at::Tensor> left(8);  // what a node had counted when it was last seen
  group.on_step = [&] {
    at::Tensor counted = buried.clone();
    for (PeerId id = 0; id < group.size(); ++id) {
      if (group.is_live(id)) left[id] = flat_of(group[id].contribution());
      if (id != 3 && left[id].defined()) counted += left[id];  // 3 is among the buried
      if (id == 3 && !crashed) counted += left[id];
    }
    const at::Tensor held = watch->total(group.replicas());
    worst = std::max(worst, (held - counted).abs().max().item<double>());
  };
  group.run(StopCondition().duration(1500ms));
  CHECK(crashed);
  CHECK(group.size() == 8);
  CHECK_FALSE(group.is_live(2));  // it has left
  CHECK_FALSE(group.is_live(3));
  CHECK(group.world().traffic().lost > 0);
  CHECK(watch->messages() > 200);
  CHECK(group.totals().messages_returned > 0);
  CHECK(group.total_weight() == Approx(1).margin(tests::weight_tolerance));
  CHECK(worst < 1e-8);
}

TEST_CASE("Under each rule that conserves sums, all nodes find what Lloyd's algorithm finds",
          "[examples][kmeans]") {
  const at::Tensor points = examples::synthetic_points(tests::seed, 600).values;
  const at::Tensor start = kmeans::starting_centres(points, 10, tests::seed);
  const double central = kmeans::lloyd(points, start, 100, 1e-6).error;
  const auto rule =
      GENERATE(as<rule::AnyRule>{}, rule::GoSgd(1.0), rule::GoSgdPull(1.0), rule::PerSyn(1));
  const std::size_t nodes = GENERATE(1U, 2U, 5U);
  INFO(rule->name() << ", " << nodes << " nodes");
  Group group(gossamer::SimulatedGroupOptions(nodes).node(gossamer::NodeOptions().seed(1)), rule,
              nodes_with(examples::shares(points, nodes, true), start, 30));
  group.run(StopCondition().steps(300));
  for (std::size_t i = 0; i < nodes; ++i) {
    CHECK(kmeans::quantization_error(points, group[i].centres()) < 1.02 * central);
  }
  Tally all = kmeans::empty_tally(10, points);
  gossamer::observe::copy_into(all, group.weighted_mean(), group.replicas());
  CHECK(all.counts.sum().item<double>() == Approx(600).epsilon(1e-4));
}

TEST_CASE("Nodes that never meet do not find it: the test above can fail", "[examples][kmeans]") {
  const at::Tensor points = examples::synthetic_points(tests::seed, 600).values;
  const at::Tensor start = kmeans::starting_centres(points, 10, tests::seed);
  const double central = kmeans::lloyd(points, start, 100, 1e-6).error;
  Group group(gossamer::SimulatedGroupOptions(5), rule::None(),
              nodes_with(examples::shares(points, 5, true), start, 30));
  group.run(StopCondition().steps(100));
  CHECK(kmeans::quantization_error(points, group[0].centres()) > 1.02 * central);
}

TEST_CASE("k-means on threads counts every point once", "[examples][kmeans]") {
  const at::Tensor points = three_heaps(300);
  const at::Tensor start = rows({{1, 0}, {9, 0}, {0, 9}});
  const auto parts = examples::shares(points, 4, true);
  gossamer::ThreadGroup<KMeansNode> group(gossamer::GroupOptions(4), rule::GoSgd(1.0),
                                          nodes_with(parts, start, 20));
  tests::run_all(group);
  at::Tensor counted = at::zeros({3}, at::kDouble);
  at::Tensor held = at::zeros({3}, at::kDouble);
  for (std::size_t i = 0; i < 4; ++i) {
    counted += group[i].contribution().counts;
    held += group[i].model().counts * group[i].weight();
  }
  CHECK(counted.sum().item<double>() == 300);
  CHECK(close(held, counted));
}

TEST_CASE("A k-means group goes on from a checkpoint as it was", "[examples][kmeans]") {
  const at::Tensor points = three_heaps(120);
  const at::Tensor start = rows({{1, 0}, {9, 0}, {0, 9}});
  const auto make = nodes_with(examples::shares(points, 3, true), start, 7);
  const auto options = gossamer::SimulatedGroupOptions(3);
  Group first(options, rule::GoSgd(0.5), make);
  first.run_until(StopCondition().steps(9));
  gossamer::Archive saved;
  first.checkpoint(saved);
  Group second(options, rule::GoSgd(0.5), make);
  gossamer::Archive archive(saved.entries());
  second.checkpoint(archive);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(close(second[i].contribution().sums, first[i].contribution().sums));
    CHECK(close(second[i].centres(), first[i].centres()));
  }
  second.run_until(StopCondition().steps(50));
  at::Tensor held = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < 3; ++i) held += second[i].model().counts.sum() * second[i].weight();
  CHECK(held.item<double>() == Approx(120));
}
