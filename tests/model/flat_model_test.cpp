// SPDX-License-Identifier: MIT
/// Models as flat vectors: views that are views, ties, strides, dtypes, buffers, gradients.
#include <gossamer/error.hpp>
#include <gossamer/model/flat_model.hpp>

#include <tests/support.hpp>
#include <torch/autograd.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/sgd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace user {

/// A model that is no module: k-means keeps sums and counts.
struct Means {
  at::Tensor sums = at::ones({3, 2});
  at::Tensor counts = at::full({3}, 4.0F);
};
gossamer::model::Tensors gossip_tensors(Means& means) {
  return {{{"sums", means.sums}, {"counts", means.counts}}, {}};
}

/// A number that meets others by the larger of the two.
struct Largest {
  at::Tensor value;
};
gossamer::model::Tensors gossip_tensors(Largest& largest) {
  return {.parameters = {{"value", largest.value}},
          .merge = [value = largest.value](double, auto theirs, double) {
            value.copy_(at::maximum(value, theirs[0].tensor));
          }};
}

}  // namespace user

namespace {

using gossamer::ConfigError;
using gossamer::model::Buffers;
using gossamer::model::Flat;
using gossamer::model::FlatModel;
using gossamer::model::Tensors;
using gossamer::model::detail::tensors_of;

static_assert(gossamer::model::Model<torch::nn::LinearImpl>);
static_assert(gossamer::model::Model<torch::nn::Linear>);
static_assert(gossamer::model::Model<std::shared_ptr<torch::nn::LinearImpl>>);
static_assert(gossamer::model::Model<torch::nn::Sequential>);
static_assert(gossamer::model::Model<std::vector<at::Tensor>>);
static_assert(gossamer::model::Model<user::Means>);

FlatModel flat_of(std::vector<at::Tensor> list, Buffers policy = Buffers::average) {
  return FlatModel(tensors_of(list), policy);
}

at::Tensor numbers(std::vector<std::int64_t> sizes, at::ScalarType type = at::kFloat) {
  std::int64_t count = 1;
  for (const auto size : sizes) count *= size;
  return at::arange(1, count + 1, at::kDouble).view(sizes).to(type);
}

/// A module with one weight under two names.
struct TiedImpl : torch::nn::Module {
  TiedImpl() {
    encoder = register_parameter("encoder", torch::ones({2, 3}));
    decoder = register_parameter("decoder", encoder);
    bias = register_parameter("bias", torch::zeros({2}));
  }
  torch::Tensor encoder, decoder, bias;
};
TORCH_MODULE(Tied);

TEST_CASE(
    "A model with a merge of its own takes others in by it, and becomes theirs without weight",
    "[model]") {
  CHECK_FALSE(flat_of({numbers({2})}).has_merge());
  user::Largest mine{at::tensor({1.0, 5.0}, at::kDouble)};
  user::Largest theirs{at::tensor({3.0, 2.0}, at::kDouble)};
  const FlatModel model(tensors_of(mine));
  const FlatModel other(tensors_of(theirs));
  REQUIRE(model.has_merge());
  model.merge(0.5, other.flat(), 0.25);
  CHECK(at::equal(mine.value, at::tensor({3.0, 5.0}, at::kDouble)));
  model.merge(0, other.flat(), 0.25);
  CHECK(at::equal(mine.value, theirs.value));
}

TEST_CASE("What has no gossip_tensors is no model", "[model]") {
  CHECK_FALSE(gossamer::model::Model<int>);
  CHECK_FALSE(gossamer::model::Model<at::Tensor>);
  CHECK_FALSE(gossamer::model::Model<std::vector<float>>);
}

TEST_CASE("A module, its holder and a pointer to it give the same layout", "[model]") {
  torch::nn::Linear holder(3, 2);
  const std::string expected = FlatModel(tensors_of(*holder)).layout().description();
  CHECK(FlatModel(tensors_of(holder)).layout().description() == expected);
  std::shared_ptr<torch::nn::LinearImpl> pointer = holder.ptr();
  const FlatModel flat(tensors_of(pointer));
  CHECK(flat.layout().description() == expected);
  CHECK(flat.layout().parameter_count() == 8);
  CHECK(flat.layout().slots[0].name == "weight");
  CHECK(flat.layout().slots[1].name == "bias");
}

TEST_CASE("A module and its flat vector are the same numbers, both ways", "[model]") {
  torch::nn::Linear module(3, 2);
  const auto weight = module->weight.detach().clone();
  const auto input = torch::ones({1, 3});
  const auto output = module->forward(input).detach().clone();
  FlatModel model(tensors_of(module));
  const torch::NoGradGuard no_grad;
  CHECK(torch::equal(module->weight, weight));
  CHECK(torch::equal(module->forward(input), output));

  const auto views = model.views(model.flat());
  module->weight.fill_(7);
  CHECK(torch::equal(views[0].tensor, torch::full({2, 3}, 7.0F)));
  model.flat().segments()[0].fill_(-1);
  CHECK(torch::equal(module->weight, torch::full({2, 3}, -1.0F)));
  CHECK(torch::equal(module->bias, torch::full({2}, -1.0F)));
}

TEST_CASE("A struct and a list of tensors keep their numbers and share them", "[model]") {
  user::Means means;
  const auto before = means.sums.clone();
  const FlatModel model(tensors_of(means));
  CHECK(torch::equal(means.sums, before));
  model.flat().segments()[0].mul_(2);
  CHECK(torch::equal(means.sums, before * 2));
  CHECK(torch::equal(means.counts, torch::full({3}, 8.0F)));

  std::vector<at::Tensor> list{numbers({4}), numbers({2, 2})};
  const FlatModel other(tensors_of(list));
  list[1].fill_(5);
  CHECK(other.flat().segments()[0].sum().item<double>() == 1 + 2 + 3 + 4 + 4 * 5);
}

TEST_CASE("An optimizer that was made before still trains the bound model", "[model]") {
  torch::manual_seed(1);
  torch::nn::Linear module(3, 2);
  torch::optim::SGD optimizer(module->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  const auto step = [&] {
    optimizer.zero_grad();
    module->forward(torch::ones({1, 3})).pow(2).sum().backward();
    optimizer.step();
  };
  step();  // with state and gradients from before
  const FlatModel model(tensors_of(module));
  for (int i = 0; i < 3; ++i) {
    const auto before = model.flat().segments()[0].clone();
    step();
    CHECK_FALSE(torch::equal(model.flat().segments()[0], before));
    CHECK(torch::equal(model.views(model.flat())[0].tensor, module->weight.detach()));
  }
}

TEST_CASE("Tied parameters take one slot and stay tied", "[model]") {
  Tied module;
  const FlatModel model(tensors_of(module));
  REQUIRE(model.layout().slots.size() == 2);
  CHECK(model.layout().parameter_count() == 8);
  const torch::NoGradGuard no_grad;
  module->decoder.fill_(9);
  CHECK(torch::equal(module->encoder, torch::full({2, 3}, 9.0F)));
  CHECK(module->encoder.data_ptr() == module->decoder.data_ptr());
  CHECK(module->named_parameters()["decoder"].data_ptr() == module->encoder.data_ptr());
}

TEST_CASE("Each dtype has a vector of its own, with every slot on a 64-byte boundary", "[model]") {
  std::vector<at::Tensor> list{numbers({3}), numbers({5}, at::kDouble),   numbers({7}, at::kHalf),
                               numbers({2}), numbers({3}, at::kBFloat16), numbers({9}, at::kHalf)};
  const std::vector<at::Tensor> before{list[0].clone(), list[1].clone(), list[2].clone(),
                                       list[3].clone(), list[4].clone(), list[5].clone()};
  const FlatModel model(tensors_of(list));
  REQUIRE(model.flat().segments().size() == 4);
  for (const auto& segment : model.flat().segments()) {
    CHECK(segment.dim() == 1);
    CHECK(segment.is_contiguous());
    CHECK(segment.nbytes() % 64 == 0);
  }
  double sum = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    CHECK(torch::equal(list[i], before[i]));
    CHECK(reinterpret_cast<std::uintptr_t>(list[i].data_ptr()) % 64 == 0);
    sum += before[i].to(at::kDouble).sum().item<double>();
  }
  double all = 0;  // the gaps are zero
  for (const auto& segment : model.flat().segments()) {
    all += segment.to(at::kDouble).sum().item<double>();
  }
  CHECK(all == sum);
}

TEST_CASE("Memory order is kept: transposed and channels-last tensors have the strides they had",
          "[model]") {
  std::vector<at::Tensor> list{numbers({3, 4}).t(),
                               numbers({2, 3, 4, 5}).contiguous(at::MemoryFormat::ChannelsLast)};
  const auto strides = list[1].strides().vec();
  const std::vector<at::Tensor> before{list[0].clone(), list[1].clone()};
  const FlatModel model(tensors_of(list));
  CHECK(list[0].strides() == at::IntArrayRef({1, 4}));
  CHECK(list[1].strides() == at::IntArrayRef(strides));
  CHECK(list[1].is_contiguous(at::MemoryFormat::ChannelsLast));
  for (std::size_t i = 0; i < 2; ++i) CHECK(torch::equal(list[i], before[i]));
  CHECK(flat_of({numbers({4, 3}), list[1].clone()}).layout().description() !=
        model.layout().description());
}

TEST_CASE("An expanded tensor gets memory for all its numbers", "[model]") {
  std::vector<at::Tensor> list{at::full({1}, 3.0F).expand({2, 4})};
  const FlatModel model(tensors_of(list));
  CHECK(model.layout().parameter_count() == 8);
  CHECK(torch::equal(list[0], torch::full({2, 4}, 3.0F)));
  list[0][0][1] = 5;
  CHECK(list[0].sum().item<double>() == 7 * 3 + 5);
}

TEST_CASE("Empty and undefined tensors take no slot", "[model]") {
  std::vector<at::Tensor> list{at::empty({0, 3}), at::Tensor(), numbers({2}), at::zeros({})};
  const FlatModel model(tensors_of(list));
  REQUIRE(model.layout().slots.size() == 2);
  CHECK(model.layout().slots[0].name == "tensor 2");
  CHECK(model.layout().slots[1].numel == 1);
  CHECK(list[0].sizes() == at::IntArrayRef({0, 3}));
}

TEST_CASE("A model without parameters is refused", "[model]") {
  const std::string expected = "FlatModel: a model needs at least one parameter, got none";
  CHECK(tests::message_of<ConfigError>([] { flat_of({}); }) == expected);
  CHECK(tests::message_of<ConfigError>([] { flat_of({at::empty({0})}); }) == expected);
  torch::nn::ReLU no_parameters;
  CHECK(tests::message_of<ConfigError>([&] { FlatModel{tensors_of(no_parameters)}; }) == expected);
}

TEST_CASE("A parameter that is no floating-point number is refused by name", "[model]") {
  CHECK(tests::message_of<ConfigError>([] {
          flat_of({at::ones({2}), at::ones({2}, at::kLong)});
        }) == "FlatModel: only floating-point parameters can be averaged, \"tensor 1\" is Long");
}

TEST_CASE("Parameters that overlap in memory are refused, both named, and left as they were",
          "[model]") {
  const auto memory = numbers({10});
  const auto refusal = [](const std::string& a, const std::string& b) {
    return "FlatModel: parameters must not overlap in memory, \"" + a + "\" and \"" + b +
           "\" do; to tie them, use one tensor under both names";
  };
  SECTION("part of one is part of the other") {
    std::vector<at::Tensor> list{numbers({3}), memory.slice(0, 4, 9), memory.slice(0, 0, 5)};
    CHECK(tests::message_of<ConfigError>([&] { flat_of(list); }) ==
          refusal("tensor 2", "tensor 1"));
    CHECK(list[1].data_ptr() == memory.slice(0, 4, 9).data_ptr());
  }
  SECTION("one lies within the other") {
    CHECK(tests::message_of<ConfigError>([&] {
            flat_of({memory.slice(0, 0, 10), memory.slice(0, 4, 5)});
          }) == refusal("tensor 0", "tensor 1"));
  }
  SECTION("two handles to the same numbers, but not one tensor") {
    const std::string text = tests::message_of<ConfigError>([&] {
      flat_of({memory, memory.detach()});
    });
    CHECK(text.find("overlap in memory, \"tensor ") != std::string::npos);
  }
}

TEST_CASE("Neighbours in one block of memory do not overlap", "[model]") {
  const auto memory = numbers({10});
  std::vector<at::Tensor> list{memory.slice(0, 5, 10), memory.slice(0, 0, 5)};
  const FlatModel model(tensors_of(list));
  CHECK(torch::equal(list[0], at::arange(6, 11, at::kFloat)));
  CHECK(torch::equal(list[1], at::arange(1, 6, at::kFloat)));
}

TEST_CASE("Averaged buffers travel with the parameters but are not counted as such", "[model]") {
  torch::nn::BatchNorm1d norm(4);
  const FlatModel model(tensors_of(norm), Buffers::average);
  CHECK(model.layout().slots.size() == 4);
  CHECK(model.layout().parameter_count() == 8);
  CHECK(model.layout().slots[2].name == "running_mean");
  CHECK(model.layout().slots[2].is_buffer);
  REQUIRE(model.kept_buffers().size() == 1);
  CHECK(model.kept_buffers()[0].name == "num_batches_tracked");
  norm->forward(torch::ones({2, 4}));
  CHECK(torch::equal(model.views(model.flat())[2].tensor, torch::full({4}, 0.1F)));
  model.on_merged();
  CHECK(torch::equal(norm->running_mean, torch::full({4}, 0.1F)));
  CHECK(norm->num_batches_tracked.item<std::int64_t>() == 1);
}

TEST_CASE("Local buffers stay the node's own", "[model]") {
  torch::nn::BatchNorm1d norm(4);
  const FlatModel model(tensors_of(norm), Buffers::local);
  CHECK(model.layout().slots.size() == 2);
  CHECK(model.kept_buffers().size() == 3);
  norm->forward(torch::ones({2, 4}));
  {
    const torch::NoGradGuard no_grad;
    model.flat().segments()[0].zero_();
  }
  model.on_merged();
  CHECK(torch::equal(norm->running_mean, torch::full({4}, 0.1F)));
}

TEST_CASE("Reset buffers go back to their first values when models have met", "[model]") {
  torch::nn::BatchNorm1d norm(4);
  norm->running_mean.fill_(3);  // whatever they were when the model was bound
  const FlatModel model(tensors_of(norm), Buffers::reset);
  for (int i = 0; i < 2; ++i) {
    norm->forward(torch::ones({2, 4}));
    CHECK_FALSE(torch::equal(norm->running_mean, torch::full({4}, 3.0F)));
    model.on_merged();
    CHECK(torch::equal(norm->running_mean, torch::full({4}, 3.0F)));
    CHECK(torch::equal(norm->running_var, torch::ones({4})));
  }
}

TEST_CASE("Gradients are copied out, a missing one as zero, and back", "[model]") {
  torch::nn::Linear first(3, 2);
  torch::nn::Linear second(3, 2);
  const FlatModel model(tensors_of(first));
  const FlatModel other(tensors_of(second));
  const Flat gradients = model.flat().zeros_like();
  gradients.segments()[0].fill_(99);  // what a pooled block may hold
  first->weight.mutable_grad() = torch::full({2, 3}, 2.0F);
  model.copy_gradients_to(gradients);
  CHECK(torch::equal(model.views(gradients)[0].tensor, torch::full({2, 3}, 2.0F)));
  CHECK(torch::equal(model.views(gradients)[1].tensor, torch::zeros({2})));

  second->bias.mutable_grad() = torch::full({2}, 5.0F);
  const auto bias_gradient = second->bias.grad();
  other.set_gradients(gradients);
  CHECK(torch::equal(second->weight.grad(), torch::full({2, 3}, 2.0F)));
  CHECK(torch::equal(bias_gradient, torch::zeros({2})));  // in place
  gradients.segments()[0].fill_(1);
  CHECK(torch::equal(second->weight.grad(), torch::full({2, 3}, 2.0F)));  // a copy
}

TEST_CASE("A frozen parameter sends zero and is given no gradient", "[model]") {
  torch::nn::Linear module(3, 2);
  module->bias.set_requires_grad(false);
  const FlatModel model(tensors_of(module));
  const Flat gradients = model.flat().zeros_like();
  gradients.segments()[0].fill_(1);
  model.set_gradients(gradients);
  CHECK(module->weight.grad().defined());
  CHECK_FALSE(module->bias.grad().defined());
}

TEST_CASE("Averaged buffers go along with the gradients", "[model]") {
  torch::nn::BatchNorm1d norm(4);
  const FlatModel model(tensors_of(norm));
  norm->running_mean.fill_(3);
  const Flat gradients = model.flat().zeros_like();
  model.copy_gradients_to(gradients);
  CHECK(torch::equal(model.views(gradients)[2].tensor, torch::full({4}, 3.0F)));
  model.views(gradients)[2].tensor.fill_(6);
  model.set_gradients(gradients);
  CHECK(torch::equal(norm->running_mean, torch::full({4}, 6.0F)));
  CHECK_FALSE(norm->running_mean.grad().defined());
}

TEST_CASE("Gradients that are part of a graph are copied as numbers", "[model]") {
  torch::nn::Linear module(3, 2);
  const FlatModel model(tensors_of(module));
  const auto loss = module->forward(torch::ones({1, 3})).pow(2).sum();
  const auto of_weight = torch::autograd::grad({loss}, {module->weight}, {}, true, true)[0];
  REQUIRE(of_weight.requires_grad());  // create_graph
  module->weight.mutable_grad() = of_weight;
  const Flat gradients = model.flat().zeros_like();
  model.copy_gradients_to(gradients);
  CHECK_FALSE(gradients.segments()[0].requires_grad());
  CHECK(torch::equal(model.views(gradients)[0].tensor, of_weight));
  module->weight.mutable_grad() = torch::Tensor();  // no cycle
}

TEST_CASE("Descriptions are equal exactly if all shapes and dtypes are", "[model]") {
  const auto description = [](std::vector<at::Tensor> list) {
    return flat_of(std::move(list)).layout().description();
  };
  const std::string reference = description({at::ones({2, 3}), at::ones({4})});
  CHECK(reference == description({at::zeros({2, 3}), at::zeros({4})}));
  CHECK(reference == description({at::ones({2, 6}).slice(1, 0, 3), at::ones({4})}));
  CHECK(reference != description({at::ones({3, 2}), at::ones({4})}));
  CHECK(reference != description({at::ones({6}), at::ones({4})}));
  CHECK(reference != description({at::ones({4}), at::ones({2, 3})}));
  CHECK(reference != description({at::ones({2, 3}, at::kDouble), at::ones({4})}));
  CHECK(reference != description({at::ones({2, 3}), at::ones({4}), at::ones({1})}));
  CHECK(reference != description({at::ones({2, 3})}));
  CHECK(reference == "tensor 0 Float [2, 3], strides [3, 1]\ntensor 1 Float [4], strides [1]\n");
}

}  // namespace
