// SPDX-License-Identifier: MIT
/// A node for tests of how groups learn.
#pragma once

#include <gossamer/generator.hpp>
#include <gossamer/node/gossip_node.hpp>

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tests {

struct Descent {
  std::int64_t length = 4;
  double rate = 0.1;
  double noise = 0;                             // added to each step, uniform, so wide
  std::optional<double> target = std::nullopt;  // of all nodes; else each one's number
};

/// Descends from 0 to its own number, in halves, so that it may have any rule.
class Descender final : public gossamer::GradientNode<std::vector<at::Tensor>> {
 public:
  explicit Descender(gossamer::Context context, Descent descent = {})
      : GradientNode(std::move(context),
                     {torch::zeros({descent.length}, torch::kDouble).requires_grad_()}),
        descent_(descent),
        random_(generator()) {}

  double* numbers() { return model()[0].data_ptr<double>(); }
  double& value() { return numbers()[0]; }

  std::uint64_t fails_at = UINT64_MAX;  // before this step
  double moved = 0;  // what the steps of all its lives have added to the first number

 private:
  double gradient() override {
    if (counters().steps == fails_at) throw std::runtime_error("no more data");
    model()[0].mutable_grad() =
        model()[0].detach() - descent_.target.value_or(static_cast<double>(id()));
    const double slope = model()[0].grad().data_ptr<double>()[0];
    return slope * slope / 2;
  }
  void apply() override {
    const double* slope = model()[0].grad().data_ptr<double>();
    for (std::int64_t i = 0; i < descent_.length; ++i) {
      double change = -descent_.rate * slope[i];
      if (descent_.noise > 0) change += descent_.noise * (random_.uniform() - 0.5);
      numbers()[i] += change;
      if (i == 0) moved += change;
    }
  }

  Descent descent_;
  gossamer::Generator random_;
};

/// Makes such nodes for a group.
inline auto descenders(Descent descent) {
  return [descent](gossamer::Context context) {
    return std::make_unique<Descender>(std::move(context), descent);
  };
}

}  // namespace tests
