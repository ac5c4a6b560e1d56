// SPDX-License-Identifier: MIT
/// Nodes on TCP in one process: how the tests make them, and wait for what they do.
#pragma once

#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/tcp.hpp>

#include <tests/support.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace tests::tcp {

using namespace gossamer::transport;
using gossamer::PeerId;
using gossamer::model::Flat;
using gossamer::model::Snapshot;
using gossamer::model::SnapshotPool;
using namespace std::chrono_literals;

/// What a test waits for comes at once or never; this is when it gives up.
inline constexpr auto give_up = 60s;

/// Patient where patience costs nothing, so that a slow machine changes nothing.
inline TcpOptions options_of(PeerId number) {
  return TcpOptions(number).timers({.heartbeat = 5s,
                                    .dead_after = 60s,
                                    .resend_after = 2s,
                                    .redial_after = 4ms,
                                    .handshake = 30s});
}

/// Waits until `done(tcp)`, by the endpoint's own changes.
template <class Done>
bool wait_for(Tcp& tcp, Done done) {
  return tcp.endpoint().wait_until(tcp.now() + give_up,
                                   [&](Membership& member) { return done(member); });
}

/// The contract's group.
class Group {
 public:
  static constexpr bool keeps_order = true;
  static constexpr bool has_threads = true;
  static constexpr bool sees_all = false;

  Group(std::size_t nodes, std::size_t capacity, bool introduced = true)
      : capacity_(capacity), running_(nodes, true), closed_(nodes, false) {
    const Flat shape({torch::zeros({4})});
    for (PeerId i = 0; i < nodes; ++i) {
      TcpOptions options = options_of(i);
      options.world_size(static_cast<std::uint32_t>(nodes)).limits({.messages = capacity});
      if (i > 0) options.contacts({nodes_.front()->address()});
      nodes_.push_back(std::make_unique<End>(*this, options));
      pools_.emplace_back(shape);
    }
    for (auto& node : nodes_) REQUIRE(node->gather(nodes - 1, give_up));
    for (auto& node : nodes_) {
      if (introduced) node->set_model_layout("model\n", shape);
    }
    quiet();
  }
  /// An end that tells the group when it is closed.
  class End : public Tcp {
   public:
    End(Group& group, const TcpOptions& options) : Tcp(options), group_(group) {}
    void close(Reason reason) override {
      group_.closed_[self()] = true;
      Tcp::close(reason);
    }

   private:
    Group& group_;
  };
  End& operator[](PeerId id) { return *nodes_[id]; }
  [[nodiscard]] Tcp& tcp(PeerId id) { return *nodes_[id]; }
  [[nodiscard]] std::size_t room() const { return capacity_; }
  void kill(PeerId id) {
    running_[id] = false;
    nodes_[id]->crash();
  }

  /// Pings pass through the same connections after all that was said before: when they have come
  /// back everywhere and nothing else has happened meanwhile, nothing is under way.
  void quiet() {
    std::uint64_t before = 0;
    std::uint64_t after = 1;
    while (before != after) {
      before = activity();
      for (PeerId i = 0; i < nodes_.size(); ++i) {
        if (!lives(i)) continue;
        REQUIRE(wait_for(tcp(i), [&](Membership& member) { return in_touch(member); }));
      }
      for (PeerId i = 0; i < nodes_.size(); ++i) {
        if (!running_[i]) continue;  // who leaves has farewells to hear
        tcp(i).endpoint().with([](Membership& member) { member.ping_all(); });
        REQUIRE(wait_for(tcp(i), [](Membership& member) { return member.all_answered(); }));
      }
      after = activity();
    }
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
      if (!lives(i)) continue;
      all += "node " + std::to_string(i) + ": " +
             tcp(i).endpoint().with([](Membership& member) { return member.waits_for(); }) + "\n";
    }
    return all;
  }

 private:
  [[nodiscard]] bool lives(PeerId id) const { return running_[id] && !closed_[id]; }
  /// Whether a member has those as peers who live, and no others.
  [[nodiscard]] bool in_touch(const Membership& member) const {
    for (PeerId peer = 0; peer < nodes_.size(); ++peer) {
      if (peer == member.self()) continue;
      if (member.knows(peer) != lives(peer) || (lives(peer) && !member.is_connected(peer))) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] std::uint64_t activity() {
    std::uint64_t sum = 0;
    for (PeerId i = 0; i < nodes_.size(); ++i) {
      if (!running_[i]) continue;
      sum += tcp(i).endpoint().with([](Membership& member) { return member.activity(); });
    }
    return sum;
  }

  std::size_t capacity_;
  std::vector<bool> running_;
  std::vector<bool> closed_;
  std::vector<SnapshotPool> pools_;
  std::vector<std::unique_ptr<End>> nodes_;
};

}  // namespace tests::tcp
