// SPDX-License-Identifier: MIT
/// A network's modules, the links between them, and the ways in which they can learn.
#pragma once

#include <cifar10/batches.hpp>
#include <gossamer/pipeline/activation_code.hpp>
#include <gossamer/pipeline/decoupled.hpp>
#include <gossamer/pipeline/replay_buffer.hpp>

#include <decoupled_greedy/networks.hpp>
#include <decoupled_greedy/options.hpp>
#include <torch/optim/sgd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace decoupled {

using gossamer::pipeline::Activations;
using gossamer::pipeline::PackedActivations;

/// A module that learns: forward, loss of its head, a step of SGD, whose rate is divided by five
/// after 30, 60 and 90 % of its steps (the authors: every 15 of 50 epochs). After its last step it
/// only passes on what it makes, with BatchNorm's running statistics, as theirs does.
///
/// Differs  the momentum stays when the rate falls (theirs begins anew); plain cross-entropy
/// (theirs
///          bounds probabilities below by 1e-5).
/// Threads  one at a time, but for `steps()` and `loss()`, which any may call.
class Learner {
 public:
  Learner(const Options& options, std::int64_t index);

  /// Trains on a batch, or only passes it on; what the next module gets.
  Activations learn(const Activations& batch);
  [[nodiscard]] bool has_steps_left() const { return steps() < limit_; }
  /// As for testing: what the next module gets, and how many of the batch its head gets right.
  Activations test(const Activations& batch, std::int64_t& right);

  [[nodiscard]] std::uint64_t steps() const { return steps_.load(); }
  [[nodiscard]] double loss() const { return loss_.load(); }  ///< of the last step
  [[nodiscard]] const Part& part() const { return part_; }
  [[nodiscard]] std::int64_t parameters() const;

  /// Module, head and steps; the optimizer's momentum is not kept. Whole or not at all.
  void save(const std::filesystem::path& file) const;
  void load(const std::filesystem::path& file);

 private:
  using Block = gossamer::pipeline::Decoupled<torch::nn::Sequential, torch::nn::Sequential>;
  void set_training(bool is_training);

  Part part_;
  double learning_rate_;
  std::uint64_t limit_;
  std::shared_ptr<torch::optim::SGD> optimizer_;
  Block block_;
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<double> loss_{0};
};

/// From a module to the next one in this process: bytes, counted, and a buffer of batches in code.
class Link {
 public:
  Link(const Options& options, const Part& from, std::int64_t index);

  /// Writes a batch down and leaves it in the buffer. One thread.
  /// @throws std::runtime_error if a number is not finite.
  void put(const Activations& batch);
  /// The same without buffer or learning: what the next module would see, and the bytes.
  Activations through(const Activations& batch);

  [[nodiscard]] gossamer::pipeline::ReplayBuffer<PackedActivations>& buffer() { return buffer_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_.load(); }

 private:
  std::optional<PackedActivations> pack(const Activations& batch, bool learn);

  std::int64_t index_;
  gossamer::pipeline::ActivationWriter writer_;
  gossamer::pipeline::ActivationReader reader_;
  gossamer::pipeline::ReplayBuffer<PackedActivations> buffer_;
  std::atomic<std::uint64_t> bytes_{0};  // of training
};

/// What was found on the test images, per module.
struct Scores {
  std::vector<double> accuracy;
};

/// Reads training batches: random crops of 32 x 32 (4 pixels of black around) and flips.
std::function<Activations()> reader(const Options& options, const cifar10::Images& train);

/// All modules in one process.
class Chain {
 public:
  Chain(const Options& options, cifar10::Dataset data);

  /// Trains every module for its steps. `evaluated` is called between steps about every
  /// `options.evaluate_every` images of the slowest module (threads: only at the end), `shown`
  /// often.
  void train(const std::function<void()>& evaluated, const std::function<void()>& shown);
  /// Each module's accuracy, what it gets having gone through the links' codes.
  Scores evaluate();

  [[nodiscard]] std::vector<std::unique_ptr<Learner>>& learners() { return learners_; }
  [[nodiscard]] std::vector<std::unique_ptr<Link>>& links() { return links_; }
  /// Draws of the asynchronous loop, by which its time is counted; else the first module's steps.
  [[nodiscard]] std::uint64_t turns() const { return turns_; }
  /// Training steps of the slowest module.
  [[nodiscard]] std::uint64_t slowest() const;

 private:
  void take_turn(std::size_t module);
  void train_drawn(const std::function<void()>& after_turn);
  void train_on_threads(const std::function<void()>& shown);

  Options options_;
  cifar10::Dataset data_;
  std::vector<std::unique_ptr<Learner>> learners_;
  std::vector<std::unique_ptr<Link>> links_;  // link j is from module j to j + 1
  std::function<Activations()> read_;
  std::uint64_t turns_ = 0;
};

}  // namespace decoupled
