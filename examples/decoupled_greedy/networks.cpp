// SPDX-License-Identifier: MIT
/// Blocks and heads.
#include <gossamer/error.hpp>

#include <c10/util/StringUtil.h>
#include <decoupled_greedy/networks.hpp>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/utils.h>

#include <algorithm>

namespace decoupled {
namespace {

using gossamer::ConfigError;
using torch::nn::AdaptiveAvgPool2d;
using torch::nn::AvgPool2d;
using torch::nn::BatchNorm1d;
using torch::nn::BatchNorm2d;
using torch::nn::Conv2d;
using torch::nn::Conv2dOptions;
using torch::nn::Flatten;
using torch::nn::Linear;
using torch::nn::MaxPool2d;
using torch::nn::ReLU;
using torch::nn::Sequential;

constexpr std::int64_t classes = 10;

Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel, bool bias) {
  return Conv2d(Conv2dOptions(in, out, kernel).padding(kernel / 2).bias(bias));
}

/// Appends block `n`, and says what comes out of it.
std::vector<std::int64_t> add_three(Sequential& body, const NetworkPlan& plan, std::int64_t n,
                                    const std::vector<std::int64_t>& in) {
  body->push_back(convolution(in[0], plan.width, 5, /*bias=*/true));
  body->push_back(BatchNorm2d(plan.width));
  body->push_back(ReLU());
  if (n == 0) {
    body->push_back(MaxPool2d(3));
  } else {
    body->push_back(AvgPool2d(3));
  }
  return {plan.width, in[1] / 3, in[2] / 3};
}
std::vector<std::int64_t> add_six(Sequential& body, const NetworkPlan& plan, std::int64_t n,
                                  const std::vector<std::int64_t>& in) {
  const bool halves = n == 2 || n == 4;
  const std::int64_t channels = n == 0 ? plan.width : in[0] * (halves ? 2 : 1);
  if (halves) body->push_back(MaxPool2d(2));
  body->push_back(convolution(in[0], channels, 3, /*bias=*/false));
  body->push_back(BatchNorm2d(channels));
  body->push_back(ReLU());
  return {channels, halves ? in[1] / 2 : in[1], halves ? in[2] / 2 : in[2]};
}

Sequential head_of_three(std::int64_t channels, bool is_last) {
  Sequential head;
  if (!is_last) {
    for (int i = 0; i < 2; ++i) {
      head->push_back(convolution(channels, channels, 5, true));
      head->push_back(BatchNorm2d(channels));
      head->push_back(ReLU());
    }
    const Conv2d last = convolution(channels, channels, 5, true);
    const torch::NoGradGuard no_grad;
    last->weight.zero_();
    head->push_back(last);
  }
  head->push_back(AdaptiveAvgPool2d(1));
  head->push_back(Flatten());
  head->push_back(Linear(channels, classes));
  return head;
}
Sequential head_of_six(std::int64_t channels) {
  Sequential head(AdaptiveAvgPool2d(2), Flatten());
  for (int i = 0; i < 3; ++i) {
    head->push_back(Linear(4 * channels, 4 * channels));
    head->push_back(BatchNorm1d(4 * channels));
    head->push_back(ReLU());
  }
  head->push_back(Linear(4 * channels, classes));
  return head;
}

}  // namespace

std::vector<std::string> network_names() { return {"three", "six"}; }

std::int64_t block_count(const std::string& network) {
  if (network == "three") return 3;
  if (network == "six") return 6;
  throw ConfigError("block_count: the network must be three or six, got '" + network + "'");
}

Part make_part(const NetworkPlan& plan, std::int64_t index) {
  const std::int64_t blocks = block_count(plan.name);
  if (plan.width < 1) {
    throw ConfigError(c10::str("make_part: width must be at least 1, got ", plan.width));
  }
  if (plan.modules < 1 || plan.modules > blocks) {
    throw ConfigError(c10::str("make_part: modules must lie in [1, ", blocks, "] for ", plan.name,
                               ", got ", plan.modules));
  }
  if (index < 0 || index >= plan.modules) {
    throw ConfigError(
        c10::str("make_part: the module must lie in [0, ", plan.modules, "), got ", index));
  }
  const auto first_of = [&](std::int64_t module) {
    return module * (blocks / plan.modules) + std::min(module, blocks % plan.modules);
  };
  torch::manual_seed(plan.seed * 1000 + static_cast<std::uint64_t>(index));
  Part part;
  std::vector<std::int64_t> sizes = {3, 32, 32};
  for (std::int64_t n = 0; n < first_of(index + 1); ++n) {
    if (n == first_of(index)) part.input = sizes;
    Sequential skipped;  // of a module before: only its sizes matter
    Sequential& body = n < first_of(index) ? skipped : part.body;
    sizes = plan.name == "three" ? add_three(body, plan, n, sizes) : add_six(body, plan, n, sizes);
  }
  part.output = sizes;
  part.head = plan.name == "three" ? head_of_three(sizes[0], index + 1 == plan.modules)
                                   : head_of_six(sizes[0]);
  return part;
}

}  // namespace decoupled
