// SPDX-License-Identifier: MIT
/// Cluster files: what they say is what is simulated, and each mistake gets its line.
#include <gossamer/error.hpp>
#include <gossamer/simulation/cluster_file.hpp>

#include <tests/support.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using gossamer::ClusterFile;
using gossamer::ConfigError;
using gossamer::Generator;
using gossamer::PeerId;
using gossamer::SimulatedGroupOptions;
using namespace std::chrono_literals;
namespace fault = gossamer::fault;

std::filesystem::path write(const tests::TemporaryFolder& folder, const std::string& text,
                            const char* name = "cluster.toml") {
  const std::filesystem::path path = folder.path() / name;
  std::ofstream(path) << text;
  return path;
}

SimulatedGroupOptions read(const std::string& text) {
  const tests::TemporaryFolder folder;
  return ClusterFile::read(write(folder, text));
}

/// What is wrong with a file, after the name of its folder.
std::string complaint(const std::string& text) {
  const tests::TemporaryFolder folder;
  const auto path = write(folder, text);
  const auto all = tests::message_of<ConfigError>([&] { ClusterFile::read(path); });
  REQUIRE(all.rfind(path.string(), 0) == 0);
  return all.substr(path.string().size() + 1);
}

gossamer::transport::Time cost_of(const SimulatedGroupOptions& options, PeerId id) {
  Generator random(tests::seed, 0);
  return options.cost_of()(id)(random);
}

}  // namespace

TEST_CASE("A cluster file says what is simulated", "[node][simulated][parse]") {
  const SimulatedGroupOptions options = read(R"(
[[nodes]]
name = "fast"
count = 3
seconds_per_step = 0.01

[[nodes]]
name = "slow"
seconds_per_step = { trace = [0.5, 1] }

[newcomers]
seconds_per_step = { median = 2, sigma = 0 }

[network]
uplink = 125e6
downlink = 250_000_000
latency = 2e-4
bandwidth = 1e6
loss = 0.01
duplicate = 0.02
reorder = 0.03
late_by = 0.5
resend_after = 0.1
dead_after = 3

[[links]]
between = ["slow", "fast"]
latency = 0.05
loss = 1
)");
  const auto& world = options.world();
  CHECK(world.nodes() == 4);
  CHECK(cost_of(options, 2) == 10ms);
  CHECK(cost_of(options, 3) == 500ms);
  CHECK(cost_of(options, 4) == 2s);
  CHECK(world.uplink() == 125e6);
  CHECK(world.downlink() == 250e6);
  CHECK(world.link().latency == 200us);
  CHECK(world.link().bytes_per_second == 1e6);
  CHECK(world.link().loss == 0.01);
  CHECK(world.noise().loss == 0);
  CHECK(world.noise().duplicate == 0.02);
  CHECK(world.noise().reorder == 0.03);
  CHECK(world.noise().late_by == 500ms);
  CHECK(world.resend_after() == 100ms);
  CHECK(world.dead_after() == 3s);
  const auto links = world.link_of();
  CHECK(links(0, 1).latency == 200us);
  for (const auto& link : {links(0, 3), links(3, 0)}) {
    CHECK(link.latency == 50ms);
    CHECK(link.bytes_per_second == 1e6);
    CHECK(link.loss == 1);
  }
}

TEST_CASE("A cluster file plans every kind of event", "[node][simulated][parse]") {
  const auto plan = read(R"(
[[nodes]]
name = "all"
count = 4
seconds_per_step = 1

[[events]]
at = 0.5
every = 2
times = 3
what = "straggle"
nodes = [0, 2]
factor = 4
[[events]]
at = 1
what = "pause"
nodes = 1
seconds = 0.25
[[events]]
at = 2
what = "slow_disk"
nodes = "all"
seconds = 3
[[events]]
at = 3
what = "crash"
nodes = 3
[[events]]
at = 4
what = "restart"
nodes = 3
[[events]]
at = 5
what = "join"
[[events]]
at = 6
what = "leave"
nodes = 4
[[events]]
at = 7
what = "partition"
nodes = [0, 1]
[[events]]
at = 8
what = "heal"
[[events]]
at = 9
what = "cut"
link = [0, 3]
[[events]]
at = 10
what = "restore"
link = [0, 3]
[[events]]
at = 11
what = "noise"
loss = 0.5
reorder = 0.25
)")
                        .plan();
  REQUIRE(plan.size() == 6 + 1 + 4 + 9);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(plan[i].when == 500ms + 2s * static_cast<int>(i / 2));
    const auto& straggle = std::get<fault::Straggle>(plan[i].what);
    CHECK(straggle.node == (i % 2 == 0 ? 0U : 2U));
    CHECK(straggle.factor == 4);
  }
  CHECK(std::get<fault::Pause>(plan[6].what).node == 1);
  CHECK(std::get<fault::Pause>(plan[6].what).length == 250ms);
  for (PeerId id = 0; id < 4; ++id) {
    CHECK(std::get<fault::SlowDisk>(plan[7 + id].what).node == id);
    CHECK(std::get<fault::SlowDisk>(plan[7 + id].what).length == 3s);
  }
  CHECK(std::get<fault::Crash>(plan[11].what).node == 3);
  CHECK(std::get<fault::Restart>(plan[12].what).node == 3);
  CHECK(std::holds_alternative<fault::Join>(plan[13].what));
  CHECK(std::get<fault::Leave>(plan[14].what).node == 4);  // who joins has the next number
  CHECK(std::get<fault::Partition>(plan[15].what).nodes == std::vector<PeerId>{0, 1});
  CHECK(std::holds_alternative<fault::Heal>(plan[16].what));
  CHECK(std::get<fault::Cut>(plan[17].what).b == 3);
  CHECK(std::get<fault::Reconnect>(plan[18].what).b == 3);
  CHECK(std::get<fault::Noise>(plan[19].what).noise.loss == 0.5);
  CHECK(std::get<fault::Noise>(plan[19].what).noise.reorder == 0.25);
  CHECK(plan[19].when == 11s);
}

