// SPDX-License-Identifier: MIT
/// Modules that learn by heads of their own: nothing goes back, one after another or on threads.
#include <gossamer/generator.hpp>
#include <gossamer/pipeline/decoupled.hpp>

#include <tests/support.hpp>
#include <torch/nn/functional/loss.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace {

using gossamer::Generator;
using gossamer::pipeline::ActivationBuffer;
using gossamer::pipeline::Activations;
using Block = gossamer::pipeline::Decoupled<torch::nn::Sequential, torch::nn::Linear>;

/// A module of 8 to 8 numbers, the first of 2 to 8, with a head of one; numbers of seed and place.
std::unique_ptr<Block> make_block(std::uint64_t place) {
  Generator random(tests::seed, 5100 + place);
  torch::nn::Sequential module(torch::nn::Linear(place == 0 ? 2 : 8, 8), torch::nn::Tanh());
  torch::nn::Linear head(8, 1);
  std::vector<at::Tensor> parameters = module->parameters();
  for (const at::Tensor& one : head->parameters()) parameters.push_back(one);
  const at::NoGradGuard no_grad;
  for (const at::Tensor& one : parameters) {
    for (std::int64_t i = 0; i < one.numel(); ++i) {
      one.view({-1})[i].fill_(random.uniform() - 0.5);
    }
  }
  auto optimizer =
      std::make_shared<torch::optim::SGD>(parameters, torch::optim::SGDOptions(0.1).momentum(0.9));
  return std::make_unique<Block>(module, head, optimizer,
                                 [](const at::Tensor& output, const at::Tensor& targets) {
                                   return torch::mse_loss(output, targets);
                                 });
}

/// Points of the plane; 1 where the coordinates have one sign, else -1: no line divides them.
Activations points(Generator& random) {
  at::Tensor x = at::zeros({32, 2});
  for (int i = 0; i < 64; ++i) {
    x.view({-1})[i].fill_((random.below(2) == 0 ? -1 : 1) * (0.3 + 0.7 * random.uniform()));
  }
  return {x, x.prod(1, true).sign()};
}

/// So many batches.
auto reader(int count) {
  auto random = std::make_shared<Generator>(tests::seed, 5200);
  return [random, left = count]() mutable -> std::optional<Activations> {
    if (left-- == 0) return std::nullopt;
    return points(*random);
  };
}

bool have_equal_bits(const Block& a, const Block& b) {
  const auto one = a.module()->parameters();
  const auto other = b.module()->parameters();
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!at::equal(one[i], other[i])) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("A module's step moves itself and its head, and leaves no history behind", "[pipeline]") {
  const auto block = make_block(0);
  Generator random(tests::seed, 5300);
  const Activations batch = points(random);
  const at::Tensor expected = block->pass(batch).values;
  const at::Tensor module_before = block->module()->parameters()[0].detach().clone();
  const at::Tensor head_before = block->head()->weight.detach().clone();
  const Activations next = block->step(batch);
  CHECK(at::equal(next.values, expected));  // before the step
  CHECK_FALSE(next.values.requires_grad());
  CHECK(at::equal(next.targets, batch.targets));
  CHECK_FALSE(at::equal(block->module()->parameters()[0], module_before));
  CHECK_FALSE(at::equal(block->head()->weight, head_before));
  CHECK(block->steps() == 1);
  CHECK(block->last_loss() > 0);
}

TEST_CASE("What comes after a module does not move it", "[pipeline]") {
  const auto alone = make_block(0);
  const auto first = make_block(0);
  const auto second = make_block(1);
  Generator random(tests::seed, 5400);
  for (int i = 0; i < 20; ++i) {
    const Activations batch = points(random);
    alone->step(batch);
    second->step(first->step(batch));
  }
  CHECK(have_equal_bits(*alone, *first));
}

TEST_CASE("Modules on threads of their own train at once, the first as if it were alone",
          "[pipeline][threads]") {
  const std::size_t capacity = GENERATE(2U, 10U);
  constexpr std::uint64_t steps = 600;
  std::vector<std::unique_ptr<Block>> blocks;
  for (std::uint64_t place = 0; place < 3; ++place) blocks.push_back(make_block(place));
  ActivationBuffer one(capacity, /*max_reuse=*/3);  // so what is left at the end is used
  ActivationBuffer two(capacity, /*max_reuse=*/3);
  std::thread first([&] { train(*blocks[0], reader(steps), &one, steps); });
  std::thread second([&] {
    train(
        *blocks[1], [&] { return one.take(); }, &two, steps);
  });
  train(
      *blocks[2], [&] { return two.take(); }, nullptr, steps);
  first.join();
  second.join();
  const auto alone = make_block(0);
  train(*alone, reader(steps), nullptr, steps);
  CHECK(have_equal_bits(*alone, *blocks[0]));
  CHECK(blocks[0]->steps() == steps);
  CHECK(blocks[1]->steps() > 0);
  CHECK(blocks[2]->steps() > 0);
}

TEST_CASE("A chain of modules learns what a line cannot, each one from the one before",
          "[pipeline]") {
  std::vector<std::unique_ptr<Block>> blocks;
  for (std::uint64_t place = 0; place < 3; ++place) blocks.push_back(make_block(place));
  Generator random(tests::seed, 5600);
  ActivationBuffer buffer(10);
  for (int i = 0; i < 400; ++i) {
    buffer.put(blocks[1]->step(blocks[0]->step(points(random))));
    blocks[2]->step(*buffer.try_take());
  }
  const Activations fresh = points(random);
  const at::Tensor output = blocks[2]->predict(blocks[1]->pass(blocks[0]->pass(fresh)).values);
  CHECK((output - fresh.targets).square().mean().item<double>() < 0.2);  // a line has 1
}

TEST_CASE("A module that has trained enough still feeds the next", "[pipeline]") {
  const auto block = make_block(0);
  ActivationBuffer next(8);
  train(*block, reader(5), &next, 2);
  CHECK(block->steps() == 2);
  CHECK(next.written() == 5);
  CHECK_FALSE(next.take());  // it is closed
}

TEST_CASE("A module that fails closes its buffer, so that nobody waits for ever", "[pipeline]") {
  const auto block = make_block(0);
  ActivationBuffer next(8);
  const auto failing = []() -> std::optional<Activations> {
    throw std::runtime_error("no more data");
  };
  CHECK_THROWS_AS(train(*block, failing, &next, 5), std::runtime_error);
  CHECK_FALSE(next.take());
}
