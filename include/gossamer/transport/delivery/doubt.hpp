// SPDX-License-Identifier: MIT
/// The content of messages that are in doubt with one peer, which may stay so for ever.
#pragma once

#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/delivery/queues.hpp>

#include <cstddef>
#include <utility>

namespace gossamer::transport {

/// Counts their bytes among those of all peers, which are on a budget; the weight stays in the
/// books whatever becomes of them.
class Doubt {
 public:
  /// All that is in the queue is in doubt from now on.
  void begin(EventQueue& node, PeerId peer, const DeliveryOutgoing& out) {
    set(node, out.content_bytes());
    if (bytes_ > 0 && !std::exchange(listed_, true)) node.doubted.push(peer);
  }
  /// Nothing is any more.
  void end(EventQueue& node) { set(node, 0); }
  /// Drops the oldest content; false if there is none, and this peer is listed no longer.
  bool drop(EventQueue& node, DeliveryOutgoing& out) {
    listed_ = bytes_ > 0;
    if (listed_) set(node, bytes_ - out.drop_content());
    return listed_;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void set(EventQueue& node, std::size_t bytes) {
    node.doubtful += bytes - bytes_;
    bytes_ = bytes;
  }

  std::size_t bytes_ = 0;
  bool listed_ = false;  // among `EventQueue::doubted`
};

}  // namespace gossamer::transport
