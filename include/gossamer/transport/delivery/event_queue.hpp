// SPDX-License-Identifier: MIT
/// What all links of one node share: its number, the limits, and the events that wait for it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/transport/delivery/ring.hpp>
#include <gossamer/transport/message.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace gossamer::transport {

/// What can be delivered: `Message`, or a test's small stand-in. `set_aside()` is called when it is
/// in doubt whether the peer has it.
template <class T>
concept Deliverable = std::copyable<T> && std::default_initializable<T> && requires(T& t) {
  { t.from } -> std::same_as<PeerId&>;
  { t.to } -> std::same_as<PeerId&>;
  { t.weight } -> std::same_as<double&>;
  { t.bytes() } -> std::same_as<std::size_t>;
  { t.set_aside() } -> std::same_as<void>;
};

/// The events that hold a `Carried`; for `Message`, those of the transport contract.
template <class Carried>
struct DeliveryEvents {
  /// As transport::Delivered.
  struct Delivered {
    Carried message;
  };
  /// As transport::Returned.
  struct Returned {
    Carried message;
    Reason reason;
  };
  using Event = std::variant<Delivered, Returned, PeerJoined, PeerLeft>;
};
/// The contract's own.
template <>
struct DeliveryEvents<Message> {
  using Delivered = transport::Delivered;
  using Returned = transport::Returned;
  using Event = transport::Event;
};

/// What a link to one peer may hold in each direction; the same on all nodes of a group.
struct DeliveryLimits {
  std::size_t messages = 64;                 ///< that are not yet confirmed, >= 1
  std::size_t bytes = std::size_t{1} << 28;  ///< of these; one message may be larger if it is alone
  double weight = 2;                         ///< of one message; the total is 1, but for rounding

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (messages == 0) throw ConfigError("DeliveryLimits: messages must be at least 1, got 0");
    if (!(weight > 0)) {
      throw ConfigError("DeliveryLimits: weight must be positive, got " + std::to_string(weight));
    }
  }

  /// Whether `next` has room beside that many messages and bytes.
  template <class Carried>
  [[nodiscard]] bool fits(std::size_t count, std::size_t size, const Carried& next) const {
    return count == 0 ||
           (count < messages && next.bytes() <= bytes && size <= bytes - next.bytes());
  }
};

/// One per node; its links write into it.
template <Deliverable Carried>
struct DeliveryQueue {
  using Events = DeliveryEvents<Carried>;

  /// An event that the node has not polled, and the link that it is of.
  struct Queued {
    typename Events::Event event;
    PeerId peer = 0;
    std::uint64_t epoch = 0;  ///< this node's side of the session in which it was delivered
  };

  PeerId self = 0;
  DeliveryLimits limits = {};
  bool leaving = false;
  Ring<Queued> events = {};

  void deliver(PeerId peer, std::uint64_t epoch, Carried message) {
    events.push({typename Events::Delivered{std::move(message)}, peer, epoch});
  }
  void give_back(Carried message, Reason reason) {
    const PeerId peer = message.to;
    events.push({typename Events::Returned{std::move(message), reason}, peer, 0});
  }
  template <class News>
  void tell(PeerId peer, News news) {
    events.push({news, peer, 0});
  }
};

}  // namespace gossamer::transport
