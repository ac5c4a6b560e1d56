// SPDX-License-Identifier: MIT
/// What the command line says.
#pragma once

#include <gossamer/pipeline/activation_code.hpp>
#include <shared/process_options.hpp>

#include <decoupled_greedy/networks.hpp>
#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace decoupled {

struct Options {
  std::filesystem::path data;
  std::int64_t train_images = 50'000;
  std::int64_t test_images = 10'000;
  std::string network = "three";
  std::int64_t width = 128;
  std::int64_t modules = 0;  ///< 0: one per block
  std::string mode = "sync";
  std::uint64_t images = 100'000;
  std::int64_t batch = 128;
  double learning_rate = 0.1;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  std::size_t buffer = 30;  ///< batches
  std::uint64_t max_reuse = 0;
  std::int64_t slow_module = -1;
  double slowdown = 1;
  std::string activations = "float32";
  gossamer::pipeline::VectorQuantizerOptions quantizer;
  std::uint64_t seed = 1;
  std::uint64_t evaluate_every = 50'000;
  std::filesystem::path out;
  bool quiet = false;
  bool resume = false;
  std::uint64_t save_every = 100;  ///< steps
  examples::ProcessOptions process;

  /// Reads the command line; a status to end with, or nothing. One sentence per mistake.
  std::optional<int> parse(int argc, char** argv);
  /// Throws ConfigError for combinations that cannot work; sets `modules`.
  void check();

  [[nodiscard]] NetworkPlan plan() const { return {network, width, modules, seed}; }
  /// Training steps of every module.
  [[nodiscard]] std::uint64_t steps() const { return images / static_cast<std::uint64_t>(batch); }
  /// How activations of these sizes of one image travel.
  [[nodiscard]] gossamer::pipeline::ActivationFormat format(
      const std::vector<std::int64_t>& sample) const;
  [[nodiscard]] nlohmann::ordered_json description() const;
};

}  // namespace decoupled
