// SPDX-License-Identifier: MIT
/// Where a node may be reached without security: from its own machine only.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/transport/tcp/security.hpp>

#include <asio/ip/address.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/address_v6.hpp>

#include <string>

namespace gossamer::transport {

/// An IPv4 address that is written as an IPv6 one, as what it is.
inline asio::ip::address plain_address(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  return address;
}

/// Whether only this machine reaches that address: 127.0.0.0/8 and ::1.
inline bool is_local(const asio::ip::address& address) {
  return plain_address(address).is_loopback();
}

/// Whether a node may listen on that address, or connect to it.
inline bool may_use(const Security& security, const asio::ip::address& address) {
  return security.kind() != Security::Kind::none || security.insecure() || is_local(address);
}

/// Throws ConfigError, with the remedy, unless `may_use`. `what`: "listen on" or "connect to".
inline void check_address(const Security& security, const asio::ip::address& address,
                          const std::string& what) {
  if (may_use(security, address)) return;
  throw ConfigError("Security: a node without security may not " + what + " " +
                    address.to_string() +
                    ", where others can read and change what it says; give all members a shared "
                    "key or certificates (examples/make_keys.sh makes them), use 127.0.0.1 or ::1, "
                    "or say Security::none().insecure(true)");
}

}  // namespace gossamer::transport
