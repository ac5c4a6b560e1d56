// SPDX-License-Identifier: MIT
/// One node of a run over several processes, on TCP or MPI, by the name of its transport.
#pragma once

#include <gossamer/node/tcp_group.hpp>
#include <shared/group_handle.hpp>
#include <shared/peer_records.hpp>
#include <shared/process_options.hpp>

#ifdef GOSSAMER_HAS_MPI
#include <gossamer/node/mpi_group.hpp>
#endif

#include <memory>
#include <numeric>
#include <string>
#include <utility>

namespace examples {
namespace detail {

/// A group, and what its record says of the others. `address_of(group, keys)` adds the transport's
/// own keys and returns where others find this node.
template <class Node, class Group, class Keys>
GroupHandle<Node> process_handle(std::unique_ptr<Group> owned, Keys address_of) {
  const Group* group = owned.get();
  GroupHandle<Node> handle(std::move(owned));
  handle.peers = [group, address_of] {
    nlohmann::ordered_json connections = connection_record(group->counts());
    const std::string address = address_of(*group, connections);
    return nlohmann::ordered_json{{"address", address},
                                  {"connections", connections},
                                  {"peers", peer_records(group->peers())}};
  };
  handle.weight_lost = [group] { return group->weight_lost(); };
  handle.peers_in_words = [group] { return in_words(group->peers()); };
  return handle;
}

}  // namespace detail

/// This process's node on TCP, among the others when they are there.
template <class Node>
GroupHandle<Node> make_tcp_group(const ProcessOptions& process, const std::string& program,
                                 const GroupPlan& plan, MakeNode<Node> make) {
  using Group = gossamer::TcpGroup<Node>;
  gossamer::TcpGroupOptions options(process.tcp(program));
  options.node(plan.node)
      .rendezvous_timeout(process.gather())
      .leave_when(plan.stop_when)
      .on_tick(plan.on_tick);
  return detail::process_handle<Node>(
      std::make_unique<Group>(options, plan.rule, std::move(make)),
      [](const Group& group, nlohmann::ordered_json& connections) {
        const gossamer::transport::UnauthenticatedPeers::Record attempts = group.attempts();
        connections["strangers_turned_away"] = attempts.refused;
        connections["handshakes_failed"] =
            std::accumulate(attempts.failed.begin(), attempts.failed.end(), std::uint64_t{0});
        return group.address();
      });
}

/// The same on MPI, between the beginning and the end of an `MpiJob`. Throws ConfigError if this
/// program was built without MPI.
template <class Node>
GroupHandle<Node> make_mpi_group([[maybe_unused]] const ProcessOptions& process,
                                 [[maybe_unused]] const GroupPlan& plan,
                                 [[maybe_unused]] MakeNode<Node> make) {
#ifdef GOSSAMER_HAS_MPI
  using Group = gossamer::MpiGroup<Node>;
  gossamer::MpiGroupOptions options;
  options.node(plan.node)
      .rendezvous_timeout(process.gather())
      .leave_when(plan.stop_when)
      .on_tick(plan.on_tick);
  return detail::process_handle<Node>(
      std::make_unique<Group>(gossamer::transport::MpiCommunicator::make(), options, plan.rule,
                              std::move(make)),
      [](const Group& group, nlohmann::ordered_json&) {
        return "rank " + std::to_string(group.node().id());
      });
#else
  throw gossamer::ConfigError("--transport mpi: this program was built without MPI");
#endif
}

}  // namespace examples
