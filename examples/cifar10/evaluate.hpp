// SPDX-License-Identifier: MIT
/// How good networks are on test images.
#pragma once

#include <cifar10/dataset.hpp>
#include <cifar10/networks.hpp>
#include <cifar10/options.hpp>

#include <cstdint>
#include <vector>

namespace cifar10 {

/// A network's mean cross-entropy and share of right answers.
struct Score {
  double loss = 0;
  double accuracy = 0;
};

/// Measures networks on the first `images` test images, centre crops, without dropout and with
/// BatchNorm's running statistics. All cores share the work. The networks must not be in training
/// meanwhile; they are left in training mode.
std::vector<Score> evaluate(const std::vector<Network*>& networks, const Images& test,
                            std::int64_t images, const Options& options);

}  // namespace cifar10
