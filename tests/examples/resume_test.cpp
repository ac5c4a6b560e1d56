// SPDX-License-Identifier: MIT
/// --resume: what may be another when a run goes on, what may not, and that the new is used.
#include <cifar10/dataset.hpp>
#include <cifar10/resume.hpp>
#include <cifar10/training.hpp>
#include <gossamer/error.hpp>

#include <nlohmann/json.hpp>
#include <tests/support.hpp>

#include <cstdint>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

using cifar10::Options;
using cifar10::resumed_with;
using gossamer::CheckpointError;
using tests::contains;
using Json = nlohmann::ordered_json;

/// Runs of one node alone, in one folder.
struct Setting {
  Setting() {
    options.transport = "simulated";
    options.rule = "single";
    options.batch = 2;
    options.images = 8;
    options.checkpoint_every = 8;
    options.evaluate = false;
    options.quiet = true;
    options.out = folder.path() / "run";
  }
  /// What it prints; its record is in `summary` then.
  std::string run() {
    std::ostringstream text;
    std::streambuf* const before = std::cout.rdbuf(text.rdbuf());
    int status = 1;
    try {
      status = cifar10::Training(options, data).run();
    } catch (...) {
      std::cout.rdbuf(before);
      throw;
    }
    std::cout.rdbuf(before);
    CHECK(status == 0);
    std::ifstream file(options.out / "summary.json");
    summary = Json::parse(file);
    options.resume = true;
    return text.str();
  }

  tests::TemporaryFolder folder;
  Options options;
  cifar10::Dataset data = cifar10::synthetic(tests::seed, 100, 1);
  Json summary;
};

}  // namespace

TEST_CASE("What has changed since a run was begun is named, key by key", "[examples][resume]") {
  const Json before = {{"rule", "gosgd"}, {"momentum", 0.9}, {"learning_rate", 0.01},
                       {"batch", 20},     {"tau", 5},        {"images", 800}};
  CHECK(resumed_with(before, before, true).empty());
  Json now = before;
  now["learning_rate"] = 0.001;
  now["batch"] = 40;
  now.erase("images");
  now["seconds"] = 60.0;
  CHECK(resumed_with(before, now, false) ==
        std::vector<std::string>{"learning_rate 0.001 (was 0.01)", "batch 40 (was 20)",
                                 "seconds 60.0 (was none)"});
  const auto refused = [&](bool is_synchronous) {
    return tests::message_of<CheckpointError>(
        [&] { (void)resumed_with(before, now, is_synchronous); });
  };
  CHECK(refused(true) ==
        "of a run with batch 20, not 40; only learning rate and length may change");
  now["rule"] = "sgp";
  now["alpha"] = 0.5;
  now.erase("tau");
  CHECK(refused(false) ==
        "of a run with rule \"gosgd\", not \"sgp\"; alpha none, not 0.5; tau 5, not none; only "
        "learning rate, batch and length may change");
}

TEST_CASE("A run goes on with another learning rate, batch and length, and says so",
          "[examples][resume]") {
  Setting setting;
  CHECK(setting.run().find("goes on") == std::string::npos);
  CHECK(setting.summary["images"] == 8);
  const std::string before = setting.summary["digest"];
  setting.options.images = 20;
  setting.options.batch = 4;
  setting.options.learning_rate = 1e-300;  // a step that moves nothing
  const std::string said = setting.run();
  CHECK_THAT(said, contains("resumed at 8 images"));
  CHECK_THAT(said, contains("goes on with learning_rate 1e-300 (was 0.01)\n"));
  CHECK_THAT(said, contains("goes on with batch 4 (was 2)\n"));
  CHECK_THAT(said, contains("goes on with images 20 (was 8)\n"));
  CHECK(setting.summary["images"] == 20);
  CHECK(setting.summary["steps"] == 7);  // four of 2 images, three of 4
  CHECK(setting.summary["learning_rate"] == 1e-300);
  CHECK(setting.summary["digest"] == before);

  setting.options.learning_rate = 0.01;
  setting.options.images = 28;
  CHECK_THAT(setting.run(), contains("goes on with learning_rate 0.01 (was 1e-300)\n"));
  CHECK(setting.summary["digest"] != before);
}

TEST_CASE("A run of ACCO that goes on from between its half steps ends in the same bits",
          "[examples][resume]") {
  const auto digest_of = [](const std::vector<std::uint64_t>& lengths) {
    Setting setting;
    setting.options.rule = "acco";
    setting.options.nodes = 2;
    setting.options.momentum = 0.9;
    setting.options.checkpoint_every = 16;  // after 4 rounds, when all have x~
    for (const std::uint64_t images : lengths) {
      setting.options.images = images;
      setting.run();
    }
    return setting.summary["digest"].get<std::string>();
  };
  CHECK(digest_of({16, 28}) == digest_of({28}));
}

TEST_CASE("A run does not go on with what cannot change", "[examples][resume]") {
  Setting setting;
  setting.run();
  setting.options.momentum = 0.9;
  setting.options.network = "easgd7";
  CHECK(tests::message_of<CheckpointError>([&] { setting.run(); }) ==
        (setting.options.out / "checkpoint").string() +
            ": of a run with network \"gosgd\", not \"easgd7\"; momentum 0.0, not 0.9; only "
            "learning rate, batch and length may change");
}
