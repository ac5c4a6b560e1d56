// SPDX-License-Identifier: MIT
/// One run of the example: train, look, save, and tell.
#pragma once

#include <cifar10/dataset.hpp>
#include <cifar10/evaluate.hpp>
#include <cifar10/node.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/record.hpp>
#include <shared/group_handle.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace cifar10 {

/// The nodes on the transport that the options name. `stop_when` is asked, and `on_tick` called,
/// now and then while they train.
examples::GroupHandle<CifarNode> make_group(const Options& options, const Images& train,
                                            std::function<bool()> stop_when,
                                            std::function<void()> on_tick);

/// A group of CifarNodes, trained in stretches: between two of them their models are evaluated and
/// saved. Only the stretches count as training time.
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
  using Mean = std::optional<gossamer::model::Flat>;

  void train();
  /// Trains to the next moment at which something is to be done, and does it.
  void train_stretch();
  /// The mean of all models; nothing if others, in other processes, do not ask for it in time.
  Mean mean_of_all();
  /// Measures that mean and the models here, and adds a line to the metrics.
  void evaluate_with(const Mean& mean);
  [[nodiscard]] Json measure(const Mean& mean, const std::vector<CifarNode*>& nodes);
  void load();
  void show_progress();
  [[nodiscard]] Json summary();
  void print_table(const Json& summary);
  [[nodiscard]] bool done() const;
  /// Whether anything was trained since the last evaluation.
  [[nodiscard]] bool anybody() const;
  [[nodiscard]] bool has_news() const;
  /// Images trained on; of a group in processes, as all of them see it.
  [[nodiscard]] std::uint64_t position() const;
  [[nodiscard]] double last(const char* key, double otherwise) const;
  [[nodiscard]] std::filesystem::path checkpoint_path() const {
    return record_.folder() / "checkpoint";
  }

  Options options_;
  const Dataset& dataset_;
  gossamer::observe::RunRecord record_;
  gossamer::observe::ProgressLine progress_;
  gossamer::Signals signals_;
  examples::GroupHandle<CifarNode> group_;
  std::shared_ptr<Network> mean_;      // where the plain mean is put to be tested
  std::shared_ptr<Network> weighted_;  // and the weighted one
  Json last_ = Json::object();         // the last line of the metrics
  std::string error_;
  double evaluation_seconds_ = 0;
  std::uint64_t evaluate_every_ = 0;  // images; 0: not on the way
  std::uint64_t covered_ = 0;         // images that all nodes have done, or had their share of
  bool trained_since_ = false;        // the last evaluation
  // what the nodes had done at the last evaluation, for the mean loss since
  std::uint64_t steps_before_ = 0;
  double loss_before_ = 0;
  // where this process began, for its speed
  std::uint64_t images_at_start_ = 0;
  std::chrono::steady_clock::time_point stretch_began_;
  double trained_ = 0;  // seconds in this process, up to this stretch
};

}  // namespace cifar10
