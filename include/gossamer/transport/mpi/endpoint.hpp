// SPDX-License-Identifier: MIT
/// A node's end on MPI: carries what a `Membership` says whenever the node calls.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/model/snapshot.hpp>
#include <gossamer/transport/membership/membership.hpp>
#include <gossamer/transport/membership/peer_view.hpp>
#include <gossamer/transport/mpi/communicator.hpp>
#include <gossamer/transport/mpi/connection.hpp>
#include <gossamer/transport/mpi/options.hpp>

#include <c10/util/StringUtil.h>
#include <spdlog/logger.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace gossamer::transport {

/// No thread of its own: frames pass while the node sends, polls or waits. One line to each peer,
/// there from the start; nobody is dialed or met again, and nobody's silence means anything, since
/// MPI loses nothing and a job does not outlive a rank.
///
/// Cost     one probe per peer and call. MPI cannot wait with a time limit, so `wait()` looks again
///          and again, with pauses that grow to an eighth of the time waited and at most a
///          millisecond.
/// Threads  any, for all members; they are let in one at a time.
/// Errors   ConfigError from the constructor; std::runtime_error from what lets frames pass, if the
///          ranks run different programs. MPI's own errors end the job, unless the communicator's
///          handler says otherwise.
class MpiEndpoint {
 public:
  MpiEndpoint(std::shared_ptr<MpiCommunicator> communicator, std::uint32_t place,
              const MpiOptions& options)
      : options_((options.check(), options)),
        communicator_(std::move(communicator)),
        member_(member_options(place)) {
    for (PeerId peer = 0; peer < communicator_->nodes(); ++peer) {
      if (peer == member_.self()) continue;
      lines_.try_emplace(peer, MpiConnection(communicator_, member_.self(), peer));
      const DialAttempt dial{DialAttempt::Why::member, peer, ""};
      member_.connected(id_of(peer), member_.self() < peer ? &dial : nullptr, now());
    }
    carry();
  }
  MpiEndpoint(const MpiEndpoint&) = delete;
  MpiEndpoint& operator=(const MpiEndpoint&) = delete;
  ~MpiEndpoint() = default;

  [[nodiscard]] Time now() const { return std::chrono::steady_clock::now() - begin_; }
  [[nodiscard]] const Membership& unlocked() const { return member_; }

  /// Calls `f(member)`, alone, between two looks at what has come and what is to be said.
  template <class F>
  auto with(F f) {
    const std::lock_guard lock(mutex_);
    struct AtEnd {
      MpiEndpoint& endpoint;
      ~AtEnd() { endpoint.write(); }
    };
    read();
    const AtEnd at_end{*this};
    return f(member_);
  }

