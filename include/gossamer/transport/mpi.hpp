// SPDX-License-Identifier: MIT
/// Nodes as the ranks of an MPI job. Needs MPI and xxHash, hence not part of gossamer.hpp.
#pragma once

#include <gossamer/transport/membership/peer_transport.hpp>
#include <gossamer/transport/mpi/communicator.hpp>
#include <gossamer/transport/mpi/endpoint.hpp>
#include <gossamer/transport/mpi/options.hpp>
#include <gossamer/transport/mpi/runtime.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <utility>

namespace gossamer::transport {

/// One node's end; see `Transport` for what each operation promises. No rank is special, and none
/// may fail: MPI ends a job whose rank dies. For machines that fail there is `Tcp`.
///
///     transport::MpiRuntime environment;                     // first in main()
///     transport::Mpi mpi(transport::MpiCommunicator::make());    // on all ranks
///
/// It runs what `Tcp` runs, `Delivery` and all, on MPI's messages; a payload goes from the sender's
/// snapshot to MPI, and from MPI into a snapshot of a pool. There is no thread behind it: a node
/// answers while it sends, polls or waits, so a peer hears of it once per step. What a rank has
/// received it does not check for numbers that are not finite.
///
/// Threads  the node's thread for all but `wake()`. MPI must allow MPI_THREAD_SERIALIZED, and the
///          program must not call it from another thread at the same time; else
///          MPI_THREAD_MULTIPLE.
/// Errors   ConfigError from the constructor, `set_model_layout()` and `gather()`;
/// std::invalid_argument
///          from `send()`; std::runtime_error if ranks run different programs.
class Mpi : public PeerTransport<MpiEndpoint> {
 public:
  /// The node at `place` of this rank, of `MpiCommunicator::nodes_per_rank()`.
  explicit Mpi(std::shared_ptr<MpiCommunicator> communicator, const MpiOptions& options = {},
               std::uint32_t place = 0)
      : PeerTransport("Mpi",
                      std::make_unique<MpiEndpoint>(std::move(communicator), place, options)),
        linger_(options.linger()) {}
  Mpi(Mpi&&) noexcept = default;
  Mpi& operator=(Mpi&&) = delete;
  /// Leaves, and waits until the others know, at most `MpiOptions::linger`. The last one of a rank
  /// waits for all ranks (`MpiCommunicator`).
  ~Mpi() override { leave(linger_); }

  bool settled() override { return PeerTransport::settled() && endpoint().is_settled(); }

 private:
  std::chrono::nanoseconds linger_;
};

}  // namespace gossamer::transport
