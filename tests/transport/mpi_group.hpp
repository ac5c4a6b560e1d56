// SPDX-License-Identifier: MIT
/// Nodes on MPI in one process: how the tests make them, and let MPI work for them.
#pragma once

#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/mpi.hpp>

#include <tests/support.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tests::mpi {

using namespace gossamer::transport;
using gossamer::PeerId;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using namespace std::chrono_literals;

/// What a test waits for comes at once or never; this is when it gives up.
inline constexpr auto give_up = 60s;

/// The contract's group: all nodes on one rank, which sends real messages to itself. A node does
/// nothing unless it is called, so the thread that made the group calls them all now and then,
/// those that are closed, too.
class Group {
 public:
  static constexpr bool keeps_order = true;
  static constexpr bool has_threads = true;
  static constexpr bool sees_all = false;

  explicit Group(std::size_t nodes, std::size_t capacity, bool introduced = true,
                 const Flat& shape = Flat({torch::zeros({4})}))
      : capacity_(capacity), live_(nodes, 1) {
    const auto communicator =
        MpiCommunicator::make(MPI_COMM_SELF, static_cast<std::uint32_t>(nodes));
    for (PeerId i = 0; i < nodes; ++i) {
      nodes_.push_back(std::make_unique<End>(*this, i, communicator));
      pools_.emplace_back(shape);
    }
    run();
    for (auto& node : nodes_) REQUIRE(node->gather(nodes - 1, 0s));
    for (auto& node : nodes_) {
      if (introduced) node->set_model_layout("model\n", shape);
    }
    quiet();
  }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  ~Group() {
    for (auto& node : nodes_) node->Mpi::close(Reason::left);
    run();
  }

  /// An end for which the others work while it waits, and that tells the group when it is closed.
  class End : public Mpi {
   public:
    End(Group& group, PeerId id, const std::shared_ptr<MpiCommunicator>& communicator)
        : Mpi(communicator, MpiOptions().limits({.messages = group.capacity_}), id),
          group_(group) {}
    bool wait(Time deadline) {
      if (std::this_thread::get_id() == group_.thread_) group_.run();
      return Mpi::wait(deadline);
    }
    void close(Reason reason) override {
      group_.live_[self()] = 0;
      Mpi::close(reason);
      if (std::this_thread::get_id() == group_.thread_) return;
      // In a thread of its own, which ends now: as the destructor does it.
      endpoint().wait_until(now() + give_up, [&](Membership&) { return endpoint().is_gone(); });
    }

   private:
    Group& group_;
  };
  End& operator[](PeerId id) { return *nodes_[id]; }
  [[nodiscard]] Mpi& mpi(PeerId id) { return *nodes_[id]; }
  [[nodiscard]] std::size_t room() const { return capacity_; }
  /// A rank that is lost ends the job: what a node can do is to fail, in its own thread.
  void kill(PeerId id) { nodes_[id]->close(Reason::lost); }

  /// All tell each other what they have done, and that has passed.
  void quiet() {
    run();
    for (PeerId i = 0; i < nodes_.size(); ++i) {
      if (live_[i] != 0) mpi(i).endpoint().with([](Membership& member) { member.ping_all(); });
    }
    run();
  }
  Snapshot snapshot(PeerId id, double x) {
    Snapshot snapshot = pools_[id].take();
    snapshot.writable().segments().front().fill_(x);
    return snapshot;
  }
  /// What each node waits for.
  [[nodiscard]] std::string describe() {
    std::string all;
    for (PeerId i = 0; i < nodes_.size(); ++i) {
      if (live_[i] == 0) continue;
      all += "node " + std::to_string(i) + ": " +
             mpi(i).endpoint().with([](Membership& member) { return member.waits_for(); }) + "\n";
    }
    return all;
  }

 private:
  /// Lets MPI work for all, until what was sent was received and nobody has more to say.
  void run() {
    bool any = true;
    while (any) {
      any = false;
      std::uint64_t sent = 0;
      std::uint64_t received = 0;
      for (auto& node : nodes_) {
        MpiEndpoint& endpoint = node->endpoint();
        any = endpoint.progress() || any;
        const Traffic traffic = endpoint.traffic();
        sent += traffic.frames_sent;
        received += traffic.frames_received;
      }
      any = any || sent != received;
    }
  }

  std::size_t capacity_;
  std::vector<char> live_;
  std::thread::id thread_ = std::this_thread::get_id();
  std::vector<SnapshotPool> pools_;
  std::vector<std::unique_ptr<End>> nodes_;
};

}  // namespace tests::mpi
