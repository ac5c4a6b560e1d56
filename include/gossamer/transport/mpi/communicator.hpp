// SPDX-License-Identifier: MIT
/// What the nodes of one rank share: a communicator of their own, and the numbers in it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/transport/mpi/runtime.hpp>
#include <gossamer/transport/mpi/transfer.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// A duplicate of a communicator, so that nobody else's messages are in it. Node n is on rank
/// n / `nodes_per_rank`.
///
/// Making it is collective: all ranks do it, and wait for each other. So does the destructor, which
/// waits until all ranks have come to theirs, and receives and throws away what was still on its
/// way to those who are gone; a rank whose node has failed waits there for the others.
///
/// Threads  any, if MPI has them.
class MpiCommunicator {
 public:
  /// Throws ConfigError if MPI has not begun, or without the threads that are needed.
  static std::shared_ptr<MpiCommunicator> make(MPI_Comm original = MPI_COMM_WORLD,
                                               std::uint32_t nodes_per_rank = 1) {
    if (nodes_per_rank == 0) {
      throw ConfigError("MpiCommunicator: nodes_per_rank must be at least 1, got 0");
    }
    MpiRuntime::check(nodes_per_rank > 1 ? MpiThreads::multiple : MpiThreads::serialized);
    return std::shared_ptr<MpiCommunicator>(new MpiCommunicator(original, nodes_per_rank));
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;
  ~MpiCommunicator() {
    int ended = 0;
    MPI_Finalized(&ended);
    if (ended != 0) return;
    while (!all_done() || receive_any()) std::this_thread::sleep_for(pause);
    MPI_Request barrier = MPI_REQUEST_NULL;
    MPI_Ibarrier(communicator_, &barrier);
    int all_here = 0;
    while (true) {
      MPI_Test(&barrier, &all_here, MPI_STATUS_IGNORE);
      if (receive_any()) continue;
      if (all_here != 0) break;
      std::this_thread::sleep_for(pause);
    }
    MPI_Comm_free(&communicator_);
  }

  [[nodiscard]] MPI_Comm get() const noexcept { return communicator_; }
  /// How many nodes there are on all ranks.
  [[nodiscard]] std::uint32_t nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::uint32_t nodes_per_rank() const noexcept { return per_rank_; }
  /// The number of this rank's first node.
  [[nodiscard]] PeerId first() const noexcept { return rank_ * per_rank_; }
  [[nodiscard]] int rank_of(PeerId node) const { return static_cast<int>(node / per_rank_); }
  /// The tag of frames from the node at place `from` of its rank to one at place `to`; payloads
  /// have the next one.
  [[nodiscard]] int tag(PeerId from, PeerId to) const {
    return static_cast<int>(2 * ((from % per_rank_) * per_rank_ + to % per_rank_));
  }

  /// Takes over what a node that is gone had under way.
  void adopt(MpiTransfer transfer) {
    const std::lock_guard lock(mutex_);
    orphans_.push_back(std::move(transfer));
  }

 private:
  static constexpr auto pause = std::chrono::milliseconds(1);

  MpiCommunicator(MPI_Comm original, std::uint32_t nodes_per_rank) : per_rank_(nodes_per_rank) {
    int rank = 0;
    int size = 0;
    MPI_Comm_dup(original, &communicator_);
    MPI_Comm_rank(communicator_, &rank);
    MPI_Comm_size(communicator_, &size);
    rank_ = static_cast<std::uint32_t>(rank);
    nodes_ = static_cast<std::uint32_t>(size) * per_rank_;
    void* highest = nullptr;
    int known = 0;
    MPI_Comm_get_attr(communicator_, MPI_TAG_UB, &highest, &known);
    const int most = known != 0 ? *static_cast<int*>(highest) : 32'767;
    if (std::uint64_t{2} * per_rank_ * per_rank_ > static_cast<std::uint64_t>(most)) {
      MPI_Comm_free(&communicator_);
      throw ConfigError(c10::str("MpiCommunicator: ", nodes_per_rank,
                                 " nodes per rank need more tags than the ", most, " of this MPI"));
    }
  }

  [[nodiscard]] bool all_done() {
    const std::lock_guard lock(mutex_);
    orphans_.remove_if([](MpiTransfer& transfer) { return transfer.done(); });
    return orphans_.empty();
  }
  /// Receives something that is for nobody any more; false if there is nothing.
  bool receive_any() {
    int any = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status{};
    MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_, &any, &message, &status);
    if (any == 0) return false;
    int count = 0;
    MPI_Get_count(&status, MPI_BYTE, &count);
    std::vector<std::byte> nothing(static_cast<std::size_t>(count));
    MPI_Mrecv(nothing.data(), count, MPI_BYTE, &message, MPI_STATUS_IGNORE);
    return true;
  }

  MPI_Comm communicator_ = MPI_COMM_NULL;
  std::uint32_t per_rank_;
  std::uint32_t rank_ = 0;
  std::uint32_t nodes_ = 1;
  std::mutex mutex_;
  std::list<MpiTransfer> orphans_;
};

}  // namespace gossamer::transport
