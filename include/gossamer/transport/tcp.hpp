// SPDX-License-Identifier: MIT
/// Nodes in processes of their own, on one machine or many, over TCP. Needs OpenSSL and xxHash,
/// hence not part of gossamer.hpp.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/endpoint.hpp>
#include <gossamer/transport/tcp/options.hpp>
#include <gossamer/transport/transport.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gossamer::transport {

/// One node's end; see `Transport` for what each operation promises. There is no coordinator: a
/// node dials any member, learns of all others, and has one connection to each.
///
/// A message crosses the network as `Delivery` says: it is the receiver's a round trip after its
/// bytes have arrived, and its payload goes from the sender's snapshot to the socket, and from the
/// socket into a snapshot of a pool, without a copy between them.
///
/// `settled()` is found out by a round of questions once all have finished (`MemberCalm`). It looks
/// at the peers that this node has met.
///
/// Threads  the node's thread for all but `wake()`; the endpoint has one thread of its own.
/// Errors   ConfigError from the constructor (options, an address to listen on), `introduce()` and
///          `gather()`; std::invalid_argument from `send()`. What the network does is an event, and
///          a line in the log.
class Tcp {
 public:
  explicit Tcp(const TcpOptions& options)
      : linger_(options.linger()), endpoint_(std::make_unique<TcpEndpoint>(options)) {}
  Tcp(Tcp&&) noexcept = default;
  Tcp& operator=(Tcp&&) = delete;
  /// Leaves, and waits until that is known, at most `TcpOptions::linger`.
  ~Tcp() {
    if (!endpoint_) return;
    close(Reason::left);
    TcpEndpoint& endpoint = *endpoint_;
    endpoint.wait_until(now() + linger_, [&endpoint](Member&) { return endpoint.is_gone(); });
  }

  // The contract.

  [[nodiscard]] PeerId self() const { return endpoint_->unlocked().self(); }
  [[nodiscard]] std::span<const PeerId> peers() const { return endpoint_->unlocked().peers(); }

  /// The shape must be in this machine's memory.
  void introduce(const std::string& model, const model::Flat& shape) {
    std::string text = model;
    for (const at::Tensor& segment : shape.segments()) {
      if (!segment.is_cpu()) {
        throw ConfigError(c10::str("Tcp: a model must be on the CPU, is on ", segment.device()));
      }
      text += c10::str("vector of ", segment.numel(), " ", segment.scalar_type(), "\n");
    }
    endpoint_->shape(shape);
    bytes_ = shape.bytes();
    endpoint_->with([&](Member& member) { member.introduce(text); });
  }

  void send(Message message) {
    if (message.payload && message.payload.bytes() != bytes_) {
      throw std::invalid_argument(c10::str("Tcp: a payload must have the model's ", bytes_,
                                           " bytes, got ", message.payload.bytes()));
    }
    endpoint_->with([&](Member& member) { member.send(std::move(message)); });
  }
  std::optional<Event> poll() {
    if (!early_.empty()) {
      std::optional<Event> event = std::move(early_.front());
      early_.pop_front();
      return event;
    }
    return endpoint_->with([](Member& member) { return member.poll(); });
  }
  bool wait(Time deadline) {
    if (!early_.empty()) return true;
    endpoint_->with([](Member& member) { member.dealt_with(); });
    return endpoint_->wait(deadline);
  }
  void wake() { endpoint_->wake(); }
  [[nodiscard]] Time now() const { return endpoint_->now(); }
  void publish(const Status& status) {
    endpoint_->with([&](Member& member) { member.publish(status); });
  }
  [[nodiscard]] Status status(PeerId peer) const {
    return endpoint_->with([&](Member& member) { return member.status(peer); });
  }
  [[nodiscard]] Totals totals() const {
    return endpoint_->with([](Member& member) { return member.totals(); });
  }
  void finish() {
    endpoint_->with([](Member& member) { member.finish(); });
  }
  bool settled() {
    return early_.empty() && endpoint_->with([](Member& member) { return member.settled(); });
  }
  /// Returns at once; the destructor waits for the farewell.
  void close(Reason reason) {
    early_.clear();
    endpoint_->with([&](Member& member) { member.close(reason); });
  }

  // What only TCP has.

  /// Where others dial this node: host:port.
  [[nodiscard]] const std::string& address() const { return endpoint_->address(); }

  /// Waits until this node has met at least `others` peers, so that a group starts together. False
  /// if they are not there in time; `obstacle()` may say why. Throws ConfigError for what waiting
  /// does not mend: another run, another model, a wrong address.
  bool gather(std::size_t others, std::chrono::nanoseconds within) {
    return gather_until(now() + within,
                        [others](const Member& member) { return member.met() >= others; });
  }
  /// Waits until this node has a peer: those it has met may have left meanwhile. For the rest as
  /// `gather()`.
  bool find_peer(std::chrono::nanoseconds within) {
    const Time deadline = now() + within;
    while (peers().empty() && now() < deadline) {
      gather_until(deadline, [](const Member& member) { return member.has_event(); });
    }
    return !peers().empty();
  }
  /// The last reason for which this node did not reach, or was not let in by, another one.
  [[nodiscard]] std::string obstacle() const {
    return endpoint_->with([](Member& member) {
      return !member.last_refusal().empty() ? member.last_refusal() : member.last_failure();
    });
  }
  /// Whether a peer has met an earlier life of this node, whose weight is gone.
  [[nodiscard]] bool had_earlier_life() const {
    return endpoint_->with([](Member& member) { return member.had_earlier_life(); });
  }

  /// All members that were ever heard of.
  [[nodiscard]] std::vector<TcpPeer> view() const { return endpoint_->view(); }
  [[nodiscard]] MemberCounts counts() const {
    return endpoint_->with([](Member& member) { return member.counts(); });
  }
  /// The thread and the member behind this; for tests.
  [[nodiscard]] TcpEndpoint& endpoint() { return *endpoint_; }
  /// Ends without a farewell, as by a crash; for tests. Nothing else may be called then.
  void crash() { endpoint_.reset(); }

 private:
  template <class Enough>
  bool gather_until(Time deadline, Enough enough) {
    std::string trouble;
    const bool is_enough = endpoint_->wait_until(deadline, [&](Member& member) {
      trouble = member.trouble();
      return enough(member) || !trouble.empty();
    });
    if (!trouble.empty()) throw ConfigError("Tcp: " + trouble);
    // What else has come already, the node will see in its turn.
    while (auto event = endpoint_->with([](Member& member) { return member.poll(); })) {
      if (!std::holds_alternative<PeerJoined>(*event)) early_.push_back(std::move(*event));
    }
    return is_enough;
  }

  std::chrono::nanoseconds linger_;
  std::unique_ptr<TcpEndpoint> endpoint_;
  std::size_t bytes_ = 0;
  std::deque<Event> early_;  // came while the group was gathered
};

}  // namespace gossamer::transport
