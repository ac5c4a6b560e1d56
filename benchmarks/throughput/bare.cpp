// SPDX-License-Identifier: MIT
/// The bare loop: a network, an optimizer and prepared batches in each thread, and no library.
#include "contender.hpp"
#include <cifar10/node.hpp>

#include <ATen/Parallel.h>

#include <atomic>

namespace throughput {
namespace {

class Bare final : public Contender {
 public:
  explicit Bare(const Job& job) : job_(job) {
    for (std::size_t i = 0; i < job.options.nodes; ++i) {
      workers_.push_back(std::make_unique<Worker>(job, i));
    }
  }

  double train(Seconds duration) override {
    std::atomic<std::int64_t> steps{0};
    const auto begin = Clock::now();
    std::vector<std::thread> threads;
    for (auto& worker : workers_) {
      threads.emplace_back([&, worker = worker.get()] {
        at::set_num_threads(1);
        while (Clock::now() - begin < duration) {
          worker->step();
          ++steps;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    const Seconds taken = Clock::now() - begin;
    return static_cast<double>(steps * job_.options.batch) / taken.count();
  }

 private:
  struct Worker {
    Worker(const Job& job, std::size_t node)
        : network(cifar10::make_network(job.options)),
          optimizer(
              network->parameters(),
              torch::optim::SGDOptions(job.options.learning_rate).momentum(job.options.momentum)) {
      auto stream = cifar10::make_batches(job.options, job.images, node,
                                          gossamer::Generator(job.options.seed, node));
      for (int i = 0; i < 20; ++i) batches.push_back(stream.next());
    }

    void step() {
      const auto& [images, labels] = batches[next++ % batches.size()];
      optimizer.zero_grad();
      const auto loss = at::cross_entropy_loss(network->forward(images), labels);
      loss.backward();
      optimizer.step();
    }

    std::shared_ptr<cifar10::Network> network;
    torch::optim::SGD optimizer;
    std::vector<std::pair<at::Tensor, at::Tensor>> batches;
    std::size_t next = 0;
  };

  Job job_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

std::unique_ptr<Contender> make_bare(const Job& job) { return std::make_unique<Bare>(job); }

}  // namespace throughput
