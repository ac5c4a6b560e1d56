// SPDX-License-Identifier: MIT
/// The example's nodes on a simulated cluster: looked at, saved, and gone on with.
#include <cifar10/dataset.hpp>
#include <cifar10/training.hpp>
#include <gossamer/observe/digest.hpp>
#include <gossamer/simulation/trace.hpp>

#include <nlohmann/json.hpp>
#include <tests/support.hpp>

#include <array>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>

namespace {

using cifar10::Options;
using gossamer::StopCondition;
using Group = examples::AnyGroup<cifar10::CifarNode>;
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
  Group make(std::shared_ptr<gossamer::observe::Callback> callback = nullptr) {
    return cifar10::make_group(options, options.node_options().callback(std::move(callback)),
                               data.train, [] { return false; });
  }

  tests::TemporaryFolder folder;
  Options options;
  cifar10::Dataset data = cifar10::synthetic(tests::seed, 100, 1);
};

std::string digest(const Group& group) { return gossamer::observe::digest(group->replicas()); }

}  // namespace

TEST_CASE("The example on a simulated cluster has one outcome, however often it is looked at",
          "[examples][simulated]") {
  Setting setting;
  Group one = setting.make();
  one->run_towards(StopCondition().samples(100), 100);
  Group two = setting.make();
  for (std::uint64_t images = 20; images <= 100; images += 20) {
    two->run_towards(StopCondition().samples(100), images);
    CHECK(two->totals().samples >= images);
    CHECK(two->weight_of_all().value() == Approx(1).margin(tests::weight_tolerance));
  }
  CHECK(digest(one) == digest(two));
  CHECK(one->elapsed() == two->elapsed());
  REQUIRE(one->live().size() == 3);
  CHECK(one->live()[0]->id() == 1);  // node 0 is gone
  CHECK(one->live()[2]->id() == 3);  // and another one has come
  CHECK(one->live()[0]->counters().steps > 2 * one->live()[1]->counters().steps);

  setting.options.seed = 2;
  Group other = setting.make();
  other->run_towards(StopCondition().samples(100), 100);
  CHECK(digest(other) != digest(one));
}

TEST_CASE("The example on a simulated cluster goes on from a checkpoint", "[examples][simulated]") {
  Setting setting;
  Group first = setting.make();
  first->run_towards(StopCondition().samples(60), 60);
  REQUIRE(first->is_at_rest());
  gossamer::Archive saved;
  first->checkpoint(saved);

  Group second = setting.make();
  gossamer::Archive archive(saved.entries());
  second->checkpoint(archive);
  CHECK(digest(second) == digest(first));
  CHECK(second->elapsed() == first->elapsed());
  second->run_towards(StopCondition().samples(100), 100);
  CHECK(second->totals().samples >= 100);
  CHECK(second->weight_of_all().value() == Approx(1).margin(tests::weight_tolerance));
}

TEST_CASE("The example alone on a simulated cluster has nobody to wait for, and does not die",
          "[examples][simulated]") {
  Setting setting;
  setting.options.rule = "single";
  Group alone = setting.make();
  alone->run_towards(StopCondition().samples(40), 40);
  CHECK(alone->live().size() == 1);
  CHECK(alone->elapsed().count() == Approx(2.0));
}

TEST_CASE("The example's trace has a lane for each node's life, and the same run",
          "[examples][simulated][trace]") {
  Setting setting;
  Group plain = setting.make();
  plain->run_towards(StopCondition().samples(100), 100);
  const auto path = setting.folder.path() / "trace.json";
  const auto trace = std::make_shared<gossamer::observe::SimulatedTrace>(path);
  Group traced = setting.make(trace);
  traced->run_towards(StopCondition().samples(100), 100);
  traced->finish();
  trace->close();
  CHECK(digest(traced) == digest(plain));
  std::ifstream file(path);
  std::set<std::string> lanes;
  for (const auto& event : nlohmann::json::parse(file)) {
    if (event["name"] == "thread_name") lanes.insert(event["args"]["name"].get<std::string>());
  }
  CHECK(lanes == std::set<std::string>{"node 0", "node 1", "node 2", "node 3"});
}

TEST_CASE("A cluster file with threads is refused in a sentence, a trace is not",
          "[examples][trace]") {
  const auto parse = [](const char* option, const std::string& value, std::string& said) {
    std::string text = value;
    std::array<char*, 3> arguments{const_cast<char*>("cifar10"), const_cast<char*>(option),
                                   text.data()};
    std::ostringstream errors;
    std::streambuf* const before = std::cerr.rdbuf(errors.rdbuf());
    int status = 0;
    auto options = cifar10::parse(3, arguments.data(), status);
    std::cerr.rdbuf(before);
    CHECK(options.has_value() == (status == 0));
    said = errors.str();
    return options;
  };
  std::string said;
  const auto options = parse("--trace", "trace.json", said);
  REQUIRE(options);
  CHECK(options->trace == "trace.json");
  CHECK(said.empty());

  const tests::TemporaryFolder folder;
  const auto file = folder.path() / "cluster.toml";
  std::ofstream(file) << "nodes = 4\n";
  CHECK_FALSE(parse("--cluster", file.string(), said));
  CHECK(said == "cifar10: --cluster: needs --transport simulated, got --transport threads\n");
}
