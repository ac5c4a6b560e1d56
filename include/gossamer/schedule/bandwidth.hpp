// SPDX-License-Identifier: MIT
/// As often as a budget of bytes per second allows.
#pragma once

#include <gossamer/error.hpp>
#include <gossamer/schedule/schedule.hpp>

#include <c10/util/StringUtil.h>

#include <chrono>
#include <cmath>

namespace gossamer::schedule {

/// One exchange each time that the node's budget has paid for another copy of its model: it is
/// time when floor(budget * clock / bytes of a message + phase) has grown since the last step. Over
/// any time T on the transport's clock the node sends at most budget * T + one message; what it
/// could not send, since its steps were too long or it had no room, is not made up for. The phase
/// is the node's own, so that nodes do not all send at a time.
///
/// What a rule answers, hands to newcomers, or sends twice does not count.
/// Throws ConfigError unless the budget, in bytes per second and node, is finite and above 0.
class Bandwidth {
 public:
  explicit Bandwidth(double bytes_per_second) : budget_(bytes_per_second) {
    if (!(bytes_per_second > 0 && std::isfinite(bytes_per_second))) {
      throw ConfigError(c10::str("Bandwidth: bytes per second must be finite and above 0, got ",
                                 bytes_per_second));
    }
  }
  bool operator()(PeerContext& context) const {
    const std::chrono::duration<double> now = context.now();
    const std::chrono::duration<double> before = context.now() - context.since_last_step();
    return paid(context, now.count()) > paid(context, before.count());
  }

 private:
  /// Messages paid for by then.
  [[nodiscard]] double paid(PeerContext& context, double seconds) const {
    constexpr double golden = 0.6180339887498949;  // its multiples spread evenly over [0, 1)
    const auto bytes = static_cast<double>(context.message_bytes());
    return std::floor(budget_ * seconds / bytes + golden * static_cast<double>(context.self()));
  }

  double budget_;
};

}  // namespace gossamer::schedule
