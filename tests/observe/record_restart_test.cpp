// SPDX-License-Identifier: MIT
/// A run folder is protected once it holds something.
#include <gossamer/error.hpp>
#include <gossamer/observe/record.hpp>

#include <tests/support.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using gossamer::ConfigError;
using gossamer::observe::RunRecord;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("gossamer-restart-" + std::to_string(::getpid()));
  ~Folder() { fs::remove_all(path); }
};

TEST_CASE("A start that measured nothing does not keep the next one out", "[observe][record]") {
  const Folder folder;
  { const RunRecord met_nobody(folder.path); }
  CHECK(fs::exists(folder.path / "metrics.jsonl"));
  CHECK_NOTHROW(RunRecord(folder.path));
}

TEST_CASE("A line or a summary makes a folder a run that is not begun anew", "[observe][record]") {
  for (const bool only_summary : {false, true}) {
    INFO("only a summary: " << only_summary);
    const Folder folder;
    {
      RunRecord record(folder.path);
      if (only_summary) {
        record.write_summary({{"total_weight", 1}});
      } else {
        record.add({{"images", 1}});
      }
    }
    CHECK_THAT(tests::message_of<ConfigError>([&] { RunRecord again(folder.path); }),
               tests::contains("holds a run already"));
    CHECK_NOTHROW(RunRecord(folder.path, /*resuming=*/true));
  }
}

TEST_CASE("A run of the release before is gone on with", "[observe][record]") {
  const fs::path old = fs::path(GOSSAMER_SOURCE_DIR) / "tests/observe/release_0_1";
  const tests::TemporaryFolder folder;
  fs::copy_file(old / "metrics.jsonl", folder.path() / "metrics.jsonl");
  fs::copy_file(old / "summary.json", folder.path() / "summary.json");
  CHECK_THROWS_AS(RunRecord(folder.path()), ConfigError);
  RunRecord record(folder.path(), /*resuming=*/true);
  record.rewind([](const RunRecord::Json& line) { return line.at("images") <= 40000; });
  std::ifstream before(old / "metrics.jsonl");
  std::ifstream after(record.metrics_path());
  std::string first;
  std::string kept;
  std::getline(before, first);
  std::getline(after, kept);
  CHECK(kept == first);
  CHECK_FALSE(std::getline(after, kept));
}

}  // namespace
