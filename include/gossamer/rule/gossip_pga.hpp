// SPDX-License-Identifier: MIT
/// Gossip-PGA: gossip, and now and then a global average; a combination of other rules.
#pragma once

#include <gossamer/rule/d_psgd.hpp>
#include <gossamer/rule/slow_momentum.hpp>

#include <cstdint>
#include <utility>

namespace gossamer::rule {

/// Gossip with periodic global averaging: D-PSGD, whose gradients are mixed too, and every `period`
/// steps x_i <- (1/M) sum over j of x_j. It is `SlowMo` with alpha = 1 and beta = 0; any other rule
/// may take D-PSGD's place.
///
/// Invariant  sum of x, from round to round.
/// Cost       that of the gossip, and 2 (M - 1) vectors per period over the group.
/// Threads    distinct objects: safe; one object from two threads: unsafe.
/// Throws     ConfigError when the period is 0.
/// Source     Chen, Yuan, Zhang, Pan, Xu, Yin, "Accelerating gossip SGD with periodic global
///            averaging", ICML 2021, arXiv:2105.09080. Period 6 from memory.
/// Differs    the average comes after the period's last gossip, not in its place.
inline SlowMo gossip_pga(std::uint64_t period = 6,
                         AnyRule gossip = DPsgd(topology::Ring(topology::Ring::Way::both),
                                                Mixing::after_gradient)) {
  return SlowMo(std::move(gossip), period, 1, 0).name("gossip_pga");
}

}  // namespace gossamer::rule
