// SPDX-License-Identifier: MIT
/// The two directions of a link: which messages there are, and how far each has come.
#pragma once

#include <gossamer/transport/delivery/ring.hpp>
#include <gossamer/transport/message.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace gossamer::transport {

/// Messages to the peer. Their numbers are 1, 2, ... in a session; the queue begins after the last
/// that is confirmed. Always confirmed <= granted <= offered, and offered <= confirmed +
/// queue.size() unless the peer leaves.
struct DeliveryOutgoing {
  Ring<Message> queue;
  std::size_t bytes = 0;
  std::uint64_t confirmed = 0;
  std::uint64_t granted = 0;
  std::uint64_t offered = 0;
  std::uint64_t written = 0;  ///< the last that was written since the last resend

  /// Messages that are granted and not confirmed: the first ones in the queue.
  [[nodiscard]] std::size_t in_their_hands() const {
    return static_cast<std::size_t>(granted - confirmed);
  }

  void push(Message message) {
    bytes += message.bytes();
    queue.push(std::move(message));
  }
  /// The oldest one, which is done with.
  Message pop() {
    Message message = queue.pop();
    bytes -= message.bytes();
    ++confirmed;
    written = std::max(written, confirmed);
    return message;
  }
  /// Hands those from the `first` in the queue on to `give_back`.
  template <class GiveBack>
  void take_back(std::size_t first, GiveBack give_back) {
    for (std::size_t i = first; i < queue.size(); ++i) {
      bytes -= queue[i].bytes();
      give_back(std::move(queue[i]));
    }
    queue.shrink(first);
  }

  [[nodiscard]] bool has_next() const { return written - confirmed < queue.size(); }
  /// A handle to the next one to be written, which gets number `written`.
  Message next() {
    const auto place = static_cast<std::size_t>(written - confirmed);
    offered = std::max(offered, ++written);
    return queue[place];
  }

  void restart() { confirmed = granted = offered = written = 0; }
};

/// Messages from the peer. Always polled <= granted <= accepted.
struct DeliveryIncoming {
  Ring<Message> held;        ///< accepted and not granted
  std::size_t messages = 0;  ///< these, and those of all sessions that were not polled
  std::size_t bytes = 0;     ///< of all these
  std::uint64_t accepted = 0;
  std::uint64_t granted = 0;
  std::uint64_t polled = 0;

  void push(Message message) {
    ++messages;
    bytes += message.bytes();
    held.push(std::move(message));
  }
  /// Drops the oldest one that is held.
  void discard() { unload(held.pop()); }
  /// A message is not here any more.
  void unload(const Message& message) {
    --messages;
    bytes -= message.bytes();
  }

  void restart() { accepted = granted = polled = 0; }
};

}  // namespace gossamer::transport
