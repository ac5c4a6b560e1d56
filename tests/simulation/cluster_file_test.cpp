// SPDX-License-Identifier: MIT
/// Cluster files: what they say is what is simulated, and each mistake gets its line.
#include <gossamer/error.hpp>
#include <gossamer/simulation/cluster_file.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
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
        "with median and sigma, or with trace, uniform or log_uniform");
  CHECK(complaint("[[nodes]]\nseconds_per_step = \"fast\"") ==
        "2: nodes.seconds_per_step must be a number in [1e-09, 1e+09], or a table with median and "
        "sigma, or with trace, uniform or log_uniform, got 'fast'");
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
        "4: nodes.speed is no key of nodes; these are: count, name, seconds_per_step, throttle, "
        "uplink, downlink, outages, latency, loss, joules_per_step, joules_per_byte, asleep");
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

TEST_CASE("Devices of a kind draw their own values, by the file's seed alone",
          "[node][simulated][parse]") {
  const std::string text = R"(
[[nodes]]
count = 200
seconds_per_step = { log_uniform = [0.01, 1] }
uplink = { uniform = [1e5, 5e5] }
latency = { uniform = [0.01, 0.03] }
loss = 0.1
joules_per_step = { log_uniform = [0.1, 10] }
joules_per_byte = 1e-6
[network]
latency = 0.001
loss = 0.5
)";
  const auto one = read("seed = 1\n" + text);
  const auto same = read("seed = 1\n" + text);
  const auto other = read("seed = 2\n" + text);
  int below = 0;
  int differ = 0;
  for (PeerId id = 0; id < 200; ++id) {
    const auto step = cost_of(one, id);
    CHECK(step >= 10ms);
    CHECK(step <= 1s);
    CHECK(step == cost_of(same, id));
    differ += step != cost_of(other, id) ? 1 : 0;
    below += step < 100ms ? 1 : 0;
    const auto access = one.world().access_of()(id);
    const double rate = access.uplink->at(0s).bytes_per_second;
    CHECK(rate >= 1e5);
    CHECK(rate <= 5e5);
    CHECK_FALSE(access.downlink);
    const auto link = one.world().link_of()(id, (id + 1) % 200);
    CHECK(link.latency >= 21ms);
    CHECK(link.latency <= 61ms);
    CHECK(link.loss == tests::Approx(1 - 0.5 * 0.9 * 0.9));
  }
  CHECK(differ == 200);
  CHECK(std::abs(below - 100) < 36);  // half, by ratios: five deviations
  CHECK(cost_of(one, 200) >= 10ms);   // who joins is of the last kind
}

TEST_CASE("What groups do not say is said of all devices", "[node][simulated][parse]") {
  const auto options = read(R"(
[devices]
seconds_per_step = 2
uplink = 100
latency = 0.5
[[nodes]]
[[nodes]]
seconds_per_step = { trace = [3] }
uplink = 200
[newcomers]
latency = 0.25
)");
  CHECK(cost_of(options, 0) == 2s);
  CHECK(cost_of(options, 1) == 3s);
  CHECK(cost_of(options, 2) == 3s);  // as the last group's
  const auto access = options.world().access_of();
  CHECK(access(0).uplink->at(0s).bytes_per_second == 100);
  CHECK(access(2).uplink->at(0s).bytes_per_second == 200);
  CHECK(options.world().link_of()(0, 1).latency == 1s + 100us);
  CHECK(options.world().link_of()(0, 2).latency == 750ms + 100us);
}

TEST_CASE("The edge of sixty is what its page says", "[node][simulated][parse]") {
  const auto path =
      std::filesystem::path(GOSSAMER_SOURCE_DIR) / "benchmarks/cluster/edge_of_sixty.toml";
  const auto options = ClusterFile::read(path);
  CHECK(options.world().nodes() == 60);
  CHECK(ClusterFile::read_energy(path));
  std::map<PeerId, std::size_t> naps;
  for (const auto& planned : options.plan()) ++naps[std::get<fault::Pause>(planned.what).node];
  CHECK(naps.size() == 60);
  for (PeerId id = 0; id < 60; ++id) {
    const auto access = options.world().access_of()(id);
    double most = 0;
    bool is_out = false;
    for (int second = 0; second < 10'000; second += 5) {
      const double rate = access.uplink->at(second * 1s).bytes_per_second;
      most = std::max(most, rate);
      is_out = is_out || rate == 0;
    }
    CHECK(most >= 125e3);
    CHECK(most <= 6.25e6);
    CHECK(is_out);
  }
}

