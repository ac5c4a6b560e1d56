// SPDX-License-Identifier: MIT
/// Models whose tensors are given other memory, replaced, shared, saved, or of unusual kinds.
#include <gossamer/error.hpp>
#include <gossamer/model/finite.hpp>
#include <gossamer/model/flat_model.hpp>
#include <gossamer/model/mix.hpp>

#include <tests/support.hpp>
#include <torch/script.h>
#include <torch/torch.h>

#include <functional>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace {

using gossamer::ConfigError;
using gossamer::model::Buffers;
using gossamer::model::Flat;
using gossamer::model::FlatModel;
using gossamer::model::detail::tensors_of;
using gossamer::model::detail::tensors_of_all;

/// Fills the flat vector, and says whether the model sees it.
bool is_bound(const FlatModel& model, const at::Tensor& tensor) {
  const torch::NoGradGuard no_grad;
  model.flat().segments()[0].fill_(-4);
  return torch::equal(tensor, torch::full_like(tensor, -4));
}

TEST_CASE("Parameters that get other memory are bound again, with the numbers they have then",
          "[model]") {
  const torch::NoGradGuard no_grad;
  torch::nn::Linear net(3, 2);
  FlatModel model(tensors_of(net));
  const bool lists_anew = GENERATE(false, true);
  const auto adopt = [&] { lists_anew ? model.adopt(tensors_of(net)) : model.adopt(); };
  torch::Tensor expected;
  SECTION("torch::load") {
    torch::nn::Linear trained(3, 2);
    expected = trained->weight.clone();
    std::stringstream file;
    torch::save(trained, file);
    torch::load(net, file);
  }
  SECTION("set_data") {
    expected = torch::full({2, 3}, 5.0F);
    net->weight.set_data(expected.clone());
  }
  SECTION("set_data with another memory order") {
    expected = torch::arange(6, torch::kFloat).view({3, 2}).t();
    net->weight.set_data(expected.clone());
  }
  SECTION("vector_to_parameters") {
    torch::nn::utils::vector_to_parameters(torch::full({8}, 7.0F), net->parameters());
    expected = torch::full({2, 3}, 7.0F);
  }
  SECTION("there and back again") {
    expected = net->weight.clone();
    net->to(torch::kDouble);
    net->to(torch::kFloat);
  }
  CHECK_FALSE(is_bound(model, net->weight));
  adopt();
  CHECK(torch::equal(net->weight, expected));
  CHECK(torch::equal(model.views(model.flat())[0].tensor, expected));
  CHECK(is_bound(model, net->weight));
}

TEST_CASE("Parameters that no longer fit are refused by name", "[model]") {
  torch::nn::Linear net(3, 2);
  const FlatModel model(tensors_of(net));
  const std::string end = "; convert and move a model before its node is made";
  net->bias.set_data(torch::zeros({4}));
  CHECK(tests::message_of<ConfigError>([&] { model.adopt(); }) ==
        "FlatModel: \"bias\" was Float [2] on cpu when the node was made, and is Float [4] on cpu "
        "now" +
            end);
  net->bias.set_data(torch::zeros({2}));
  CHECK_NOTHROW(model.adopt());
  net->to(torch::kDouble);
  CHECK(tests::message_of<ConfigError>([&] { model.adopt(); }) ==
        "FlatModel: \"weight\" was Float [2, 3] on cpu when the node was made, and is Double [2, "
        "3] on cpu now" +
            end);
}

TEST_CASE("A tensor that is replaced by assignment is taken in its place", "[model]") {
  std::vector<at::Tensor> list{torch::zeros({2}), torch::ones({3})};
  FlatModel model(tensors_of(list));
  list[1] = list[1] + 1;
  model.adopt();  // it cannot know
  CHECK(model.views(model.flat())[1].tensor[0].item<double>() == 1);
  model.adopt(tensors_of(list));
  CHECK(model.views(model.flat())[1].tensor[0].item<double>() == 2);
  CHECK(is_bound(model, list[1]));
  list.pop_back();
  CHECK(tests::message_of<ConfigError>([&] { model.adopt(tensors_of(list)); }) ==
        "FlatModel: \"tensor 1\" is no longer in the model");
}

TEST_CASE("A layer that is registered later is refused by name", "[model]") {
  torch::nn::Sequential net(torch::nn::Linear(2, 2));
  FlatModel model(tensors_of(net));
  CHECK_NOTHROW(model.adopt(tensors_of(net)));
  net->push_back(torch::nn::Linear(2, 1));
  CHECK(tests::message_of<ConfigError>([&] { model.adopt(tensors_of(net)); }) ==
        "FlatModel: \"1.weight\" was registered after the node was made, which would not exchange "
        "it; make the whole model first");
}

