// SPDX-License-Identifier: MIT
/// A run's folder: what was measured on the way, and the summary at the end. Needs nlohmann/json,
/// hence not part of gossamer.hpp.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/observe/replace_file.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace gossamer::observe {

/// A folder with `metrics.jsonl` (a line per evaluation, on the disk as soon as it is known) and
/// `summary.json` (whole or not there). Keys keep the order in which they were set. Numbers that
/// are not finite become null, since JSON has none.
class RunRecord {
 public:
  using Json = nlohmann::ordered_json;

  /// Makes the folder; throws ConfigError if that cannot be, or if it holds a run already and
  /// `resuming` is not set. A start that ended before anything was measured is no run.
  explicit RunRecord(std::filesystem::path folder, bool resuming = false)
      : folder_(std::move(folder)) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) {
      throw ConfigError("run folder " + folder_.string() + ": cannot be made: " + error.message());
    }
    if (!resuming && holds_a_run()) {
      throw ConfigError("run folder " + folder_.string() +
                        ": holds a run already; resume it, or name another folder");
    }
    open(std::ios::app);
  }

  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  [[nodiscard]] std::filesystem::path metrics_path() const { return folder_ / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path summary_path() const { return folder_ / "summary.json"; }

  /// Adds a line to metrics.jsonl. Throws std::runtime_error if it cannot be written.
  void add(const Json& line) {
    metrics_ << text(line, -1) << std::endl;
    if (!metrics_) throw std::runtime_error("cannot write " + metrics_path().string());
  }

  /// After a resume: keeps the lines up to the checkpoint (those for which `keep` is true) and
  /// drops what the killed run wrote after it, half a line included.
  void rewind(const std::function<bool(const Json&)>& keep) {
    metrics_.close();
    std::ifstream old(metrics_path());
    std::string kept;
    for (std::string line; std::getline(old, line);) {
      const Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!parsed.is_discarded() && keep(parsed)) kept += line + "\n";
    }
    old.close();
    replace_file(metrics_path(), kept);
    open(std::ios::app);
  }

  void write_summary(const Json& summary) { replace_file(summary_path(), text(summary, 2) + "\n"); }

 private:
  [[nodiscard]] bool holds_a_run() const {
    std::error_code error;  // of a file that is not there
    const std::uintmax_t bytes = std::filesystem::file_size(metrics_path(), error);
    return (!error && bytes > 0) || std::filesystem::exists(summary_path());
  }

  /// Bytes that are not UTF-8 (in the text of an error, say) become U+FFFD.
  static std::string text(const Json& json, int indent) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
  }

  void open(std::ios::openmode mode) {
    metrics_.open(metrics_path(), mode);
    if (!metrics_) throw ConfigError("run folder " + folder_.string() + ": cannot be written to");
  }

  std::filesystem::path folder_;
  std::ofstream metrics_;
};

}  // namespace gossamer::observe
