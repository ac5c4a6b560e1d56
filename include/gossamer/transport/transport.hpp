// SPDX-License-Identifier: MIT
/// How messages travel: the class that every transport derives from, and a holder of any of them.
#pragma once

#include <gossamer/peers.hpp>
#include <gossamer/transport/message.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace gossamer::transport {

/// Time since the transport began. Virtual under the simulator, hence no `std::chrono` clock.
using Time = std::chrono::nanoseconds;

/// Where the numbers of a payload must lie, so that a transport can carry them.
enum class PayloadMemory : std::uint8_t {
  any,   ///< where the model is: payloads pass by handle, or over what reads a device's memory
  host,  ///< in this machine's memory
  /// The same, and never beside the model, be that in this machine's memory: for a transport that
  /// keeps payloads in memory of its own kind. Tests take on a CPU the way of a device by it.
  apart
};

/// One node's end of a transport.
///
/// Promise: every message is delivered exactly once, or comes back to its sender as `Returned`, or
/// is lost with a peer that is lost. `PeerLeft` comes before the messages which that peer returns.
/// Queues are bounded: what a slow peer has no room for comes back at once.
///
/// Threads: one at a time, but for `wake()`, which any may call.
class Transport {
 public:
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  /// This node's number.
  [[nodiscard]] virtual PeerId self() const = 0;
  /// The others that may be chosen, ascending: joined, not finished, not gone. Changes only when
  /// `poll()` returns PeerJoined or PeerLeft, which makes the old span invalid.
  [[nodiscard]] virtual std::span<const PeerId> peers() const = 0;
  /// Where the payloads of what is sent must lie. The engine sees to it, and `send()` relies on it.
  [[nodiscard]] virtual PayloadMemory payload_memory() const { return PayloadMemory::any; }
  /// Says what model this node has (`Layout::description()`), which does not depend on its device,
  /// and what its payloads look like, in such memory, before anything is sent. Throws ConfigError,
  /// naming both sides, if a peer has another.
  virtual void set_model_layout(const std::string& layout, const model::Flat& shape) = 0;
  /// Never blocks on a peer, never throws for a lost one.
  virtual void send(Message message) = 0;
  /// The next event, or nothing; never blocks.
  virtual std::optional<Event> poll() = 0;
  /// Blocks until `poll()` has an event (true), or `wake()` was called or the time is `deadline`
  /// (false). To be called, as `settled()`, only when all polled events are dealt with.
  virtual bool wait(Time deadline) = 0;
  /// Makes a running or the next `wait()` return. The one operation for any thread.
  virtual void wake() = 0;
  /// Time since the transport began.
  [[nodiscard]] virtual Time now() const = 0;
  /// Lets the others know, some time.
  virtual void publish(const Counters& counters) = 0;
  /// What is known of that peer.
  [[nodiscard]] virtual Counters counters(PeerId peer) const = 0;
  /// Bytes per second to that peer, as measured; 0: not yet, or this transport does not.
  [[nodiscard]] virtual double speed(PeerId /*peer*/) const { return 0; }
  /// A number that changes whenever bytes of messages move, or a message comes further; always 0
  /// where that takes no time.
  [[nodiscard]] virtual std::uint64_t progress() const { return 0; }
  /// Work done by everybody, as far as known, those who have left included.
  [[nodiscard]] virtual WorkDone work_done() const = 0;
  /// This node starts no more exchanges, but still answers; the others see PeerLeft.
  virtual void finish() = 0;
  /// Of a node that is about to leave: what it has sent and has not begun to cross comes back, so
  /// that it need not wait until all that has crossed a slow link. True if there is any.
  virtual bool recall() { return false; }
  /// True once every live peer has finished and nothing is under way to anybody: from then on no
  /// event comes.
  virtual bool settled() = 0;
  /// Leaves; what was not polled goes back to its senders. Then only `self()`, `now()`,
  /// `counters()` and `work_done()` may be called.
  virtual void close(Reason reason) = 0;

 protected:
  Transport() = default;
  Transport(Transport&&) noexcept = default;  // ends are moved into their node, before it uses them
};

/// Holds an end of any transport, so that one user's class runs on all of them. A virtual call per
/// operation is nothing beside a model.
class AnyTransport {
 public:
  template <std::derived_from<Transport> Held>
  AnyTransport(Held transport)  // NOLINT(google-explicit-constructor): a converting holder
      : transport_(std::make_unique<Held>(std::move(transport))) {}

  [[nodiscard]] Transport& operator*() const noexcept { return *transport_; }
  [[nodiscard]] Transport* operator->() const noexcept { return transport_.get(); }

 private:
  std::unique_ptr<Transport> transport_;
};

}  // namespace gossamer::transport