/// A struct whose buffers may be replaced.
struct WithBuffers {
  at::Tensor weight = torch::ones({2});
  at::Tensor average = torch::zeros({2});
  at::Tensor count = torch::zeros({}, torch::kLong);
  at::Tensor tied = weight;
};
gossamer::model::Tensors gossip_tensors(WithBuffers& model) {
  return {{{"weight", model.weight}, {"tied", model.tied}},
          {{"average", model.average}, {"count", model.count}}};
}

TEST_CASE("A buffer that is replaced by assignment goes on travelling, or is kept", "[model]") {
  WithBuffers net;
  FlatModel model(tensors_of(net), Buffers::average);
  net.average = torch::full({2}, 3.0F);
  net.count = torch::full({}, 8, torch::kLong);
  model.adopt(tensors_of(net));
  CHECK(torch::equal(model.views(model.flat())[1].tensor, torch::full({2}, 3.0F)));
  CHECK(is_bound(model, net.average));
  CHECK(model.kept_buffers()[0].tensor.item<std::int64_t>() == 8);
  net.count = torch::zeros({2}, torch::kLong);
  CHECK(tests::message_of<ConfigError>([&] { model.adopt(tensors_of(net)); }) ==
        "FlatModel: the buffer \"count\" has another shape or dtype than when the node was made");
}

TEST_CASE("Tied weights that come apart are refused by name", "[model]") {
  WithBuffers net;
  FlatModel model(tensors_of(net));
  net.tied = torch::ones({2});
  CHECK(tests::message_of<ConfigError>([&] { model.adopt(tensors_of(net)); }) ==
        "FlatModel: \"tied\" was one tensor with \"weight\", and is another one now");
  net.tied = net.weight = torch::full({2}, 6.0F);
  CHECK_NOTHROW(model.adopt(tensors_of(net)));
  CHECK(is_bound(model, net.tied));
}

TEST_CASE("A module that another node has is refused, until that node is gone", "[model]") {
  torch::nn::Linear net(2, 2);
  const torch::nn::Linear copy = net;  // of the holder: the same module
  {
    const FlatModel first(tensors_of(net));
    CHECK(tests::message_of<ConfigError>([&] { FlatModel{tensors_of(*copy)}; }) ==
          "FlatModel: \"weight\" is another node's already; each needs a module of its own, and a "
          "copied holder or pointer is the same module");
    CHECK(is_bound(first, net->weight));
    auto clone = std::dynamic_pointer_cast<torch::nn::LinearImpl>(net->clone());
    CHECK_NOTHROW(FlatModel{tensors_of(clone)});
  }
  const FlatModel second(tensors_of(net));
  CHECK(is_bound(second, copy->weight));
}

TEST_CASE("Sparse parameters and sparse gradients are refused by name", "[model]") {
  std::vector<at::Tensor> list{torch::ones({2}), torch::ones({2, 2}).to_sparse()};
  CHECK(tests::message_of<ConfigError>([&] { FlatModel{tensors_of(list)}; }) ==
        "FlatModel: only dense parameters can be averaged, \"tensor 1\" is Sparse");
  torch::nn::Embedding table(torch::nn::EmbeddingOptions(4, 2).sparse(true));
  const FlatModel model(tensors_of(table));
  table->forward(torch::zeros({1}, torch::kLong)).sum().backward();
  const Flat gradients = model.flat().zeros_like();
  CHECK(tests::message_of<ConfigError>([&] { model.copy_gradients_to(gradients); }) ==
        "FlatModel: the gradient of \"weight\" is sparse, and only dense ones can be averaged");
}

TEST_CASE("What is saved of a bound model is what it needs", "[model]") {
  const auto bytes = [](const auto& what) {
    std::stringstream file;
    torch::save(what, file);
    return file.str().size();
  };
  torch::nn::Sequential net(torch::nn::Linear(64, 64), torch::nn::Linear(64, 1));
  const torch::Tensor bias = net->parameters().back();
  const std::size_t alone = bytes(bias.detach().clone());
  const std::size_t whole = bytes(net);
  const FlatModel model(tensors_of(net));
  CHECK(bytes(bias) == alone);
  CHECK(bytes(net) == whole);
  torch::nn::Sequential other(torch::nn::Linear(64, 64), torch::nn::Linear(64, 1));
  std::stringstream file;
  torch::save(net, file);
  torch::load(other, file);
  CHECK(torch::equal(other->parameters()[0], net->parameters()[0]));
}

