// SPDX-License-Identifier: MIT
/// Decoupled greedy learning on CIFAR-10, beside back-propagation.
#include <gossamer/node/allocator.hpp>
#include <gossamer/observe/progress.hpp>
#include <gossamer/observe/record.hpp>
#include <gossamer/version.hpp>
#include <shared/run_folder.hpp>

#include <ATen/Parallel.h>
#include <decoupled_greedy/chain.hpp>
#include <decoupled_greedy/process.hpp>
#include <torch/version.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

namespace {

using decoupled::Chain;
using decoupled::Options;
using gossamer::observe::ProgressLine;
using gossamer::observe::RunRecord;
using Json = RunRecord::Json;

cifar10::Dataset data_of(const Options& o) {
  if (!o.data.empty()) return cifar10::load(o.data);
  std::cerr << "decoupled_greedy: no --data, so it trains on synthetic images\n";
  return cifar10::synthetic(o.seed, o.train_images, o.test_images);
}

std::string percents(const Json& accuracies) {
  std::string text;
  for (const auto& one : accuracies) {
    char number[16];
    std::snprintf(number, sizeof number, "%s%.1f", text.empty() ? "" : ", ",
                  100 * one.get<double>());
    text += number;
  }
  return text + " %";
}

/// Trains and measures a chain in this process, and writes the record of it.
class Run {
 public:
  Run(const Options& options, cifar10::Dataset data, RunRecord& record)
      : options_(options),
        record_(record),
        chain_(options, std::move(data)),
        line_(std::cout, ProgressLine::stdout_is_terminal(), "images") {}

  Json operator()() {
    chain_.train([this] { measure(); }, [this] { show(); });
    Json last = measure();
    Json summary = {{"parameters", Json::array()}};
    for (const auto& learner : chain_.learners()) {
      summary["parameters"].push_back(learner->parameters());
    }
    summary.update(last);
    for (const auto& link : chain_.links()) {
      summary["batches_written"].push_back(link->buffer().written());
      summary["batches_unused"].push_back(link->buffer().unused());
    }
    return summary;
  }

 private:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

  Json measure() {
    const decoupled::Scores scores = chain_.evaluate();
    Json point = {{"images", chain_.slowest() * static_cast<std::uint64_t>(options_.batch)},
                  {"turns", chain_.turns()},
                  {"seconds", seconds()},
                  {"test_accuracy", scores.accuracy.back()},
                  {"module_accuracy", scores.accuracy}};
    std::uint64_t bytes = 0;
    for (const auto& learner : chain_.learners()) {
      point["module_loss"].push_back(learner->loss());
      point["module_steps"].push_back(learner->steps());
    }
    for (const auto& link : chain_.links()) {
      point["link_bytes"].push_back(link->bytes());
      bytes += link->bytes();
    }
    point["bytes_sent"] = bytes;
    record_.add(point);
    if (!options_.quiet) {
      line_.say(std::to_string(point["images"].get<std::uint64_t>()) + " images: accuracy " +
                percents(point["module_accuracy"]) + " (modules in their order), " +
                std::to_string(bytes / 1'000'000) + " MB sent");
    }
    return point;
  }

  void show() {
    if (options_.quiet) return;
    gossamer::observe::ProgressState state;
    const auto batch = static_cast<std::uint64_t>(options_.batch);
    state.done = chain_.slowest() * batch;
    state.total = options_.steps() * batch;
    state.fraction = static_cast<double>(state.done) / static_cast<double>(state.total);
    state.seconds = seconds();
    state.speed = static_cast<double>(state.done) / state.seconds;
    state.left = static_cast<double>(state.total - state.done) / std::max(state.speed, 1e-9);
    state.loss = chain_.learners().back()->loss();
    state.consensus_error = -1;
    for (const auto& link : chain_.links()) state.messages += link->buffer().written();
    line_.show(state);
  }

  Options options_;
  RunRecord& record_;
  Chain chain_;
  ProgressLine line_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

int run(const Options& options) {
  at::set_num_threads(1);
  cifar10::Dataset data = data_of(options);
  RunRecord record(options.out.empty() ? examples::folder_named_by_time() : options.out,
                   options.resume);
  Json summary = {{"dataset", data.name}};
  summary.update(options.description());
  summary.update(options.mode == "tcp" ? decoupled::run_process(options, data, record)
                                       : Run(options, std::move(data), record)());
  summary["version"] = GOSSAMER_VERSION;
  summary["libtorch"] = TORCH_VERSION;
  record.write_summary(summary);
  std::cout << options.network << ", " << options.mode << ", " << options.activations
            << ": accuracy " << percents(summary["module_accuracy"]) << "; record "
            << record.folder().string() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  gossamer::tune_allocator();
  Options options;
  if (const auto status = options.parse(argc, argv)) return *status;
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::cerr << "decoupled_greedy: " << error.what() << '\n';
    return 1;
  }
}
