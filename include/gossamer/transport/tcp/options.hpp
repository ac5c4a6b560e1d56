// SPDX-License-Identifier: MIT
/// What a node on TCP is told when it is made.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/fwd.hpp>
#include <gossamer/transport/delivery/event_queue.hpp>
#include <gossamer/transport/membership/options.hpp>
#include <gossamer/transport/tcp/host_port.hpp>
#include <gossamer/transport/tcp/security.hpp>

#include <c10/util/StringUtil.h>
#include <torch/arg.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace spdlog {
class logger;
}

namespace gossamer::transport {

/// Options of one node's end of TCP. A run begins with `world_size` nodes, numbered from 0; others
/// may come later, with numbers from 65,536 on. Every node but one needs a contact.
struct TcpOptions {
  /// `number`: this node's, which no other live node may have.
  explicit TcpOptions(PeerId number = 0) : number_(number) {}

  TORCH_ARG(PeerId, number);
  /// How many nodes the run begins with; 0: not known.
  TORCH_ARG(std::uint32_t, world_size) = 0;
  /// Where to listen: an address of this machine and a port; port 0 takes a free one. 0.0.0.0 and
  /// [::] are all its addresses, and need security, or that its lack is said aloud.
  TORCH_ARG(std::string, listen) = "127.0.0.1:0";
  /// Where others dial this node, host:port; port 0 is the one it listens on. Empty: where it
  /// listens; if that is everywhere, the address that its first connection has on this machine, or,
  /// if only this machine can dial that one, the machine's name.
  TORCH_ARG(std::string, advertise) = "";
  /// Addresses of members, host:port. Any one that runs will do; more are for when it does not.
  TORCH_ARG(std::vector<std::string>, contacts) = {};
  /// Only nodes of the same run meet.
  TORCH_ARG(std::string, run) = "gossamer";
  /// What else they must have in common, compared before they exchange anything. A `TcpGroup` adds
  /// its rule with its numbers, and the limits.
  TORCH_ARG(Agreement, agreement) = {};
  /// What protects the connections.
  TORCH_ARG(Security, security) = Security::none();
  TORCH_ARG(MembershipTimers, timers) = {};
  /// Within this a connection is made, or the address counts as out of reach; > 0.
  TORCH_ARG(std::chrono::milliseconds, connect_timeout) = std::chrono::seconds(5);
  /// How long the destructor waits until what it said has been heard; > 0.
  TORCH_ARG(std::chrono::milliseconds, linger) = std::chrono::seconds(2);
  /// What may be under way to, and from, each peer.
  TORCH_ARG(DeliveryLimits, limits) = {};
  /// Whether messages with numbers that are not finite are refused; they are returned to their
  /// sender.
  TORCH_ARG(bool, refuse_non_finite) = true;
  /// How many unauthenticated peers of one address may be in the middle of a handshake, >= 1; one
  /// more each second for each that failed.
  TORCH_ARG(std::size_t, handshakes) = 64;
  /// How many of all addresses together, >= 1.
  TORCH_ARG(std::size_t, handshakes_of_all) = 256;
  /// Where log lines go, from a thread of the endpoint; `nullptr` keeps it silent.
  TORCH_ARG(std::shared_ptr<spdlog::logger>, logger) = nullptr;

 public:
  /// A number for a node that comes to a run that exists: larger than any that a run begins with,
  /// and so random that no other newcomer has it, either.
  static PeerId newcomers_number() {
    std::random_device random;
    return random() | (std::uint32_t{1} << 16U);
  }

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    (void)HostPort::parse(listen_);
    if (!advertise_.empty()) (void)HostPort::parse(advertise_);
    for (const std::string& contact : contacts_) {
      if (HostPort::parse(contact).port == 0) {
        throw ConfigError("TcpOptions: a contact must have a port, got " + contact);
      }
    }
    timers_.check();
    limits_.check();
    security_.check();
    for (const auto time : {connect_timeout_, linger_}) {
      if (time.count() <= 0) {
        throw ConfigError(
            c10::str("TcpOptions: times must be positive, got ", time.count(), " ms"));
      }
    }
    if (handshakes_ == 0 || handshakes_of_all_ == 0) {
      throw ConfigError(c10::str("TcpOptions: handshakes must be at least 1, got ", handshakes_,
                                 " of one address and ", handshakes_of_all_, " of all"));
    }
  }
};

}  // namespace gossamer::transport
