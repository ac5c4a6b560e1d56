// SPDX-License-Identifier: MIT
/// Addresses as users write them: "host:port", "10.0.0.1:4000", "[::1]:4000".
#pragma once

#include <gossamer/error.hpp>

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace gossamer::transport {

/// A machine and a port on it.
struct HostPort {
  std::string host;  ///< a name, or an IPv4 or IPv6 address, without brackets
  std::uint16_t port = 0;

  /// With brackets where they are needed.
  [[nodiscard]] std::string text() const {
    const bool six = host.find(':') != std::string::npos;
    return (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }

  /// Throws ConfigError if `text` is not host and port.
  static HostPort parse(std::string_view text) {
    const auto refuse = [&] {
      return ConfigError("an address must be host:port, 10.0.0.1:4000 or [::1]:4000, got \"" +
                         std::string(text) + "\"");
    };
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) throw refuse();
    std::string_view host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    const bool bracketed = host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (host.empty() || (!bracketed && host.find(':') != std::string_view::npos)) throw refuse();
    HostPort parsed{std::string(host), 0};
    const char* end = digits.data() + digits.size();
    const auto result = std::from_chars(digits.data(), end, parsed.port);
    if (result.ec != std::errc{} || result.ptr != end || digits.empty()) throw refuse();
    return parsed;
  }
};

}  // namespace gossamer::transport
