// SPDX-License-Identifier: MIT
/// The writer of traces: what it writes is JSON, exact in its times, and there whole or not at all.
#include <gossamer/observe/chrome_trace.hpp>
#include <gossamer/observe/replace_file.hpp>

#include <nlohmann/json.hpp>
#include <tests/support.hpp>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

namespace {

using gossamer::observe::ChromeTrace;
using gossamer::observe::FileReplacement;
using nlohmann::json;
using namespace std::chrono_literals;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t files_in(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

}  // namespace

TEST_CASE("A trace is JSON with one event for each call", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  ChromeTrace trace(path);
  trace.name_process(1, "nodes", 7);
  trace.name_lane({1, 2}, "node 0", 3);
  trace.slice({1, 2}, "compute", 1ms, 2ms);
  trace.slice({1, 2}, "merge", 3ms, 0ms, {{"messages", std::uint64_t{5}}, {"weight", 0.125}});
  trace.instant({1, 2}, "crash", 4ms);
  trace.instant({1, 2}, "partition", 5ms, true, {{"nodes", "0, 1"}});
  trace.flow_begin({1, 2}, "message", 9, 3ms);
  trace.flow_end({1, 3}, "message", 9, 6ms);
  trace.counter(2, "node 0", 7ms, 0.1);
  trace.close();

  json events = json::parse(read(path));
  for (json& event : events) {
    CHECK(event["cat"] == "gossamer");
    event.erase("cat");
  }
  const json expected = json::parse(R"([
    {"ph": "M", "pid": 1, "ts": 0.0, "name": "process_name", "args": {"name": "nodes"}},
    {"ph": "M", "pid": 1, "ts": 0.0, "name": "process_sort_index", "args": {"sort_index": 7}},
    {"ph": "M", "pid": 1, "tid": 2, "ts": 0.0, "name": "thread_name", "args": {"name": "node 0"}},
    {"ph": "M", "pid": 1, "tid": 2, "ts": 0.0, "name": "thread_sort_index",
     "args": {"sort_index": 3}},
    {"ph": "X", "pid": 1, "tid": 2, "ts": 1000.0, "dur": 2000.0, "name": "compute"},
    {"ph": "X", "pid": 1, "tid": 2, "ts": 3000.0, "dur": 0.0, "name": "merge",
     "args": {"messages": 5, "weight": 0.125}},
    {"ph": "i", "pid": 1, "tid": 2, "ts": 4000.0, "name": "crash", "s": "t"},
    {"ph": "i", "pid": 1, "tid": 2, "ts": 5000.0, "name": "partition", "s": "g",
     "args": {"nodes": "0, 1"}},
    {"ph": "s", "pid": 1, "tid": 2, "ts": 3000.0, "name": "message", "id": 9},
    {"ph": "f", "pid": 1, "tid": 3, "ts": 6000.0, "name": "message", "id": 9, "bp": "e"},
    {"ph": "C", "pid": 2, "ts": 7000.0, "name": "node 0", "args": {"value": 0.1}}
  ])");
  CHECK(events == expected);
}

TEST_CASE("A trace without events is an empty list", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  ChromeTrace trace(path);
  trace.close();
  CHECK(json::parse(read(path)) == json::array());
}

TEST_CASE("Times of a trace are exact to the nanosecond, after a year too", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  ChromeTrace trace(path);
  trace.slice({1, 1}, "long", std::chrono::hours(24 * 365) + 7ns, 1ns);
  trace.close();
  const std::string text = read(path);
  CHECK_THAT(text, tests::contains("\"ts\":31536000000000.007,"));
  CHECK_THAT(text, tests::contains("\"dur\":0.001}"));
}

TEST_CASE("Names of a trace may hold any character, numbers any value", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  const std::string odd = "quote \" back\\slash \n tab\t \x01 caf\xc3\xa9";
  ChromeTrace trace(path);
  trace.slice({1, 1}, odd, 0ms, 1ms,
              {{odd, odd}, {"none", std::nan("")}, {"tiny", std::numeric_limits<double>::min()}});
  trace.counter(1, "weight", 1ms, std::numeric_limits<double>::infinity());
  trace.counter(1, "weight", 2ms, 0.1 + 0.2);
  trace.close();
  const json events = json::parse(read(path));
  REQUIRE(events.size() == 2);  // a counter cannot show what is not finite
  CHECK(events[0]["name"] == odd);
  CHECK(events[0]["args"][odd] == odd);
  CHECK(events[0]["args"]["none"].is_null());
  CHECK(events[0]["args"]["tiny"] == std::numeric_limits<double>::min());
  CHECK(events[1]["args"]["value"] == 0.1 + 0.2);
}

TEST_CASE("A trace has its name when it is closed, and not before", "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  std::ofstream(path) << "an older one";
  {
    ChromeTrace given_up(path);
    for (int i = 0; i < 10'000; ++i) given_up.instant({1, 1}, "mark", i * 1us);
    CHECK(std::filesystem::file_size(path.string() + ".part") > 100'000);  // not all in memory
    CHECK(read(path) == "an older one");
  }
  CHECK(read(path) == "an older one");
  CHECK(files_in(folder.path()) == 1);

  ChromeTrace trace(path);
  for (int i = 0; i < 10'000; ++i) trace.instant({1, 1}, "mark", i * 1us);
  trace.close();
  CHECK(json::parse(read(path)).size() == 10'000);
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("A trace that cannot be written says so when it is opened or closed",
          "[observe][trace]") {
  const tests::TemporaryFolder folder;
  const auto missing = folder.path() / "no folder" / "trace.json";
  CHECK(tests::message_of<std::runtime_error>([&] { ChromeTrace trace(missing); }) ==
        "cannot create " + missing.string() + ": No such file or directory");

  const auto path = folder.path() / "trace.json";
  std::ofstream(path) << "an older one";
  // A disk without room, in place of the temporary file.
  std::filesystem::create_symlink("/dev/full", path.string() + ".part");
  ChromeTrace trace(path);
  CHECK_NOTHROW([&] {
    for (int i = 0; i < 10'000; ++i) trace.instant({1, 1}, "mark", i * 1us);
  }());
  CHECK(tests::message_of<std::runtime_error>([&] { trace.close(); }) ==
        "cannot write " + path.string() + ": No space left on device");
  CHECK(read(path) == "an older one");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("A file is replaced piece by piece, and only by all pieces", "[observe]") {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  gossamer::observe::replace_file(path, "old");
  {
    FileReplacement given_up(path);
    given_up.write("half of the");
    CHECK(read(path) == "old");
  }
  CHECK(read(path) == "old");
  CHECK(files_in(folder.path()) == 1);
  FileReplacement file(path);
  CHECK(file.path() == path);
  file.write("new, ");
  file.write("");
  file.write("and longer");
  CHECK(read(path) == "old");
  file.commit();
  CHECK(read(path) == "new, and longer");
  CHECK(files_in(folder.path()) == 1);
}
