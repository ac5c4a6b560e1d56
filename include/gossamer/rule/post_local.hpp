// SPDX-License-Identifier: MIT
/// Local SGD and post-local SGD: combinations of other rules.
#pragma once

#include <gossamer/rule/persyn.hpp>
#include <gossamer/rule/switch_after.hpp>
#include <gossamer/rule/sync.hpp>

#include <cstdint>

namespace gossamer::rule {

/// Local SGD is what the GoSGD papers call PerSyn.
using LocalSgd = PerSyn;

/// Post-local SGD: synchronous SGD for the first `steps` steps, then local SGD with an average
/// every tau steps (of those since the beginning). Both cut their means into `chunks`, each reduced
/// by another node: see `AllReduce`.
///
/// Invariant, cost, threads, throws   as `Sync` and then `PerSyn`.
/// Needs      `GradientNode`.
/// Source     Lin, Stich, Patel, Jaggi, "Don't use large mini-batches, use local SGD", ICLR 2020,
///            arXiv:1808.07217. From memory: fidelity to the paper is not claimed.
inline SwitchAfter post_local(std::uint64_t steps, std::uint64_t tau, std::uint32_t chunks = 1) {
  return SwitchAfter(Sync().chunks(chunks), steps, PerSyn(tau).chunks(chunks)).name("post_local");
}

}  // namespace gossamer::rule
