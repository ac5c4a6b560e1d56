// SPDX-License-Identifier: MIT
/// Writes a run to a folder of MLflow's own format.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/observe/callback.hpp>
#include <gossamer/observe/detail/mlflow_text.hpp>
#include <gossamer/observe/group_state.hpp>
#include <gossamer/observe/interval.hpp>
#include <gossamer/observe/replace_file.hpp>
#include <gossamer/version.hpp>

#include <fcntl.h>
#include <spdlog/logger.h>
#include <torch/arg.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::observe {

/// Where a run is kept, and what is said of it.
struct MLflowOptions {
  using Parameters = std::vector<std::pair<std::string, std::string>>;
  /// `folder`: what MLflow calls its backend store, "mlruns" by default there. Made if need be.
  explicit MLflowOptions(std::filesystem::path folder) : folder_(std::move(folder)) {}
  TORCH_ARG(std::filesystem::path, folder);
  /// The one of this name gets the run; it is made if there is none. 1 to 500 bytes.
  TORCH_ARG(std::string, experiment) = "Default";
  /// Of the run, as MLflow shows it; empty: the beginning of its id.
  TORCH_ARG(std::string, name) = "";
  /// {{"rule", "gosgd"}, {"probability", "0.02"}}. Of a long value the first 6000 bytes are kept.
  TORCH_ARG(Parameters, parameters) = {};
  /// Of the wall clock, between two times that the counters are written.
  TORCH_ARG(std::chrono::duration<double>, every) = std::chrono::seconds(10);
  /// Is told of names that had to change, and of what could not be written; null: nobody.
  TORCH_ARG(std::shared_ptr<spdlog::logger>, logger) = nullptr;
};

/// One run in the folder:
///
///     EXPERIMENT/meta.yaml            RUN/meta.yaml    RUN/params/NAME    its value
///     EXPERIMENT/RUN/                 RUN/artifacts/   RUN/tags/NAME      its value
///                                                      RUN/metrics/NAME   lines "ms value step"
///
/// A file appears with all that belongs in it, a run with all of its parameters. Names have letters
/// and digits of ASCII, `_`, `-`, `.`, spaces and `/`; other characters become `_`, and so does `/`
/// where it would lead elsewhere. Two names that would become one get a number. What was changed is
/// in the run's description.
///
/// Threads  one at a time; processes may write runs into one folder at the same time.
/// Throws   std::runtime_error or std::filesystem::filesystem_error that names the file;
///          ConfigError for the experiment's name.
/// Source   MLflow 1 to 3: mlflow/store/tracking/file_store.py, mlflow/entities/run_info.py,
///          mlflow/utils/validation.py. `status` and `source_type` are numbers there.
/// Differs  an experiment's id depends on its name alone, so that processes that make it at the
///          same time make the same one.
class MLflowRun {
 public:
  /// As MLflow numbers them.
  enum class Status { running = 1, finished = 3, failed = 4, killed = 5 };
  using Metrics = std::vector<std::pair<std::string, double>>;

  explicit MLflowRun(const MLflowOptions& options) : logger_(options.logger()) {
    namespace fs = std::filesystem;
    const fs::path root = fs::absolute(options.folder()).lexically_normal();
    fs::create_directories(root);
    id_ = new_id();
    experiment_ = experiment_of(root, options.experiment());
    folder_ = root / experiment_ / id_;
    name_ = options.name().empty() ? id_.substr(0, 8) : options.name();
    start_ = milliseconds_now();
    for (const char* part : {"metrics", "params", "tags", "artifacts"}) {
      fs::create_directories(folder_ / part);
    }
    for (const auto& [name, value] : options.parameters()) {
      put("params/" + name_in(params_, "parameter", name),
          detail::valid_utf8(std::string_view(value).substr(0, most_bytes)));
    }
    put("tags/mlflow.runName", detail::valid_utf8(name_));
    put("tags/mlflow.user", detail::valid_utf8(user()));
    put("tags/mlflow.source.type", "LOCAL");
    put("tags/gossamer.version", GOSSAMER_VERSION);
    write_meta();  // last: from now on MLflow sees the run
  }

