// SPDX-License-Identifier: MIT
/// Modules that learn one after another, in drawn order, or on threads.
#include <gossamer/generator.hpp>

#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <c10/util/StringUtil.h>
#include <decoupled_greedy/chain.hpp>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>

namespace decoupled {
namespace {

using gossamer::Generator;

constexpr std::uint64_t data_stream = 0x6461;  // of the generators
constexpr std::uint64_t turn_stream = 0x7475;

std::vector<at::Tensor> parameters_of(const Part& part) {
  std::vector<at::Tensor> all = part.body->parameters();
  for (const at::Tensor& one : part.head->parameters()) all.push_back(one);
  return all;
}
std::shared_ptr<torch::optim::SGD> make_optimizer(const Options& o, const Part& part) {
  return std::make_shared<torch::optim::SGD>(
      parameters_of(part),
      torch::optim::SGDOptions(o.learning_rate).momentum(o.momentum).weight_decay(o.weight_decay));
}
at::Tensor cross_entropy(const at::Tensor& output, const at::Tensor& targets) {
  return at::cross_entropy_loss(output, targets);
}
/// How often a module whose machine is so much slower than the others is drawn, to one of theirs.
double share_of(const Options& o, std::size_t module) {
  return static_cast<std::int64_t>(module) == o.slow_module ? 1 / o.slowdown : 1;
}

}  // namespace

Learner::Learner(const Options& options, std::int64_t index)
    : part_(make_part(options.plan(), index)),
      learning_rate_(options.learning_rate),
      limit_(options.steps()),
      optimizer_(make_optimizer(options, part_)),
      block_(part_.body, part_.head, optimizer_, cross_entropy) {}

void Learner::set_training(bool is_training) {
  if (part_.body->is_training() == is_training) return;
  part_.body->train(is_training);
  part_.head->train(is_training);
}

Activations Learner::learn(const Activations& batch) {
  set_training(has_steps_left());
  if (!has_steps_left()) return block_.pass(batch);
  const double done = static_cast<double>(steps()) / static_cast<double>(limit_);
  const int falls = (done >= 0.3 ? 1 : 0) + (done >= 0.6 ? 1 : 0) + (done >= 0.9 ? 1 : 0);
  for (auto& group : optimizer_->param_groups()) {
    static_cast<torch::optim::SGDOptions&>(group.options())
        .lr(learning_rate_ * std::pow(0.2, falls));
  }
  Activations next = block_.step(batch);
  loss_.store(block_.last_loss());
  steps_.fetch_add(1);
  return next;
}

Activations Learner::test(const Activations& batch, std::int64_t& right) {
  const at::NoGradGuard no_grad;
  set_training(false);
  Activations next = block_.pass(batch);
  const at::Tensor answers = part_.head->forward(next.values).argmax(1);
  right += answers.eq(batch.targets).sum().item<std::int64_t>();
  return next;
}

std::int64_t Learner::parameters() const {
  std::int64_t n = 0;
  for (const at::Tensor& one : parameters_of(part_)) n += one.numel();
  return n;
}

void Learner::save(const std::filesystem::path& file) const {
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive body;
  torch::serialize::OutputArchive head;
  part_.body->save(body);
  part_.head->save(head);
  archive.write("body", body);
  archive.write("head", head);
  archive.write("steps", c10::IValue(static_cast<std::int64_t>(steps())));
  const std::string part = file.string() + ".part";
  archive.save_to(part);
  std::filesystem::rename(part, file);
}

void Learner::load(const std::filesystem::path& file) {
  torch::serialize::InputArchive archive;
  archive.load_from(file.string());
  torch::serialize::InputArchive body;
  torch::serialize::InputArchive head;
  archive.read("body", body);
  archive.read("head", head);
  part_.body->load(body);
  part_.head->load(head);
  c10::IValue steps;
  archive.read("steps", steps);
  steps_.store(static_cast<std::uint64_t>(steps.toInt()));
}

Link::Link(const Options& options, const Part& from, std::int64_t index)
    : index_(index),
      writer_(options.format(from.output), options.seed + static_cast<std::uint64_t>(index)),
      reader_(options.format(from.output)),
      buffer_(options.mode == "sync" ? 1 : options.buffer, options.max_reuse) {}

std::optional<PackedActivations> Link::pack(const Activations& batch, bool learn) {
  const std::vector<std::byte> code = writer_.write(batch, learn);
  if (code.empty()) {
    throw std::runtime_error(c10::str("module ", index_,
                                      " gives numbers that are not finite; a smaller "
                                      "--learning-rate may help"));
  }
  if (learn) bytes_.fetch_add(code.size());
  return reader_.read(code);
}
void Link::put(const Activations& batch) { buffer_.put(pack(batch, true).value()); }
Activations Link::through(const Activations& batch) { return pack(batch, false)->unpack(); }

std::function<Activations()> reader(const Options& options, const cifar10::Images& train) {
  auto batches = std::make_shared<cifar10::Batches>(
      train, cifar10::all(std::min(options.train_images, train.size())), options.batch,
      Generator(options.seed, data_stream), cifar10::BatchOptions().crop(32));
  return [batches] {
    auto [images, labels] = batches->next();
    return Activations{images, labels};
  };
}

Chain::Chain(const Options& options, cifar10::Dataset data)
    : options_(options), data_(std::move(data)), read_(reader(options, data_.train)) {
  for (std::int64_t i = 0; i < options.modules; ++i) {
    learners_.push_back(std::make_unique<Learner>(options, i));
    if (i + 1 == options.modules) break;
    links_.push_back(std::make_unique<Link>(options, learners_.back()->part(), i));
  }
}

std::uint64_t Chain::slowest() const {
  std::uint64_t least = learners_.front()->steps();
  for (const auto& learner : learners_) least = std::min(least, learner->steps());
  return least;
}

/// Nothing, if there is nothing to learn from.
void Chain::take_turn(std::size_t module) {
  std::optional<Activations> batch;
  if (module == 0) {
    batch = read_();
  } else if (const auto packed = links_[module - 1]->buffer().try_take()) {
    batch = packed->unpack();
  }
  if (!batch) return;
  const bool is_last = module + 1 == learners_.size();
  if (is_last && !learners_[module]->has_steps_left()) return;
  Activations next = learners_[module]->learn(*batch);
  if (!is_last) links_[module]->put(next);
}

/// The authors' loop: at first two turns each in their order, then whose turn it is is drawn.
void Chain::train_drawn(const std::function<void()>& after_turn) {
  Generator random(options_.seed, turn_stream);
  double sum = 0;
  for (std::size_t i = 0; i < learners_.size(); ++i) sum += share_of(options_, i);
  for (; slowest() < options_.steps(); ++turns_) {
    std::size_t module = turns_ / 2;
    if (module >= learners_.size()) {
      double x = random.uniform() * sum;
      for (module = 0; module + 1 < learners_.size(); ++module) {
        x -= share_of(options_, module);
        if (x < 0) break;
      }
    }
    take_turn(module);
    after_turn();
  }
}

void Chain::train_on_threads(const std::function<void()>& shown) {
  std::atomic<std::size_t> unfinished{learners_.size()};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto next_batch = [&](std::size_t module) -> std::optional<Activations> {
    if (module == 0) return unfinished > 0 ? std::optional(read_()) : std::nullopt;
    const auto packed = links_[module - 1]->buffer().take();
    return packed ? std::optional(packed->unpack()) : std::nullopt;
  };
  const auto work = [&](std::size_t module) {
    at::set_num_threads(1);
    const bool is_last = module + 1 == learners_.size();
    bool has_finished = false;
    try {
      while (const auto batch = next_batch(module)) {
        const auto begin = std::chrono::steady_clock::now();
        const Activations next = learners_[module]->learn(*batch);
        if (!is_last) links_[module]->put(next);
        const bool ends = !has_finished && !learners_[module]->has_steps_left();
        if (ends) unfinished.fetch_sub(1);
        has_finished = has_finished || ends;
        if (is_last && has_finished) break;
        if (static_cast<std::int64_t>(module) == options_.slow_module) {
          std::this_thread::sleep_for((std::chrono::steady_clock::now() - begin) *
                                      (options_.slowdown - 1));
        }
        if (module == 0) shown();
      }
    } catch (...) {
      unfinished = 0;
      const std::lock_guard lock(mutex);
      failure = std::current_exception();
    }
    if (!is_last) links_[module]->buffer().close();
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < learners_.size(); ++i) threads.emplace_back(work, i);
  work(0);
  for (std::thread& thread : threads) thread.join();
  turns_ = learners_.front()->steps();
  if (failure) std::rethrow_exception(failure);
}

void Chain::train(const std::function<void()>& evaluated, const std::function<void()>& shown) {
  if (options_.mode == "threads") return train_on_threads(shown);
  const auto batch = static_cast<std::uint64_t>(options_.batch);
  std::uint64_t due = options_.evaluate_every;
  const auto after_turn = [&] {
    shown();
    if (slowest() * batch < due || slowest() == options_.steps()) return;
    evaluated();
    due += options_.evaluate_every;
  };
  if (options_.mode == "async") return train_drawn(after_turn);
  for (; slowest() < options_.steps(); ++turns_) {
    for (std::size_t i = 0; i < learners_.size(); ++i) take_turn(i);
    after_turn();
  }
}

Scores Chain::evaluate() {
  const std::int64_t n = std::min(options_.test_images, data_.test.size());
  std::vector<std::int64_t> right(learners_.size(), 0);
  constexpr std::int64_t batch = 200;
  for (std::int64_t i = 0; i < n; i += batch) {
    const auto [images, labels] = cifar10::centre_crops(data_.test, i, std::min(i + batch, n), 32);
    Activations at{images, labels};
    for (std::size_t k = 0; k < learners_.size(); ++k) {
      at = learners_[k]->test(at, right[k]);
      if (k < links_.size()) at = links_[k]->through(at);
    }
  }
  Scores scores;
  for (const std::int64_t one : right) {
    scores.accuracy.push_back(static_cast<double>(one) / static_cast<double>(n));
  }
  return scores;
}

}  // namespace decoupled
