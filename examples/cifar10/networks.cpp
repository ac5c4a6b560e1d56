// SPDX-License-Identifier: MIT
/// Layers that draw from a given generator, and the networks made of them.
#include <cifar10/networks.hpp>
#include <gossamer/error.hpp>
#include <gossamer/generator.hpp>

#include <ATen/CPUGeneratorImpl.h>
#include <c10/util/StringUtil.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

namespace cifar10 {
namespace {

using gossamer::ConfigError;
using torch::Tensor;

/// A seed for LibTorch's CPU generator, which looks at the low 32 bits alone.
std::uint64_t mix(std::uint64_t seed, std::uint64_t stream) {
  return gossamer::Generator(seed, stream)();
}
constexpr std::uint64_t weight_stream = 0;  // streams
constexpr std::uint64_t dropout_stream = 1;

/// Uniform in +-1 / sqrt(fan_in).
Tensor draw(at::IntArrayRef sizes, std::int64_t fan_in, const at::Generator& generator) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  return torch::empty(sizes).uniform_(-bound, bound, generator);
}

/// A square convolution. LibTorch's own layer would draw from the global generator.
class Convolution : public torch::nn::Module {
 public:
  struct Shape {
    std::int64_t in, out, kernel, stride = 1, padding = 0;
    bool bias = true;
  };
  Convolution(const Shape& shape, const at::Generator& generator)
      : stride_(shape.stride), padding_(shape.padding) {
    const auto fan_in = shape.in * shape.kernel * shape.kernel;
    weight_ = register_parameter(
        "weight", draw({shape.out, shape.in, shape.kernel, shape.kernel}, fan_in, generator));
    if (shape.bias) bias_ = register_parameter("bias", draw({shape.out}, fan_in, generator));
  }
  Tensor forward(const Tensor& x) { return at::conv2d(x, weight_, bias_, stride_, padding_); }

 private:
  std::int64_t stride_, padding_;
  Tensor weight_, bias_;
};

/// A linear layer.
class Linear : public torch::nn::Module {
 public:
  Linear(std::int64_t in, std::int64_t out, const at::Generator& generator)
      : weight_(register_parameter("weight", draw({out, in}, in, generator))),
        bias_(register_parameter("bias", draw({out}, in, generator))) {}
  Tensor forward(const Tensor& x) { return at::linear(x, weight_, bias_); }

 private:
  Tensor weight_, bias_;
};

/// Drops each unit with the given probability and scales the others up.
Tensor drop(const Tensor& x, double probability, const at::Generator& generator) {
  const auto mask = at::empty_like(x.detach()).bernoulli_(1 - probability, generator);
  return x * mask.div_(1 - probability);
}

/// The three convolutions that gosgd and easgd7 share: (n, 3, 28, 28) to (n, 256).
class Trunk : public Network {
 protected:
  explicit Trunk(const NetworkOptions& options) : Network(options), dropout_(options.dropout()) {
    conv1_ = add({3, 64, 5}, "conv1");
    conv2_ = add({64, 128, 5}, "conv2");
    conv3_ = add({128, 64, 3}, "conv3");
  }
  Tensor features(Tensor x) {
    // The maximum first: the same numbers, and a quarter of the work for the ReLU.
    x = at::max_pool2d(conv1_->forward(arranged(std::move(x))), 2).relu_();
    x = at::max_pool2d(conv2_->forward(x), 2).relu_();
    return conv3_->forward(x).relu_().flatten(1);
  }
  Tensor dropped(Tensor x) {
    return is_training() && dropout_ > 0 ? drop(x, dropout_, generator()) : x;
  }
  std::shared_ptr<Linear> add_linear(std::int64_t in, std::int64_t out, const char* name) {
    return register_module(name, std::make_shared<Linear>(in, out, generator()));
  }

 private:
  std::shared_ptr<Convolution> add(const Convolution::Shape& shape, const char* name) {
    return register_module(name, std::make_shared<Convolution>(shape, generator()));
  }

  double dropout_;
  std::shared_ptr<Convolution> conv1_, conv2_, conv3_;
};

class Gosgd final : public Trunk {
 public:
  explicit Gosgd(const NetworkOptions& options)
      : Trunk(options), output_(add_linear(256, 10, "output")) {}
  Tensor forward(Tensor x) override { return output_->forward(dropped(features(std::move(x)))); }

 private:
  std::shared_ptr<Linear> output_;
};

class Easgd7 final : public Trunk {
 public:
  explicit Easgd7(const NetworkOptions& options)
      : Trunk(options),
        hidden_(add_linear(256, 256, "hidden")),
        output_(add_linear(256, 10, "output")) {}
  Tensor forward(Tensor x) override {
    return output_->forward(dropped(hidden_->forward(features(std::move(x))).relu_()));
  }

