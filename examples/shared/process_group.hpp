// SPDX-License-Identifier: MIT
/// One node of a run over several processes, on TCP or MPI, by the name of its transport.
#pragma once

#include <gossamer/node/tcp_group.hpp>
#include <shared/group_plan.hpp>
#include <shared/process_options.hpp>

#ifdef GOSSAMER_HAS_MPI
#include <gossamer/node/mpi_group.hpp>
#endif

#include <memory>
#include <string>
#include <utility>

namespace examples {

/// This process's node on TCP, among the others when they are there.
template <class Node>
AnyGroup<Node> make_tcp_group(const ProcessOptions& process, const std::string& program,
                              const GroupPlan& plan, MakeNode<Node> make) {
  gossamer::TcpGroupOptions options(process.tcp(program));
  gossamer::NodeOptions node = plan.node;
  node.drain_timeout(process.drain());
  options.node(node).rendezvous_timeout(process.gather()).leave_when(plan.stop_when);
  return std::make_unique<gossamer::TcpGroup<Node>>(options, plan.rule, std::move(make));
}

/// The same on MPI, between the beginning and the end of an `MpiJob`. Throws ConfigError if this
/// program was built without MPI.
template <class Node>
AnyGroup<Node> make_mpi_group([[maybe_unused]] const ProcessOptions& process,
                              [[maybe_unused]] const GroupPlan& plan,
                              [[maybe_unused]] MakeNode<Node> make) {
#ifdef GOSSAMER_HAS_MPI
  gossamer::MpiGroupOptions options;
  options.node(plan.node).rendezvous_timeout(process.gather()).leave_when(plan.stop_when);
  return std::make_unique<gossamer::MpiGroup<Node>>(gossamer::transport::MpiCommunicator::make(),
                                                    options, plan.rule, std::move(make));
#else
  throw gossamer::ConfigError("--transport mpi: this program was built without MPI");
#endif
}

}  // namespace examples
