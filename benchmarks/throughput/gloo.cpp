// SPDX-License-Identifier: MIT
/// What a LibTorch user would write today: ranks as threads of one process, and an all-reduce of
/// all gradients, as one vector, by c10d's ProcessGroupGloo.
#include "contender.hpp"
#include <cifar10/node.hpp>

#include <ATen/Parallel.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <atomic>

namespace throughput {
namespace {

class Rank {
 public:
  Rank(const Job& job, int rank)
      : job_(job),
        rank_(rank),
        network_(cifar10::make_network(job.options)),
        batches_(cifar10::make_batches(job.options, job.images, static_cast<std::size_t>(rank),
                                       gossamer::Generator(job.options.seed, rank))),
        optimizer_(
            network_->parameters(),
            torch::optim::SGDOptions(job.options.learning_rate).momentum(job.options.momentum)) {
    std::int64_t numbers = 1;  // the last one says that rank 0 wants to stop
    for (const auto& parameter : network_->parameters()) numbers += parameter.numel();
    gradients_ = at::zeros({numbers});
  }

  /// Meets the others; all ranks at once.
  void connect(const c10::intrusive_ptr<c10d::Store>& store) {
    auto options = c10d::ProcessGroupGloo::Options::create();
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
    options->threads = 2;
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(
        store, rank_, static_cast<int>(job_.options.nodes), options);
  }

  /// One step; false when rank 0 has said that time is up.
  bool step(bool time_is_up) {
    const auto begin = Clock::now();
    const auto [images, labels] = batches_.next();
    optimizer_.zero_grad();
    const auto loss = at::cross_entropy_loss(network_->forward(images), labels);
    loss.backward();
    drag(begin, rank_ == 0 ? job_.slow : 1);
    exchange(time_is_up);
    optimizer_.step();
    return gradients_[-1].item<float>() == 0;
  }

 private:
  void exchange(bool time_is_up) {
    const at::NoGradGuard no_grad;
    const auto parameters = network_->parameters();
    std::int64_t at = 0;
    for (const auto& parameter : parameters) {
      gradients_.narrow(0, at, parameter.numel()).copy_(parameter.grad().flatten());
      at += parameter.numel();
    }
    gradients_[-1].fill_(time_is_up ? 1 : 0);
    std::vector<at::Tensor> tensors{gradients_};
    group_->allreduce(tensors)->wait();
    gradients_.div_(static_cast<double>(job_.options.nodes));
    at = 0;
    for (const auto& parameter : parameters) {
      parameter.grad().copy_(gradients_.narrow(0, at, parameter.numel()).view_as(parameter));
      at += parameter.numel();
    }
  }

  Job job_;
  int rank_;
  std::shared_ptr<cifar10::Network> network_;
  cifar10::Batches batches_;
  torch::optim::SGD optimizer_;
  at::Tensor gradients_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

class Gloo final : public Contender {
 public:
  explicit Gloo(const Job& job) : job_(job) {
    for (int i = 0; i < static_cast<int>(job.options.nodes); ++i) {
      ranks_.push_back(std::make_unique<Rank>(job, i));
    }
    const auto store = c10::make_intrusive<c10d::HashStore>();
    on_each([&](Rank& rank) { rank.connect(store); });
  }

  double train(Seconds duration) override {
    std::atomic<std::int64_t> steps{0};
    const auto begin = Clock::now();
    on_each([&](Rank& rank) {
      while (rank.step(&rank == ranks_.front().get() && Clock::now() - begin >= duration)) ++steps;
      ++steps;
    });
    const Seconds taken = Clock::now() - begin;
    return static_cast<double>(steps * job_.options.batch) / taken.count();
  }

 private:
  template <class Action>
  void on_each(Action action) {
    std::vector<std::thread> threads;
    for (auto& rank : ranks_) {
      threads.emplace_back([&, rank = rank.get()] {
        at::set_num_threads(1);
        action(*rank);
      });
    }
    for (auto& thread : threads) thread.join();
  }

  Job job_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

}  // namespace

std::unique_ptr<Contender> make_gloo(const Job& job) { return std::make_unique<Gloo>(job); }

}  // namespace throughput
