// SPDX-License-Identifier: MIT
/// One run of the example: train, look, save, and tell.
#pragma once

#include <cifar10/cluster.hpp>
#include <cifar10/dataset.hpp>
#include <cifar10/evaluate.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/record.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cifar10 {

/// A cluster of CifarNodes, trained in stretches: between two of them their models are evaluated
/// and saved. Only the stretches count as training time.
class Training {
 public:
  /// Makes the nodes; with `options.resume`, restores them from the run folder.
  Training(const Options& options, const Dataset& dataset);

  /// Trains to the end and writes the record. Returns the program's exit status: 0, 1 after an
  /// error in a node (which is on standard error and in the record), 128 + n after signal n.
  int run();

  /// Saves or restores the run; called by `save_checkpoint` and `load_checkpoint`.
  void checkpoint(gossamer::Archive& archive);

 private:
  using Json = gossamer::observe::RunRecord::Json;

  /// Measures all models, adds a line to the metrics, and keeps it for the summary.
  void evaluate_now();
  void save();
  void load();
  void show_progress();
  [[nodiscard]] Json summary();
  void print_table();
  [[nodiscard]] bool done() const;
  /// Whether anything was trained since the last evaluation.
  [[nodiscard]] bool has_news() const;
  [[nodiscard]] double seconds() const { return cluster_->seconds(); }
  [[nodiscard]] std::filesystem::path checkpoint_path() const {
    return record_.folder() / "checkpoint";
  }

  Options options_;
  const Dataset& dataset_;
  gossamer::observe::RunRecord record_;
  gossamer::observe::ProgressLine progress_;
  gossamer::Signals signals_;
  std::unique_ptr<Cluster> cluster_;
  std::shared_ptr<Network> mean_;      // where the plain mean is put to be tested
  std::shared_ptr<Network> weighted_;  // and the weighted one
  Json last_ = Json::object();         // the last line of the metrics
  std::string error_;
  double evaluation_seconds_ = 0;
  // what the nodes had done at the last evaluation, for the mean loss since
  std::uint64_t steps_before_ = 0;
  double loss_before_ = 0;
  // where this process began, for its speed
  std::uint64_t images_at_start_ = 0;
  std::chrono::steady_clock::time_point stretch_began_;
  double trained_ = 0;  // seconds in this process, up to this stretch
};

}  // namespace cifar10
