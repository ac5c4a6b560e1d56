// SPDX-License-Identifier: MIT
/// The same training job, done in different ways.
#pragma once

#include <cifar10/dataset.hpp>
#include <cifar10/options.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace throughput {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// What is trained: the example's network, batches and optimizer.
struct Job {
  cifar10::Options options;
  const cifar10::Images& images;
  double slow = 1;  ///< how many times as long as the others node 0 takes for a step
};

/// One way of doing it. It goes on where it stopped at the last call.
class Contender {
 public:
  Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;
  virtual ~Contender() = default;
  /// Trains for about that long; returns images per second over all nodes.
  virtual double train(Seconds duration) = 0;
};

/// Makes the step that took since `begin` last `times` as long.
inline void drag(Clock::time_point begin, double times) {
  if (times > 1) std::this_thread::sleep_for((times - 1) * (Clock::now() - begin));
}

/// Threads that share nothing and train on batches prepared beforehand: what the machine can do.
std::unique_ptr<Contender> make_bare(const Job& job);
/// A group of the library's nodes with a rule.
std::unique_ptr<Contender> make_group(const Job& job, const std::string& rule, double probability);
/// Ranks that average their gradients with c10d's ProcessGroupGloo after each backward pass.
std::unique_ptr<Contender> make_gloo(const Job& job);

}  // namespace throughput
