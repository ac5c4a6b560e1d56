// SPDX-License-Identifier: MIT
/// Evaluates networks with all cores, in batches small enough for a thread's allocator.
#include <cifar10/batches.hpp>
#include <cifar10/evaluate.hpp>

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

namespace cifar10 {
namespace {

/// Larger ones make tensors that glibc maps afresh each time, ten times slower.
constexpr std::int64_t batch = 50;

}  // namespace

std::vector<Score> evaluate(const std::vector<Network*>& networks, const Images& test,
                            std::int64_t images, const Options& options) {
  images = std::min(images, test.size());
  const Normalisation raw{{0, 0, 0}, {1, 1, 1}};
  const std::int64_t parts = (images + batch - 1) / batch;
  for (Network* network : networks) network->eval();

  // A row per part, added up in order at the end: the same bits however the threads raced.
  std::vector<std::vector<Score>> rows(static_cast<std::size_t>(parts),
                                       std::vector<Score>(networks.size()));
  std::mutex mutex;
  std::exception_ptr failure;
  std::atomic<std::int64_t> next{0};
  const auto work = [&] {
    try {
      at::set_num_threads(1);
      const torch::NoGradGuard no_grad;
      while (true) {
        const std::int64_t part = next.fetch_add(1);
        if (part >= parts) return;
        const auto [pixels, labels] =
            centre_crops(test, part * batch, std::min((part + 1) * batch, images), options.crop,
                         options.normalise ? Normalisation() : raw);
        for (std::size_t i = 0; i < networks.size(); ++i) {
          const torch::Tensor output = networks[i]->forward(pixels);
          const auto loss = at::cross_entropy_loss(output, labels, {}, at::Reduction::Sum);
          const auto right = output.argmax(1).eq(labels).sum();
          rows[static_cast<std::size_t>(part)][i] = {loss.item<double>(), right.item<double>()};
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back(work);
  }
  for (auto& thread : threads) thread.join();
  for (Network* network : networks) network->train();
  if (failure) std::rethrow_exception(failure);
  std::vector<Score> scores(networks.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < scores.size(); ++i) {
      scores[i].loss += row[i].loss;
      scores[i].accuracy += row[i].accuracy;
    }
  }
  for (Score& score : scores) {
    score.loss /= static_cast<double>(images);
    score.accuracy /= static_cast<double>(images);
  }
  return scores;
}

}  // namespace cifar10
