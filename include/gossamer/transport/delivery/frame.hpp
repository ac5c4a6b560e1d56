// SPDX-License-Identifier: MIT
/// What two ends of a link say to each other: one frame, and why one is refused.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/transport/message.hpp>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace gossamer::transport {

/// One side's name for a session: which incarnation of the node it is, and which session of that
/// incarnation with this peer. Both count from 1 and only grow; all zero means unknown. A session
/// is a pair of these, one chosen by each side, so that nobody has to agree on a number and no pair
/// comes twice.
///
///     closed -- a frame to my present side --> open
///       ^                                       |
///       +-- declared dead, or a newer side of the peer's: PeerLeft; offers Returned; what is held
///           is discarded; what was granted is in doubt; my side of the next session is a new one
///
/// A frame to my present side shows that the peer knows that side, so it has left the old session
/// too, and the count of what it delivered there, which the frame carries, is final. With this,
/// what was in doubt is settled: confirmed, or Returned, or lost with the peer if that is a new
/// incarnation. It does not matter who suspected whom, who calls first, or whether hellos cross.
///
/// The report is about the last session in which both sides were heard. One is enough: whoever
/// opens a session has settled all before it, and in a session in which the peer was not heard
/// nothing was granted either way.
struct SessionSide {
  std::uint64_t incarnation = 0;
  std::uint64_t epoch = 0;
  auto operator<=>(const SessionSide&) const = default;  // NOLINT(modernize-use-nullptr)
};

/// One frame. All counters are cumulative in the session, so any frame may be lost, repeated or
/// overtaken. All fields belong on the wire, the offer's header and payload last; a hello needs the
/// first two groups only.
struct DeliveryFrame {
  SessionSide from;  ///< the sender's side of its present session
  SessionSide to;    ///< the receiver's side, as far as the sender knows it

  bool open = false;          ///< the session is open at the sender; else this is a hello
  bool asks = false;          ///< an answer is wanted even if it says nothing new
  bool leaving = false;       ///< the sender delivers no more than `delivered`, ever
  bool leaving_seen = false;  ///< the sender knows that the receiver leaves
  /// The receiver's side of the last session in which both talked, and how much of what the
  /// receiver sent in it the sender has delivered. Final: that session is over.
  SessionSide reported;
  std::uint64_t reported_delivered = 0;

  std::uint64_t accepted = 0;   ///< the receiver's messages up to this one are held
  std::uint64_t granted = 0;    ///< the sender's messages up to this one are the receiver's
  std::uint64_t delivered = 0;  ///< the receiver's messages up to this one have reached the rule
  std::uint64_t seen = 0;       ///< the receiver's offers up to this one are known here,
  std::uint64_t wanted = 0;     ///< and for the content of those up to this one there is room
  std::uint64_t withdrawn = 0;  ///< how often such room was taken back: `wanted` grows between
  std::uint64_t sequence = 0;   ///< number of the offer: 1, 2, ...; 0 without one
  /// `Message::bytes()` of an offer whose content stays behind until it is wanted; 0: it is whole.
  std::uint64_t later = 0;
  std::optional<Message> offer;
};

/// How much a connection can take of what a session has to say.
enum class Load : std::uint8_t {
  counters,  ///< no offers: the two do not know that they have one model
  offers,    ///< no content: there is some under way, and frames pass between its pieces
  content
};

/// What a frame must obey. In the comments, n is the value that is refused.
enum class FrameRule {
  known_peer,  ///< the peer was added or admitted before it said anything
  identity,    ///< incarnation and epoch are at least 1
  hello,       ///< a hello carries no counters and no offer
  report,      ///< n delivered in the last session are what was confirmed up to what was granted
  accepted,    ///< n accepted were offered
  wanted,      ///< n wanted, or seen, were offered
  granted,     ///< n granted were accepted
  delivered,   ///< n delivered were granted
  sequence,    ///< an offer has a number n, at most `Limits::messages` beyond what was delivered
  sender,      ///< an offer is from the peer,
  receiver,    ///< to this node
  weight       ///< an offer's weight lies in [0, Limits::weight]
};

/// A frame that was refused: who said it, what it breaks, with which value.
struct FrameError {
  PeerId node = 0;
  PeerId peer = 0;
  FrameRule rule = FrameRule::identity;
  std::uint64_t value = 0;
  std::uint64_t limit = 0;  ///< the largest value that would have been right
  double weight = 0;        ///< in place of `value`, for `FrameRule::weight`
  double weight_limit = 0;

  [[nodiscard]] std::string text() const {
    return "node " + std::to_string(node) + ": a frame of peer " + std::to_string(peer) +
           " is refused: " + reason();
  }

 private:
  [[nodiscard]] std::string reason() const {
    const std::string n = std::to_string(value);
    const std::string most = std::to_string(limit);
    switch (rule) {
      case FrameRule::known_peer:
        return "the peer was never added";
      case FrameRule::identity:
        return "its incarnation and epoch must be at least 1, got " + n;
      case FrameRule::hello:
        return "it opens a session and must have no counters, got " + n;
      case FrameRule::report:
        return "it reports " + n + " messages delivered in the last session, of " + most +
               " granted";
      case FrameRule::accepted:
        return "it accepts message " + n + ", but " + most + " were offered";
      case FrameRule::wanted:
        return "it asks for message " + n + ", but " + most + " were offered";
      case FrameRule::granted:
        return "it grants message " + n + ", but " + most + " were accepted";
      case FrameRule::delivered:
        return "it confirms message " + n + ", but " + most + " were granted";
      case FrameRule::sequence:
        return "it offers message number " + n + ", which must lie in [1, " + most + "]";
      case FrameRule::sender:
        return "its offer must be from peer " + most + ", is from " + n;
      case FrameRule::receiver:
        return "its offer must be to node " + most + ", is to " + n;
      case FrameRule::weight:
        return "its offer's weight must lie in [0, " + std::to_string(weight_limit) + "], got " +
               std::to_string(weight);
    }
    return "unknown";
  }
};

/// What became of a frame that came in.
enum class FrameFate {
  taken,   ///< it was of the present session, or leads to one
  old,     ///< of a session or an incarnation that is over: ignored
  refused  ///< `FrameError` says why; nothing has changed
};

/// The answer to a frame that was handed in.
struct Receipt {
  FrameFate fate = FrameFate::taken;
  FrameError error = {};  ///< if it was refused
};

}  // namespace gossamer::transport