TEST_CASE("A parameter without a gradient at any node is left without one", "[model]") {
  const auto dtype = GENERATE(torch::kFloat, torch::kDouble, torch::kComplexFloat, torch::kHalf);
  const auto parameters = [dtype] {
    return std::vector<at::Tensor>{torch::ones({3}, dtype).requires_grad_(),
                                   torch::ones({3}, dtype).requires_grad_()};
  };
  std::vector<at::Tensor> a = parameters();
  std::vector<at::Tensor> b = parameters();
  const FlatModel first(tensors_of(a));
  const FlatModel second(tensors_of(b));
  a[0].mutable_grad() = torch::full({3}, -0.0, dtype);  // a gradient, if a small one
  const Flat one = first.flat().zeros_like();
  const Flat two = first.flat().zeros_like();
  first.copy_gradients_to(one);
  second.copy_gradients_to(two);
  const Flat mean = first.flat().zeros_like();
  gossamer::model::mean(mean, std::vector<const Flat*>{&one, &two});
  second.set_gradients(mean);
  CHECK(b[0].grad().defined());
  CHECK_FALSE(b[1].grad().defined());
}

TEST_CASE("Numbers that are not finite are found wherever they are", "[model]") {
  const auto dtype = GENERATE(torch::kFloat, torch::kDouble, torch::kHalf, torch::kBFloat16,
                              torch::kComplexFloat, torch::kComplexDouble);
  const double bad =
      GENERATE(std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
               std::numeric_limits<double>::quiet_NaN());
  constexpr std::int64_t n = 71;
  torch::Tensor numbers = torch::full({n}, -6e4, dtype);  // nearly the largest half
  CHECK(gossamer::model::is_finite(numbers));
  for (std::int64_t i = 0; i < n; ++i) {
    const torch::Tensor place =
        numbers.is_complex() ? torch::view_as_real(numbers)[i][1] : numbers[i];
    place.fill_(bad);
    CHECK_FALSE(gossamer::model::is_finite(numbers));
    place.fill_(0);
  }
  CHECK(gossamer::model::is_finite(numbers));
}

TEST_CASE("The tensor that is not finite is named", "[model]") {
  torch::nn::Sequential net(torch::nn::Linear(2, 2), torch::nn::BatchNorm1d(2));
  const FlatModel model(tensors_of(net));
  CHECK_FALSE(model.not_finite());
  net->named_buffers()["1.running_var"][1] = std::nan("");
  CHECK(model.not_finite() == "1.running_var");
}

TEST_CASE("A module of TorchScript is a model, before and after it is trained", "[model]") {
  torch::jit::Module script("net");
  script.register_parameter("weight", torch::full({1, 2}, 0.5F).requires_grad_(), false);
  script.register_buffer("offset", torch::zeros({1}));
  script.define("def forward(self, x):\n  return (x * self.weight).sum() + self.offset\n");
  std::stringstream file;
  script.save(file);
  torch::jit::Module net = torch::jit::load(file);
  FlatModel model(tensors_of(net));
  REQUIRE(model.layout().slots.size() == 2);
  CHECK(model.layout().slots[0].name == "weight");
  const torch::Tensor weight = net.attr("weight").toTensor();
  torch::optim::SGD optimizer({weight}, 0.25);
  for (int i = 0; i < 3; ++i) {  // the profiler specialises what it has seen
    optimizer.zero_grad();
    net.forward({torch::ones({1, 2})}).toTensor().sum().backward();
    optimizer.step();
    model.adopt(tensors_of(net));
  }
  CHECK(torch::equal(model.views(model.flat())[0].tensor, torch::full({1, 2}, -0.25F)));
  CHECK(is_bound(model, weight));
  CHECK(net.forward({torch::ones({1, 2})}).toTensor().item<double>() == -12);
  net.to(torch::kDouble);
  CHECK_THROWS_WITH(model.adopt(tensors_of(net)), tests::contains("\"weight\" was Float [1, 2]"));
}

TEST_CASE("AnyModule, LSTM and mixed dtypes are models; frozen layers go along", "[model]") {
  torch::nn::AnyModule any(torch::nn::LSTM(torch::nn::LSTMOptions(3, 4).num_layers(2)));
  const FlatModel model(tensors_of(any));
  CHECK(model.layout().slots.size() == 8);
  CHECK(is_bound(model, any.get<torch::nn::LSTM>()->parameters()[5]));

  torch::nn::Linear half(2, 2);
  half->to(torch::kBFloat16);
  torch::nn::Linear wide(2, 2);
  wide->to(torch::kDouble);
  torch::nn::Linear frozen(2, 2);
  for (auto& parameter : frozen->parameters()) parameter.set_requires_grad(false);
  FlatModel all(tensors_of_all(half, wide, frozen));
  CHECK(all.flat().segments().size() == 3);
  CHECK(all.layout().slots[2].name == "model 1/weight");
  CHECK_FALSE(frozen->weight.requires_grad());
  wide->weight.set_data(torch::full({2, 2}, 3.0, torch::kDouble));
  all.adopt(tensors_of_all(half, wide, frozen));
  CHECK(torch::equal(all.views(all.flat())[2].tensor, wide->weight));
}

}  // namespace
