// SPDX-License-Identifier: MIT
/// The part of a cluster that is in this process, when its nodes are processes that meet over TCP.
#pragma once

#include <cifar10/cluster.hpp>
#include <cifar10/options.hpp>
#include <gossamer/node/options.hpp>

#include <functional>
#include <memory>

namespace cifar10 {

/// Makes this process's node and brings it among the others. `leave_when` is asked, and `on_tick`
/// called, now and then while it trains.
std::unique_ptr<Cluster> make_tcp_cluster(const Options& options, const gossamer::NodeOptions& node,
                                          const Images& train, std::function<bool()> leave_when,
                                          std::function<void()> on_tick);

}  // namespace cifar10