TEST_CASE("A share of the devices sleeps at any time, each of them in turn",
          "[node][simulated][parse]") {
  const auto options = read(R"(
[[nodes]]
count = 20
seconds_per_step = 1
asleep = { share = 0.1, every = 100, until = 1000 }
)");
  using Span = std::pair<gossamer::transport::Time, gossamer::transport::Time>;
  std::map<PeerId, std::vector<Span>> naps;
  for (const auto& planned : options.plan()) {
    const auto& pause = std::get<fault::Pause>(planned.what);
    naps[pause.node].emplace_back(planned.when, planned.when + pause.length);
  }
  CHECK(naps.size() == 20);
  for (int second = 0; second < 1000; second += 3) {
    const gossamer::transport::Time now = second * 1s + 1ms;
    int asleep = 0;
    for (const auto& [id, spans] : naps) {
      asleep += std::any_of(spans.begin(), spans.end(), [now](const Span& span) {
        return span.first <= now && now < span.second;
      });
    }
    CHECK(asleep == 2);
  }
  CHECK(options.settle_limit() == 40s);  // what waits for them may come
}

TEST_CASE("Links go by traces and outages, and devices get hot", "[node][simulated][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = write(folder, R"(
[[nodes]]
count = 2
seconds_per_step = 1
uplink = { trace = "rates", offset = 2 }
downlink = { trace = [[0, 8], [1, 4]] }
throttle = { after = 2, factor = 3 }
[[nodes]]
seconds_per_step = 1
uplink = 1000
outages = { mean_up = 10, mean_down = 5, when_down = 0.5 }
[[nodes]]
seconds_per_step = 1
[network]
downlink = 100
)");
  write(folder, "# seconds, bytes per second\n0, 100\n\n2 200\r\n4\t300\n", "rates");
  const auto options = ClusterFile::read(path);
  const auto access = options.world().access_of();
  CHECK(access(1).uplink->bytes_between(0s, 4s) == 2 * 200 + 2 * 300);
  CHECK(access(1).downlink->bytes_between(0s, 4s) == 24);
  Generator random(tests::seed);
  auto cost = options.cost_of()(1);
  CHECK(cost(random) == 1s);
  CHECK(cost(random) == 1s);
  CHECK(cost(random) == 3s);
  const auto third = access(2);  // both directions are down at the same time
  bool up = false;
  bool down = false;
  for (int i = 0; i < 1000; ++i) {
    const double sends = third.uplink->at(i * 1s).bytes_per_second;
    CHECK(third.downlink->at(i * 1s).bytes_per_second == sends / 10);
    up = up || sends == 1000;
    down = down || sends == 500;
  }
  CHECK(up);
  CHECK(down);
  CHECK_FALSE(access(3).uplink);  // no limit, as the network says
  CHECK(access(3).downlink->at(0s).bytes_per_second == 100);
  CHECK_FALSE(ClusterFile::read_energy(path));
  write(folder, "0 100\n0 200\n", "rates");
  CHECK(tests::message_of<ConfigError>([&] { ClusterFile::read(path); }) ==
        (folder.path() / "rates").string() +
            ":2: must be two numbers, seconds, which ascend, and bytes per second of at least 0, "
            "got '0 200'");
}

TEST_CASE("A cluster file prices steps and bytes", "[node][simulated][parse]") {
  const tests::TemporaryFolder folder;
  const auto path = write(folder, R"(
[[nodes]]
count = 2
seconds_per_step = 1
joules_per_step = 3
joules_per_byte = 0.5
[[nodes]]
seconds_per_step = 1
)");
  struct Group {
    [[nodiscard]] std::size_t size() const { return 3; }
    [[nodiscard]] gossamer::Counters counters(std::size_t i) const {
      gossamer::Counters counters;
      counters.steps = 10 * (i + 1);
      counters.bytes_sent = 100;
      return counters;
    }
  };
  CHECK(ClusterFile::read_energy(path).joules(Group()) == (10 + 20) * 3 + 200 * 0.5);
}