  /// Until `done(member)`, or the time is `deadline`. What it was.
  template <class Done>
  bool wait_until(Time deadline, Done done) {
    std::unique_lock lock(mutex_);
    Time active = now();
    while (true) {
      if (carry()) active = now();
      if (done(member_)) return true;
      const Time time = now();
      if (time >= deadline) return false;
      const Time pause = std::min({(time - active) / 8, longest_pause, deadline - time});
      changed_.wait_for(lock, pause);
    }
  }
  /// Until there is an event (true), or `wake()` was called or the time is `deadline`.
  bool wait(Time deadline) {
    bool any = false;
    wait_until(deadline, [&](Membership& member) {
      any = member.has_event() || member.has_ended();
      return std::exchange(woken_, false) || any;
    });
    return any;
  }
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_all();
  }

  /// Lets MPI work, takes in what has come and says what is to be said; true if there was anything.
  bool progress() {
    const std::lock_guard lock(mutex_);
    return carry();
  }

  /// The shape of payloads; before anything is sent or received.
  void shape(const model::Flat& shape) {
    const std::lock_guard lock(mutex_);
    pool_.emplace(shape);
    model_bytes_ = shape.bytes();
  }
  /// Whether MPI has taken all that there was to say; to be asked within `wait_until()`.
  [[nodiscard]] bool is_idle() const {
    return std::all_of(lines_.begin(), lines_.end(), [](const auto& line) {
      const Line& one = line.second;
      return one.mpi.is_idle() && !one.may_speak && !one.waits_for_fence;
    });
  }
  /// Whether the farewell is over; after `Membership::close()`, and within `wait_until()`.
  [[nodiscard]] bool is_gone() const {
    return going_ && is_idle() && std::all_of(lines_.begin(), lines_.end(), [](const auto& line) {
             return line.second.over;
           });
  }
  /// A number that changes whenever a message comes further.
  [[nodiscard]] std::uint64_t progress() const {
    const std::lock_guard lock(mutex_);
    return member_.progress();
  }
  /// Whether the member is settled, and MPI has taken what it tells the others of that: from then
  /// on nobody needs this node's answers.
  [[nodiscard]] bool is_settled() const {
    const std::lock_guard lock(mutex_);
    return settled_;
  }
  /// With all peers together.
  [[nodiscard]] Traffic traffic() const {
    const std::lock_guard lock(mutex_);
    Traffic sum;
    for (const auto& [peer, line] : lines_) sum += line.mpi.traffic();
    return sum;
  }
  /// All members that were ever heard of.
  [[nodiscard]] std::vector<PeerView> view() const {
    const std::lock_guard lock(mutex_);
    std::vector<PeerView> all;
    for (MembershipView& one : member_.view()) {
      one.address = c10::str("rank ", communicator_->rank_of(one.peer));
      const auto at = lines_.find(one.peer);
      all.push_back({std::move(one), at != lines_.end() ? at->second.mpi.traffic() : Traffic{}});
    }
    return all;
  }

 private:
  struct Line {
    explicit Line(MpiConnection line) : mpi(std::move(line)) {}
    MpiConnection mpi;
    bool may_speak = false;
    bool waits_for_fence = false;  // a message that it has to carry
    bool over = false;             // one side has hung up
  };

  static constexpr Time longest_pause = std::chrono::milliseconds(1);
  /// Longer than any job.
  static constexpr Time never = std::chrono::hours(24 * 365 * 100);

  static LineId id_of(PeerId peer) { return LineId{peer} + 1; }

  [[nodiscard]] MembershipOptions member_options(std::uint32_t place) const {
    if (place >= communicator_->nodes_per_rank()) {
      throw ConfigError(c10::str("Mpi: place must be below ", communicator_->nodes_per_rank(),
                                 ", the number of nodes per rank, got ", place));
    }
    MembershipOptions member;
    member.number = communicator_->first() + place;
    member.world_size = communicator_->nodes();
    member.timers = {.heartbeat = options_.heartbeat(),
                     .dead_after = never,
                     .resend_after = std::chrono::seconds(30),
                     .redial_after = never,
                     .handshake = never};
    member.limits = options_.limits();
    member.agreement = options_.agreement();
    return member;
  }

  // All with the mutex.

  bool carry() {
    const bool any = read();
    return write() || any;
  }

  /// Takes in what has come; true if there was something.
  bool read() {
    if (const Time time = now(); time >= next_tick_) {
      next_tick_ = time + member_.options().timers.tick();
      member_.tick(time);
    }
    bool any = false;
    for (auto& [peer, line] : lines_) {
      any = line.mpi.probe() || any;
      const auto blank = [this] { return pool_ ? pool_->take() : model::Snapshot(); };
      while (auto arrival = line.mpi.next(wire::most_payload(model_bytes_), blank, codes_)) {
        any = true;
        if (*arrival) {
          member_.received(id_of(peer), std::move(**arrival), now());
        } else {
          line.over = true;
          end(peer, "it hung up");
        }
      }
    }
    return any;
  }

  /// A line is not made again, so who has not left in order is lost.
  void end(PeerId peer, const char* why) {
    member_.disconnected(id_of(peer), why, now());
    if (!going_) member_.suspect(peer);
  }

  /// Says what is to be said, as far as there is room; true if there was something.
  bool write() {
    bool any = false;
    // Of those who are settled, nobody waits for another.
    if (member_.is_closing() && !going_ && (settled_ || member_.may_go())) {
      going_ = true;
      member_.go();
    }
    for (const LineId id : member_.speakers()) {
      lines_.at(static_cast<PeerId>(id - 1)).may_speak = true;
    }
    for (auto& [peer, line] : lines_) {
      any = line.mpi.clear_sent() || any;
      const bool has_waited = std::exchange(line.waits_for_fence, false);
      line.may_speak = line.may_speak || has_waited;
      while (line.may_speak && line.mpi.fits()) {
        auto body = member_.next(id_of(peer), now(), line.mpi.load());
        any = any || body || !has_waited;
        if (body) {
          line.mpi.send(std::move(*body));
          continue;
        }
        line.may_speak = false;
        line.waits_for_fence = member_.waits_for_fence(id_of(peer));
        if (member_.must_close(id_of(peer)) && !std::exchange(line.over, true)) {
          line.mpi.hang_up();
          end(peer, "closed");
        }
      }
    }
    if (!member_.is_closing()) {
      const bool settled = member_.is_settled() && is_idle();
      if (settled && !settled_) woken_ = true;
      settled_ = settled;
    }
    for (const MembershipNote& note : member_.notes()) {
      if (!options_.logger()) continue;
      options_.logger()->log(note.warning ? spdlog::level::warn : spdlog::level::info, note.text);
    }
    return any;
  }

  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  const MpiOptions options_;
  std::shared_ptr<MpiCommunicator> communicator_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Membership member_;
  std::map<PeerId, Line> lines_;
  std::optional<model::SnapshotPool> pool_;
  codec::CodedPool codes_;
  std::uint64_t model_bytes_ = 0;
  Time next_tick_{0};
  bool woken_ = false;
  bool settled_ = false;
  bool going_ = false;
};

}  // namespace gossamer::transport