 private:
  std::shared_ptr<Linear> hidden_, output_;
};

/// Two 3x3 convolutions beside a shortcut, which is 1x1 where the shape changes.
class BasicBlock : public torch::nn::Module {
 public:
  BasicBlock(std::int64_t in, std::int64_t out, std::int64_t stride, const at::Generator& generator)
      : conv1_(add({in, out, 3, stride, 1, false}, "conv1", generator)),
        norm1_(register_module("norm1", torch::nn::BatchNorm2d(out))),
        conv2_(add({out, out, 3, 1, 1, false}, "conv2", generator)),
        norm2_(register_module("norm2", torch::nn::BatchNorm2d(out))) {
    if (stride != 1 || in != out) {
      shortcut_ = add({in, out, 1, stride, 0, false}, "shortcut", generator);
      norm3_ = register_module("norm3", torch::nn::BatchNorm2d(out));
    }
  }
  Tensor forward(const Tensor& x) {
    const auto inner = norm1_->forward(conv1_->forward(x)).relu_();
    const auto outer = norm2_->forward(conv2_->forward(inner));
    return (outer + (shortcut_ ? norm3_->forward(shortcut_->forward(x)) : x)).relu_();
  }

 private:
  std::shared_ptr<Convolution> add(const Convolution::Shape& shape, const char* name,
                                   const at::Generator& generator) {
    return register_module(name, std::make_shared<Convolution>(shape, generator));
  }

  std::shared_ptr<Convolution> conv1_;
  torch::nn::BatchNorm2d norm1_;
  std::shared_ptr<Convolution> conv2_;
  torch::nn::BatchNorm2d norm2_;
  std::shared_ptr<Convolution> shortcut_;
  torch::nn::BatchNorm2d norm3_{nullptr};
};

class Resnet18 final : public Network {
 public:
  explicit Resnet18(const NetworkOptions& options) : Network(options) {
    stem_ = register_module("stem", std::make_shared<Convolution>(
                                        Convolution::Shape{3, 64, 3, 1, 1, false}, generator()));
    norm_ = register_module("norm", torch::nn::BatchNorm2d(64));
    blocks_ = register_module("blocks", torch::nn::Sequential());
    std::int64_t in = 64;
    for (const std::int64_t out : {64, 128, 256, 512}) {
      blocks_->push_back(std::make_shared<BasicBlock>(in, out, in == out ? 1 : 2, generator()));
      blocks_->push_back(std::make_shared<BasicBlock>(out, out, 1, generator()));
      in = out;
    }
    output_ = register_module("output", std::make_shared<Linear>(512, 10, generator()));
  }
  Tensor forward(Tensor x) override {
    x = blocks_->forward(norm_->forward(stem_->forward(arranged(std::move(x)))).relu_());
    return output_->forward(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

 private:
  std::shared_ptr<Convolution> stem_;
  torch::nn::BatchNorm2d norm_{nullptr};
  torch::nn::Sequential blocks_{nullptr};
  std::shared_ptr<Linear> output_;
};

}  // namespace

Network::Network(const NetworkOptions& options)
    : generator_(at::make_generator<at::CPUGeneratorImpl>(mix(options.seed(), weight_stream))),
      order_(options.channels_last() ? at::MemoryFormat::ChannelsLast
                                     : at::MemoryFormat::Contiguous) {}

Tensor Network::arranged(Tensor images) const { return images.contiguous(order_); }

void Network::reseed_dropout(std::uint64_t seed) {
  generator_.set_current_seed(mix(seed, dropout_stream));
}

std::vector<std::string> network_names() { return {"gosgd", "easgd7", "resnet18"}; }

std::shared_ptr<Network> make_network(const std::string& name, const NetworkOptions& options) {
  const auto names = network_names();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    throw ConfigError(
        c10::str("make_network: the name must be gosgd, easgd7 or resnet18, got '", name, "'"));
  }
  if (!(options.dropout() >= 0 && options.dropout() < 1)) {  // also refuses NaN
    throw ConfigError(
        c10::str("make_network: dropout must lie in [0, 1), got ", options.dropout()));
  }
  if (options.crop() != 28 && !(name == "resnet18" && options.crop() == 32)) {
    throw ConfigError(c10::str("make_network: ", name, " needs crop ",
                               name == "resnet18" ? "28 or 32" : "28", ", got ", options.crop()));
  }
  if (name == "gosgd") return std::make_shared<Gosgd>(options);
  if (name == "easgd7") return std::make_shared<Easgd7>(options);
  return std::make_shared<Resnet18>(options);
}

}  // namespace cifar10