TEST_CASE("A mistake in a device gets its line, its key and what was expected",
          "[node][simulated][parse]") {
  const std::string nodes = "[[nodes]]\ncount = 2\nseconds_per_step = 1\n";
  CHECK(complaint("seed = -1\n" + nodes) ==
        "1: seed must be a whole number in [0, 9223372036854775807], got -1");
  CHECK(complaint("[[nodes]]\nseconds_per_step = { uniform = [2, 1] }") ==
        "2: nodes.seconds_per_step.uniform must be two numbers in [1e-09, 1e+09], the smaller one "
        "first, got [ 2, 1 ]");
  CHECK(complaint("[[nodes]]\nseconds_per_step = { uniform = [1, 2], log_uniform = [1, 2] }")
            .rfind("2: nodes.seconds_per_step.log_uniform is no key of ", 0) == 0);
  CHECK(complaint(nodes + "latency = { log_uniform = [0, 2] }") ==
        "4: nodes.latency.log_uniform must be two numbers in [0, 1e+09], the smaller one first, "
        "above 0, got [ 0, 2 ]");
  CHECK(complaint(nodes + "latency = {}") ==
        "4: nodes.latency.log_uniform is missing; it must be two numbers in [0, 1e+09], the "
        "smaller one first, above 0");
  CHECK(complaint(nodes + "uplink = 0") ==
        "4: nodes.uplink must be a number in [1, 1e+15], or a table with uniform or log_uniform, "
        "got 0");
  CHECK(complaint(nodes + "uplink = { trace = \"nowhere\" }") ==
        "4: nodes.uplink.trace must be a list of pairs, or a file with two numbers a line: "
        "seconds, which ascend, and bytes per second of at least 0, got 'nowhere'");
  CHECK(complaint(nodes + "uplink = { trace = [[0, 1], [1]] }")
            .rfind("4: nodes.uplink.trace must be a list of pairs", 0) == 0);
  CHECK(complaint(nodes + "uplink = { trace = [[0, 0], [1, 0]] }") ==
        "4: nodes.uplink.trace must be one that can be followed (TracedRate: a rate must be above "
        "0, got none), got [ [ 0, 0 ], [ 1, 0 ] ]");
  CHECK(complaint(nodes + "throttle = { after = 1, factor = 0.5 }") ==
        "4: nodes.throttle.factor must be a number in [1, 1e+06], got 0.5");
  CHECK(complaint(nodes + "outages = { mean_up = 1 }") ==
        "4: nodes.outages.mean_down is missing; it must be a number in [1e-09, 1e+09]");
  CHECK(complaint(nodes + "asleep = { share = 2, every = 1 }") ==
        "4: nodes.asleep.share must be a number in [0, 1], got 2");
  CHECK(complaint(nodes + "asleep = { share = 0.5, every = 0.001 }") ==
        "4: nodes.asleep.every must be so long that all devices of the group sleep a million times "
        "at most until then, got 0.001");
  CHECK(complaint(nodes + "[newcomers]\nseconds_per_step = 1\nasleep = { share = 0, every = 9 }")
            .rfind("6: newcomers.asleep must be a key of [[nodes]] only, got ", 0) == 0);
  CHECK(complaint(nodes + "joules_per_byte = -1").rfind("4: nodes.joules_per_byte must be ", 0) ==
        0);
}

TEST_CASE("Whatever is done to a cluster file, it is read or refused", "[node][simulated][parse]") {
  const std::string text = R"(seed = 7
[[nodes]]
name = "a"
count = 3
seconds_per_step = { median = { uniform = [0.1, 0.2] }, sigma = 0.3 }
uplink = { trace = [[0, 8], [1, 4]], offset = 1 }
downlink = { log_uniform = [1e5, 6e6] }
outages = { mean_up = 10, mean_down = 5, when_down = 0.5 }
throttle = { after = 2, factor = 3 }
asleep = { share = 0.1, every = 100, until = 1000 }
latency = 0.1
joules_per_byte = 1e-7
)";
  const tests::TemporaryFolder folder;
  Generator random(tests::seed);
  int refused = 0;
  for (int i = 0; i < 400; ++i) {
    std::string broken = text;
    for (std::uint32_t j = random.below(3); j < 3; ++j) {
      const std::uint32_t at = random.below(static_cast<std::uint32_t>(broken.size()));
      const char letter = "0123456789[]{},.=-e\n\"#"[random.below(22)];
      if (random.below(2) == 0) broken[at] = letter;
      if (random.below(4) == 0) broken.insert(at, 1, letter);
      if (random.below(4) == 0) broken.erase(at, 1 + random.below(5));
    }
    try {
      const auto options = ClusterFile::read(write(folder, broken));
      CHECK(options.world().nodes() >= 1);
      CHECK(cost_of(options, 0) > 0s);
    } catch (const ConfigError& error) {
      ++refused;
      CHECK(std::string(error.what()).find("cluster.toml") != std::string::npos);
    }
  }
  CHECK(refused > 100);
  CHECK(refused < 400);
}
