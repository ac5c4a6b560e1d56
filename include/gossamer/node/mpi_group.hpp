// SPDX-License-Identifier: MIT
/// One node of an MPI job. Needs MPI and xxHash, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/node/process_group.hpp>
#include <gossamer/node/rendezvous.hpp>
#include <gossamer/transport/mpi.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace gossamer {

/// Options of a node on MPI.
using MpiGroupOptions = ProcessGroupOptions<transport::MpiOptions>;

/// A node in its place: it waits for all others of the communicator, and begins with weight
/// 1 / nodes and, from its first run on, the parameters of the first. To be made on all ranks.
///
/// Between two runs it does not answer: there is no thread behind it. So a run ends when the others
/// have what the node has sent, polled or not, or after `NodeOptions::drain_timeout`. With
/// `finish()` it goes, so that nobody waits for it, and cannot run again; it tells the others so,
/// at most `MpiOptions::linger` long. The destructor waits until all ranks have come to it.
///
/// Threads  as `Group`. All other calls of MPI must come from the thread that made it,
///          while it does not run; or MPI must allow MPI_THREAD_MULTIPLE.
/// Throws   ConfigError if a rank does not come in time; NodeError from `run` if a hook threw. The
///          job should end in order then, since MPI ends it at once if a rank only dies.
template <class Node>
class MpiGroup final : public ProcessGroup<Node, transport::Mpi> {
  using Base = ProcessGroup<Node, transport::Mpi>;

 public:
  /// `make` is called with the node's context and returns `std::unique_ptr<Node>`. `place` is the
  /// node's among those of this rank.
  template <class Factory>
  MpiGroup(std::shared_ptr<transport::MpiCommunicator> communicator, const MpiGroupOptions& options,
           const rule::AnyRule& rule, Factory make, std::uint32_t place = 0)
      : Base(options), linger_(options.transport().linger()) {
    const std::uint32_t nodes = communicator->nodes();
    transport::Mpi mpi(std::move(communicator), detail::agreed(options.transport(), rule), place);
    detail::gather(mpi, nodes - 1, options.rendezvous_timeout());
    this->make_node(std::move(mpi), rule, options.node(), nodes, true, std::move(make));
  }

  [[nodiscard]] std::string address() const override {
    return "rank " + std::to_string(this->node().id());
  }

 private:
  /// The others have what this node sent them.
  void after_run() override {
    transport::MpiEndpoint& endpoint = this->endpoint();
    endpoint.wait_until(endpoint.now() + this->node().options().drain_timeout(),
                        [&endpoint](const transport::Membership& member) {
                          return member.not_accepted() == 0 && endpoint.is_idle();
                        });
  }
  /// And they know that it is gone.
  void after_finish() override {
    this->node().engine().transport().close(transport::Reason::left);
    transport::MpiEndpoint& endpoint = this->endpoint();
    endpoint.wait_until(endpoint.now() + linger_,
                        [&](transport::Membership&) { return endpoint.is_gone(); });
  }

  std::chrono::milliseconds linger_;
};

}  // namespace gossamer
