// SPDX-License-Identifier: MIT
/// What a member keeps of one connection, and of one peer that it has met.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/transport/message.hpp>
#include <gossamer/transport/speed_gauge.hpp>
#include <gossamer/transport/transport.hpp>
#include <gossamer/transport/wire/bodies.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace gossamer::transport {

/// A connection, by the number that whoever carries the bytes gave it; never 0.
using LineId = std::uint64_t;

/// An address to dial, and what for.
struct DialAttempt {
  enum class Why : std::uint8_t {
    contact,  ///< it was given by the user
    member,   ///< a member is said to be there
    probe     ///< a member says that it is there: is it?
  };
  Why why = Why::contact;
  PeerId node = 0;  ///< who is expected there; not for a contact
  std::string address;
};

/// One connection. What is to be said on it is kept as flags, not as a queue, so a peer that does
/// not read costs no memory.
struct Connection {
  enum class State : std::uint8_t {
    greeting,  ///< the peer has not said who it is
    checking,  ///< its address is being dialed
    up,        ///< it is known who is there; messages pass once both have the same model
    closing    ///< a last word, and then no more
  };

  LineId id = 0;
  bool dialed = false;  ///< by this side
  DialAttempt dial;     ///< if so
  State state = State::greeting;
  bool welcome = false;  ///< the peer was let in, or had only come to look
  wire::Hello hello;     ///< the peer's
  Time since{0};         ///< when it began
  Time heard{0};         ///< when the last bytes came
  Time said{0};          ///< when the last frame was written

  bool busy = false;    ///< a frame is being written
  bool listed = false;  ///< among those that have something to say
  bool hello_due = false;
  bool model_due = false;
  std::uint64_t told = 0;          ///< the model of which the peer was told
  bool list_due = false;           ///< all that is new since `listed_until`, be it nothing
  std::uint64_t listed_until = 0;  ///< `Roster::changes()` when the peer was last told
  std::set<PeerId> members_due;
  std::uint64_t their_known = 0;      ///< as the peer said last: see `wire::Ping`
  std::uint64_t their_connected = 0;  ///< the same
  bool answer_due = false;
  std::uint64_t answer = 0;  ///< the number of the last ping
  bool ping_due = false;
  Time pinged{0};           ///< when a ping was last due, whatever else was said
  bool has_listed = false;  ///< the peer has said whom it knows
  std::optional<wire::Refusal> refusal;

  [[nodiscard]] bool up() const { return state == State::up; }
};

/// One peer. `Delivery` has the rest.
struct KnownPeer {
  LineId line = 0;                ///< the connection in use; 0: none
  std::uint64_t incarnation = 0;  ///< the incarnation that was met last
  std::string address;            ///< where it can be dialed, while it is connected
  bool matched = false;           ///< its model was found to be the same
  bool known = false;             ///< among the node's peers
  bool met = false;               ///< it was, at some time
  bool left = false;              ///< it has said its last word
  Time heard{0};
  Time brought{0};     ///< when content came last, or none was awaited
  Time round_trip{0};  ///< the last one that was measured; 0: none
  SpeedGauge speed;

  bool finish_told = false;  ///< this node knows that the peer has finished
  bool finish_said = false;  ///< the peer was told that this node has,
  bool finish_seen = false;  ///< and has answered
  Reason reason = Reason::left;
  std::size_t sent_after_finish = 0;

  Time said{0};  ///< when the last frame of `Delivery` was written
  unsigned tries = 0;
  std::uint64_t progress = 0;  ///< of the link, when it was last looked at
  Time moved{0};               ///< when that last changed

  bool calm = false;                 ///< as it said last,
  std::uint64_t activity_epoch = 0;  ///< and how often it was not
  std::uint64_t expected = 0;        ///< the same when the question was put
  bool confirmed = false;            ///< and still so afterwards

  std::uint64_t pinged = 0;  ///< the number of the last ping to it
  Time pinged_at{0};
  std::uint64_t answered = 0;  ///< the number of the last ping that it answered
};

}  // namespace gossamer::transport