  [[nodiscard]] const std::string& id() const { return id_; }  ///< 32 hexadecimal digits
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] Status status() const { return status_; }

  /// Values at a step. Those that are not finite are left out.
  void add(std::uint64_t step, const Metrics& metrics) {
    const std::string time = std::to_string(milliseconds_now());
    for (const auto& [name, value] : metrics) {
      if (!std::isfinite(value)) continue;
      std::array<char, 32> digits;  // the longest double has 24
      const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
      append(name_in(metrics_, "metric", name),
             time + " " + std::string(digits.data(), end) + " " + std::to_string(step) + "\n");
    }
  }

  /// How the run has ended, and that it has. The first time counts.
  void end(Status status) {
    if (status_ != Status::running) return;
    status_ = status;
    end_ = milliseconds_now();
    write_meta();
  }

 private:
  using Names = std::map<std::string, std::string>;
  static constexpr std::size_t most_bytes = 6000;  // of a parameter's value

  static std::int64_t milliseconds_now() {
    using std::chrono::milliseconds;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<milliseconds>(now).count();
  }
  static std::string new_id() {
    constexpr char digits[] = "0123456789abcdef";
    std::random_device random;
    std::string id;
    while (id.size() < 32) id += digits[random() & 15U];
    return id;
  }
  static std::string user() {
    const char* name = std::getenv("USER");
    return name != nullptr ? name : "";
  }

  // Experiments.

  /// The number of the experiment of that name, which is there when this returns.
  std::string experiment_of(const std::filesystem::path& root, const std::string& name) const {
    namespace fs = std::filesystem;
    if (name.empty() || name.size() > 500 || name != detail::valid_utf8(name) ||
        std::any_of(name.begin(), name.end(),
                    [](char c) { return static_cast<unsigned char>(c) < ' '; })) {
      throw ConfigError("MLflow: an experiment's name must be 1 to 500 bytes of text, got \"" +
                        name + "\"");
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
      const auto found = detail::mlflow_experiment_name(text_of(entry.path() / meta));
      if (found == name) return entry.path().filename().string();
    }
    for (std::uint64_t number = detail::mlflow_experiment_number(name);; ++number) {
      const std::string id = std::to_string(number);
      if (fs::exists(root / ".trash" / id)) continue;  // one that was deleted
      if (fs::exists(root / id / meta) &&
          detail::mlflow_experiment_name(text_of(root / id / meta)) != name) {
        continue;  // it has another name by now
      }
      make_experiment(root / id, id, name);
      return id;
    }
  }
  void make_experiment(const std::filesystem::path& folder, const std::string& id,
                       const std::string& name) const {
    namespace fs = std::filesystem;
    const std::string time = std::to_string(milliseconds_now());
    fs::create_directories(folder);
    const fs::path mine = folder / ("meta-" + id_);  // another process may be here, too
    replace_file(mine, "artifact_location: " + detail::yaml(detail::file_uri(folder)) +
                           "\ncreation_time: " + time + "\nexperiment_id: " + detail::yaml(id) +
                           "\nlast_update_time: " + time +
                           "\nlifecycle_stage: active\nname: " + detail::yaml(name) + "\n");
    fs::rename(mine, folder / meta);
  }
  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // The run's files.

  void write_meta() {
    using detail::yaml;
    const bool running = status_ == Status::running;
    replace_file(folder_ / meta,
                 "artifact_uri: " + yaml(detail::file_uri(folder_ / "artifacts")) +
                     "\nend_time: " + (running ? "null" : std::to_string(end_)) +
                     "\nentry_point_name: ''\nexperiment_id: " + yaml(experiment_) +
                     "\nlifecycle_stage: active\nrun_id: " + yaml(id_) +
                     "\nrun_name: " + yaml(name_) + "\nrun_uuid: " + yaml(id_) +
                     "\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: " +
                     std::to_string(start_) +
                     "\nstatus: " + std::to_string(static_cast<int>(status_)) +
                     "\ntags: []\nuser_id: " + yaml(user()) + "\n");
  }
  /// MLflow takes every file in params, tags and metrics for one of its own, so none is made there.
  void put(const std::string& where, std::string_view text) {
    const std::filesystem::path path = folder_ / where;
    std::filesystem::create_directories(path.parent_path());
    replace_file(folder_ / "next", text);
    std::filesystem::rename(folder_ / "next", path);
  }
  void append(const std::string& name, const std::string& line) {
    const std::filesystem::path path = folder_ / "metrics" / name;
    const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0 && errno == ENOENT) return put("metrics/" + name, line);
    struct stat before {};
    bool good = file >= 0 && ::fstat(file, &before) == 0;
    if (good && ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      good = false;
      const int why = errno;
      if (::ftruncate(file, before.st_size) != 0) errno = why;  // no half of a line
      errno = why;
    }
    const std::string reason = good ? "" : std::generic_category().message(errno);
    if (file >= 0) ::close(file);
    if (!good) throw std::runtime_error("cannot write " + path.string() + ": " + reason);
  }

  /// What a name is called in the folder.
  std::string name_in(Names& names, const char* kind, const std::string& name) {
    if (const auto known = names.find(name); known != names.end()) return known->second;
    std::vector<std::string> taken;
    for (const auto& [_, other] : names) taken.push_back(other);
    const std::string& file = names[name] = detail::mlflow_name(name, taken);
    if (file != name) {
      const std::string words =
          std::string(kind) + " \"" + detail::valid_utf8(name) + "\" is called \"" + file + "\"";
      description_ += (description_.empty() ? "" : "\n\n") + words;
      put("tags/mlflow.note.content", description_);
      if (logger_) logger_->log(spdlog::level::warn, "MLflow: " + words);
    }
    return file;
  }

  static constexpr const char* meta = "meta.yaml";

  std::shared_ptr<spdlog::logger> logger_;
  std::string id_;
  std::string experiment_;
  std::string name_;
  std::filesystem::path folder_;
  Status status_ = Status::running;
  std::int64_t start_ = 0;
  std::int64_t end_ = 0;
  Names params_;
  Names metrics_;
  std::string description_;
};

