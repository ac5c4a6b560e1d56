// SPDX-License-Identifier: MIT
/// How often unauthenticated peers may connect: a token bucket per address, and what came of it.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/address_policy.hpp>
#include <gossamer/transport/tcp/secure_error.hpp>

#include <asio/ip/address.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/address_v6.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>

namespace gossamer::transport {

/// How many handshakes an address may begin.
struct UnauthenticatedPeerLimits {
  double burst = 16;             ///< at once; a handshake that succeeds does not count, >= 1
  double per_second = 1;         ///< and how many of those come back each second, > 0
  std::size_t addresses = 1024;  ///< remembered at most, >= 1: who was seen last, longest ago, goes

  /// Throws ConfigError for a value that cannot work.
  void check() const {
    if (!(burst >= 1) || !(per_second > 0) || addresses == 0) {
      throw ConfigError(
          "UnauthenticatedPeerLimits: burst must be at least 1, per_second positive and addresses "
          "at least 1, got " +
          std::to_string(burst) + ", " + std::to_string(per_second) + " and " +
          std::to_string(addresses));
    }
  }
};

/// Decides whether to begin one more handshake with an address, and counts failures by kind. What
/// is begun takes a token, and what succeeds gives it back, so that only failures and handshakes
/// held open are limited, not members. An IPv6 host has a whole /64, so that is one address here.
///
/// Threads  one at a time.
/// Cost     O(log addresses), and about 200 bytes for each.
class UnauthenticatedPeers {
 public:
  /// Time since any moment, such as the transport's beginning.
  using Time = std::chrono::nanoseconds;

  /// What one address has done since it was first remembered.
  struct Record {
    std::uint64_t refused = 0;                               ///< not even begun
    std::array<std::uint64_t, secure_error_kinds> failed{};  ///< by kind of SecureError; 0: other
  };

  explicit UnauthenticatedPeers(UnauthenticatedPeerLimits limits = {}) : limits_(limits) {
    limits_.check();
  }

  /// Whether a handshake may begin; then `succeeded` or `failed` must follow. `now` never falls.
  [[nodiscard]] bool begin(const asio::ip::address& from, Time now) {
    Entry& entry = touch(from, now);
    if (entry.tokens < 1) {
      ++entry.record.refused;
      ++total_.refused;
      return false;
    }
    entry.tokens -= 1;
    return true;
  }
  void succeeded(const asio::ip::address& from, Time now) {
    Entry& entry = touch(from, now);
    entry.tokens = std::min(limits_.burst, entry.tokens + 1);
  }
  /// Nothing for time-outs and other errors of the network.
  void failed(const asio::ip::address& from, std::optional<SecureError> why, Time now) {
    const std::size_t kind = why ? static_cast<std::size_t>(*why) : 0;
    ++touch(from, now).record.failed.at(kind);
    ++total_.failed.at(kind);
  }

  /// Over all addresses, also those forgotten.
  [[nodiscard]] const Record& total() const noexcept { return total_; }
  /// Of one address; null if it is not remembered.
  [[nodiscard]] const Record* find(const asio::ip::address& from) const {
    const auto at = entries_.find(key_of(from));
    return at == entries_.end() ? nullptr : &at->second.record;
  }
  [[nodiscard]] std::size_t addresses() const noexcept { return entries_.size(); }

 private:
  using Key = std::array<unsigned char, 16>;
  struct Entry {
    double tokens = 0;
    Time seen{};
    std::list<Key>::iterator place;  ///< in `recent_`
    Record record;
  };

  static Key key_of(const asio::ip::address& address) {
    const asio::ip::address plain = plain_address(address);
    if (plain.is_v4()) {
      return asio::ip::make_address_v6(asio::ip::v4_mapped, plain.to_v4()).to_bytes();
    }
    Key key = plain.to_v6().to_bytes();
    if (!plain.is_loopback()) std::fill(key.begin() + 8, key.end(), static_cast<unsigned char>(0));
    return key;
  }

  Entry& touch(const asio::ip::address& from, Time now) {
    const Key key = key_of(from);
    auto at = entries_.find(key);
    if (at == entries_.end()) {
      if (entries_.size() == limits_.addresses) {
        entries_.erase(recent_.back());
        recent_.pop_back();
      }
      recent_.push_front(key);
      at = entries_.emplace(key, Entry{limits_.burst, now, recent_.begin(), {}}).first;
      return at->second;
    }
    Entry& entry = at->second;
    const double elapsed = std::chrono::duration<double>(now - entry.seen).count();
    entry.tokens = std::min(limits_.burst, entry.tokens + elapsed * limits_.per_second);
    entry.seen = now;
    recent_.splice(recent_.begin(), recent_, entry.place);
    return entry;
  }

  UnauthenticatedPeerLimits limits_;
  std::map<Key, Entry> entries_;
  std::list<Key> recent_;  ///< first: seen last
  Record total_;
};

}  // namespace gossamer::transport
