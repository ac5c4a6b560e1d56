// SPDX-License-Identifier: MIT
#include <gossamer/observe/mlflow.hpp>

#include <nlohmann/json.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <tests/observe/read_by_python.hpp>
#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::observe::Callback;
using gossamer::observe::GroupState;
using gossamer::observe::MLflow;
using gossamer::observe::MLflowOptions;
using gossamer::observe::MLflowRun;
using gossamer::observe::detail::mlflow_experiment_name;
using Json = nlohmann::json;
using Status = MLflowRun::Status;
using Time = Callback::Time;
namespace fs = std::filesystem;

const char* const reader = GOSSAMER_SOURCE_DIR "/tests/observe/read_mlflow.py";

/// What it finds, as JSON.
std::vector<Json> read(const fs::path& folder) {
  const std::string text = tests::read_by_python(reader, folder);
  INFO(text);
  std::vector<Json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

GroupState state_of(std::uint64_t steps, double loss_sum) {
  GroupState state;
  state.totals.steps = steps;
  state.totals.samples = 20 * steps;
  state.totals.loss_sum = loss_sum;
  state.totals.messages_sent = 2 * steps;
  state.totals.bytes_sent = 8 * steps;
  state.wall = std::chrono::seconds(steps);
  gossamer::Counters half;
  half.weight = 0.5;
  state.nodes = {{0, half}, {1, half}};
  return state;
}

void write_file(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("A run in MLflow's folder is read back by a reader of its own", "[observe][mlflow]") {
  const tests::TemporaryFolder folder;
  const fs::path root = folder.path() / "ml runs#1";
  {
    MLflow flow(MLflowOptions(root)
                    .experiment("Übung: 1 # a 'b' \"c\" \\")
                    .name("first")
                    .every(std::chrono::seconds(10))
                    .parameters({{"rule", "gosgd(0.02)"},
                                 {"cluster", "[world]\nnodes = 3\n"},
                                 {"bytes", "\xff\xc3\xa4\xed\xa0\x80"},
                                 {"long", std::string(7000, 'x')},
                                 {"nothing", ""}}));
    CHECK(flow.run().id().size() == 32);
    CHECK(read(root).at(1)[1] == "RUNNING");
    flow.on_run_begin(Time(0), state_of(0, 0));
    flow.on_tick(Time(0), state_of(9, 9));  // too early
    flow.on_tick(Time(0), state_of(10, 20));
    flow.on_evaluation(
        Time(0),
        {{"consensus_error", 0.1}, {"lost", std::nan("")}, {"images", std::uint64_t{1} << 60U}},
        state_of(10, 20));
    flow.on_run_end(Time(0), state_of(14, 24));
    flow.on_run_end(Time(0), state_of(14, 24));  // nothing new
    CHECK(flow.error().empty());
  }
  const std::vector<Json> lines = read(root);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == Json::parse(R"(["Übung: 1 # a 'b' \"c\" \\"])"));
  CHECK(lines[1][0] == "first");
  CHECK(lines[1][1] == "FINISHED");
  const Json& parameters = lines[1][2];
  CHECK(parameters["rule"] == "gosgd(0.02)");
  CHECK(parameters["cluster"] == "[world]\nnodes = 3\n");
  CHECK(parameters["bytes"] == "?ä???");
  CHECK(parameters["long"] == std::string(6000, 'x'));
  CHECK(parameters["nothing"] == "");
  CHECK(parameters.size() == 5);
  CHECK(lines[1][3] == Json{{"gossamer.version", GOSSAMER_VERSION}});
  CHECK(lines[1][4] == Json::parse(R"({
    "loss": [[200, 2.0], [280, 1.0]], "steps": [[200, 10], [280, 14]],
    "samples": [[200, 200], [280, 280]], "samples_per_second": [[200, 20], [280, 20]],
    "weight": [[200, 1], [280, 1]], "messages_sent": [[200, 20], [280, 28]],
    "bytes_sent": [[200, 80], [280, 112]], "consensus_error": [[200, 0.1]],
    "images": [[200, 1152921504606846976]]})"));
}

TEST_CASE("The reader of MLflow's folder is no yes-man", "[observe][mlflow]") {
  const tests::TemporaryFolder folder;
  const fs::path root = fs::canonical(folder.path()) / "runs";
  MLflowRun run{MLflowOptions(root)};
  run.add(1, {{"loss", 1}});
  const auto spoiled = [&](const std::string& path, const std::string& text) {
    const fs::path file = run.folder() / path;
    const fs::path kept = folder.path() / "kept";
    const bool is_there = fs::exists(file);
    if (is_there) fs::rename(file, kept);
    write_file(file, text);
    const std::string words = tests::read_by_python(reader, root);
    fs::remove(file);
    if (is_there) fs::rename(kept, file);
    return words.substr(words.find('\n') + 1);  // after the experiment
  };
  CHECK(read(root).size() == 2);
  CHECK(spoiled("metrics/loss", "1 2 3\n").find("metric loss: 1 after 1") == 0);
  CHECK(spoiled("metrics/loss", "9999999999999 2") == "metric loss: half a line\n");
  CHECK(spoiled("params/a:b", "") == "a file that MLflow refuses: 'a:b'\n");
  CHECK_THAT(spoiled("next", ""), tests::contains("'next', 'params', 'tags']\n"));
  CHECK_THAT(spoiled("meta.yaml", "status: 1\n"), tests::contains("keys ['status']\n"));
  CHECK(read(root).size() == 2);
}

TEST_CASE("A run ends as it was said, or as the callback ends", "[observe][mlflow]") {
  const auto status_after = [](const auto& use) {
    const tests::TemporaryFolder folder;
    try {
      MLflow flow{MLflowOptions(folder.path())};
      use(flow);
    } catch (const std::runtime_error&) {  // one of them throws
    }
    return read(folder.path()).at(1)[1].get<std::string>();
  };
  CHECK(status_after([](MLflow&) {}) == "FINISHED");
  CHECK(status_after([](MLflow& flow) { flow.end(Status::killed); }) == "KILLED");
  CHECK(status_after([](MLflow& flow) {
          flow.end(Status::failed);
          flow.end(Status::finished);  // too late
        }) == "FAILED");
  CHECK(status_after([](MLflow&) { throw std::runtime_error("no"); }) == "FAILED");
  CHECK(status_after([](MLflow& flow) { flow.on_end(Time(0), 3, Callback::End::failed); }) ==
        "FAILED");
  CHECK(status_after([](MLflow& flow) { flow.on_end(Time(0), 3, Callback::End::crashed); }) ==
        "FINISHED");
}

TEST_CASE("Names that MLflow forbids are changed, and it is said which", "[observe][mlflow]") {
  const tests::TemporaryFolder folder;
  std::ostringstream log;
  const auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
  {
    MLflowRun run(MLflowOptions(folder.path()).logger(logger).parameters({{"p:1", "x"}}));
    for (std::uint64_t step : {1U, 2U}) {
      run.add(step, {{"accuracy", 1},
                     {"loss:a", 2},
                     {"loss_a", 3},
                     {"../up", 4},
                     {"/root", 5},
                     {"accuracy/deep", 6},
                     {"node/3", 7},
                     {"node", 8},
                     {"", 9},
                     {"..", 10},
                     {std::string(300, 'n'), 11},
                     {"a//b", 12}});
    }
    run.end(Status::finished);
  }
  const Json run = read(folder.path()).at(1);
  Json wanted;
  const std::vector<std::string> names = {"accuracy",
                                          "loss_a",
                                          "loss_a_2",
                                          "_.._up",
                                          "_root",
                                          "accuracy_deep",
                                          "node/3",
                                          "node_2",
                                          "_",
                                          "_..",
                                          std::string(240, 'n'),
                                          "a__b"};
  for (std::size_t i = 0; i < names.size(); ++i) wanted[names[i]] = {{1, i + 1}, {2, i + 1}};
  CHECK(run[4] == wanted);
  CHECK(run[2] == Json{{"p_1", "x"}});
  const auto said = run[3]["mlflow.note.content"].get<std::string>();
  CHECK_THAT(said, tests::contains("parameter \"p:1\" is called \"p_1\"\n\n"
                                   "metric \"loss:a\" is called \"loss_a\"\n\n"
                                   "metric \"loss_a\" is called \"loss_a_2\""));
  CHECK(std::count(said.begin(), said.end(), '\n') == 2 * 10);  // each once
  CHECK_THAT(log.str(), tests::contains("MLflow: metric \"../up\" is called \"_.._up\""));
}

TEST_CASE("An experiment is found by its name, as MLflow writes it", "[observe][mlflow]") {
  CHECK(mlflow_experiment_name("a: b\nname: two words\nz: 1\n") == "two words");
  CHECK(mlflow_experiment_name("name: 'it''s: one'\n") == "it's: one");
  CHECK(mlflow_experiment_name("name: \"a \\\"b\\\" \\\\ c\"\n") == "a \"b\" \\ c");
  CHECK(mlflow_experiment_name("name: one two\n  three\nz: 1\n") == "one two three");
  CHECK(mlflow_experiment_name("name: 'one two\n  three'\n") == "one two three");
  CHECK(mlflow_experiment_name("name: \"one\\\n  \\ two\"\n") == "one two");
  CHECK_FALSE(mlflow_experiment_name("surname: x\n"));
  const tests::TemporaryFolder folder;
  const fs::path root = fs::canonical(folder.path());
  const auto place_of = [&](const std::string& name) {
    const MLflowRun run(MLflowOptions(root).experiment(name));
    return run.folder().parent_path().filename().string();
  };
  write_file(root / "17/meta.yaml", "experiment_id: '17'\nname: theirs\n");
  CHECK(place_of("theirs") == "17");
  CHECK(place_of("Default") == "0");
  const std::string ours = place_of("ours");
  CHECK(ours.size() == 18);
  CHECK(place_of("ours") == ours);
  fs::create_directories(root / ".trash");
  fs::rename(root / ours, root / ".trash" / ours);  // as MLflow deletes it
  const std::string next = std::to_string(std::stoull(ours) + 1);
  CHECK(place_of("ours") == next);
  CHECK(place_of("ours") == next);
  for (const std::string& name : {std::string(), std::string(501, 'x'), std::string("a\nb")}) {
    CHECK_THAT(tests::message_of<ConfigError>([&] { place_of(name); }),
               tests::contains("MLflow: an experiment's name must be 1 to 500 bytes of text"));
  }
}

TEST_CASE("Runs that begin at the same time make one experiment", "[observe][mlflow][threads]") {
  const tests::TemporaryFolder folder;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      MLflowRun run(MLflowOptions(folder.path()).experiment("one"));
      run.end(Status::finished);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<Json> lines = read(folder.path());
  REQUIRE(lines.size() == 9);
  CHECK(lines[0] == Json{"one"});
}

TEST_CASE("What cannot be written of a run does not end it", "[observe][mlflow]") {
  const tests::TemporaryFolder folder;
  std::ostringstream log;
  const auto logger = std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
  {
    MLflow flow(MLflowOptions(folder.path()).logger(logger));
    const fs::path metrics = flow.run().folder() / "metrics";
    fs::remove(metrics);
    write_file(metrics, "");
    flow.on_run_end(Time(0), state_of(1, 1));
    flow.on_run_end(Time(0), state_of(2, 2));
    CHECK_THAT(flow.error(), tests::contains("cannot write " + (metrics / "loss").string() + ": "));
    fs::remove(metrics);
    flow.on_run_end(Time(0), state_of(3, 4));  // there it goes again
  }
  const std::string said = log.str();
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
  CHECK(read(folder.path()).at(1)[4]["loss"] == Json::parse("[[60, 2.0]]"));
  write_file(folder.path() / "file", "");
  CHECK_THROWS_AS(MLflow{MLflowOptions(folder.path() / "file")}, fs::filesystem_error);
}
