// SPDX-License-Identifier: MIT
/// The example's nodes on a simulated cluster: looked at, saved, and gone on with.
#include <cifar10/cluster.hpp>
#include <cifar10/dataset.hpp>
#include <gossamer/observe/digest.hpp>

#include <tests/support.hpp>

#include <fstream>
#include <memory>
#include <string>

namespace {

using cifar10::Cluster;
using cifar10::Options;
using cifar10::Stretch;
using tests::Approx;

/// One machine of three is slow; one dies, and another one comes.
struct Setting {
  Setting() {
    std::ofstream(folder.path() / "cluster.toml") << R"(
[[nodes]]
count = 2
seconds_per_step = 0.1
[[nodes]]
seconds_per_step = 0.4
[[events]]
at = 1
what = "crash"
nodes = 0
[[events]]
at = 1.5
what = "join"
)";
    options.transport = "simulated";
    options.cluster = folder.path() / "cluster.toml";
    options.nodes = 3;
    options.batch = 2;
    options.probability = 0.5;
    options.momentum = 0.9;
  }
  std::unique_ptr<Cluster> make() {
    return cifar10::make_cluster(
        options, data.train, [] { return false; }, [] {});
  }

  tests::TemporaryFolder folder;
  Options options;
  cifar10::Dataset data = cifar10::synthetic(tests::seed, 100, 1);
};

std::string digest(const Cluster& cluster) { return gossamer::observe::digest(cluster.members()); }

}  // namespace

TEST_CASE("The example on a simulated cluster has one outcome, however often it is looked at",
          "[examples][simulated]") {
  Setting setting;
  const auto one = setting.make();
  one->train({.images = 100, .rest_at = 100});
  const auto two = setting.make();
  for (std::uint64_t images = 20; images <= 100; images += 20) {
    two->train({.images = images, .rest_at = 100});
    CHECK(two->totals().samples >= images);
    CHECK(two->total_weight() == Approx(1).margin(tests::weight_tolerance));
  }
  CHECK(digest(*one) == digest(*two));
  CHECK(one->virtual_seconds() == two->virtual_seconds());
  REQUIRE(one->nodes().size() == 3);
  CHECK(one->nodes()[0]->id() == 1);  // node 0 is gone
  CHECK(one->nodes()[2]->id() == 3);  // and another one has come
  CHECK(one->nodes()[0]->counters().steps > 2 * one->nodes()[1]->counters().steps);

  setting.options.seed = 2;
  const auto other = setting.make();
  other->train({.images = 100, .rest_at = 100});
  CHECK(digest(*other) != digest(*one));
}

TEST_CASE("The example on a simulated cluster goes on from a checkpoint", "[examples][simulated]") {
  Setting setting;
  const auto first = setting.make();
  first->train({.images = 60, .rest_at = 60});
  REQUIRE(first->is_calm());
  gossamer::Archive saved;
  first->checkpoint(saved);

  const auto second = setting.make();
  gossamer::Archive archive(saved.entries());
  second->checkpoint(archive);
  CHECK(digest(*second) == digest(*first));
  CHECK(second->virtual_seconds() == first->virtual_seconds());
  second->train({.images = 100, .rest_at = 100});
  CHECK(second->totals().samples >= 100);
  CHECK(second->total_weight() == Approx(1).margin(tests::weight_tolerance));
}

TEST_CASE("The example alone on a simulated cluster has nobody to wait for, and does not die",
          "[examples][simulated]") {
  Setting setting;
  setting.options.rule = "single";
  const auto alone = setting.make();
  alone->train({.images = 40, .rest_at = 40});
  CHECK(alone->nodes().size() == 1);
  CHECK(alone->virtual_seconds().value() == Approx(2.0));
}
