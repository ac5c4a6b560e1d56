// SPDX-License-Identifier: MIT
/// Why bytes are not a frame.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace gossamer::transport::wire {

/// What the bytes of a frame must obey. In the comments, n is the value that is refused.
enum class WireRule {
  magic,             ///< a frame begins with the letters GSMR
  version,           ///< the protocol is of this version, n is another
  kind,              ///< there is no kind n
  run,               ///< the frame is of this run
  fields,            ///< n bytes of fields are within the limit of their kind
  payload,           ///< n bytes of payload are what this model, its part or its code has
  checksum,          ///< the fields are as they were sent
  payload_checksum,  ///< and so is the payload
  values             ///< the fields are all there, possible, and no more; n bytes are left
};

/// What the bytes break, and with which value.
struct WireError {
  WireRule rule = WireRule::magic;
  std::uint64_t value = 0;
  std::uint64_t limit = 0;  ///< what would have been right, or the most

  [[nodiscard]] std::string text() const {
    const std::string n = std::to_string(value);
    const std::string most = std::to_string(limit);
    switch (rule) {
      case WireRule::magic:
        return "it does not speak Gossamer's protocol";
      case WireRule::version:
        return "it speaks version " + n + " of Gossamer's protocol, this node version " + most +
               "; run the same release on both";
      case WireRule::kind:
        return "it sent a frame of the unknown kind " + n;
      case WireRule::run:
        return "it belongs to another run; start all nodes of a run with the same run name";
      case WireRule::fields:
        return "it sent a frame with " + n + " bytes of fields, at most " + most + " are allowed";
      case WireRule::payload:
        return "it sent a payload of " + n + " bytes, this model, or its part, has " + most;
      case WireRule::checksum:
        return "a frame was damaged on its way";
      case WireRule::payload_checksum:
        return "a payload was damaged on its way";
      case WireRule::values:
        return "it sent a frame whose fields make no sense";
    }
    return "unknown";
  }
};

/// A value, or why there is none.
template <class T>
using Parsed = std::variant<T, WireError>;

}  // namespace gossamer::transport::wire
