// SPDX-License-Identifier: MIT
/// One run of the example: train, look, save, and tell.
#pragma once

#include <cifar10/dataset.hpp>
#include <cifar10/evaluate.hpp>
#include <cifar10/node.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/signals.hpp>
#include <gossamer/observe/consensus_estimate.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/run_recorder.hpp>
#include <shared/dashboard.hpp>
#include <shared/group_plan.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gossamer::observe {
class MLflow;
class WatchState;
}  // namespace gossamer::observe

namespace cifar10 {

/// The nodes on the transport that the options name. `stop_when` is asked now and then while they
/// train; `node` has their callbacks.
examples::AnyGroup<CifarNode> make_group(const Options& options, gossamer::NodeOptions node,
                                         const Images& train, std::function<bool()> stop_when);

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
  void checkpoint_saved(const std::string& path) const { group_->checkpoint_saved(path); }

 private:
  using Evaluation = gossamer::observe::Callback::Evaluation;
  using Json = gossamer::observe::RunRecord::Json;
  using Mean = std::optional<gossamer::model::Flat>;

  void train();
  /// Trains to the next moment at which something is to be done, and does it.
  void train_stretch();
  /// The mean of all models; nothing if others, in other processes, do not ask for it in time.
  Mean mean_of_all();
  /// Measures that mean and the models here, and tells the callbacks.
  void evaluate_with(const Mean& mean);
  [[nodiscard]] Evaluation measure(const Mean& mean);
  void load();
  /// Compares the options of a checkpoint with this run's. Throws CheckpointError.
  void note_changes(const std::string& description, const std::string& length);
  /// A trace in `options.trace`, if that is wanted; `close_trace_` ends it.
  std::shared_ptr<gossamer::observe::Callback> make_trace();
  /// Everybody who is told what happens.
  [[nodiscard]] gossamer::NodeOptions told() const;
  [[nodiscard]] Json summary();
  void print_table(const Json& summary);
  [[nodiscard]] bool done() const;
  /// Whether a signal has come; then the terminal is given back.
  bool is_stopped();
  /// Whether anything was trained since the last evaluation.
  [[nodiscard]] bool anybody() const;
  [[nodiscard]] bool has_news() const;
  /// Images trained on; of a group in processes, as all of them see it.
  [[nodiscard]] std::uint64_t position() const;
  [[nodiscard]] std::filesystem::path checkpoint_path() const {
    return recorder_->record().folder() / "checkpoint";
  }

  Options options_;
  const Dataset& dataset_;
  std::shared_ptr<gossamer::observe::RunRecorder> recorder_;
  std::shared_ptr<gossamer::observe::Progress> progress_;
  std::function<void()> close_trace_;                               // null: none is wanted
  std::shared_ptr<gossamer::observe::Callback> trace_;              // likewise
  std::shared_ptr<gossamer::observe::ConsensusEstimate> estimate_;  // null: there can be none
  std::shared_ptr<gossamer::observe::WatchState> watch_;  // null: none is wanted, as the next two
  std::shared_ptr<gossamer::observe::MLflow> mlflow_;
  std::unique_ptr<examples::Dashboard> dashboard_;
  gossamer::EnergyModel energy_ = options_.energy();
  gossamer::Signals signals_;
  examples::AnyGroup<CifarNode> group_;
  std::shared_ptr<Network> mean_;      // where the plain mean is put to be tested
  std::shared_ptr<Network> weighted_;  // and the weighted one
  std::vector<std::string> changes_;   // since the run that goes on
  std::string error_;
  double evaluation_seconds_ = 0;
  std::uint64_t evaluate_every_ = 0;  // images; 0: not on the way
  std::uint64_t covered_ = 0;         // images that all nodes have done, or had their share of
  bool trained_since_ = false;        // the last evaluation
};

}  // namespace cifar10
