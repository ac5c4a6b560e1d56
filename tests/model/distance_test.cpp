// SPDX-License-Identifier: MIT
#include <gossamer/model/distance.hpp>
#include <gossamer/model/flat_model.hpp>

#include <tests/support.hpp>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace {

using gossamer::model::FlatModel;
using gossamer::model::squared_distance;
using tests::Approx;

constexpr std::int64_t all = std::numeric_limits<std::int64_t>::max();

std::unique_ptr<FlatModel> model_of(std::vector<at::Tensor> tensors) {
  return std::make_unique<FlatModel>(gossamer::model::detail::tensors_of(tensors));
}
double between(const FlatModel& x, const FlatModel& y, std::int64_t most, double start = 0) {
  return squared_distance(x.layout(), x.flat(), y.flat(), most, start);
}

}  // namespace

TEST_CASE("The distance of two models is that of their parameters", "[model]") {
  const auto dtype = GENERATE(at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kComplexFloat);
  torch::manual_seed(tests::seed);
  double exact = 0;
  std::vector<at::Tensor> xs;
  std::vector<at::Tensor> ys;
  for (const std::int64_t length : {1, 15, 16, 17, 1024, 5003}) {
    xs.push_back(torch::randn({length}, torch::kDouble).to(dtype));
    ys.push_back(torch::randn({length}, torch::kDouble).to(dtype));
    const at::Tensor d = xs.back().to(at::kComplexDouble) - ys.back().to(at::kComplexDouble);
    exact += d.abs().square().sum().item<double>();
  }
  const auto x = model_of(xs);
  const auto y = model_of(ys);
  CHECK(between(*x, *y, all) == Approx(exact).epsilon(at::elementSize(dtype) < 4 ? 1e-3 : 1e-5));
  CHECK(between(*x, *x, all) == 0);
}

TEST_CASE("Averaged buffers do not count for the distance", "[model]") {
  std::vector<torch::nn::Sequential> nets;
  std::vector<std::unique_ptr<FlatModel>> models;
  for (int i = 0; i < 2; ++i) {
    nets.push_back(torch::nn::Sequential(torch::nn::Linear(2, 3), torch::nn::BatchNorm1d(3)));
    for (auto& parameter : nets.back()->parameters()) parameter.detach().fill_(i);
    nets.back()->named_buffers()["1.running_mean"].fill_(100.0 * i);
    models.push_back(std::make_unique<FlatModel>(gossamer::model::detail::tensors_of(nets.back())));
  }
  CHECK(between(*models[0], *models[1], all) == 6 + 3 + 3 + 3);
}

TEST_CASE("A sample of the parameters gives the distance on average over its starts", "[model]") {
  torch::manual_seed(tests::seed);
  std::vector<at::Tensor> xs;
  std::vector<at::Tensor> ys;
  for (const std::int64_t length : {100, 3000, 7, 40000, 30011}) {
    xs.push_back(torch::randn({length}));
    ys.push_back(static_cast<double>(xs.size()) * torch::randn({length}));
  }
  const auto x = model_of(xs);
  const auto y = model_of(ys);
  const double exact = between(*x, *y, all);
  const std::int64_t most = GENERATE(1024, 10 * 1024, 73000);
  constexpr int starts = 7200;  // as many for each of 72 blocks
  double sum = 0;
  bool is_whole = true;
  for (int i = 0; i < starts; ++i) {
    const double found = between(*x, *y, most, (i + 0.5) / starts);
    sum += found;
    is_whole = is_whole && found == exact;
  }
  CHECK(sum / starts == Approx(exact).epsilon(1e-6));
  CHECK_FALSE(is_whole);
}
