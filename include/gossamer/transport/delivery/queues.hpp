// SPDX-License-Identifier: MIT
/// The two directions of a link: which messages there are, and how far each has come.
#pragma once

#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/delivery/frame.hpp>
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
  std::uint64_t written = 0;    ///< the last that was written since the last resend,
  std::uint64_t carried = 0;    ///< and the last of these whose content was
  std::uint64_t crossed = 0;    ///< the last whose content was ever written, on any connection
  std::uint64_t seen = 0;       ///< what the peer knows of,
  std::uint64_t wanted = 0;     ///< and has room for;
  std::uint64_t withdrawn = 0;  ///< how often it has taken such room back

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
    carried = std::max(carried, confirmed);
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

  /// Takes those whose content has not begun to cross out of the queue, and leaves something empty
  /// in their places: the peer may know of them already. True if there were any.
  template <class GiveBack>
  bool recall(GiveBack give_back) {
    bool any = false;
    const std::uint64_t first = std::max(crossed, confirmed) - confirmed;
    for (auto i = static_cast<std::size_t>(first); i < queue.size(); ++i) {
      Message& message = queue[i];
      if (message.kind == Message::recalled) continue;
      Message empty{
          .from = message.from, .to = message.to, .kind = Message::recalled, .payload = {}};
      bytes -= message.bytes() - empty.bytes();
      give_back(std::exchange(message, std::move(empty)));
      any = true;
    }
    return any;
  }

  /// The peer holds all up to that one.
  void grant(std::uint64_t accepted) {
    granted = accepted;
    written = std::max(written, granted);
    carried = std::max(carried, granted);
  }
  /// What the peer knows of and has no room for, it has dropped, if it came with its content; and
  /// so it does with what it has asked for, once it has taken the room back.
  void hear(const DeliveryFrame& frame) {
    seen = std::max(seen, frame.seen);
    if (frame.withdrawn > withdrawn) {
      withdrawn = frame.withdrawn;
      wanted = frame.wanted;
      carried = granted;
    } else if (frame.withdrawn == withdrawn) {
      wanted = std::max(wanted, frame.wanted);
    }
    if (seen > wanted) carried = std::min(carried, std::max(wanted, granted));
  }
  /// What was under way is lost with its connection.
  void rewind() {
    written = std::max(granted, seen);
    carried = granted;
  }
  /// The peer was not ready for what it has not seen.
  void rewind_unseen() {
    written = std::max(granted, seen);
    carried = std::min(carried, written);
  }

  [[nodiscard]] bool has_news() const { return written - confirmed < queue.size(); }
  /// Whether there is content that the peer wants, and that can be read: who moves frames never
  /// waits for a snapshot's fence.
  [[nodiscard]] bool has_content() const { return owes_content() && next_is_ready(); }
  /// Whether it cannot be read yet. Nobody tells when it can.
  [[nodiscard]] bool waits_for_fence() const { return owes_content() && !next_is_ready(); }
  [[nodiscard]] bool has_next(Load load) const {
    return (load != Load::counters && has_news()) || (load == Load::content && has_content());
  }
  /// Puts a handle to what is to be written next into the frame.
  void write_next(DeliveryFrame& frame, Load load, std::size_t eager) {
    const bool is_news = has_news();
    frame.sequence = is_news ? ++written : ++carried;
    offered = std::max(offered, written);
    const Message& message = queue[static_cast<std::size_t>(frame.sequence - confirmed - 1)];
    if (is_news) {
      const bool along = load == Load::content && carried + 1 == written && message.payload.ready();
      if (along && (message.bytes() <= eager || wanted >= written)) {
        carried = written;
      } else {
        frame.later = message.bytes();
      }
    }
    if (frame.later == 0) crossed = std::max(crossed, frame.sequence);
    frame.offer = frame.later == 0 ? message : message.without_content();
  }

  /// Of payloads and codes.
  [[nodiscard]] std::size_t content_bytes() const {
    return bytes - queue.size() * Message::header_bytes;
  }
  /// Lets go of the oldest content, and says how long it was.
  std::size_t drop_content() {
    std::size_t dropped = 0;
    for (std::size_t i = 0; i < queue.size() && dropped == 0; ++i) {
      Message& message = queue[i];
      dropped = message.bytes() - Message::header_bytes;
      if (dropped == 0) continue;
      message.payload = {};
      message.code = {};
      message.stripped = true;
    }
    bytes -= dropped;
    return dropped;
  }

  /// Whether the peer wants content that has not been written.
  [[nodiscard]] bool owes_content() const {
    return carried < std::min(wanted, written) && carried - confirmed < queue.size();
  }
  /// Whether the first of it can be read.
  [[nodiscard]] bool next_is_ready() const {
    return queue[static_cast<std::size_t>(carried - confirmed)].payload.ready();
  }

  void restart() {
    confirmed = granted = offered = written = carried = crossed = seen = wanted = withdrawn = 0;
  }
};

/// Messages from the peer. Always polled <= granted <= accepted <= wanted() <= seen().
struct DeliveryIncoming {
  Ring<std::size_t> announced;  ///< the bytes of those that were offered and not accepted;
  std::size_t asked = 0;        ///< for so many of them there is room
  Ring<Message> held;           ///< accepted and not granted
  std::size_t messages = 0;     ///< these, and those of all sessions that were not polled
  std::size_t bytes = 0;        ///< of all these
  std::uint64_t accepted = 0;
  std::uint64_t granted = 0;
  std::uint64_t polled = 0;
  std::uint64_t withdrawn = 0;  ///< how often room that was not used yet was given to others

  [[nodiscard]] std::uint64_t seen() const { return accepted + announced.size(); }
  [[nodiscard]] std::uint64_t wanted() const { return accepted + asked; }

  /// Makes room for the next one of those that were offered, if there is some in the budget.
  bool ask(EventQueue& node, bool in_turn) {
    const std::size_t size = announced[asked];
    if (messages + asked >= node.limits.messages) return false;
    if (size > node.limits.eager && !(in_turn && node.has_room(size))) return false;
    node.taken += size;
    ++asked;
    return true;
  }
  /// The room for those that were asked for goes to others.
  void withdraw(EventQueue& node) {
    for (; asked > 0; --asked) node.taken -= announced[asked - 1];
    ++withdrawn;
  }
  /// The oldest of those that were asked for is here, and takes its place.
  void push(EventQueue& node, Message message) {
    if (asked > 0) {
      --asked;
      node.taken -= announced.pop();
    }
    node.taken += message.bytes();
    ++messages;
    bytes += message.bytes();
    held.push(std::move(message));
  }
  /// Drops the oldest one that is held.
  void discard(EventQueue& node) { unload(node, held.pop()); }
  /// A message is not here any more.
  void unload(EventQueue& node, const Message& message) {
    node.taken -= message.bytes();
    --messages;
    bytes -= message.bytes();
  }
  /// Nothing of what was offered will come.
  void forget_offers(EventQueue& node) {
    for (; asked > 0; --asked) node.taken -= announced.pop();
    announced.shrink(0);
  }

  void restart() { accepted = granted = polled = withdrawn = 0; }
};

}  // namespace gossamer::transport