/// Shows a group in MLflow, over samples: each evaluation's values and, then and every `every` of
/// the wall clock, the mean loss since, steps, samples, samples per second, the weight of the nodes
/// here, messages and bytes.
///
///     auto run = std::make_shared<observe::MLflow>(
///         observe::MLflowOptions("mlruns").experiment("cifar10").parameters({{"rule", "gosgd"}}));
///     ThreadGroup<MyNode> group(GroupOptions(8).callback(run), rule::GoSgd(0.02));
///     ... mlflow ui --backend-store-uri mlruns ...
///
/// The run is RUNNING until `end` is called, or else to the object's end: FAILED if a node has
/// failed, or if that end is an exception's, and FINISHED otherwise.
///
/// Threads  the one that owns the group.
/// Throws   from the constructor, as `MLflowRun`. After that training goes on, whatever becomes of
///          the folder: see `error()`.
class MLflow final : public Callback {
 public:
  explicit MLflow(const MLflowOptions& options)
      : run_(options), every_(options.every()), logger_(options.logger()) {}
  ~MLflow() override {
    const bool failed = failed_ || std::uncaught_exceptions() > exceptions_;
    end(failed ? MLflowRun::Status::failed : MLflowRun::Status::finished);
  }

  [[nodiscard]] const MLflowRun& run() const { return run_; }
  /// The first that could not be written, in words; empty: all is there.
  [[nodiscard]] const std::string& error() const { return error_; }

  /// The run is over. The first time counts.
  void end(MLflowRun::Status how) {
    guarded([&] { run_.end(how); });
  }

  void on_end(Time, PeerId, End how) override {
    if (how == End::failed) failed_ = true;
  }
  void on_run_begin(Time, const GroupState& state) override { interval_.begin(state); }
  void on_tick(Time, const GroupState& state) override {
    if (interval_.length(state) >= every_) add(state);
  }
  void on_run_end(Time, const GroupState& state) override { add(state); }
  void on_evaluation(Time, const Evaluation& found, const GroupState& state) override {
    add(state);
    MLflowRun::Metrics metrics;
    for (const auto& [name, value] : found) {
      metrics.emplace_back(name, std::visit([](auto n) { return static_cast<double>(n); }, value));
    }
    guarded([&] { run_.add(state.totals.samples, metrics); });
  }

 private:
  template <class Write>
  void guarded(Write write) {
    try {
      write();
    } catch (const std::exception& error) {
      if (!error_.empty()) return;
      error_ = error.what();
      if (logger_) logger_->log(spdlog::level::warn, "MLflow: " + error_);
    }
  }

  void add(const GroupState& state) {
    const auto means = interval_.end(state);
    if (!means) return;
    const Counters& now = state.totals;
    double weight = 0;
    for (const auto& node : state.nodes) weight += node.counters.weight;
    guarded([&] {
      run_.add(now.samples, {{"loss", means->loss},
                             {"steps", static_cast<double>(now.steps)},
                             {"samples", static_cast<double>(now.samples)},
                             {"samples_per_second", means->samples_per_second},
                             {"weight", weight},
                             {"messages_sent", static_cast<double>(now.messages_sent)},
                             {"bytes_sent", static_cast<double>(now.bytes_sent)}});
    });
  }

  MLflowRun run_;
  std::chrono::duration<double> every_;
  std::shared_ptr<spdlog::logger> logger_;
  const int exceptions_ = std::uncaught_exceptions();
  std::atomic<bool> failed_ = false;  // nodes say so, on their threads
  Interval interval_;
  std::string error_;
};

}  // namespace gossamer::observe
