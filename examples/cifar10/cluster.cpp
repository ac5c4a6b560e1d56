// SPDX-License-Identifier: MIT
/// The same nodes as threads of this process, under a virtual clock, or one of many on TCP or
/// MPI.
#include <cifar10/cluster.hpp>
#include <cifar10/mpi_cluster.hpp>
#include <cifar10/tcp_cluster.hpp>

#include <chrono>
#include <cstdint>
#include <utility>

namespace cifar10 {

std::unique_ptr<Cluster> make_cluster(const Options& options, const Images& train,
                                      std::function<bool()> stop_when,
                                      std::function<void()> on_tick) {
  auto node = gossamer::NodeOptions()
                  .seed(options.seed)
                  .samples_per_step(static_cast<std::uint64_t>(options.batch))
                  .buffers(options.buffer_policy());
  const auto make = [&options, &train](gossamer::Context context) {
    return std::make_unique<CifarNode>(std::move(context), options, train);
  };
  if (options.transport == "simulated") {
    std::shared_ptr<gossamer::observe::SimulatedTrace> trace;
    if (!options.trace.empty()) {
      trace = std::make_shared<gossamer::observe::SimulatedTrace>(options.trace);
    }
    return std::make_unique<examples::SimulatedCluster<CifarNode>>(
        options.simulation().node(node).stop_when(std::move(stop_when)), options.make_rule(), make,
        std::move(on_tick), std::move(trace));
  }
  if (options.transport == "tcp") {
    const auto drain = static_cast<std::int64_t>(1000 * options.tcp.drain_seconds);
    node.drain_timeout(std::chrono::milliseconds(drain));
    return make_tcp_cluster(options, node, train, std::move(stop_when), std::move(on_tick));
  }
  if (options.transport == "mpi") {
    return make_mpi_cluster(options, node, train, std::move(stop_when), std::move(on_tick));
  }
  return std::make_unique<examples::ThreadCluster<CifarNode>>(
      gossamer::GroupOptions(options.members())
          .node(node)
          .stop_when(std::move(stop_when))
          .on_tick(std::move(on_tick)),
      options.make_rule(), make);
}

}  // namespace cifar10
