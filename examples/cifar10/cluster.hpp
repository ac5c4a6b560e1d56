// SPDX-License-Identifier: MIT
/// The group of nodes that trains, wherever its messages travel.
#pragma once

#include <cifar10/dataset.hpp>
#include <cifar10/node.hpp>
#include <cifar10/options.hpp>
#include <shared/cluster.hpp>

#include <functional>
#include <memory>

namespace cifar10 {

using examples::Stretch;
using Cluster = examples::Cluster<CifarNode>;

/// Makes the nodes, on the transport that the options name. `stop_when` is asked, and `on_tick`
/// called, now and then while it trains.
std::unique_ptr<Cluster> make_cluster(const Options& options, const Images& train,
                                      std::function<bool()> stop_when,
                                      std::function<void()> on_tick);

}  // namespace cifar10
