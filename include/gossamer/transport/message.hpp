// SPDX-License-Identifier: MIT
/// What travels between nodes, and what a node learns from its transport.
#pragma once

#include <gossamer/codec/coded_pool.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/model/chunk.hpp>
#include <gossamer/model/snapshot.hpp>

#include <cstddef>
#include <cstdint>
#include <variant>

namespace gossamer::transport {

/// One message of a rule to another node's rule. A transport looks at `from` and `to`, and carries
/// of the payload what `chunk` says, or the code. A message has one of them at most.
struct Message {
  PeerId from = 0;
  PeerId to = 0;
  std::uint32_t kind = 0;   ///< the rule's own tag
  std::uint64_t round = 0;  ///< the rule's own count
  /// How many steps the sender had taken, modulo 2^32; the engine says so.
  std::uint32_t step = 0;
  double weight = 0;        ///< weight that moves with the message
  model::Snapshot payload;  ///< may be empty
  /// The piece of the payload that the receiver may read: a transport that shares memory passes the
  /// whole handle, any other one only that piece.
  model::Chunk chunk = {};
  /// Coded bytes in place of a payload, at most `most_code` of them. A transport carries them as
  /// they are: what they mean, and whether they are well formed, its rule has to say.
  codec::Coded code = {};
  /// Of one that came back: its payload was given up while it was in doubt with a peer that was
  /// gone.
  bool stripped = false;

  /// Bytes that the message would take on a wire: the payload's chunk, or the code, and fixed
  /// fields.
  [[nodiscard]] std::size_t bytes() const {
    return header_bytes + payload.bytes(chunk) + code.size();
  }
  static constexpr std::size_t header_bytes = 40;
  /// How long a code may be, by the bytes of the model: so receivers' memory is bounded.
  [[nodiscard]] static constexpr std::size_t most_code(std::size_t model_bytes) {
    return model_bytes + 4096;
  }

  /// The kind of what stands in the place of a message that was recalled; no node sees it.
  static constexpr std::uint32_t recalled = 0xfffffff0U;

  /// Whether it says anything of a model.
  [[nodiscard]] bool has_content() const { return static_cast<bool>(payload) || code; }

  /// The same without its numbers.
  [[nodiscard]] Message without_content() const {
    return {.from = from,
            .to = to,
            .kind = kind,
            .round = round,
            .step = step,
            .weight = weight,
            .payload = {},
            .chunk = chunk,
            .code = {},
            .stripped = stripped};
  }

  /// Called when it is in doubt whether the peer has it: it may stay here for long.
  void set_aside() {
    payload.set_aside();
    code.set_aside();
  }
};

/// Why a message came back, or a peer went.
enum class Reason {
  queue_full,  ///< the receiver was too slow: its queue had no room
  finished,    ///< the peer takes no more steps; it still answers what reaches it
  left,        ///< the peer closed its endpoint in order
  lost         ///< the peer failed
};

/// The reason as the end of a sentence: "peer 3 is gone: it has left".
constexpr const char* to_string(Reason reason) {
  switch (reason) {
    case Reason::queue_full:
      return "its queue is full";
    case Reason::finished:
      return "it has finished";
    case Reason::left:
      return "it has left";
    case Reason::lost:
      return "it was lost";
  }
  return "unknown";
}

/// A message for this node.
struct Delivered {
  Message message;
};
/// A message of this node that was not delivered, and never will be.
struct Returned {
  Message message;
  Reason reason;
};
/// A peer that may be chosen from now on.
struct PeerJoined {
  PeerId peer;
};
/// A peer that is not to be chosen any more: finished, left or lost.
struct PeerLeft {
  PeerId peer;
  Reason reason;
};

/// What `poll()` returns.
using Event = std::variant<Delivered, Returned, PeerJoined, PeerLeft>;

/// Work done by everybody, as far as this node knows, those who have left included.
struct WorkDone {
  std::uint64_t steps = 0;
  std::uint64_t samples = 0;
};

}  // namespace gossamer::transport