TEST_CASE("A trace may lie in a file beside the cluster's", "[node][simulated][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = write(folder, "[[nodes]]\nseconds_per_step = { trace = \"times\" }\n");
  write(folder, "0.25\n0.5\r\n", "times");
  CHECK(cost_of(ClusterFile::read(path), 0) == 250ms);
  write(folder, "0.25\n0.5 s\n", "times");
  CHECK(tests::message_of<ConfigError>([&] { ClusterFile::read(path); }) ==
        (folder.path() / "times").string() + ":2: must be a number in [1e-09, 1e+09], got '0.5 s'");
  std::filesystem::remove(folder.path() / "times");
  CHECK(tests::message_of<ConfigError>([&] { ClusterFile::read(path); }) ==
        path.string() +
            ":2: nodes.seconds_per_step.trace must be a list, or a file, of numbers in "
            "[1e-09, 1e+09], got 'times'");
}

TEST_CASE("A mistake in a cluster file gets its line, its key and what was expected",
          "[node][simulated][parse]") {
  const std::string nodes = "[[nodes]]\ncount = 2\nseconds_per_step = 1\n";
  CHECK(complaint("[[nodes]\n").rfind("1: is not TOML: ", 0) == 0);
  CHECK(complaint("") == " [[nodes]] is missing: a cluster needs nodes");
  CHECK(complaint("nodes = 3") == "1: nodes must be a list of tables, written [[nodes]], got 3");
  CHECK(complaint("[[nodes]]\ncount = 0\nseconds_per_step = 1") ==
        "2: nodes.count must be a whole number in [1, 1000000], got 0");
  CHECK(complaint("[[nodes]]\ncount = 2.5\nseconds_per_step = 1") ==
        "2: nodes.count must be a whole number in [1, 1000000], got 2.5");
  CHECK(complaint("[[nodes]]\ncount = 2") ==
        "1: nodes.seconds_per_step is missing; it must be a number in [1e-09, 1e+09], or a table "
        "with median and sigma, or with trace");
  CHECK(complaint("[[nodes]]\nseconds_per_step = \"fast\"") ==
        "2: nodes.seconds_per_step must be a number in [1e-09, 1e+09], or a table with median and "
        "sigma, or with trace, got 'fast'");
  CHECK(complaint("[[nodes]]\nseconds_per_step = { median = 1 }") ==
        "2: nodes.seconds_per_step.sigma is missing; it must be a number in [0, 3]");
  CHECK(complaint("[[nodes]]\nseconds_per_step = { median = 1, sigma = 500 }") ==
        "2: nodes.seconds_per_step.sigma must be a number in [0, 3], got 500");
  CHECK(complaint("[[nodes]]\nseconds_per_step = { trace = [] }") ==
        "2: nodes.seconds_per_step.trace must be a list, or a file, of numbers in [1e-09, 1e+09], "
        "got []");
  CHECK(complaint("[[nodes]]\nname = \"a\"\nseconds_per_step = 1\n[[nodes]]\nname = \"a\"") ==
        "5: nodes.name must be a name that no other group has, got 'a'");
  CHECK(complaint(nodes + "speed = 3") ==
        "4: nodes.speed is no key of nodes; these are: count, name, seconds_per_step");
  CHECK(complaint(nodes + "[network]\nloss = 2") ==
        "5: network.loss must be a number in [0, 1], got 2");
  CHECK(complaint(nodes + "[network]\nlatency = nan") ==
        "5: network.latency must be a number in [0, 1e+09], got nan");
  CHECK(complaint(nodes + "[network]\nlatency = 2000000000") ==
        "5: network.latency must be a number in [0, 1e+09], got 2000000000");
  CHECK(complaint(nodes + "[[links]]\nbetween = [\"a\", \"b\"]") ==
        "5: links.between must be the name of a group, got 'a'");
  CHECK(complaint(nodes + "[[links]]\nlatency = 1") ==
        "4: links.between is missing; it must be two names of groups");
  CHECK(complaint(nodes + "[[events]]\nat = 1\nwhat = \"explode\"")
            .rfind("6: events.what must be one of straggle, pause, slow_disk, crash, ", 0) == 0);
  CHECK(complaint(nodes + "[[events]]\nwhat = \"heal\"") ==
        "4: events.at is missing; it must be a number in [0, 1e+09]");
  CHECK(complaint(nodes + "[[events]]\nat = 1\nwhat = \"crash\"\nnodes = 2") ==
        "7: events.nodes must be numbers of nodes in [0, 1], or the name of a group, got 2");
  CHECK(complaint(nodes + "[[events]]\nat = 1\nwhat = \"cut\"\nlink = [1, 1]") ==
        "7: events.link must be two different numbers of nodes in [0, 1], got [ 1, 1 ]");
  CHECK(complaint(nodes + "[[events]]\nat = 1\nwhat = \"crash\"\nnodes = 1\nfactor = 2") ==
        "8: events.factor is no key of events; these are: what, at, nodes, times");
  CHECK(complaint(nodes + "[[events]]\nat = 1\nwhat = \"heal\"\ntimes = 3") ==
        "4: events.every is missing; it must be a number in [1e-09, 1e+09]");
  CHECK(tests::message_of<ConfigError>([] { ClusterFile::read("/nowhere/c.toml"); }) ==
        "cluster file /nowhere/c.toml: cannot be read");
}
