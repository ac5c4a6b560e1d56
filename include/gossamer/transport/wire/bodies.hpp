// SPDX-License-Identifier: MIT
/// The fields of the frames by which nodes meet: hello, model, members, refusal, ping.
#pragma once

#include <gossamer/fwd.hpp>
#include <gossamer/peers.hpp>
#include <gossamer/transport/message.hpp>
#include <gossamer/transport/wire/frame.hpp>
#include <gossamer/transport/wire/presence.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gossamer::transport::wire {

inline constexpr std::size_t most_address = 300;     ///< bytes of "name:port"
inline constexpr std::size_t most_agreement = 2000;  ///< bytes of `Agreement::text()`

/// What a node tells of itself, and how old the news is: of two, the higher version is newer.
struct Report {
  std::uint64_t version = 0;
  Counters status;

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io(self.version);
    io(self.status.steps);
    io(self.status.samples);
    io(self.status.weight);
    io(self.status.loss_sum);
    io(self.status.messages_sent);
    io(self.status.messages_merged);
    io(self.status.messages_returned);
    io(self.status.bytes_sent);
    io(self.status.age_sum);
    io(self.status.age_max);
  }
};

/// The first frame of each side of a connection.
struct Hello {
  static constexpr Kind kind = Kind::hello;

  PeerId node = 0;
  std::uint64_t incarnation = 0;
  std::uint32_t world_size = 0;           ///< of one with which the run begins, else 0
  bool probe = false;                     ///< only to see whether the address is right
  bool asks_members = false;              ///< it dials a contact, and knows nobody, perhaps
  std::uint64_t model = 0;                ///< fingerprint of its model; 0: it has none yet
  std::uint64_t earlier_incarnation = 0;  ///< the latest incarnation of the receiver, before this
                                          ///< one, that the sender has heard of; 0: none
  std::string address;                    ///< where others may dial it; empty in a probe
  std::string agreement;                  ///< what members must have in common: `Agreement`

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io(self.node);
    io(self.incarnation);
    io(self.world_size);
    io(self.probe);
    io(self.asks_members);
    io(self.model);
    io(self.earlier_incarnation);
    io.text(self.address, most_address);
    io.text(self.agreement, most_agreement);
  }
};

/// What model a node has.
struct Model {
  static constexpr Kind kind = Kind::model;
  static constexpr std::size_t most_text = (std::size_t{1} << 24U) - 64;

  std::uint64_t model = 0;  ///< its fingerprint
  std::string text;         ///< its description; empty if the receiver has the same

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io(self.model);
    io.text(self.text, most_text);
  }
};

/// One line of a list of members.
struct Entry {
  static constexpr std::size_t least_bytes = 106;

  PeerId node = 0;
  std::uint64_t incarnation = 0;
  Presence presence = Presence::live;
  bool checked = false;  ///< somebody has dialed the address and found the node there
  Report report;
  std::string address;

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io(self.node);
    io(self.incarnation);
    io.choice(self.presence, Presence::lost);
    io(self.checked);
    Report::walk(self.report, io);
    io.text(self.address, most_address);
  }
};

/// Members, some or all that the sender knows, itself among them.
struct Members {
  static constexpr Kind kind = Kind::members;
  static constexpr std::size_t most = 40'000;  ///< what fits into a frame, whatever the addresses

  std::vector<Entry> entries;

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io.list(self.entries, most, Entry::least_bytes, [&io](auto& entry) { Entry::walk(entry, io); });
  }
};

/// Why a node will not talk, in a number and in words.
struct Refusal {
  static constexpr Kind kind = Kind::refusal;
  static constexpr std::size_t most_text = 2000;

  enum class Code : std::uint8_t {
    protocol,      ///< what came was not understood
    run,           ///< another run
    model,         ///< another model
    number_taken,  ///< a live node has the number
    address,       ///< the advertised address is wrong
    stale,         ///< a later incarnation of the node was met already
    offer,         ///< a message that nobody would take
    leaving,       ///< the node is on its way out
    agreement      ///< something that all members must have in common is another one
  };

  Code code = Code::protocol;
  std::string text;

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io.choice(self.code, Code::agreement);
    io.text(self.text, most_text);
  }
};

/// Whether the other is there, how far away it is, and what it is about.
struct Ping {
  static constexpr Kind kind = Kind::ping;

  std::uint64_t number = 0;  ///< the sender's own count; an answer has the one that it answers
  bool answer = false;
  Report report;
  bool calm = false;                 ///< the sender has finished, and nothing is under way from it
  std::uint64_t activity_epoch = 0;  ///< how often it was calm, and then not
  /// The sender knows a moment at which all were calm, the receiver when its count was `expected`.
  bool settled = false;
  std::uint64_t expected = 0;
  std::uint64_t known = 0;  ///< the numbers that the sender has heard of, in one: `Roster::mark`
  std::uint64_t connected = 0;  ///< those that it has a connection to, in the same way

  template <class Self, class Io>
  static void walk(Self& self, Io& io) {
    io(self.number);
    io(self.answer);
    Report::walk(self.report, io);
    io(self.calm);
    io(self.activity_epoch);
    io(self.settled);
    io(self.expected);
    io(self.known);
    io(self.connected);
  }
};

}  // namespace gossamer::transport::wire
